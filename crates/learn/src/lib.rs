//! Groups in, a better policy out.
//!
//! [`advantage`] turns rewards into advantages (with a critic, [`value`] does), [`objective`]
//! turns selected log-probs into a loss and its derivatives, [`preference`] does so for pairs
//! (pure functions, in f64), and [`Learner`] carries the derivatives through the model and
//! takes the optimizer's step. A method is data: [`presets`] has those with a name.

pub mod advantage;
mod batch;
mod ema;
pub mod imitation;
pub mod kl;
mod learner;
pub mod objective;
pub mod preference;
pub mod presets;
mod statistics;
pub mod value;
pub mod vote;

pub use advantage::Advantage;
pub use batch::{Batch, Sequence};
pub use ema::Ema;
pub use learner::{Learner, OptimizerSpec, StepReport, Threads};
pub use presets::{Method, Preset};
