//! What happened in a step, under TRL's names where the meaning is the same.

use crate::{Batch, Pair, lanes::Sums};

/// What happened in a step. Means are over the tokens learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepReport {
    /// The loss before the update.
    pub loss: f64,
    /// The norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Mean entropy of the policy at the trained tokens, in nats.
    pub entropy: f64,
    /// Share of tokens on the clipped branch (`clip_ratio/region_mean`).
    pub clip_ratio: f64,
    /// Of them those of negative advantage, clipped below (`clip_ratio/low_mean`).
    pub clip_ratio_low: f64,
    /// And those of positive advantage, clipped above (`clip_ratio/high_mean`).
    pub clip_ratio_high: f64,
    /// Share of tokens of negative advantage on the cap (dual clip).
    pub clip_ratio_dual: f64,
    /// Mean ratio to the old policy.
    pub ratio_mean: f64,
    /// The largest.
    pub ratio_max: f64,
    /// Mean k3 estimate of KL(policy, reference) (`kl`).
    pub kl: f64,
    /// Mean absolute difference between the sampling log-probs and those recomputed for
    /// training (`sampling/sampling_logp_difference/mean`).
    pub logprob_gap_mean: f64,
    /// The largest (`sampling/sampling_logp_difference/max`).
    pub logprob_gap_max: f64,
    /// Mean k3 estimate of KL(sampler, old policy).
    pub sampling_kl: f64,
    /// Share of the completions' tokens that the mask leaves out.
    pub masked_frac: f64,
    /// Share of the tokens learnt from that have no policy term, by a rule of the objective.
    pub dropped_frac: f64,
    /// Mean loss of the value head, its weight included.
    pub value_loss: f64,
    /// Share of tokens whose value loss was clipped.
    pub value_clip_ratio: f64,
    /// Tokens learnt from.
    pub tokens: usize,
    /// Sequences that stand in the batch.
    pub sequences: usize,
}

impl StepReport {
    pub(crate) fn new(sums: &Sums, grad_norm: f64, batch: &Batch) -> Self {
        let (tally, tokens) = (&sums.tally, batch.n_tokens());
        let mean = |sum: f64| sum / tokens.max(1) as f64;
        let all = batch.groups.iter().flat_map(|g| &g.1).map(|s| s.tokens.len() * s.count).sum();
        let all: usize = all;
        Self {
            loss: sums.loss,
            grad_norm,
            entropy: mean(sums.entropy),
            clip_ratio: mean(tally.clipped_low + tally.clipped_high),
            clip_ratio_low: mean(tally.clipped_low),
            clip_ratio_high: mean(tally.clipped_high),
            clip_ratio_dual: mean(tally.capped),
            ratio_mean: mean(tally.ratio),
            ratio_max: tally.ratio_max,
            kl: mean(tally.kl),
            logprob_gap_mean: tally.gap / tally.sampled.max(1.0),
            logprob_gap_max: tally.gap_max,
            sampling_kl: tally.sampling_kl / tally.sampled.max(1.0),
            masked_frac: (all - tokens) as f64 / all.max(1) as f64,
            dropped_frac: mean(tally.dropped),
            value_loss: tally.value_loss / tally.valued.max(1.0),
            value_clip_ratio: tally.value_clipped / tally.valued.max(1.0),
            tokens,
            sequences: batch.n_sequences(),
        }
    }
}

/// What happened in a step on pairs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PairReport {
    /// The loss before the update.
    pub loss: f64,
    /// The norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Share of pairs of which the policy prefers the chosen one more than the reference does
    /// (`rewards/accuracies`).
    pub accuracy: f64,
    /// Mean margin, times beta (`rewards/margins`).
    pub margin: f64,
    /// Pairs.
    pub pairs: usize,
    /// Tokens learnt from, of both completions.
    pub tokens: usize,
}

impl PairReport {
    pub(crate) fn new(sums: &Sums, grad_norm: f64, pairs: &[Pair]) -> Self {
        let n = pairs.len() as f64;
        Self {
            loss: sums.loss,
            grad_norm,
            accuracy: sums.right / n,
            margin: sums.margin / n,
            pairs: pairs.len(),
            tokens: pairs.iter().map(|p| p.chosen.len() + p.rejected.len()).sum(),
        }
    }
}
