//! A linear layer: a matrix, and the low-rank update that an
//! adapter lays on it (Hu et al. 2021, eq. 3): `y = x W^T + bias + scale (x A^T) B^T`, where dropout
//! may take inputs from A while the adapter learns.

use std::ops::Range;

use crate::{
    Ops,
    layout::LINEAR_NAMES,
    seam::{Mask, Out, Part, Product, RowsOf},
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
pub(crate) struct LowRankScratch<B> {
    /// Whether adapters are left out: the reference policy.
    pub(crate) off: bool,
    /// What dropout draws from, one a row; empty for none.
    pub(crate) keys: Vec<u64>,
    /// What B reads, scaled, and its gradient.
    scaled: B,
    slope: B,
    /// Inputs of A, or their gradients, and what is left of them.
    dropped: B,
}

/// That of a device.
pub(crate) type LowScratch<O> = LowRankScratch<<O as Ops>::Buffer>;

/// What the updates of a block's linear layers make of their inputs: `x A^T`.
pub(crate) type Lows<B> = [B; LINEAR_NAMES.len()];

/// What a thread's passes need besides activations.
#[derive(Debug)]
pub(crate) struct Work<O: Ops> {
    pub(crate) packed: O::Packed,
    pub(crate) low: LowScratch<O>,
    pub(crate) scratch: O::Scratch,
}

impl<O: Ops> Default for Work<O> {
    fn default() -> Self {
        let (packed, scratch) = (O::Packed::default(), O::Scratch::default());
        Self { packed, low: LowScratch::<O>::default(), scratch }
    }
}

impl LowRankPlace {
    /// Which inputs of A are dropped, if any.
    fn mask<'k>(&self, keys: &'k [u64]) -> Option<Mask<'k>> {
        let on = self.dropout > 0.0 && !keys.is_empty();
        on.then_some(Mask { keys, layer: self.layer, rate: self.dropout })
    }

    /// Which of a block's linear layers it is laid on.
    fn of_block(&self) -> usize {
        self.layer as usize % LINEAR_NAMES.len()
    }
}

/// What the mask leaves of the rows of `x`, of `width` floats.
fn left<'x, O: Ops>(
    ops: &O,
    x: RowsOf<'_, O>,
    mask: Mask<'_>,
    (dropped, width): (&'x mut O::Buffer, usize),
) -> RowsOf<'x, O> {
    ops.resize(dropped, x.1 * width);
    ops.drop_out(x, mask, dropped, Out::Write);
    (dropped, x.1)
}

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

    fn update<B>(&self, s: &LowRankScratch<B>) -> Option<&LowRank<M>> {
        self.update.as_ref().filter(|_| !s.off)
    }

    /// `y (+)= x W^T + bias` for the rows of `x`. What the update makes of them is kept in `lows`.
    pub(crate) fn apply<O: Ops<Matrix = M>>(
        &self,
        ops: &O,
        bias: Option<Part<'_, O>>,
        x: RowsOf<'_, O>,
        (y, out): (&mut O::Buffer, Out),
        (lows, s): (&mut Lows<O::Buffer>, &mut LowScratch<O>),
    ) {
        let whole = Product { w: &self.matrix, bias, y: &mut *y, out };
        let Some(LowRank { at, a, b }) = self.update(s) else { return ops.apply(x, &mut [whole]) };
        let low = &mut lows[at.of_block()];
        ops.resize(low, x.1 * at.rank);
        let first = Product::plain(a, &mut *low, Out::Write);
        match at.mask(&s.keys) {
            None => ops.apply(x, &mut [whole, first]),
            Some(mask) => {
                ops.apply(x, &mut [whole]);
                ops.apply(left(ops, x, mask, (&mut s.dropped, at.input)), &mut [first]);
            }
        }
        ops.apply((low, x.1), &mut [Product::plain(b, y, Out::Add)]);
    }

    /// `dx (+)= dy W`, the update's part included, and adds the gradients of A and B to `grads`,
    /// an adapter's vector. `x` are the rows that were read, `lows` what [`Linear::apply`] kept.
    pub(crate) fn backward<O: Ops<Matrix = M>>(
        &self,
        ops: &O,
        (dy, rows): RowsOf<'_, O>,
        (x, lows): (&O::Buffer, &Lows<O::Buffer>),
        ((dx, out), grads): ((&mut O::Buffer, Out), &mut O::Buffer),
        work: &mut Work<O>,
    ) {
        let (s, scratch) = (&mut work.low, &mut work.scratch);
        let whole = Product::plain(&self.matrix, &mut *dx, out);
        let Some(LowRank { at, a, b }) = self.update(s) else {
            return ops.pull((dy, rows), &mut [whole]);
        };
        ops.resize(&mut s.slope, rows * at.rank);
        ops.pull((dy, rows), &mut [whole, Product::plain(b, &mut s.slope, Out::Write)]);
        ops.copy(&lows[at.of_block()], &mut s.scaled);
        ops.scale(&mut s.scaled, at.scale);
        ops.weigh(b, (dy, rows), (&s.scaled, None), (grads, &at.b), scratch);
        let slope = (&s.slope, rows);
        let Some(mask) = at.mask(&s.keys) else {
            ops.weigh(a, slope, (x, None), (grads, &at.a), scratch);
            return ops.pull(slope, &mut [Product::plain(a, dx, Out::Add)]);
        };
        let (seen, _) = left(ops, (x, rows), mask, (&mut s.dropped, at.input));
        ops.weigh(a, slope, (seen, None), (grads, &at.a), scratch);
        ops.pull(slope, &mut [Product::plain(a, &mut s.dropped, Out::Write)]);
        ops.drop_out((&s.dropped, rows), mask, dx, Out::Add);
    }
}
