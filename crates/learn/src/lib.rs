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
mod lanes;
mod learner;
pub mod objective;
pub mod preference;
pub mod presets;
mod report;
mod score;
mod statistics;
pub mod value;
mod value_head;
pub mod vote;

pub use advantage::Advantage;
pub use batch::{Batch, Pair, Sequence, evened};
pub use ema::Ema;
pub use lanes::{LANES, PART_TOKENS};
pub use learner::{Learner, OptimizerSpec, Threads};
pub use presets::{Method, Preset};
pub use report::{PairReport, StepReport};
pub use score::Score;
pub use value_head::ValueHead;
