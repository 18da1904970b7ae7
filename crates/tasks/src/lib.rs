//! What is asked, and what an answer is worth.
//!
//! A [`Task`] is a question with visible examples (in its prompt) and hidden tests (never in
//! its prompt). It is rebuilt, bit for bit, from its [`TaskId`]. Families of tasks live in
//! [`families`], one file each; [`composed`] is the family of composed programs. Tasks that the
//! policy makes for itself are in [`selfplay`].

mod answer;
mod baseline;
pub mod composed;
pub mod corpus;
mod curriculum;
pub mod families;
mod family;
mod pace;
mod prompt;
mod reward;
pub mod selfplay;
mod sketch;
mod task;
mod wording;

pub use answer::{program, program_of_reply};
pub use baseline::{Baselines, baselines};
pub use curriculum::Curriculum;
pub use family::{ALL, Algorithm, Mask, NEVER, Tier, Variant, only};
pub use pace::{Level, Pace, Schedule, Thresholds};
pub use prompt::{complaint, hint, instruction, prompt, prompt_with};
pub use reward::Reward;
pub use sketch::{Choice, Draw, Local, Pick, Sketch, right, twist, wrong};
pub use task::{Source, Split, Task, TaskId, TasksError};

/// The seeded generator from which tasks and programs are drawn.
pub type Rng = rand_chacha::ChaCha8Rng;
