//! What can go wrong between a run and its folder.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a log or a run folder could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunlogError {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// A whole line of the log is not an event.
    #[error("line {line} of {} is not an event", path.display())]
    Line {
        /// The log.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// The log was written in another version of the format.
    #[error("{} is in log format {found}, this program reads format {known}", path.display())]
    Version {
        /// The log.
        path: PathBuf,
        /// The version it names.
        found: u64,
        /// The version of this build.
        known: u32,
    },
    /// A number of an event is NaN or infinite, which JSON cannot hold.
    #[error("the field `{field}` of an event is {value}, and a log holds only finite numbers")]
    NotFinite {
        /// The field.
        field: String,
        /// Its value.
        value: f64,
    },
    /// A checkpoint names a position in the log that is not the end of an event: the log was
    /// shortened or belongs to another run.
    #[error(
        "{} is not the log of this checkpoint: no event ends at byte {expected} (it has {found})",
        path.display()
    )]
    Position {
        /// The log.
        path: PathBuf,
        /// The position in the checkpoint.
        expected: u64,
        /// The length of the file.
        found: u64,
    },
    /// Another process is using the run folder.
    #[error("{} is in use by another process{}", path.display(), holder(*.pid))]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// The process that holds it, where known.
        pid: Option<u32>,
    },
    /// The folder has no recipe or no log in it.
    #[error("{} is not a run folder: it has no {missing}", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The file looked for.
        missing: &'static str,
    },
    /// Something is already there, and is not overwritten.
    #[error("{} already exists", path.display())]
    Exists {
        /// The file or folder.
        path: PathBuf,
    },
}

impl RunlogError {
    /// For `map_err`: `action` on `path` failed.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}
