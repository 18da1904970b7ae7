//! The loss as a pure function of selected log-probs, with its derivative.
//!
//! Every objective here depends on the weights only through the log-probs of the sampled
//! tokens (and, for the bonus, their entropies), so this is all the calculus there is outside
//! the model. Everything is in f64. What depends on the whole optimizer step is in a
//! [`Survey`], so how a batch is cut, padded or ordered changes nothing. A method is data, an
//! [`Objective`]:
//!
//! `L = Agg[w keep S(r, A)] + beta Agg[KL] - alpha mean[H]`
//!
//! with the ratio `r` and surrogate `S`, the correction `w` for a sampler that is not the
//! learner, and the rules `keep` that drop tokens.

mod correction;
mod surrogate;
mod survey;

pub use correction::{Act, Correction, Level};
pub use surrogate::{Ratio, Surrogate};
pub use survey::Survey;

use crate::{
    advantage::Advantage,
    kl::{Estimator, KlLoss},
    value::{ValueLoss, ValueTarget},
};
use surrogate::{Side, Term};

/// How token losses become one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregation {
    /// Over all tokens of the step (DAPO).
    TokenMean,
    /// Over the tokens of each sequence, then over sequences (GRPO).
    SequenceMean,
    /// Summed over the tokens of each sequence, then the mean over sequences (REINFORCE).
    SequenceSum,
    /// Sum over tokens, divided by sequences times this length (Dr. GRPO).
    ConstantLength(f64),
}

/// Which tokens lose their policy term. The terms of KL and entropy stay, and so does the
/// denominator.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Keep {
    /// Drops a token of negative advantage where the mean of `sampling - logprob` over its
    /// sequence exceeds this (the off-policy sequence mask of DeepSeek-V3.2).
    pub off_policy_max: Option<f64>,
    /// Keeps this share of tokens, those of highest entropy (Wang et al. 2025: 0.2). The
    /// entropy bonus acts on the same tokens.
    pub top_entropy: Option<f64>,
    /// Drops a few tokens of high covariance (Clip-Cov, Cui et al. 2025).
    pub clip_cov: Option<ClipCov>,
}

/// Clip-Cov: of the tokens whose `(A - mean A) (log p - mean log p)` lies in a band, a share
/// is drawn and dropped. The draw is a hash of the token's old log-prob and position: repeatable,
/// and the same however the batch is ordered and cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipCov {
    /// How many of all tokens are dropped at most; one at least.
    pub share: f64,
    /// The band begins above this.
    pub low: f64,
    /// And ends below this.
    pub high: f64,
}

/// KL-Cov: the tokens of highest covariance pay `coef |log p - log p_old|`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KlCov {
    /// How many of all tokens pay; one at least.
    pub share: f64,
    /// What they pay.
    pub coef: f64,
}

/// A complete objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// What the ratio is a ratio of.
    pub ratio: Ratio,
    /// The loss of a token.
    pub surrogate: Surrogate,
    /// The weight for a sampler that is not the old policy.
    pub correction: Option<Correction>,
    /// What loses its policy term.
    pub keep: Keep,
    /// A KL term.
    pub kl: Option<KlLoss>,
    /// A penalty on the tokens of highest covariance.
    pub kl_cov: Option<KlCov>,
    /// Weight of the mean entropy, which is subtracted from the loss. The mean is over tokens
    /// whatever the aggregation is, so that the weight means the same in every method.
    pub entropy_coef: f64,
    /// The loss of the value head, a mean over tokens.
    pub value: Option<ValueLoss>,
    /// The way to one number.
    pub aggregation: Aggregation,
}

impl Objective {
    /// Imitation: `-log p`, the mean over tokens.
    pub const NLL: Self = Self::new(Surrogate::Nll, Aggregation::TokenMean);

    /// A surrogate on token ratios with nothing added.
    pub const fn new(surrogate: Surrogate, aggregation: Aggregation) -> Self {
        Self {
            ratio: Ratio::Token,
            surrogate,
            correction: None,
            keep: Keep { off_policy_max: None, top_entropy: None, clip_cov: None },
            kl: None,
            kl_cov: None,
            entropy_coef: 0.0,
            value: None,
            aggregation,
        }
    }

