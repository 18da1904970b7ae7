//! One optimizer step: forward, objective, backward, AdamW.

use model::{AdamW, Entry, Model, ModelError, adamw, seam::mix, share, sum_of_squares};

use crate::{
    Batch, Pair, Score, Sequence, ValueHead,
    batch::{Part, check, check_pairs},
    lanes::{Lanes, Net, PART_TOKENS, PartSlopes, Sums},
    objective::{Objective, Row, Survey, objective},
    preference::{Preference, Side},
    report::{PairReport, StepReport},
    score::score,
};

/// How many threads a step may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads(pub usize);

/// Settings of the optimizer that stay the same over a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimizerSpec {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay of the matrices.
    pub weight_decay: f32,
    /// Largest norm of the gradient; longer ones are scaled down to it.
    pub grad_norm_max: f64,
}

/// The optimizer's state and the buffers of a step.
#[derive(Debug)]
pub struct Learner {
    spec: OptimizerSpec,
    first: Vec<f32>,
    second: Vec<f32>,
    t: u64,
    /// What dropout draws from, with the number of the step.
    seed: u64,
    /// The critic and its learning rate, as a multiple of the policy's.
    critic: Option<(ValueHead, f64)>,
    lanes: Lanes,
}

impl Learner {
    /// A learner for models with `n_params` weights.
    pub fn new(spec: OptimizerSpec, n_params: usize) -> Self {
        let zeros = vec![0.0; n_params];
        let second = zeros.clone();
        let lanes = Lanes::default();
        Self { spec, first: zeros, second, t: 0, seed: 0, critic: None, lanes }
    }

    /// With a value head, which learns at `rate` times the policy's learning rate. It learns
    /// in the steps whose objective has a value loss; its gradient is part of the norm that is
    /// clipped.
    #[must_use]
    pub fn with_value_head(mut self, head: ValueHead, rate: f64) -> Self {
        self.critic = Some((head, rate));
        self
    }

    /// With backward passes that run each block once more instead of keeping what it computed:
    /// less memory, a third more arithmetic, the same bits.
    #[must_use]
    pub fn recomputing(mut self, recompute: bool) -> Self {
        self.lanes.recompute = recompute;
        self
    }

    /// With another seed for the dropout of adapters.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What dropout draws from in the next step.
    fn step_seed(&self) -> u64 {
        mix(self.seed ^ mix(self.t))
    }

    /// The value head.
    pub fn value_head(&self) -> Option<&ValueHead> {
        self.critic.as_ref().map(|(head, _)| head)
    }

    /// The optimizer's state: first moments, second moments, steps taken.
    pub fn state(&self) -> (&[f32], &[f32], u64) {
        (&self.first, &self.second, self.t)
    }

    /// Puts back a state.
    ///
    /// # Panics
    /// If it is of another length.
    pub fn restore(&mut self, first: Vec<f32>, second: Vec<f32>, t: u64) {
        assert_eq!((first.len(), second.len()), (self.first.len(), self.second.len()));
        (self.first, self.second, self.t) = (first, second, t);
    }

    /// Scores every sequence of a batch, group after group, under these weights (and the value
    /// head, if there is one): old log-probs before a step, reference log-probs under other
    /// weights. The bits do not depend on `threads`.
    ///
    /// # Errors
    /// If a sequence does not fit the model.
    pub fn score(
        &mut self,
        model: &Model,
        batch: &Batch,
        temperature: f32,
        threads: Threads,
    ) -> Result<Vec<Score>, ModelError> {
        check(batch, None)?;
        let head = self.critic.as_ref().map(|(head, _)| head);
        let net = Net { model, head, temperature, seed: 0 };
        score(&mut self.lanes, net, batch, threads)
    }

    /// Takes one optimizer step at learning rate `lr`. Log-probs are those at `temperature`.
    ///
    /// # Errors
    /// If a sequence does not fit the model, or lacks what the objective needs. Nothing has
    /// changed then.
    pub fn step(
        &mut self,
        model: &mut Model,
        batch: &Batch,
        spec: &Objective,
        (lr, temperature): (f64, f32),
        threads: Threads,
    ) -> Result<StepReport, ModelError> {
        if batch.n_tokens() == 0 {
            return Ok(StepReport::default());
        }
        let sums = self.gradient(model, batch, spec, temperature, threads)?;
        let grad_norm = self.descend(model, lr, threads);
        Ok(StepReport::new(&sums, grad_norm, batch))
    }

    /// Takes one optimizer step on pairs; the loss is their mean.
    ///
    /// # Errors
    /// If a completion is empty or does not fit the model. Nothing has changed then.
    pub fn step_pairs(
        &mut self,
        model: &mut Model,
        pairs: &[Pair],
        spec: &Preference,
        (lr, temperature): (f64, f32),
        threads: Threads,
    ) -> Result<PairReport, ModelError> {
        if pairs.is_empty() {
            return Ok(PairReport::default());
        }
        let sums = self.pair_gradient(model, pairs, spec, temperature, threads)?;
        let grad_norm = self.descend(model, lr, threads);
        Ok(PairReport::new(&sums, grad_norm, pairs))
    }

