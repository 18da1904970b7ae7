//! Submissions in, verdicts out: the sandbox for model-written Python.
//!
//! This crate is the trust boundary of axiom-rl. It runs programs that a language model
//! wrote, in processes behind walls, on inputs that it sends, and compares the values that
//! come back with expected values that never leave this process. It knows nothing of models,
//! prompts or rewards.

mod limits;
mod submission;
mod value;
mod verdict;

pub use limits::Limits;
pub use submission::{Comparator, Submission, TestCase};
pub use value::{JsonError, Value};
pub use verdict::{Judgement, Verdict};