    /// Whether its [`Survey`] needs the log-probs and entropies of the whole step.
    pub fn surveys_scores(&self) -> bool {
        let keep = &self.keep;
        keep.top_entropy.is_some() || keep.clip_cov.is_some() || self.kl_cov.is_some()
    }
}

/// One sequence: log-probs of its completion tokens. A slice is as long as `logprobs`, or
/// empty where this is allowed.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Under the policy being trained.
    pub logprobs: &'a [f64],
    /// Under the policy at the start of the batch, which the ratio is taken to; empty where it
    /// is the policy being trained, and the ratio 1.
    pub old: &'a [f64],
    /// Under the policy that sampled; empty where it is unknown or the old one.
    pub sampling: &'a [f64],
    /// Under the reference; empty where there is none.
    pub reference: &'a [f64],
    /// Entropies, in nats, at each token; empty where the objective does not ask for them.
    pub entropies: &'a [f64],
    /// Which tokens count. Whatever stands under `false` does not matter, NaN included.
    pub mask: &'a [bool],
    /// The advantage of the sequence.
    pub advantage: &'a Advantage,
    /// Values before each token; empty where the objective has no value loss.
    pub values: &'a [f64],
    /// What they are to become.
    pub target: Option<&'a ValueTarget>,
    /// How many identical sequences the row stands for.
    pub count: usize,
}

impl<'a> Row<'a> {
    /// A row on policy, with nothing to compare with.
    pub fn new(logprobs: &'a [f64], mask: &'a [bool], advantage: &'a Advantage) -> Self {
        let none: &[f64] = &[];
        Self {
            logprobs,
            old: none,
            sampling: none,
            reference: none,
            entropies: none,
            mask,
            advantage,
            values: none,
            target: None,
            count: 1,
        }
    }
}

impl Row<'_> {
    fn old(&self, t: usize) -> f64 {
        *self.old.get(t).unwrap_or(&self.logprobs[t])
    }

    /// The positions that count.
    fn counted(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.logprobs.len()).filter(|t| self.mask[*t])
    }

    fn n_counted(&self) -> f64 {
        self.counted().count().max(1) as f64
    }

    fn check(&self) {
        let n = self.logprobs.len();
        assert_eq!(self.mask.len(), n, "one mask a token");
        for slice in [self.old, self.sampling, self.reference, self.entropies, self.values] {
            assert!([0, n].contains(&slice.len()), "one number a token, or none");
        }
    }
}

/// The value of an objective on some rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Value {
    /// Their share of the loss.
    pub loss: f64,
    /// Its derivative by each log-prob, row after row.
    pub dlogprobs: Vec<f64>,
    /// Its derivative by each entropy; empty where the objective has no bonus.
    pub dentropies: Vec<f64>,
    /// Its derivative by each value; empty where the objective has no value loss.
    pub dvalues: Vec<f64>,
    /// What there is to say about the tokens.
    pub tally: Tally,
}

/// Sums over tokens, for the metrics of a step. Sequences that stand for several count as
/// often.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    /// Tokens that count.
    pub tokens: f64,
    /// Tokens of negative advantage clipped below.
    pub clipped_low: f64,
    /// Tokens of positive advantage clipped above.
    pub clipped_high: f64,
    /// Tokens of negative advantage whose ratio met the cap (dual clip).
    pub capped: f64,
    /// Tokens without a policy term, by a rule of [`Keep`] or a mask of [`Correction`].
    pub dropped: f64,
    /// Sum of the ratios.
    pub ratio: f64,
    /// The largest ratio.
    pub ratio_max: f64,
    /// Sum of the k3 estimates of KL(policy, reference).
    pub kl: f64,
    /// Tokens whose sampling log-prob is known.
    pub sampled: f64,
    /// Sum of `|old - sampling|` over them.
    pub gap: f64,
    /// The largest of them.
    pub gap_max: f64,
    /// Sum of the k3 estimates of KL(sampler, old).
    pub sampling_kl: f64,
    /// Tokens that have a value.
    pub valued: f64,
    /// Sum of the value losses.
    pub value_loss: f64,
    /// Tokens whose value loss was clipped.
    pub value_clipped: f64,
}