    /// Leaves the gradient of the batch in the lanes.
    fn gradient(
        &mut self,
        model: &Model,
        batch: &Batch,
        spec: &Objective,
        temperature: f32,
        threads: Threads,
    ) -> Result<Sums, ModelError> {
        check(batch, Some((spec, self.critic.is_some())))?;
        let survey = self.survey(model, batch, spec, temperature, threads)?;
        let head = self.critic.as_ref().map(|(head, _)| head);
        let head = head.filter(|_| spec.value.is_some());
        let net = Net { model, head, temperature, seed: self.step_seed() };
        let parts = batch.parts(PART_TOKENS, 1);
        let slopes = |part: &Part<'_>, tape: &model::Tape| slopes(part, tape, net, (spec, &survey));
        self.lanes.gradient(net, &parts, threads, &slopes)
    }

    /// Leaves the gradient of the pairs in the lanes.
    fn pair_gradient(
        &mut self,
        model: &Model,
        pairs: &[Pair],
        spec: &Preference,
        temperature: f32,
        threads: Threads,
    ) -> Result<Sums, ModelError> {
        check_pairs(pairs)?;
        let batch = Pair::batch(pairs);
        let net = Net { model, head: None, temperature, seed: self.step_seed() };
        let slopes = |part: &Part<'_>, tape: &model::Tape| pair_slopes(part, tape, pairs, spec);
        self.lanes.gradient(net, &batch.parts(PART_TOKENS, 2), threads, &slopes)
    }

    /// What the objective compares over the whole step; costs a forward pass where it compares
    /// scores.
    fn survey(
        &mut self,
        model: &Model,
        batch: &Batch,
        spec: &Objective,
        temperature: f32,
        threads: Threads,
    ) -> Result<Survey, ModelError> {
        let scores = match spec.surveys_scores() {
            true => self.score(model, batch, temperature, threads)?,
            false => Vec::new(),
        };
        let mut scores = scores.into_iter();
        let sequences: Vec<&Sequence> = batch.groups.iter().flat_map(|g| &g.1).collect();
        let unscored = |s: &Sequence| Score {
            logprobs: vec![0.0; s.tokens.len()],
            entropies: vec![0.0; s.tokens.len()],
            values: Vec::new(),
        };
        let numbers: Vec<Numbers> = sequences
            .iter()
            .map(|s| Numbers::of(s, &scores.next().unwrap_or_else(|| unscored(s)), spec))
            .collect();
        let rows: Vec<Row<'_>> = sequences.iter().zip(&numbers).map(|(s, n)| n.row(s)).collect();
        Ok(Survey::of(&rows, spec))
    }

    /// Clips the gradient, follows it, and returns its norm before clipping.
    fn descend(&mut self, model: &mut Model, lr: f64, Threads(threads): Threads) -> f64 {
        let (grads, head_grads) = self.lanes.total();
        let norm = (sum_of_squares(grads) + sum_of_squares(head_grads)).sqrt();
        let scale = (self.spec.grad_norm_max / (norm + 1e-6)).min(1.0);
        self.t += 1;
        let base = AdamW {
            lr: lr as f32,
            beta1: self.spec.beta1,
            beta2: self.spec.beta2,
            eps: self.spec.eps,
            weight_decay: 0.0,
            t: self.t,
            grad_scale: scale as f32,
        };
        let entries = model.layout.entries.clone();
        let moments = (&mut self.first[..], &mut self.second[..]);
        let weight_decay = self.spec.weight_decay;
        model.update(threads, |params| {
            let tensors = tensors(&entries, params, grads, moments);
            share(threads, tensors.into_iter(), |(entry, (p, g, m, v))| {
                let weight_decay = if entry.decays() { weight_decay } else { 0.0 };
                adamw(AdamW { weight_decay, ..base }, p, g, m, v);
            });
        });
        if let Some((head, rate)) = self.critic.as_mut().filter(|_| !head_grads.is_empty()) {
            head.update(AdamW { lr: (lr * *rate) as f32, ..base }, head_grads);
        }
        norm
    }
}

/// A tensor's weights, gradient, first and second moments.
type Tensor<'a> = (&'a mut [f32], &'a [f32], &'a mut [f32], &'a mut [f32]);

/// Cuts flat vectors into the tensors of a layout, which lie one after the other.
fn tensors<'a>(
    entries: &'a [Entry],
    mut params: &'a mut [f32],
    grads: &'a [f32],
    (mut first, mut second): (&'a mut [f32], &'a mut [f32]),
) -> Vec<(&'a Entry, Tensor<'a>)> {
    let mut found = Vec::new();
    for entry in entries {
        let n = entry.range.len();
        let (p, m, v);
        (p, params) = params.split_at_mut(n);
        (m, first) = first.split_at_mut(n);
        (v, second) = second.split_at_mut(n);
        found.push((entry, (p, &grads[entry.range.clone()], m, v)));
    }
    found
}

