//! The parts of self-play: what the policy proposes, what comes of it, and what is kept.
//!
//! The cycle itself is in [`crate::loops::selfplay`].

mod buffer;
pub(crate) mod cruxeval;
pub(crate) mod exam;
mod prior;
mod propose;
mod recipe;
mod record;
mod reward;
mod solve;

pub(crate) use buffer::Buffers;
pub(crate) use prior::Prior;
pub(crate) use propose::{Proposal, bootstrap, keep, propose};
pub(crate) use recipe::{SelfplayRecipe, SolverBatch};
pub(crate) use record::record;
pub(crate) use reward::{lessons, reward};
pub(crate) use solve::{Solver, Solving, solve};
