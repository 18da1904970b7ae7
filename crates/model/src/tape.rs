//! What passes over a model write: activations, and what becomes of the targets.

use std::borrow::Cow;

use crate::{
    Chunk, Cpu, Ops,
    linear::{Lows, Work},
    seam::{Found, Span, TargetSlopes, mix},
};

/// The derivatives of a loss by what a forward pass found, one a target of the chunk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slopes<'a> {
    /// By the log-probs.
    pub log_probs: &'a [f32],
    /// By the entropies; empty for none.
    pub entropies: &'a [f32],
    /// By a linear function of [`Hidden`], and its weights; empty for none.
    pub hidden: (&'a [f32], &'a [f32]),
}

/// What a forward pass keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All that a backward pass needs.
    All,
    /// The inputs of the blocks.
    Inputs,
    Nothing,
}

/// What one block keeps for its backward pass; rows are tokens.
#[derive(Debug, Default)]
pub(crate) struct LayerTape<B> {
    pub(crate) input: B,
    pub(crate) norm1: B,
    pub(crate) rstd1: B,
    /// Queries and keys before their norms, and the norms' factors, where there are norms.
    pub(crate) raw_q: B,
    pub(crate) raw_k: B,
    pub(crate) rstd_q: B,
    pub(crate) rstd_k: B,
    pub(crate) q: B,
    pub(crate) k: B,
    pub(crate) v: B,
    pub(crate) attended: B,
    pub(crate) middle: B,
    pub(crate) norm2: B,
    pub(crate) rstd2: B,
    pub(crate) gate: B,
    pub(crate) up: B,
    pub(crate) hidden: B,
    pub(crate) lows: Lows<B>,
}

/// What passes have on the device besides.
#[derive(Debug, Default)]
pub(crate) struct Stream<B> {
    /// Input of the next block, or output of the last.
    pub(crate) x: B,
    /// The final norm of all rows, and its factors.
    pub(crate) normed: B,
    pub(crate) rstd: B,
    /// Rows of the final norm that have targets.
    pub(crate) selected: B,
    /// Gradients: of `x`, of what lies between, of queries, keys and values, and of what the last
    /// linear layer of a block reads.
    pub(crate) dx: B,
    pub(crate) dmid: B,
    pub(crate) dq: B,
    pub(crate) dk: B,
    pub(crate) dv: B,
    pub(crate) dhidden: B,
}

/// What the host knows of the rows of a pass and of their targets.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    spans: Vec<Span>,
    positions: Vec<usize>,
    /// Which rows have targets, ascending.
    pub(crate) rows: Vec<usize>,
    /// The targets in the order of rows; a row is its place in `rows`.
    pub(crate) targets: Vec<(usize, u32)>,
    /// Which targets of the chunk they are.
    order: Vec<usize>,
    /// The places in `rows` of the chunk's targets, in the order of the chunk.
    pub(crate) places: Vec<usize>,
    pub(crate) found: Found,
    log_probs: Vec<f32>,
    entropies: Vec<f32>,
    pub(crate) slopes: Vec<TargetSlopes>,
}

impl Ends {
    /// Where the rows of a chunk stand, and what they attend to.
    pub(crate) fn place(&mut self, chunk: &Chunk) -> (&[usize], &[Span]) {
        self.spans.clear();
        self.spans.extend(chunk.spans());
        self.positions.clear();
        for span in &self.spans {
            self.positions.extend(span.before..span.total());
        }
        (&self.positions, &self.spans)
    }

    /// How many rows there are.
    pub(crate) fn n_rows(&self) -> usize {
        self.positions.len()
    }

