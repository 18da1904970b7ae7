//! The ratio to the old policy, and the loss of one token.

use super::Row;

/// Log-ratios beyond this are held here, and their derivative is 0: a token that far off tells
/// nothing, and its ratio would overflow.
const LOG_RATIO_MAX: f64 = 20.0;

/// What the ratio between the policy and the old policy is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ratio {
    /// Each token.
    Token,
    /// The sequence, as the geometric mean of its tokens' (GSPO, Zheng et al. 2025, eq. 7).
    Sequence,
    /// The same value; the derivative of a token's loss goes to its own log-prob (GSPO-token,
    /// eq. 14). Equal to `Sequence` where advantage and weight are the same along a sequence.
    SequenceToken,
    /// The sequence, as the product of its tokens' (RLOO with a ratio).
    Product,
}

/// A ratio and its derivative by its logarithm: itself, or 0 where it is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct RatioAt {
    pub(super) value: f64,
    pub(super) slope: f64,
}

impl RatioAt {
    fn exp(log: f64) -> Self {
        let held = log.clamp(-LOG_RATIO_MAX, LOG_RATIO_MAX);
        Self { value: held.exp(), slope: if held == log { 1.0 } else { 0.0 } }
    }
}

/// The ratios of a row.
pub(super) enum Ratios<'a> {
    Tokens(&'a Row<'a>),
    Sequence(RatioAt),
}

impl Ratios<'_> {
    pub(super) fn at(&self, t: usize) -> RatioAt {
        match self {
            Self::Tokens(row) => RatioAt::exp(row.logprobs[t] - row.old(t)),
            Self::Sequence(ratio) => *ratio,
        }
    }
}

impl Ratio {
    pub(super) fn of<'a>(self, row: &'a Row<'a>) -> Ratios<'a> {
        let sum = || row.counted().map(|t| row.logprobs[t] - row.old(t)).sum::<f64>();
        match self {
            Self::Token => Ratios::Tokens(row),
            Self::Sequence | Self::SequenceToken => {
                Ratios::Sequence(RatioAt::exp(sum() / row.n_counted()))
            }
            Self::Product => Ratios::Sequence(RatioAt::exp(sum())),
        }
    }

    /// What the log-ratio of a sequence moves by for each of its log-probs.
    pub(super) fn share(self, row: &Row<'_>) -> f64 {
        match self {
            Self::Sequence => 1.0 / row.n_counted(),
            Self::Product => 1.0,
            Self::Token | Self::SequenceToken => 0.0,
        }
    }
}

/// What is done with a token's ratio `r` and advantage `A`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Surrogate {
    /// `-min(r A, clip(r, 1 - low, 1 + high) A)` (Schulman et al. 2017, eq. 7; two bounds as in
    /// DAPO), and never above `-cap A` where `A` is negative.
    PpoClip {
        /// How far below 1 the ratio may go.
        low: f64,
        /// How far above.
        high: f64,
        /// The dual clip's `c` (Ye et al. 2020; 3 in verl) and INTELLECT-2's `delta`, which are
        /// one thing above `1 + high`; infinity for none.
        cap: f64,
    },
    /// `-clip(r, min, max) A log p`, the weight held constant (CISPO, MiniMax-M1, eq. 4). The
    /// bounds are those of the ratio itself: ScaleRL and TRL have `0, 5`; verl has `1 - low,
    /// 1 + high`.
    Cispo {
        /// The smallest weight.
        min: f64,
        /// The largest.
        max: f64,
    },
    /// `-A log p`: the policy gradient on policy, and imitation weighted by `A`.
    Reinforce,
    /// `-log p`, whatever the advantage: imitation.
    Nll,
    /// `-(4 / tau) sigmoid(tau (r - 1)) A`: a soft gate (SAPO, Gao et al. 2025).
    Sapo {
        /// `tau` where the advantage is positive.
        positive: f64,
        /// And where it is not.
        negative: f64,
    },
    /// `-min(r, cap) A log p`, the weight held constant, while the *probability* moved by no
    /// more than `high` up (`A` positive) or `low` down (DPPO with total variation, Qi et al.
    /// 2026).
    Dppo {
        /// How far the probability may fall.
        low: f64,
        /// How far it may rise.
        high: f64,
        /// The largest weight.
        cap: f64,
    },
}

