//! What an objective needs to know of the whole optimizer step before it looks at a part.

use super::{ClipCov, Objective, Row};

/// The denominators of a step, and the thresholds of the rules that compare its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Survey {
    /// Tokens that count.
    pub tokens: f64,
    /// Sequences, those without a counted token included (as in TRL).
    pub sequences: f64,
    /// Tokens that the entropy bonus acts on.
    pub entropy_tokens: f64,
    /// Tokens that the value loss acts on.
    pub value_tokens: f64,
    entropy_min: f64,
    covariance: Covariance,
    clip_cov: Option<(ClipCov, u64)>,
    kl_cov: Option<(f64, f64)>,
}

/// The covariance of advantage and log-prob, token by token.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Covariance {
    advantage_mean: f64,
    logprob_mean: f64,
}

impl Covariance {
    fn of(self, row: &Row<'_>, t: usize) -> f64 {
        (row.advantage.at(t) - self.advantage_mean) * (row.logprobs[t] - self.logprob_mean)
    }
}

impl Survey {
    /// Denominators alone: enough where [`Objective::surveys_scores`] is false.
    pub fn counts(tokens: usize, sequences: usize) -> Self {
        let (tokens, sequences) = (tokens as f64, sequences as f64);
        Self {
            tokens,
            sequences,
            entropy_tokens: tokens,
            value_tokens: tokens,
            entropy_min: f64::NEG_INFINITY,
            ..Self::default()
        }
    }

    /// Surveys all rows of the step.
    ///
    /// # Panics
    /// If the slices of a row differ in length, or entropies are missing that `spec` asks for.
    pub fn of(rows: &[Row<'_>], spec: &Objective) -> Self {
        rows.iter().for_each(Row::check);
        let tokens = rows.iter().map(|r| r.count * r.counted().count()).sum();
        let mut survey = Self::counts(tokens, rows.iter().map(|r| r.count).sum());
        let valued = rows.iter().filter(|r| r.target.is_some());
        survey.value_tokens = valued.map(|r| (r.count * r.counted().count()) as f64).sum();
        if let Some(share) = spec.keep.top_entropy {
            survey.survey_entropies(rows, share);
        }
        if spec.keep.clip_cov.is_some() || spec.kl_cov.is_some() {
            survey.survey_covariances(rows, spec);
        }
        survey
    }

    fn survey_entropies(&mut self, rows: &[Row<'_>], share: f64) {
        let mut entropies = Vec::new();
        for (row, t) in each(rows) {
            entropies.extend(std::iter::repeat_n(row.entropies[t], row.count));
        }
        if !entropies.is_empty() {
            self.entropy_min = crate::statistics::quantile(&entropies, 1.0 - share);
        }
        self.entropy_tokens = entropies.iter().filter(|h| self.keeps_entropy(**h)).count() as f64;
    }

    fn survey_covariances(&mut self, rows: &[Row<'_>], spec: &Objective) {
        let (mut advantages, mut logprobs) = (0.0, 0.0);
        for (row, t) in each(rows) {
            advantages += row.count as f64 * row.advantage.at(t);
            logprobs += row.count as f64 * row.logprobs[t];
        }
        self.covariance = Covariance {
            advantage_mean: advantages / self.tokens,
            logprob_mean: logprobs / self.tokens,
        };
        let wanted = |share: f64| (share * self.tokens).floor().max(1.0) as usize;
        let covariance = self.covariance;
        if let Some(rule) = spec.keep.clip_cov {
            let mut band: Vec<(u64, usize)> = Vec::new();
            for row in rows {
                let clipped = clipped(row, spec);
                let inside = |t: &usize| !clipped[*t] && rule.holds(covariance.of(row, *t));
                band.extend(row.counted().filter(inside).map(|t| (draw(row, t), row.count)));
            }
            band.sort_unstable();
            let last = nth(&band, wanted(rule.share));
            self.clip_cov = last.map(|last| (rule, last));
        }
        if let Some(rule) = spec.kl_cov {
            let mut all: Vec<(f64, usize)> =
                each(rows).map(|(row, t)| (covariance.of(row, t), row.count)).collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0));
            self.kl_cov = nth(&all, wanted(rule.share)).map(|least| (least, rule.coef));
        }
    }

    /// Whether a token keeps its policy term; `clipped` is whether the surrogate clips it.
    pub(super) fn keeps(&self, row: &Row<'_>, t: usize, clipped: bool) -> bool {
        let high_entropy = row.entropies.get(t).is_none_or(|h| self.keeps_entropy(*h));
        let drawn = self.clip_cov.is_some_and(|(rule, last)| {
            !clipped && rule.holds(self.covariance.of(row, t)) && draw(row, t) <= last
        });
        high_entropy && !drawn
    }

    /// NaN is kept: a model that is broken must show in the loss.
    pub(super) fn keeps_entropy(&self, entropy: f64) -> bool {
        entropy >= self.entropy_min || entropy.is_nan()
    }

    /// What a token pays for each nat that its log-prob moved.
    pub(super) fn kl_cov(&self, row: &Row<'_>, t: usize) -> Option<f64> {
        let (least, coef) = self.kl_cov?;
        (self.covariance.of(row, t) >= least).then_some(coef)
    }
}

fn each<'a>(rows: &'a [Row<'a>]) -> impl Iterator<Item = (&'a Row<'a>, usize)> {
    rows.iter().flat_map(|row| row.counted().map(move |t| (row, t)))
}

impl ClipCov {
    fn holds(self, covariance: f64) -> bool {
        covariance > self.low && covariance < self.high
    }
}

/// Which tokens the surrogate clips.
fn clipped(row: &Row<'_>, spec: &Objective) -> Vec<bool> {
    let ratios = spec.ratio.of(row);
    let mut clipped = vec![false; row.logprobs.len()];
    for t in row.counted() {
        let logprobs = (row.logprobs[t], row.old(t));
        let term = spec.surrogate.term(ratios.at(t), logprobs, row.advantage.at(t));
        clipped[t] = term.side.is_clipped();
    }
    clipped
}

/// The key at which the counts of ordered entries reach `n`, or the last.
fn nth<K: Copy>(ordered: &[(K, usize)], n: usize) -> Option<K> {
    let mut seen = 0;
    let reached = ordered.iter().find(|(_, count)| {
        seen += count;
        seen >= n
    });
    reached.or(ordered.last()).map(|(key, _)| *key)
}

/// A number drawn for a token by what it was at the start of the batch (the finalizer of
/// SplitMix64).
fn draw(row: &Row<'_>, t: usize) -> u64 {
    let mut z = row.old(t).to_bits().wrapping_add(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(t as u64));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
