//! The gradient of a batch, summed in an order that does not depend on threads.
//!
//! The batch is cut into parts, the parts are dealt to a fixed number of lanes, and each lane
//! sums the gradients of its parts in order. Threads take whole lanes, and lanes are added in
//! order: the result has the same bits for any number of threads, and no thread ever waits for
//! another inside a step.

use model::{Model, ModelError, Slopes, Tape, seam::mix, share, share_with, team};

use crate::{batch::Part, learner::Threads, objective::Tally, value_head::ValueHead};

/// Lanes of a step: at most this many threads are of use.
pub const LANES: usize = 8;
/// Tokens of a part: its activations stay near the caches.
pub const PART_TOKENS: usize = 1024;
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

impl PartSlopes {
    /// Whether the loss depends on nothing of the part: a group whose completions all got the same
    /// reward, say.
    fn are_none(&self) -> bool {
        [&self.log_probs, &self.entropies, &self.values].iter().all(|x| x.iter().all(|x| *x == 0.0))
    }
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
    /// Whether backward passes run the blocks once more.
    pub(crate) recompute: bool,
    lanes: Vec<Lane>,
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
    /// What dropout draws from in this step.
    pub(crate) seed: u64,
}

impl Lanes {
    /// Calls `work` on every item, each on a thread with a tape of its own. Where a large model has
    /// more threads than items, one item follows the other and threads share its products.
    pub(crate) fn each<T: Send>(
        &mut self,
        model: &Model,
        Threads(threads): Threads,
        items: impl ExactSizeIterator<Item = T> + Send,
        work: impl Fn(&mut Tape, T) + Sync,
    ) {
        let as_team = model.is_large() && items.len() < threads;
        let tapes = if as_team { 1 } else { threads.clamp(1, items.len().max(1)) };
        let tape = || Tape::recomputing(self.recompute);
        self.tapes.resize_with(tapes.max(self.tapes.len()), tape);
        match as_team {
            true => {
                let tape = &mut self.tapes[0];
                team(threads, || items.for_each(|item| work(tape, item)));
            }
            false => share_with(&mut self.tapes[..tapes], items, work),
        }
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
        let mut lanes = std::mem::take(&mut self.lanes);
        lanes.resize_with(n_lanes.max(lanes.len()), Lane::default);
        let of = |i: usize| parts.iter().skip(i).step_by(n_lanes);
        let mut mine: Vec<(usize, &mut Lane)> =
            lanes.iter_mut().take(n_lanes).enumerate().collect();
        // The longest first, so that threads end together.
        let tokens = |i: usize| of(i).map(|part| part.chunk.tokens.len()).sum::<usize>();
        mine.sort_by_cached_key(|(i, _)| std::cmp::Reverse(tokens(*i)));
        self.each(net.model, threads, mine.into_iter(), |tape, (i, lane)| {
            lane.run(net, of(i), score, tape);
        });
        self.lanes = lanes;
        self.add_up(n_lanes, threads)
    }

    fn add_up(&mut self, n_lanes: usize, Threads(threads): Threads) -> Result<Sums, ModelError> {
        let (total, rest) = self.lanes.split_at_mut(1);
        let (total, rest) = (&mut total[0], &rest[..n_lanes - 1]);
        share(threads, total.grads.chunks_mut(PIECE).enumerate(), |(i, total)| {
            for lane in rest {
                add(total, &lane.grads[i * PIECE..]);
            }
        });
        rest.iter().for_each(|lane| add(&mut total.head, &lane.head));
        let mut sums = Sums::default();
        for lane in self.lanes.iter_mut().take(n_lanes) {
            if let Some(e) = lane.failure.take() {
                return Err(e);
            }
            sums.add(&lane.sums);
        }
        Ok(sums)
    }

    /// The gradients of the last [`Lanes::gradient`]: of the weights, and of the value head.
    pub(crate) fn total(&self) -> (&[f32], &[f32]) {
        self.lanes.first().map_or((&[], &[]), |lane| (&lane.grads, &lane.head))
    }
}

fn add(total: &mut [f32], more: &[f32]) {
    for (t, g) in total.iter_mut().zip(more) {
        *t += g;
    }
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
        let mut keys = Vec::new();
        for part in parts {
            keys.clear();
            keys.extend(part.segments.iter().map(|id| mix(net.seed ^ mix(*id))));
            let ran = net.model.forward_dropping(&part.chunk, net.temperature, &keys, tape);
            if let Err(e) = ran {
                self.failure = Some(e);
                return;
            }
            let found = score(part, tape);
            self.sums.add(&found.sums);
            if found.are_none() {
                continue;
            }
            let direction = net.head.map_or(&[][..], ValueHead::direction);
            let slopes = Slopes {
                log_probs: &found.log_probs,
                entropies: &found.entropies,
                hidden: (&found.values, direction),
            };
            if net.head.is_some() {
                let hidden = net.model.hidden(tape);
                for (i, dv) in found.values.iter().enumerate() {
                    ValueHead::add_gradient(&mut self.head, hidden.of(i), *dv);
                }
            }
            net.model.backward_from(&part.chunk, net.temperature, slopes, &mut self.grads, tape);
        }
    }
}
