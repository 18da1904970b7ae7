//! A linear layer: a matrix, and the low-rank update that an
//! adapter lays on it (Hu et al. 2021, eq. 3): `y = x W^T + bias + scale (x A^T) B^T`.

use std::ops::Range;

use crate::{
    Ops,
    seam::{Out, Part, RowsOf},
};

/// Places of an adapter's A (`rank` rows of `input`) and B (`output` rows of `rank`) in its
/// flat vector, and what their product is multiplied by.
#[derive(Debug, Clone)]
pub(crate) struct LowRankPlace {
    pub(crate) a: Range<usize>,
    pub(crate) b: Range<usize>,
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) rank: usize,
    pub(crate) scale: f32,
}

/// An adapter's matrices, B multiplied by the scale.
#[derive(Debug, Clone)]
struct LowRank<M> {
    at: LowRankPlace,
    a: M,
    b: M,
}

/// What the low-rank updates of a pass need; one for each thread.
#[derive(Debug, Default)]
pub(crate) struct LowRankScratch<B, P> {
    /// Whether adapters are left out: the reference policy.
    pub(crate) off: bool,
    low: B,
    packed: P,
}

/// That of a device.
pub(crate) type LowScratch<O> = LowRankScratch<<O as Ops>::Buffer, <O as Ops>::Packed>;

/// A linear layer, of matrices as a device holds them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Linear<M> {
    pub(crate) matrix: M,
    update: Option<LowRank<M>>,
}

impl<M> Linear<M> {
    /// Takes the update away.
    pub(crate) fn drop_update(&mut self) {
        self.update = None;
    }
}

impl<M: Default> Linear<M> {
    /// Lays the update at `at` of an adapter's vector on the layer.
    pub(crate) fn pack_update<O: Ops<Matrix = M>>(
        &mut self,
        ops: &O,
        at: &LowRankPlace,
        adapter: &O::Buffer,
    ) {
        let new = || LowRank { at: at.clone(), a: M::default(), b: M::default() };
        let update = self.update.get_or_insert_with(new);
        ops.pack(&mut update.a, (adapter, &at.a), (at.rank, at.input), 1.0);
        ops.pack(&mut update.b, (adapter, &at.b), (at.output, at.rank), at.scale);
    }

    fn update<B, P>(&self, s: &LowRankScratch<B, P>) -> Option<&LowRank<M>> {
        self.update.as_ref().filter(|_| !s.off)
    }

    /// `y (+)= x W^T + bias` for the rows of `x`.
    pub(crate) fn apply<O: Ops<Matrix = M>>(
        &self,
        ops: &O,
        bias: Option<Part<'_, O>>,
        (x, rows): RowsOf<'_, O>,
        (y, out): (&mut O::Buffer, Out),
        s: &mut LowScratch<O>,
    ) {
        ops.apply(&self.matrix, bias, (x, rows), y, out);
        if let Some(update) = self.update(s) {
            ops.resize(&mut s.low, rows * update.at.rank);
            ops.apply(&update.a, None, (x, rows), &mut s.low, Out::Write);
            ops.apply(&update.b, None, (&s.low, rows), y, Out::Add);
        }
    }

    /// `dx (+)= dy W`, the update's part included.
    pub(crate) fn pull<O: Ops<Matrix = M>>(
        &self,
        ops: &O,
        (dy, rows): RowsOf<'_, O>,
        (dx, out): (&mut O::Buffer, Out),
        s: &mut LowScratch<O>,
    ) {
        ops.pull(&self.matrix, (dy, rows), dx, out);
        if let Some(update) = self.update(s) {
            ops.resize(&mut s.low, rows * update.at.rank);
            ops.pull(&update.b, (dy, rows), &mut s.low, Out::Write);
            ops.pull(&update.a, (&s.low, rows), dx, Out::Add);
        }
    }

    /// Adds the gradients of A and B to `grads`, an adapter's vector; `x` comes plain and
    /// packed.
    pub(crate) fn weigh_update<O: Ops<Matrix = M>>(
        &self,
        ops: &O,
        (dy, rows): RowsOf<'_, O>,
        (x, packed): (&O::Buffer, &O::Packed),
        grads: &mut O::Buffer,
        s: &mut LowScratch<O>,
    ) {
        let Some(LowRank { at, a, b }) = self.update(s) else { return };
        ops.resize(&mut s.low, rows * at.rank);
        ops.apply(a, None, (x, rows), &mut s.low, Out::Write);
        ops.scale(&mut s.low, at.scale);
        ops.pack_rows((&s.low, rows), &mut s.packed);
        ops.weigh(b, (dy, rows), (&s.low, &s.packed), (grads, &at.b));
        ops.pull(b, (dy, rows), &mut s.low, Out::Write);
        ops.weigh(a, (&s.low, rows), (x, packed), (grads, &at.a));
    }
}
