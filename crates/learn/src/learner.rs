//! One optimizer step: forward, objective, backward, AdamW.
//!
//! The batch is cut into parts, the parts are dealt to a fixed number of lanes, and each lane
//! sums the gradients of its parts in order. Threads take whole lanes, and lanes are added in
//! order: the result has the same bits for any number of threads, and no thread ever waits for
//! another inside a step.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use model::{AdamW, Entry, Model, ModelError, Tape, adamw, share, sum_of_squares};

use crate::{
    Batch,
    batch::Part,
    objective::{Norm, Objective, Row, objective},
};

/// Lanes of a step: at most this many threads are of use.
const LANES: usize = 8;
/// Tokens of a part: its activations stay near the caches.
const PART_TOKENS: usize = 1024;

/// Gradients that one thread adds up at a time.
const PIECE: usize = 1 << 16;

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

/// What happened in a step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepReport {
    /// The loss before the update.
    pub loss: f64,
    /// The norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Mean entropy of the policy at the trained tokens, in nats.
    pub entropy: f64,
    /// Share of tokens on the clipped branch.
    pub clip_ratio: f64,
    /// Mean k3 estimate of the KL to the reference.
    pub kl: f64,
    /// Largest absolute difference between a sampling log-prob and the training one.
    pub logprob_gap_max: f64,
    /// Tokens learnt from.
    pub tokens: usize,
}

/// The optimizer's state and the buffers of a step.
#[derive(Debug)]
pub struct Learner {
    spec: OptimizerSpec,
    first: Vec<f32>,
    second: Vec<f32>,
    t: u64,
    lanes: Vec<Mutex<Lane>>,
    tapes: Vec<Tape>,
}

#[derive(Debug, Default)]
struct Lane {
    grads: Vec<f32>,
    sums: Sums,
    failure: Option<ModelError>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    loss: f64,
    entropy: f64,
    clipped: usize,
    kl: f64,
    gap: f64,
}

