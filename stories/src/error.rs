//! Why a story could not be told. That is not the same as one that was told and did not hold.

use std::io;
use std::path::PathBuf;

/// Why a story could not be told, or its findings not be written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
#[non_exhaustive]
pub enum StoryError {
    #[error("there is no story `{found}`; there are {names}")]
    NoStory { found: String, names: String },
    #[error("{0}")]
    Loadgen(#[from] shingle_loadgen::error::Error),
    #[error("{0}")]
    Workload(#[from] shingle_loadgen::workload::WorkloadError),
    #[error("cannot write {}: {source}; check the path and its permissions", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot draw {}: {reason}", path.display())]
    Figure { path: PathBuf, reason: String },
    #[error("{what}: {source}")]
    System { what: String, source: io::Error },
}

impl StoryError {
    /// A failing system call, with what it was for.
    pub fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> StoryError {
        let what = what.into();
        move |source| StoryError::System { what, source }
    }
}
