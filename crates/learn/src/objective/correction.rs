//! The weight for a sampler that is not the old policy.

use super::Row;

/// Whether something is decided for each token or once for a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Each token by itself: biased, and of low variance.
    Token,
    /// The product over the sequence: unbiased, and it explodes with length.
    Sequence,
}

/// What happens to a weight outside its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It becomes the bound (truncated importance sampling).
    Truncate,
    /// It becomes 0 (masked importance sampling; IcePop at the token level).
    Mask,
}

/// A weight `p_old / p_sampling` on the policy's term, held constant. It is for an old policy
/// whose log-probs were recomputed; where the ratio itself is taken to the sampler, there is
/// nothing left to correct.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correction {
    /// What it is computed for.
    pub level: Level,
    /// What its bounds do.
    pub act: Act,
    /// The lower bound; 0 for none.
    pub min: f64,
    /// The upper bound; infinity for none.
    pub max: f64,
}

impl Correction {
    /// Truncation of each token's weight at `max` (TIS; 2 in verl).
    pub const fn truncate_tokens(max: f64) -> Self {
        Self { level: Level::Token, act: Act::Truncate, min: 0.0, max }
    }

    /// Masking of sequences whose weight exceeds `max` (3 in TRL).
    pub const fn mask_sequences(max: f64) -> Self {
        Self { level: Level::Sequence, act: Act::Mask, min: 0.0, max }
    }

    /// The weight of each token of a row; 1 where the sampler is unknown.
    pub(super) fn weights(self, row: &Row<'_>) -> Vec<f64> {
        let mut weights = vec![1.0; row.logprobs.len()];
        if row.sampling.is_empty() {
            return weights;
        }
        let log = |t: usize| row.old(t) - row.sampling[t];
        let sum: f64 = row.counted().map(log).sum();
        for t in row.counted() {
            let weight = match self.level {
                Level::Token => log(t).exp(),
                Level::Sequence => sum.exp(),
            };
            let inside = (self.min..=self.max).contains(&weight);
            weights[t] = match self.act {
                Act::Truncate => weight.clamp(self.min, self.max),
                Act::Mask if inside => weight,
                Act::Mask => 0.0,
            };
        }
        weights
    }
}
