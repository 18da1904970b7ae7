//! One optimizer step: forward, objective, backward, AdamW.

use model::{AdamW, Model, ModelError, adamw, sum_of_squares};

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
    /// The critic and its learning rate, as a multiple of the policy's.
    critic: Option<(ValueHead, f64)>,
    lanes: Lanes,
}

impl Learner {
    /// A learner for models with `n_params` weights.
    pub fn new(spec: OptimizerSpec, n_params: usize) -> Self {
        let zeros = vec![0.0; n_params];
        let second = zeros.clone();
        Self { spec, first: zeros, second, t: 0, critic: None, lanes: Lanes::default() }
    }

    /// With a value head, which learns at `rate` times the policy's learning rate. It learns
    /// in the steps whose objective has a value loss.
    #[must_use]
    pub fn with_value_head(mut self, head: ValueHead, rate: f64) -> Self {
        self.critic = Some((head, rate));
        self
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
        score(self.lanes.tapes(), Net { model, head, temperature }, batch, threads)
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
        let grad_norm = self.descend(model, lr);
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
        let grad_norm = self.descend(model, lr);
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
        let net = Net { model, head: head.filter(|_| spec.value.is_some()), temperature };
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
        let net = Net { model, head: None, temperature };
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
    fn descend(&mut self, model: &mut Model, lr: f64) -> f64 {
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
        let (first, second) = (&mut self.first, &mut self.second);
        model.update(|params| {
            for entry in &entries {
                let r = entry.range.clone();
                let weight_decay = if entry.decays() { self.spec.weight_decay } else { 0.0 };
                let step = AdamW { weight_decay, ..base };
                let (m, v) = (&mut first[r.clone()], &mut second[r.clone()]);
                adamw(step, &mut params[r.clone()], &grads[r], m, v);
            }
        });
        if let Some((head, rate)) = self.critic.as_mut().filter(|_| !head_grads.is_empty()) {
            head.update(AdamW { lr: (lr * *rate) as f32, ..base }, head_grads);
        }
        norm
    }
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
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        Preset,
        kl::{Estimator, KlLoss},
        objective::{ClipCov, KlCov},
        preference::Length,
        value::{ValueLoss, ValueTarget},
    };

    const SPEC: OptimizerSpec =
        OptimizerSpec { beta1: 0.9, beta2: 0.98, eps: 1e-8, weight_decay: 0.0, grad_norm_max: 1.0 };

    fn tiny() -> Model {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden/qwen2-tiny");
        Model::load(&dir).expect("the fixture loads")
    }

    fn noise(i: usize) -> f32 {
        (i as f32 * 12.9898 + 0.5).sin() * 437.58 % 1.0
    }

    fn learner(model: &Model) -> Learner {
        let n = model.config.hidden_size + 1;
        let weights = (0..n).map(|i| 0.3 * noise(i)).collect();
        let head = ValueHead::restored(weights, vec![0.0; n], vec![0.0; n], 0);
        Learner::new(SPEC, model.layout.len()).with_value_head(head.expect("lengths agree"), 1.0)
    }

    /// Groups whose log-probs are near those of the model, with everything an objective reads.
    fn batch(learner: &mut Learner, model: &Model) -> Batch {
        let mut batch = Batch::default();
        for g in 0..3_u32 {
            let prompt: Vec<u32> = (0..7).map(|i| (i * 7 + g) % 90).collect();
            let tokens = |s: u32| (0..4 + 3 * s).map(|i| (i * 13 + s * 5 + g) % 90).collect();
            let sequences = (0..4).map(|s| Sequence::imitated(tokens(s))).collect();
            batch.groups.push((prompt, sequences));
        }
        let scores = learner.score(model, &batch, 1.0, Threads(2)).expect("it fits");
        let sequences = batch.groups.iter_mut().flat_map(|g| &mut g.1);
        for (i, (sequence, score)) in sequences.zip(scores).enumerate() {
            let near = |by: f32, k: usize| -> Vec<f32> {
                let each = score.logprobs.iter().enumerate();
                each.map(|(t, l)| l + by * noise(31 * i + 7 * t + k)).collect()
            };
            sequence.old_logprobs = near(0.1, 1);
            sequence.sampling_logprobs = near(0.15, 2);
            sequence.reference_logprobs = near(0.5, 3);
            sequence.advantage = f64::from(noise(i) + 0.1).into();
            let returns = near(1.0, 4).into_iter().map(f64::from).collect();
            sequence.value = Some(ValueTarget { old: score.values.clone(), returns });
            sequence.count = 1 + i % 2;
        }
        batch
    }

    /// The derivative of the loss along a random direction of all weights.
    fn check(
        model: &Model,
        head: Option<&ValueHead>,
        name: &str,
        mut run: impl FnMut(&Model, Option<ValueHead>) -> (f64, Vec<f32>, Vec<f32>),
    ) {
        let (_, grads, head_grads) = run(model, head.cloned());
        for seed in 0..3 {
            let direction = |i: usize| noise(i.wrapping_mul(2 * seed + 3) + seed);
            let moved = |h: f32| {
                let mut at = model.clone();
                at.update(|p| p.iter_mut().enumerate().for_each(|(i, p)| *p += h * direction(i)));
                let head = head.map(|head| {
                    let (w, m, v, t) = head.state();
                    let w = w.iter().enumerate().map(|(i, w)| w + h * direction(i)).collect();
                    ValueHead::restored(w, m.to_vec(), v.to_vec(), t).expect("lengths agree")
                });
                (at, head)
            };
            let h = 1e-4;
            let mut loss = |h: f32| {
                let (model, head) = moved(h);
                run(&model, head).0
            };
            let numeric = (loss(h) - loss(-h)) / f64::from(2.0 * h);
            let along = |g: &[f32]| -> f64 {
                g.iter().enumerate().map(|(i, g)| f64::from(g * direction(i))).sum()
            };
            let exact = along(&grads) + along(&head_grads);
            let off = (numeric - exact).abs();
            assert!(off < 0.02 * exact.abs() + 0.003, "{name}: {numeric} {exact}");
        }
    }

