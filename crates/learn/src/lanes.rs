//! The gradient of a batch, summed in an order that does not depend on threads.
//!
//! The batch is cut into parts, the parts are dealt to a fixed number of lanes, and each lane
//! sums the gradients of its parts in order. Threads take whole lanes, and lanes are added in
//! order: the result has the same bits for any number of threads, and no thread ever waits for
//! another inside a step.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use model::{Model, ModelError, Slopes, Tape, share};

use crate::{batch::Part, learner::Threads, objective::Tally, value_head::ValueHead};

/// Lanes of a step: at most this many threads are of use.
const LANES: usize = 8;
/// Tokens of a part: its activations stay near the caches.
pub(crate) const PART_TOKENS: usize = 1024;
/// Gradients that one thread adds up at a time.
const PIECE: usize = 1 << 16;

/// What a loss of a part passes on: its derivatives, one a target of the part.
#[derive(Debug, Default)]
pub(crate) struct PartSlopes {
    pub(crate) log_probs: Vec<f32>,
    /// By entropy; empty for none.
    pub(crate) entropies: Vec<f32>,
    /// By value; empty for none.
    pub(crate) values: Vec<f32>,
    pub(crate) sums: Sums,
}

/// Sums over a step.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sums {
    pub(crate) loss: f64,
    pub(crate) entropy: f64,
    pub(crate) tally: Tally,
    /// Pairs whose margin is positive, and the sum of the margins.
    pub(crate) right: f64,
    pub(crate) margin: f64,
}

impl Sums {
    pub(crate) fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        self.entropy += other.entropy;
        self.tally.add(&other.tally);
        self.right += other.right;
        self.margin += other.margin;
    }
}

/// The buffers of a step.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: Vec<Mutex<Lane>>,
    tapes: Vec<Tape>,
}

#[derive(Debug, Default)]
struct Lane {
    grads: Vec<f32>,
    /// The gradient of the value head.
    head: Vec<f32>,
    sums: Sums,
    failure: Option<ModelError>,
}

/// Weights that a step goes through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Net<'a> {
    pub(crate) model: &'a Model,
    pub(crate) head: Option<&'a ValueHead>,
    pub(crate) temperature: f32,
}

impl Lanes {
    /// Runs `work(i, tape)` for every `i` below `n`, each once, on as many threads.
    pub(crate) fn each(
        tapes: &mut Vec<Tape>,
        n: usize,
        Threads(threads): Threads,
        work: &(impl Fn(usize, &mut Tape) + Sync),
    ) {
        let threads = threads.clamp(1, n.max(1));
        tapes.resize_with(threads.max(tapes.len()), Tape::default);
        let next = AtomicUsize::new(0);
        let run = |tape: &mut Tape| {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= n {
                    return;
                }
                work(i, tape);
            }
        };
        std::thread::scope(|s| {
            let (mine, others) = tapes.split_at_mut(1);
            for tape in others.iter_mut().take(threads - 1) {
                s.spawn(|| run(tape));
            }
            run(&mut mine[0]);
        });
    }

    /// One tape for each thread, to be used elsewhere.
    pub(crate) fn tapes(&mut self) -> &mut Vec<Tape> {
        &mut self.tapes
    }

    /// Leaves the gradient of all parts in the first lane, where [`Lanes::total`] finds it.
    pub(crate) fn gradient(
        &mut self,
        net: Net<'_>,
        parts: &[Part<'_>],
        threads: Threads,
        score: &(impl Fn(&Part<'_>, &Tape) -> PartSlopes + Sync),
    ) -> Result<Sums, ModelError> {
        let n_lanes = LANES.min(parts.len());
        self.lanes.resize_with(n_lanes.max(self.lanes.len()), Mutex::default);
        let lanes = &self.lanes;
        Self::each(&mut self.tapes, n_lanes, threads, &|i, tape| {
            let mut lane = lanes[i].lock().unwrap_or_else(|e| e.into_inner());
            lane.run(net, parts.iter().skip(i).step_by(n_lanes), score, tape);
        });
        self.add_up(n_lanes, threads)
    }

    fn add_up(&mut self, n_lanes: usize, Threads(threads): Threads) -> Result<Sums, ModelError> {
        let (total, rest) = self.lanes.split_at_mut(1);
        let total = get_mut(&mut total[0]);
        let rest: Vec<&Lane> =
            rest.iter_mut().take(n_lanes - 1).map(|lane| &*get_mut(lane)).collect();
        share(threads, total.grads.chunks_mut(PIECE).enumerate(), |(i, total)| {
            for lane in &rest {
                add(total, &lane.grads[i * PIECE..]);
            }
        });
        rest.iter().for_each(|lane| add(&mut total.head, &lane.head));
        let mut sums = Sums::default();
        for lane in self.lanes.iter_mut().take(n_lanes) {
            let lane = get_mut(lane);
            if let Some(e) = lane.failure.take() {
                return Err(e);
            }
            sums.add(&lane.sums);
        }
        Ok(sums)
    }

    /// The gradients of the last [`Lanes::gradient`]: of the weights, and of the value head.
    pub(crate) fn total(&mut self) -> (&[f32], &[f32]) {
        self.lanes.first_mut().map_or((&[], &[]), |lane| {
            let lane = get_mut(lane);
            (&lane.grads, &lane.head)
        })
    }
}

fn add(total: &mut [f32], more: &[f32]) {
    for (t, g) in total.iter_mut().zip(more) {
        *t += g;
    }
}

fn get_mut(lane: &mut Mutex<Lane>) -> &mut Lane {
    lane.get_mut().unwrap_or_else(|e| e.into_inner())
}

impl Lane {
    fn run<'a>(
        &mut self,
        net: Net<'_>,
        parts: impl Iterator<Item = &'a Part<'a>>,
        score: &impl Fn(&Part<'_>, &Tape) -> PartSlopes,
        tape: &mut Tape,
    ) {
        self.grads.clear();
        self.grads.resize(net.model.layout.len(), 0.0);
        self.head.clear();
        self.head.resize(net.head.map_or(0, |h| h.weights().len()), 0.0);
        self.sums = Sums::default();
        for part in parts {
            if let Err(e) = net.model.forward(&part.chunk, net.temperature, tape) {
                self.failure = Some(e);
                return;
            }
            let found = score(part, tape);
            self.sums.add(&found.sums);
            let direction = net.head.map_or(&[][..], ValueHead::direction);
            let slopes = Slopes {
                log_probs: &found.log_probs,
                entropies: &found.entropies,
                hidden: (&found.values, direction),
            };
            if net.head.is_some() {
                for (i, dv) in found.values.iter().enumerate() {
                    ValueHead::add_gradient(&mut self.head, tape.hidden(i), *dv);
                }
            }
            net.model.backward_from(&part.chunk, net.temperature, slopes, &mut self.grads, tape);
        }
    }
}