impl Tally {
    /// Takes in the sums of other tokens.
    pub fn add(&mut self, other: &Self) {
        self.tokens += other.tokens;
        self.clipped_low += other.clipped_low;
        self.clipped_high += other.clipped_high;
        self.capped += other.capped;
        self.dropped += other.dropped;
        self.ratio += other.ratio;
        self.ratio_max = self.ratio_max.max(other.ratio_max);
        self.kl += other.kl;
        self.sampled += other.sampled;
        self.gap += other.gap;
        self.gap_max = self.gap_max.max(other.gap_max);
        self.sampling_kl += other.sampling_kl;
        self.valued += other.valued;
        self.value_loss += other.value_loss;
        self.value_clipped += other.value_clipped;
    }
}

/// The loss of `rows` and its derivative by each of their log-probs (entropies, values).
///
/// # Panics
/// If the slices of a row differ in length, or entropies, values or their targets are missing
/// that `spec` asks for.
pub fn objective(rows: &[Row<'_>], spec: &Objective, survey: &Survey) -> Value {
    let mut value = Value::default();
    for row in rows {
        row.check();
        let at = value.dlogprobs.len();
        value.dlogprobs.resize(at + row.logprobs.len(), 0.0);
        let weight = row.count as f64
            * match spec.aggregation {
                Aggregation::TokenMean => 1.0 / survey.tokens,
                Aggregation::SequenceMean => 1.0 / (survey.sequences * row.n_counted()),
                Aggregation::SequenceSum => 1.0 / survey.sequences,
                Aggregation::ConstantLength(l) => 1.0 / (survey.sequences * l),
            };
        let mut sums = Value { dlogprobs: value.dlogprobs.split_off(at), ..Value::default() };
        policy_and_kl(row, spec, survey, weight, &mut sums);
        if spec.entropy_coef != 0.0 {
            entropy_bonus(row, spec, survey, &mut sums);
        }
        if let Some(loss) = spec.value {
            value_loss(row, loss, survey, &mut sums);
        }
        value.loss += sums.loss;
        value.dlogprobs.append(&mut sums.dlogprobs);
        value.dentropies.append(&mut sums.dentropies);
        value.dvalues.append(&mut sums.dvalues);
        value.tally.add(&sums.tally);
    }
    value
}

/// The policy's terms and those of KL, each with `weight`.
fn policy_and_kl(row: &Row<'_>, spec: &Objective, survey: &Survey, weight: f64, out: &mut Value) {
    let ratios = spec.ratio.of(row);
    let corrections = spec.correction.map(|c| c.weights(row));
    let (count, off_policy) = (row.count as f64, is_off_policy(row, spec.keep));
    // What the loss changes by for a change of the sequence's log-ratio.
    let mut by_sequence = 0.0;
    for t in row.counted() {
        let (a, logprob) = (row.advantage.at(t), row.logprobs[t]);
        let ratio = ratios.at(t);
        let mut term = spec.surrogate.term(ratio, (logprob, row.old(t)), a);
        if let Some(coef) = survey.kl_cov(row, t) {
            let moved = logprob - row.old(t);
            term.loss += coef * moved.abs();
            term.by_logprob += coef * if moved == 0.0 { 0.0 } else { moved.signum() };
        }
        let w = corrections.as_ref().map_or(1.0, |w| w[t]);
        let kept = survey.keeps(row, t, term.side.is_clipped()) && !(off_policy && a < 0.0);
        let w = if kept { w } else { 0.0 };
        out.tally.see(&term, ratio.value, count);
        out.tally.dropped += if w == 0.0 { count } else { 0.0 };
        let mut sum = Term::default();
        sum.add(w, &term);
        if let Some(reference) = row.reference.get(t) {
            out.tally.kl += count * Estimator::K3.value(logprob, *reference);
            if let Some(kl) = spec.kl {
                sum.add(kl.beta, &kl_term(kl, logprob, *reference, ratio.value));
            }
        }
        out.loss += weight * sum.loss;
        out.dlogprobs[t] += weight * sum.by_logprob;
        let by_ratio = weight * sum.by_ratio * ratio.slope;
        match spec.ratio {
            Ratio::Token | Ratio::SequenceToken => out.dlogprobs[t] += by_ratio,
            Ratio::Sequence | Ratio::Product => by_sequence += by_ratio,
        }
    }
    let share = spec.ratio.share(row);
    row.counted().for_each(|t| out.dlogprobs[t] += by_sequence * share);
}

/// A KL estimate, and its derivatives by the log-prob and by the log-ratio.
fn kl_term(kl: KlLoss, logprob: f64, reference: f64, ratio: f64) -> Term {
    let value = kl.estimator.value(logprob, reference);
    let slope = kl.gradient.slope(logprob, reference);
    let (r, by_ratio) = if kl.corrected { (ratio, ratio * value) } else { (1.0, 0.0) };
    Term { loss: r * value, by_logprob: r * slope, by_ratio, side: Side::Inside }
}

/// Whether the off-policy sequence mask drops the row's tokens of negative advantage.
fn is_off_policy(row: &Row<'_>, keep: Keep) -> bool {
    let Some(max) = keep.off_policy_max else { return false };
    let sampled = |t: usize| *row.sampling.get(t).unwrap_or(&row.old(t));
    let moved: f64 = row.counted().map(|t| sampled(t) - row.logprobs[t]).sum();
    moved / row.n_counted() > max
}

fn entropy_bonus(row: &Row<'_>, spec: &Objective, survey: &Survey, out: &mut Value) {
    assert_eq!(row.entropies.len(), row.logprobs.len(), "a bonus needs entropies");
    let weight = spec.entropy_coef * row.count as f64 / survey.entropy_tokens.max(1.0);
    out.dentropies = vec![0.0; row.logprobs.len()];
    for t in row.counted().filter(|t| survey.keeps_entropy(row.entropies[*t])) {
        out.loss -= weight * row.entropies[t];
        out.dentropies[t] = -weight;
    }
}

/// Rows without a target, imitated ones say, have no value loss.
fn value_loss(row: &Row<'_>, loss: ValueLoss, survey: &Survey, out: &mut Value) {
    let n = row.logprobs.len();
    out.dvalues = vec![0.0; n];
    let Some(target) = row.target else { return };
    let lengths = [row.values.len(), target.old.len(), target.returns.len()];
    assert_eq!(lengths, [n; 3], "one value and one target a token");
    let weight = row.count as f64 / survey.value_tokens.max(1.0);
    for t in row.counted() {
        let old = f64::from(target.old[t]);
        let (value, slope, clipped) = loss.of(row.values[t], old, target.returns[t]);
        out.loss += weight * value;
        out.dvalues[t] = weight * slope;
        out.tally.valued += row.count as f64;
        out.tally.value_loss += row.count as f64 * value;
        out.tally.value_clipped += if clipped { row.count as f64 } else { 0.0 };
    }
}

impl Tally {
    fn see(&mut self, term: &Term, ratio: f64, count: f64) {
        self.tokens += count;
        self.ratio += count * ratio;
        self.ratio_max = self.ratio_max.max(ratio);
        match term.side {
            Side::Inside => {}
            Side::Low => self.clipped_low += count,
            Side::High => self.clipped_high += count,
            Side::Capped => self.capped += count,
        }
    }

    /// How far a token's old log-prob is from its sampling one.
    pub(crate) fn see_sampler(&mut self, old: f64, sampling: f64, count: f64) {
        let gap = (old - sampling).abs();
        self.sampled += count;
        self.gap += count * gap;
        self.gap_max = self.gap_max.max(gap);
        self.sampling_kl += count * Estimator::K3.value(sampling, old);
    }
}
