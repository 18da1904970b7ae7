//! Groups in, a better policy out.
//!
//! [`advantage`] turns the rewards of a group into advantages, [`objective`] turns selected
//! log-probs into a loss and its derivatives (pure functions, in f64), and [`Learner`] carries
//! the derivatives through the model and takes the optimizer's step.

pub mod advantage;
mod batch;
mod learner;
pub mod objective;

pub use batch::{Batch, Sequence};
pub use learner::{Learner, OptimizerSpec, StepReport, Threads};