impl Learner {
    /// A learner for models with `n_params` weights.
    pub fn new(spec: OptimizerSpec, n_params: usize) -> Self {
        let zeros = vec![0.0; n_params];
        Self {
            spec,
            first: zeros.clone(),
            second: zeros,
            t: 0,
            lanes: Vec::new(),
            tapes: Vec::new(),
        }
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

    /// Takes one optimizer step at learning rate `lr`. Log-probs are those at `temperature`.
    ///
    /// # Errors
    /// If a sequence does not fit the model. Nothing has changed then.
    pub fn step(
        &mut self,
        model: &mut Model,
        batch: &Batch,
        spec: &Objective,
        (lr, temperature): (f64, f32),
        threads: Threads,
    ) -> Result<StepReport, ModelError> {
        let norm = Norm { tokens: batch.n_tokens(), sequences: batch.n_sequences() };
        if norm.tokens == 0 {
            return Ok(StepReport::default());
        }
        let sums = self.gradient(model, batch, spec, (norm, temperature), threads)?;
        let lanes = &mut self.lanes;
        let Some((total, _)) = lanes.split_first_mut() else { return Ok(StepReport::default()) };
        let grads = &get_mut(total).grads;
        let grad_norm = sum_of_squares(grads).sqrt();
        let scale = (self.spec.grad_norm_max / (grad_norm + 1e-6)).min(1.0);
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
        model.update(threads.0, |params| {
            let tensors = tensors(&entries, params, grads, moments);
            share(threads.0, tensors.into_iter(), |(entry, (p, g, m, v))| {
                let weight_decay = if entry.decays() { weight_decay } else { 0.0 };
                adamw(AdamW { weight_decay, ..base }, p, g, m, v);
            });
        });
        let n = norm.tokens as f64;
        Ok(StepReport {
            loss: sums.loss,
            grad_norm,
            entropy: sums.entropy / n,
            clip_ratio: sums.clipped as f64 / n,
            kl: sums.kl / n,
            logprob_gap_max: sums.gap,
            tokens: norm.tokens,
        })
    }

    /// Leaves the gradient of the whole batch in the first lane.
    fn gradient(
        &mut self,
        model: &Model,
        batch: &Batch,
        spec: &Objective,
        (norm, temperature): (Norm, f32),
        Threads(threads): Threads,
    ) -> Result<Sums, ModelError> {
        let parts = batch.parts(PART_TOKENS);
        let n_lanes = LANES.min(parts.len());
        self.lanes.resize_with(n_lanes.max(self.lanes.len()), Mutex::default);
        let threads = threads.clamp(1, n_lanes);
        self.tapes.resize_with(threads.max(self.tapes.len()), Tape::default);
        let next = AtomicUsize::new(0);
        let lanes = &self.lanes;
        let work = |tape: &mut Tape| {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= n_lanes {
                    return;
                }
                let mut lane = lanes[i].lock().unwrap_or_else(|e| e.into_inner());
                let mine = parts.iter().skip(i).step_by(n_lanes);
                lane.run(model, mine, spec, (norm, temperature), tape);
            }
        };
        std::thread::scope(|s| {
            let (mine, others) = self.tapes.split_at_mut(1);
            for tape in others.iter_mut().take(threads - 1) {
                s.spawn(|| work(tape));
            }
            work(&mut mine[0]);
        });
        let mut sums = Sums::default();
        let (total, rest) = self.lanes.split_at_mut(1);
        let rest: Vec<&Lane> =
            rest.iter_mut().take(n_lanes - 1).map(|lane| &*get_mut(lane)).collect();
        let pieces = get_mut(&mut total[0]).grads.chunks_mut(PIECE).enumerate();
        share(threads, pieces, |(i, total)| {
            for lane in &rest {
                for (t, g) in total.iter_mut().zip(&lane.grads[i * PIECE..]) {
                    *t += g;
                }
            }
        });
        for lane in self.lanes.iter_mut().take(n_lanes) {
            let lane = get_mut(lane);
            if let Some(e) = lane.failure.take() {
                return Err(e);
            }
            sums.add(lane.sums);
        }
        Ok(sums)
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

fn get_mut(lane: &mut Mutex<Lane>) -> &mut Lane {
    lane.get_mut().unwrap_or_else(|e| e.into_inner())
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.loss += other.loss;
        self.entropy += other.entropy;
        self.clipped += other.clipped;
        self.kl += other.kl;
        self.gap = self.gap.max(other.gap);
    }
}

impl Lane {
    fn run<'a>(
        &mut self,
        model: &Model,
        parts: impl Iterator<Item = &'a Part<'a>>,
        spec: &Objective,
        (norm, temperature): (Norm, f32),
        tape: &mut Tape,
    ) {
        self.grads.clear();
        self.grads.resize(model.layout.len(), 0.0);
        self.sums = Sums::default();
        for part in parts {
            if let Err(e) = model.forward(&part.chunk, temperature, tape) {
                self.failure = Some(e);
                return;
            }
            let (slopes, sums) = score(part, tape, spec, norm);
            self.sums.add(sums);
            model.backward(&part.chunk, temperature, &slopes, &mut self.grads, tape);
        }
    }
}

/// The derivatives of a part's log-probs, and its share of the sums.
fn score(part: &Part<'_>, tape: &Tape, spec: &Objective, norm: Norm) -> (Vec<f32>, Sums) {
    let mut slopes = Vec::with_capacity(tape.log_probs().len());
    let mut sums = Sums::default();
    let mut at = 0;
    for sequence in &part.sequences {
        let n = sequence.tokens.len();
        let logprobs: Vec<f64> =
            tape.log_probs()[at..at + n].iter().map(|x| f64::from(*x)).collect();
        let sampled: Vec<f64> = sequence.sampling_logprobs.iter().map(|x| f64::from(*x)).collect();
        for (a, b) in logprobs.iter().zip(&sampled) {
            sums.gap = sums.gap.max((a - b).abs());
        }
        let entropies = tape.entropies()[at..at + n].iter().map(|x| f64::from(*x));
        sums.entropy += entropies.sum::<f64>() * sequence.count as f64;
        let row = Row {
            logprobs: &logprobs,
            old: if sampled.is_empty() { &logprobs } else { &sampled },
            reference: &[],
            mask: &vec![true; n],
            advantage: sequence.advantage,
            count: sequence.count,
        };
        let value = objective(&[row], spec, norm);
        sums.loss += value.loss;
        sums.clipped += value.clipped;
        sums.kl += value.kl;
        slopes.extend(value.dlogprobs.iter().map(|x| *x as f32));
        at += n;
    }
    (slopes, sums)
}
