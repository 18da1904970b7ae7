//! Prompts in, completions out.
//!
//! Each completion is drawn from its own seeded generator, so that it depends on nothing but
//! the weights, its prompt and its seed: not on the batch, the threads or the order of work.

mod filter;
mod sampler;
mod stop;

pub use filter::Filter;
pub use sampler::{Completion, ROWS_MAX, Request, Sampling, Stop, generate};
pub use stop::StopStrings;