    #[test]
    fn gradients_of_objectives_through_the_model() {
        let model = tiny();
        let mut start = learner(&model);
        let batch = batch(&mut start, &model);
        let clip = Preset::Dapo.method(16).objective;
        let mut named: Vec<(&str, Objective)> = Preset::ALL
            .iter()
            .filter(|p| !matches!(p, Preset::Cispo | Preset::ScaleRl | Preset::Gspo))
            .map(|p| (p.name(), p.method(16).objective))
            .collect();
        named.push(("entropy", Objective { entropy_coef: 1.0, ..clip }));
        named
            .push(("value", Objective { value: Some(ValueLoss { coef: 1.0, clip: 9.0 }), ..clip }));
        let kl = Some(KlLoss { corrected: true, ..KlLoss::plain(Estimator::K3, 1.0) });
        named.push(("kl", Objective { kl, ..clip }));
        for (name, spec) in named {
            check(&model, start.value_head(), name, |model, head| {
                let mut learner = Learner::new(SPEC, model.layout.len());
                if let Some(head) = head {
                    learner = learner.with_value_head(head, 1.0);
                }
                let sums =
                    learner.gradient(model, &batch, &spec, 1.0, Threads(2)).expect("it fits");
                let (grads, head) = learner.lanes.total();
                (sums.loss, grads.to_vec(), head.to_vec())
            });
        }
    }

    fn pairs() -> Vec<Pair> {
        let pair = |i: u32| Pair {
            prompt: (0..5).map(|t| (t * 11 + i) % 90).collect(),
            chosen: (0..6).map(|t| (t * 5 + i) % 90).collect(),
            rejected: (0..9).map(|t| (t * 17 + i) % 90).collect(),
            chosen_reference: -25.0 - f64::from(i),
            rejected_reference: -40.0 + f64::from(i),
        };
        (0..200).map(pair).collect()
    }

    #[test]
    fn gradients_of_pairs_through_the_model() {
        let (model, pairs) = (tiny(), pairs());
        for spec in [
            Preference::Dpo { beta: 0.3, smoothing: 0.1 },
            Preference::Ipo { beta: 0.5, length: Length::Mean },
        ] {
            check(&model, None, &format!("{spec:?}"), |model, _| {
                let mut learner = Learner::new(SPEC, model.layout.len());
                let sums = learner.pair_gradient(model, &pairs, &spec, 1.0, Threads(2));
                (sums.expect("it fits").loss, learner.lanes.total().0.to_vec(), Vec::new())
            });
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let start = tiny();
        let batch = batch(&mut learner(&start), &start);
        let mut spec = Preset::Ppo.method(16).objective;
        spec.entropy_coef = 0.1;
        spec.keep.top_entropy = Some(0.5);
        spec.keep.clip_cov = Some(ClipCov { share: 0.1, low: 0.0, high: 5.0 });
        spec.kl_cov = Some(KlCov { share: 0.1, coef: 1.0 });
        let run = |threads: usize| {
            let (mut model, threads) = (start.clone(), Threads(threads));
            let mut learner = learner(&model);
            let scores = learner.score(&model, &batch, 0.7, threads).expect("it fits");
            let at = (1e-3, 1.0);
            let report = learner.step(&mut model, &batch, &spec, at, threads).expect("it fits");
            assert!(report.dropped_frac > 0.3 && report.value_loss > 0.0, "{report:?}");
            let dpo = crate::presets::DPO;
            let pairs = learner.step_pairs(&mut model, &pairs(), &dpo, at, threads);
            let head = learner.value_head().map(|h| h.weights().to_vec());
            (scores, report, pairs.expect("it fits"), head, model.params().to_vec())
        };
        let one = run(1);
        assert_ne!(one.4, start.params());
        for threads in [2, 5] {
            assert!(run(threads) == one, "{threads} threads");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let model = tiny();
        let mut learner = Learner::new(SPEC, model.layout.len());
        let full = batch(&mut super::tests::learner(&model), &model);
        let grpo = Preset::Grpo.method(16).objective;
        let mut fails = |change: &dyn Fn(&mut Sequence), spec: &Objective, word: &str| {
            let (mut batch, mut model) = (full.clone(), model.clone());
            change(&mut batch.groups[1].1[2]);
            let failed = learner.step(&mut model, &batch, spec, (1e-3, 1.0), Threads(1));
            let text = failed.expect_err("it is refused").to_string();
            assert!(text.contains(word), "{text}");
        };
        fails(&|s| s.tokens.clear(), &grpo, "no token");
        fails(&|s| s.mask = vec![true], &grpo, "1 masks");
        fails(&|s| s.old_logprobs.truncate(2), &grpo, "2 old log-probs");
        fails(&|s| s.reference_logprobs.clear(), &grpo, "sequence 6: a KL term");
        fails(&|s| s.advantage = crate::Advantage::Tokens(vec![]), &grpo, "0 advantages");
        fails(&|_| (), &Preset::Ppo.method(16).objective, "with_value_head");
    }
}