/// What there is to say of a sequence, in f64, as the objective takes it.
struct Numbers {
    logprobs: Vec<f64>,
    old: Vec<f64>,
    sampling: Vec<f64>,
    reference: Vec<f64>,
    entropies: Vec<f64>,
    values: Vec<f64>,
    mask: Vec<bool>,
}

impl Numbers {
    /// The ratio is to the old log-probs. Without them it is to the sampling ones; but a
    /// correction already accounts for the sampler, so there it is to the policy itself.
    fn of(sequence: &Sequence, score: &Score, spec: &Objective) -> Self {
        let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|x| f64::from(*x)).collect() };
        let recomputed = !sequence.old_logprobs.is_empty() || spec.correction.is_some();
        let (old, sampling) = match recomputed {
            true => (wide(&sequence.old_logprobs), wide(&sequence.sampling_logprobs)),
            false => (wide(&sequence.sampling_logprobs), Vec::new()),
        };
        let mask = match sequence.mask.len() {
            0 => vec![true; sequence.tokens.len()],
            _ => sequence.mask.clone(),
        };
        Self {
            logprobs: wide(&score.logprobs),
            old,
            sampling,
            reference: wide(&sequence.reference_logprobs),
            entropies: wide(&score.entropies),
            values: wide(&score.values),
            mask,
        }
    }

    fn row<'a>(&'a self, sequence: &'a Sequence) -> Row<'a> {
        Row {
            logprobs: &self.logprobs,
            old: &self.old,
            sampling: &self.sampling,
            reference: &self.reference,
            entropies: &self.entropies,
            mask: &self.mask,
            advantage: &sequence.advantage,
            values: &self.values,
            target: sequence.value.as_ref(),
            count: sequence.count,
        }
    }
}

/// The derivatives of a part's log-probs, entropies and values, and its share of the sums.
fn slopes(
    part: &Part<'_>,
    tape: &model::Tape,
    net: Net<'_>,
    (spec, survey): (&Objective, &Survey),
) -> PartSlopes {
    let narrow = |x: Vec<f64>| x.into_iter().map(|x| x as f32);
    let mut out = PartSlopes::default();
    let mut at = 0;
    for sequence in &part.sequences {
        let end = at + sequence.tokens.len();
        let numbers = Numbers::of(sequence, &Score::read(tape, net, at..end), spec);
        let row = numbers.row(sequence);
        let value = objective(&[row], spec, survey);
        out.sums.loss += value.loss;
        out.sums.tally.add(&value.tally);
        out.sums.see(&row, sequence);
        out.log_probs.extend(narrow(value.dlogprobs));
        out.entropies.extend(narrow(value.dentropies));
        out.values.extend(narrow(value.dvalues));
        at = end;
    }
    out
}

impl Sums {
    /// The entropy of a row, and how far its recomputed log-probs are from the sampling ones.
    fn see(&mut self, row: &Row<'_>, sequence: &Sequence) {
        let counted = || (0..row.mask.len()).filter(|t| row.mask[*t]);
        self.entropy += counted().map(|t| row.entropies[t]).sum::<f64>() * row.count as f64;
        if sequence.sampling_logprobs.is_empty() {
            return;
        }
        for t in counted() {
            let old = sequence.old_logprobs.get(t).map_or(row.logprobs[t], |x| f64::from(*x));
            let sampling = f64::from(sequence.sampling_logprobs[t]);
            self.tally.see_sampler(old, sampling, row.count as f64);
        }
    }
}

/// The derivatives of the log-probs of a part made of pairs.
fn pair_slopes(
    part: &Part<'_>,
    tape: &model::Tape,
    pairs: &[Pair],
    spec: &Preference,
) -> PartSlopes {
    let mut out = PartSlopes::default();
    let weight = 1.0 / pairs.len() as f64;
    let mut at = 0;
    for (i, two) in part.sequences.chunks_exact(2).enumerate() {
        let pair = &pairs[part.first / 2 + i];
        let mut side = |tokens: usize, reference: f64| {
            let logprobs = &tape.log_probs()[at..at + tokens];
            at += tokens;
            let logprob = logprobs.iter().map(|x| f64::from(*x)).sum();
            Side { logprob, reference, tokens }
        };
        let chosen = side(two[0].tokens.len(), pair.chosen_reference);
        let rejected = side(two[1].tokens.len(), pair.rejected_reference);
        let value = spec.pair(chosen, rejected);
        for (n, slope) in [(chosen.tokens, value.dchosen), (rejected.tokens, value.drejected)] {
            out.log_probs.extend(std::iter::repeat_n((weight * slope) as f32, n));
        }
        out.sums.loss += weight * value.loss;
        out.sums.margin += value.margin;
        out.sums.right += if value.margin > 0.0 { 1.0 } else { 0.0 };
    }
    out
}

#[cfg(test)]
mod tests;
