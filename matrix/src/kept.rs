//! Runs kept in files, books and truth, so that attribution can be worked on without a laboratory.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shingle_loadgen::attribution::{Books, attribute};

use crate::outcome::{Outcome, named};
use crate::score::judge::judge;

/// A run with its books.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// What came of it.
    pub outcome: Outcome,
    /// What its causes were judged by; none where it lost nothing.
    pub books: Option<Books>,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// It cannot be read or written.
    #[error("cannot use {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no kept run of this version.
    #[error("{} is no run kept by `matrix --keep` of this version: {error}; make it again with `matrix --rerun`", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        error: serde_json::Error,
    },
}

impl Kept {
    /// Writes it into a directory, which is made if it is not there; the file's name tells what was true, what was named, and which run it is.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, directory: &Path) -> Result<PathBuf, KeptError> {
        let judgement = judge(&self.outcome);
        let run = self.outcome.id.replace(':', "-");
        let path = directory.join(format!("{}--named-{}--{run}.json", judgement.truth, judgement.named));
        let fail = |error| KeptError::File { path: path.clone(), error };
        fs::create_dir_all(directory).map_err(fail)?;
        fs::write(&path, serde_json::to_string(self).expect("plain data serialises")).map_err(fail)?;
        Ok(path)
    }

    /// Reads it back.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self, KeptError> {
        let text = fs::read(path).map_err(|error| KeptError::File { path: path.into(), error })?;
        serde_json::from_slice(&text).map_err(|error| KeptError::Format { path: path.into(), error })
    }

    /// The run with its causes as attribution names them now.
    pub fn explained(&self) -> Outcome {
        let named = self.books.as_ref().map(|books| named(&attribute(books))).unwrap_or_default();
        Outcome { named, ..self.outcome.clone() }
    }
}
