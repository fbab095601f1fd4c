//! What can be wrong with a workload as asked for.

use std::fmt;
use std::path::{Path, PathBuf};

/// A workload that cannot be built. Each text names what was wrong, the value found, the allowed range and
/// the way out, so it can be shown to the person who typed it as it is.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// A value that was typed is not allowed.
    #[error("{what} '{found}' is not usable: {way_out}")]
    Invalid {
        /// The setting, such as `--values`.
        what: &'static str,
        /// The text or number found.
        found: String,
        /// What is allowed and what to do.
        way_out: String,
    },
    /// A file could not be read.
    #[error("{}: cannot be read: {source}; give the path of a readable file", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file as a whole is of no use: empty, compressed, too long.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// One line of a file is wrong.
    #[error("{}:{line}: {problem}, found '{found}'", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What is wrong and what is expected.
        problem: String,
        /// The line found, cut short if long.
        found: String,
    },
}

impl WorkloadError {
    pub(super) fn invalid(what: &'static str, found: impl fmt::Display, way_out: impl Into<String>) -> Self {
        Self::Invalid { what, found: shorten(found.to_string().as_bytes()), way_out: way_out.into() }
    }

    /// Refuses what is there but has no end: devices, pipes, folders.
    pub(super) fn check_regular(path: &Path) -> Result<(), Self> {
        let metadata =
            path.metadata().map_err(|source| Self::Unreadable { path: path.to_owned(), source })?;
        if metadata.is_file() {
            Ok(())
        } else {
            Err(Self::file(path, "is not a regular file; give the path of one"))
        }
    }

    pub(super) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), problem: problem.into() }
    }

    pub(super) fn line(path: &Path, line: u64, problem: impl Into<String>, found: &[u8]) -> Self {
        Self::Line { path: path.to_owned(), line, problem: problem.into(), found: shorten(found) }
    }
}

/// Text for an error message: at most 100 characters, control characters made visible.
pub(super) fn shorten(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut short: String = text.chars().take(100).flat_map(char::escape_debug).collect();
    if text.chars().count() > 100 {
        short.push('…');
    }
    short
}
