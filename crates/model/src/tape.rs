//! What passes over a model write: activations, and what becomes of the targets.

use crate::{
    linear::LowRankScratch,
    ops::{AttentionScratch, HeadScratch, Panels, Span, Stats},
};

/// The derivatives of a loss by what a forward pass found, one a target of the chunk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slopes<'a> {
    /// By the log-probs.
    pub log_probs: &'a [f32],
    /// By the entropies; empty for none.
    pub entropies: &'a [f32],
    /// By a linear function of [`Tape::hidden`], and its weights; empty for none.
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
pub(crate) struct LayerTape {
    pub(crate) input: Vec<f32>,
    pub(crate) norm1: Vec<f32>,
    pub(crate) rstd1: Vec<f32>,
    /// Queries and keys before their norms, and the norms' factors, where there are norms.
    pub(crate) raw_q: Vec<f32>,
    pub(crate) raw_k: Vec<f32>,
    pub(crate) rstd_q: Vec<f32>,
    pub(crate) rstd_k: Vec<f32>,
    pub(crate) q: Vec<f32>,
    pub(crate) k: Vec<f32>,
    pub(crate) v: Vec<f32>,
    pub(crate) attended: Vec<f32>,
    pub(crate) middle: Vec<f32>,
    pub(crate) norm2: Vec<f32>,
    pub(crate) rstd2: Vec<f32>,
    pub(crate) gate: Vec<f32>,
    pub(crate) up: Vec<f32>,
    pub(crate) hidden: Vec<f32>,
}

/// Everything a forward and a backward pass write, reused from chunk to chunk.
#[derive(Debug, Default)]
pub struct Tape {
    /// Whether a block keeps only its input, and its backward pass runs it once more (Chen et al.
    /// 2016, "Training deep nets with sublinear memory cost").
    pub(crate) recompute: bool,
    /// Whether the last forward pass kept what a backward pass needs.
    pub(crate) kept: bool,
    /// One for each block, or one for all.
    pub(crate) layers: Vec<LayerTape>,
    /// The inputs of the blocks, where they are run again.
    pub(crate) inputs: Vec<Vec<f32>>,
    pub(crate) spans: Vec<Span>,
    pub(crate) positions: Vec<usize>,
    pub(crate) x: Vec<f32>,
    pub(crate) normed: Vec<f32>,
    pub(crate) rstd: Vec<f32>,
    /// Rows of the final norm that have targets, and which they are.
    pub(crate) selected: Vec<f32>,
    pub(crate) rows: Vec<usize>,
    pub(crate) targets: Vec<(usize, u32)>,
    pub(crate) order: Vec<usize>,
    /// Where in `selected` the row of each target is, in the order of the chunk.
    pub(crate) places: Vec<usize>,
    pub(crate) sorted: Vec<f32>,
    pub(crate) stats: Vec<Stats>,
    pub(crate) log_probs: Vec<f32>,
    pub(crate) entropies: Vec<f32>,
    pub(crate) attention: AttentionScratch,
    pub(crate) head: HeadScratch,
    pub(crate) dx: Vec<f32>,
    pub(crate) dmid: Vec<f32>,
    pub(crate) dq: Vec<f32>,
    pub(crate) dk: Vec<f32>,
    pub(crate) dv: Vec<f32>,
    pub(crate) packed: Panels,
    pub(crate) low: LowRankScratch,
    /// Gradients that nobody wants: those of a frozen norm.
    pub(crate) spare: Vec<f32>,
}

impl Tape {
    /// A tape that holds one block's activations at a time, for a third more arithmetic.
    #[must_use]
    pub fn recomputing(recompute: bool) -> Self {
        Self { recompute, ..Self::default() }
    }

    /// The log-prob of each target of the last forward pass, in the order of the chunk.
    pub fn log_probs(&self) -> &[f32] {
        &self.log_probs
    }

    /// The normalised rows that have targets, in ascending order, after a forward pass.
    pub(crate) fn selected(&self) -> &[f32] {
        &self.selected
    }

    /// The normalised last state from which a target was predicted, after a forward pass.
    pub fn hidden(&self, target: usize) -> &[f32] {
        let width = self.selected.len() / self.rows.len();
        &self.selected[self.places[target] * width..][..width]
    }

    /// The entropy, in nats, of the distribution at each target.
    pub fn entropies(&self) -> &[f32] {
        &self.entropies
    }
}