/// Where a token's ratio lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Side {
    #[default]
    Inside,
    /// Clipped below.
    Low,
    /// Clipped above.
    High,
    /// On the cap.
    Capped,
}

impl Side {
    /// Whether PPO's clip holds the ratio.
    pub(super) fn is_clipped(self) -> bool {
        matches!(self, Self::Low | Self::High)
    }
}

/// A token's loss, and its derivatives.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Term {
    pub(super) loss: f64,
    /// By the log-ratio.
    pub(super) by_ratio: f64,
    /// By the log-prob, the ratio held constant.
    pub(super) by_logprob: f64,
    pub(super) side: Side,
}

impl Term {
    /// Adds `weight` times another; a weight of 0 adds nothing, whatever the other is.
    pub(super) fn add(&mut self, weight: f64, other: &Self) {
        if weight != 0.0 {
            self.loss += weight * other.loss;
            self.by_ratio += weight * other.by_ratio;
            self.by_logprob += weight * other.by_logprob;
        }
    }

    /// `-weight A log p` with the weight held constant.
    fn weighted(weight: f64, a: f64, logprob: f64, side: Side) -> Self {
        let by_logprob = -weight * a;
        Self { loss: by_logprob * logprob, by_logprob, side, ..Self::default() }
    }
}

impl Surrogate {
    /// The term of a token of this ratio, `(log-prob, old log-prob)` and advantage.
    pub(super) fn term(self, ratio: RatioAt, logprobs: (f64, f64), a: f64) -> Term {
        let (r, (logprob, old)) = (ratio.value, logprobs);
        match self {
            Self::PpoClip { low, high, cap } => ppo_clip(r, a, (low, high, cap)),
            Self::Cispo { min, max } => {
                let side = match () {
                    () if r > max && a > 0.0 => Side::High,
                    () if r < min && a < 0.0 => Side::Low,
                    () => Side::Inside,
                };
                Term::weighted(r.clamp(min, max), a, logprob, side)
            }
            Self::Reinforce => Term::weighted(1.0, a, logprob, Side::Inside),
            Self::Nll => Term::weighted(1.0, 1.0, logprob, Side::Inside),
            Self::Sapo { positive, negative } => {
                let tau = if a > 0.0 { positive } else { negative };
                let gate = 1.0 / (1.0 + (-tau * (r - 1.0)).exp());
                let by_ratio = -4.0 * gate * (1.0 - gate) * r * a;
                Term { loss: -4.0 / tau * gate * a, by_ratio, ..Term::default() }
            }
            Self::Dppo { low, high, cap } => {
                let moved = logprob.exp() - old.exp();
                match () {
                    () if a > 0.0 && moved > high => Term { side: Side::High, ..Term::default() },
                    () if a <= 0.0 && moved < -low => Term { side: Side::Low, ..Term::default() },
                    () => Term::weighted(r.min(cap), a, logprob, Side::Inside),
                }
            }
        }
    }
}

fn ppo_clip(r: f64, a: f64, (low, high, cap): (f64, f64, f64)) -> Term {
    let held = |r: f64, side: Side| Term { loss: -r * a, side, ..Term::default() };
    match () {
        () if a > 0.0 && r > 1.0 + high => held(1.0 + high, Side::High),
        () if a < 0.0 && r < 1.0 - low => held(1.0 - low, Side::Low),
        () if a < 0.0 && r > cap => held(cap, Side::Capped),
        () => Term { loss: -r * a, by_ratio: -r * a, ..Term::default() },
    }
}
