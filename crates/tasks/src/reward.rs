//! What a verdict is worth.

use verify::{Judgement, Verdict};

/// How a reward is made from a judgement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reward {
    /// 1 if every hidden test passed, else 0.
    Binary,
    /// 1 if every hidden test passed, else `weight` times the share that passed.
    Partial {
        /// What passing nearly everything is worth.
        weight: f64,
    },
}

impl Reward {
    /// The reward, or `None` where the sandbox failed and the sample must be masked.
    pub fn of(self, judgement: &Judgement) -> Option<f64> {
        match (judgement.verdict, self) {
            (Verdict::JudgeError, _) => None,
            (Verdict::Accepted, _) => Some(1.0),
            (_, Self::Binary) => Some(0.0),
            (_, Self::Partial { weight }) => {
                Some(weight * judgement.passed as f64 / judgement.total.max(1) as f64)
            }
        }
    }

    /// Whether the rest of a suite matters after its first failure.
    pub fn stops_at_first_failure(self) -> bool {
        self == Self::Binary
    }
}
