//! What happened in a run, as data.
//!
//! A run writes [`Event`]s, one JSON object per line, and everything that reports on a run (the
//! terminal, a report, a test that compares two runs) reads them. This crate owns that format,
//! the folder the run lives in, and the two promises that make a run resumable: a file or
//! folder with its final name is whole, and a log cut back to the byte position stored in a
//! checkpoint is the log as it was then.
//!
//! It does not know what a task, a model or a verdict is; it holds their names and numbers.

mod error;
mod event;
mod score;

mod reader;
mod writer;

mod durable;
mod folder;

pub use durable::{commit_dir, replace_dir, write_atomic};
pub use error::RunlogError;
pub use event::{Event, ProgramTiming, Timing, VERSION, without_times};
pub use folder::{CheckpointDir, LockedRun, PendingDir, RunFolder};
pub use reader::{EventLog, EventReader, TornLine, read_all};
pub use score::{FamilyScore, wilson};
pub use writer::EventWriter;
