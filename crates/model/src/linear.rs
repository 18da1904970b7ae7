//! A linear layer: a matrix, and the low-rank update that an
//! adapter lays on it (Hu et al. 2021, eq. 3): `y = x W^T + bias + scale (x A^T) B^T`, where dropout
//! may take inputs from A while the adapter learns.

use std::ops::Range;

use crate::{
    Ops,
    seam::{Mask, Out, Part, RowsOf},
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
    /// Which layer of the model it is laid on, counted block by block.
    pub(crate) layer: u64,
    /// The share of A's inputs that is dropped where the adapter learns.
    pub(crate) dropout: f32,
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
    /// What dropout draws from, one a row; empty for none.
    pub(crate) keys: Vec<u64>,
    low: B,
    packed: P,
    /// Inputs of A, or their gradients, and what is left of them.
    dropped: B,
    dropped_packed: P,
}

impl LowRankPlace {
    /// Which inputs of A are dropped, if any.
    fn mask<'k>(&self, keys: &'k [u64]) -> Option<Mask<'k>> {
        let on = self.dropout > 0.0 && !keys.is_empty();
        on.then_some(Mask { keys, layer: self.layer, rate: self.dropout })
    }
}

/// The inputs that A sees: all of `x`, or what the mask leaves of its rows of `width` floats.
fn left<'x, O: Ops>(
    ops: &O,
    x: RowsOf<'x, O>,
    mask: Option<Mask<'_>>,
    (dropped, width): (&'x mut O::Buffer, usize),
) -> RowsOf<'x, O> {
    let Some(mask) = mask else { return x };
    ops.resize(dropped, x.1 * width);
    ops.drop_out(x, mask, dropped, Out::Write);
    (dropped, x.1)
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
        if let Some(LowRank { at, a, b }) = self.update(s) {
            let seen = left(ops, (x, rows), at.mask(&s.keys), (&mut s.dropped, at.input));
            ops.resize(&mut s.low, rows * at.rank);
            ops.apply(a, None, seen, &mut s.low, Out::Write);
            ops.apply(b, None, (&s.low, rows), y, Out::Add);
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
        let Some(LowRank { at, a, b }) = self.update(s) else { return };
        ops.resize(&mut s.low, rows * at.rank);
        ops.pull(b, (dy, rows), &mut s.low, Out::Write);
        let Some(mask) = at.mask(&s.keys) else {
            return ops.pull(a, (&s.low, rows), dx, Out::Add);
        };
        ops.resize(&mut s.dropped, rows * at.input);
        ops.pull(a, (&s.low, rows), &mut s.dropped, Out::Write);
        ops.drop_out((&s.dropped, rows), mask, dx, Out::Add);
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
        let mask = at.mask(&s.keys);
        let seen = left(ops, (x, rows), mask, (&mut s.dropped, at.input));
        let packed = if mask.is_some() {
            ops.pack_rows(seen, &mut s.dropped_packed);
            &s.dropped_packed
        } else {
            packed
        };
        ops.resize(&mut s.low, rows * at.rank);
        ops.apply(a, None, seen, &mut s.low, Out::Write);
        ops.scale(&mut s.low, at.scale);
        ops.pack_rows((&s.low, rows), &mut s.packed);
        ops.weigh(b, (dy, rows), (&s.low, &s.packed), (grads, &at.b));
        ops.pull(b, (dy, rows), &mut s.low, Out::Write);
        ops.weigh(a, (&s.low, rows), (seen.0, packed), (grads, &at.a));
    }
}
