//! Tasks that the policy proposes for itself (Absolute Zero, arXiv 2505.03335).
//!
//! A [`Puzzle`] is a program with inputs and outputs, one of the three hidden: the output
//! (deduction), the input (abduction) or the program (induction). The policy plays both
//! [`Role`]s. What it writes is read as text and as literals, and never spliced into code.

mod answer;
mod backward;
mod bank;
mod bonus;
pub mod corpus;
mod prompt;
mod puzzle;
mod reward;
mod short;

pub use answer::{Format, Proposal, Unreadable, induction_proposal, program, proposal, value};
pub use bank::bank;
pub use bonus::{Bonus, complexity, diversity};
pub use prompt::{Style, ask_proposal, ask_puzzle, ask_questions};
pub use puzzle::{Puzzle, Role, TaskKind};
pub use reward::{Learnability, Proposed, RewardTable, Solved};
pub use short::held_out;

/// What every program of a puzzle is called.
pub const ENTRY_POINT: &str = "f";
/// Longest text of one value, in bytes. Longer ones are refused, never cut.
pub const VALUE_BYTES_MAX: usize = 4096;
