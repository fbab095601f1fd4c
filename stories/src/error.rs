//! Why a story could not be told. That is not the same as one that was told and did not hold.

use std::io;
use std::path::PathBuf;

use shingle_client::control::ControlError;
use shingle_client::{ConnectError, GetError};
use shingle_netlab::SpecError;
use shingle_netlab::lab::LabError;
use shingle_server::StartError;

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
    Lab(#[from] LabError),
    #[error("{0}")]
    Spec(#[from] SpecError),
    #[error("the server did not start: {0}")]
    Start(#[from] StartError),
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Control(#[from] ControlError),
    #[error("a read ended as no story expects: {0}")]
    Get(#[from] GetError),
    #[error("flags of the generator: {0}")]
    Flags(String),
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