    /// Puts the targets of a chunk in the order of rows.
    pub(crate) fn sort(&mut self, chunk: &Chunk) {
        self.order.clear();
        self.order.extend(0..chunk.targets.len());
        // Not the stable sort, which allocates.
        self.order.sort_unstable_by_key(|i| (chunk.targets[*i].0, *i));
        self.rows.clear();
        self.targets.clear();
        self.places.resize(chunk.targets.len(), 0);
        for i in &self.order {
            let (row, token) = chunk.targets[*i];
            if self.rows.last() != Some(&row) {
                self.rows.push(row);
            }
            self.targets.push((self.rows.len() - 1, token));
            self.places[*i] = self.rows.len() - 1;
        }
    }

    /// Puts what was found in the order of the chunk.
    pub(crate) fn unsort(&mut self) {
        self.log_probs.resize(self.order.len(), 0.0);
        self.entropies.resize(self.order.len(), 0.0);
        for (i, log_prob) in self.order.iter().zip(&self.found.log_probs) {
            self.log_probs[*i] = *log_prob;
            self.entropies[*i] = self.found.stats[self.places[*i]].entropy;
        }
    }

    /// Puts derivatives in the order of rows.
    pub(crate) fn sort_slopes(&mut self, slopes: Slopes<'_>) {
        let entropy = |i: usize| slopes.entropies.get(i).copied().unwrap_or(0.0);
        let each = self.order.iter().map(|i| (slopes.log_probs[*i], entropy(*i)));
        self.slopes.clear();
        self.slopes.extend(self.targets.iter().copied().zip(each));
    }
}

/// Everything a forward and a backward pass write, reused from chunk to chunk.
#[derive(Debug)]
pub struct Tape<O: Ops = Cpu> {
    /// Whether a block keeps only its input, and its backward pass runs it once more (Chen et al.
    /// 2016, "Training deep nets with sublinear memory cost").
    pub(crate) recompute: bool,
    /// Whether the last forward pass kept what a backward pass needs.
    pub(crate) kept: bool,
    /// One for each block, or one for all.
    pub(crate) layers: Vec<LayerTape<O::Buffer>>,
    /// The inputs of the blocks, where they are run again.
    pub(crate) inputs: Vec<O::Buffer>,
    pub(crate) stream: Stream<O::Buffer>,
    pub(crate) rows: O::Rows,
    pub(crate) ends: Ends,
    pub(crate) work: Work<O>,
}

impl<O: Ops> Default for Tape<O> {
    fn default() -> Self {
        Self::recomputing(false)
    }
}

impl<O: Ops> Tape<O> {
    /// A tape that holds one block's activations at a time, for a third more arithmetic.
    #[must_use]
    pub fn recomputing(recompute: bool) -> Self {
        Self {
            recompute,
            kept: false,
            layers: Vec::new(),
            inputs: Vec::new(),
            stream: Stream::default(),
            rows: O::Rows::default(),
            ends: Ends::default(),
            work: Work::default(),
        }
    }

    /// Says what dropout of the next pass draws from.
    pub(crate) fn draw_from(&mut self, chunk: &Chunk, keys: &[u64]) {
        assert!([0, chunk.segments.len()].contains(&keys.len()), "one key a segment");
        self.work.low.keys.clear();
        for (key, span) in keys.iter().zip(chunk.spans()) {
            let positions = span.before..span.total();
            self.work.low.keys.extend(positions.map(|position| mix(key ^ mix(position as u64))));
        }
    }

    /// The log-prob of each target of the last forward pass, in the order of the chunk.
    pub fn log_probs(&self) -> &[f32] {
        &self.ends.log_probs
    }

    /// The entropy, in nats, of the distribution at each target.
    pub fn entropies(&self) -> &[f32] {
        &self.ends.entropies
    }
}

/// The normalised last states from which targets were predicted, on the host.
#[derive(Debug)]
pub struct Hidden<'t> {
    /// `(rows with targets, width)`
    pub(crate) states: Cow<'t, [f32]>,
    pub(crate) places: &'t [usize],
    pub(crate) width: usize,
}

impl Hidden<'_> {
    /// The state from which a target of the chunk was predicted.
    pub fn of(&self, target: usize) -> &[f32] {
        &self.states[self.places[target] * self.width..][..self.width]
    }
}
