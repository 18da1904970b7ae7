//! A linear layer: a matrix, and the low-rank update that an
//! adapter lays on it (Hu et al. 2021, eq. 3): `y = x W^T + bias + scale (x A^T) B^T`.

use std::ops::Range;

use crate::ops::{Frozen, Matrix, Panels, Plan, View};

/// Places of an adapter's A (`rank` rows of `input`) and B (`output` rows of `rank`) in its
/// flat vector, and what their product is multiplied by.
#[derive(Debug, Clone)]
pub(crate) struct LowRankPlace {
    pub(crate) a: Range<usize>,
    pub(crate) b: Range<usize>,
    pub(crate) rank: usize,
    pub(crate) scale: f32,
}

/// An adapter's matrices, B multiplied by the scale.
#[derive(Debug, Clone)]
struct LowRank {
    at: LowRankPlace,
    a: Matrix,
    b: Matrix,
}

/// What the low-rank updates of a pass need; one for each thread.
#[derive(Debug, Default)]
pub(crate) struct LowRankScratch {
    /// Whether adapters are left out: the reference policy.
    pub(crate) off: bool,
    low: Vec<f32>,
    packed: Panels,
}

/// A linear layer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Linear {
    matrix: Matrix,
    update: Option<LowRank>,
}

impl Linear {
    /// `weight` has `output` rows of `input` floats.
    pub(crate) fn pack(&mut self, weight: &[f32], input: usize, output: usize) {
        self.matrix.pack(weight, input, output);
    }

    /// A layer with a matrix that does not learn.
    pub(crate) fn freeze(&mut self, matrix: Frozen) {
        let plan = self.matrix.plan();
        self.matrix = matrix.into();
        self.matrix.set_plan(plan);
    }

    /// Changes what multiplies by its matrices. Those that learn must be packed afterwards.
    pub(crate) fn set_plan(&mut self, plan: Option<Plan>) {
        self.matrix.set_plan(plan);
        if let Some(update) = &mut self.update {
            update.a.set_plan(plan);
            update.b.set_plan(plan);
        }
    }

    /// Its matrix.
    pub(crate) fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// Lays the update at `at` of an adapter's vector on the layer.
    pub(crate) fn pack_update(&mut self, at: &LowRankPlace, adapter: &[f32]) {
        let (input, output) = (self.matrix.input(), self.matrix.output());
        let update = self.update.get_or_insert_with(|| LowRank {
            at: at.clone(),
            a: Matrix::default(),
            b: Matrix::default(),
        });
        let plan = self.matrix.plan();
        update.a.set_plan(plan);
        update.b.set_plan(plan);
        update.a.pack(&adapter[at.a.clone()], input, at.rank);
        let scaled: Vec<f32> = adapter[at.b.clone()].iter().map(|x| at.scale * x).collect();
        update.b.pack(&scaled, at.rank, output);
    }

    /// Takes the update away.
    pub(crate) fn drop_update(&mut self) {
        self.update = None;
    }

    fn update(&self, s: &LowRankScratch) -> Option<&LowRank> {
        self.update.as_ref().filter(|_| !s.off)
    }

    /// `y = x W^T + bias` for `rows` rows.
    pub(crate) fn write(
        &self,
        x: &[f32],
        bias: Option<&[f32]>,
        y: &mut [f32],
        rows: usize,
        s: &mut LowRankScratch,
    ) {
        if let Some(bias) = bias {
            for row in y.chunks_exact_mut(self.matrix.output()).take(rows) {
                row.copy_from_slice(bias);
            }
        }
        self.matrix.apply(x, y, rows, bias.is_some());
        self.add_update(x, y, rows, s);
    }

    /// `y += x W^T + bias`.
    pub(crate) fn add(
        &self,
        x: &[f32],
        bias: Option<&[f32]>,
        y: &mut [f32],
        rows: usize,
        s: &mut LowRankScratch,
    ) {
        if let Some(bias) = bias {
            for row in y.chunks_exact_mut(self.matrix.output()).take(rows) {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        }
        self.matrix.apply(x, y, rows, true);
        self.add_update(x, y, rows, s);
    }

    fn add_update(&self, x: &[f32], y: &mut [f32], rows: usize, s: &mut LowRankScratch) {
        if let Some(update) = self.update(s) {
            s.low.resize(rows * update.at.rank, 0.0);
            update.a.apply(x, &mut s.low, rows, false);
            update.b.apply(&s.low, y, rows, true);
        }
    }

    /// `dx (+)= dy W`, the update's part included.
    pub(crate) fn pull(
        &self,
        dy: &[f32],
        dx: &mut [f32],
        (rows, accumulate): (usize, bool),
        s: &mut LowRankScratch,
    ) {
        self.matrix.pull(dy, dx, rows, accumulate);
        if let Some(update) = self.update(s) {
            s.low.resize(rows * update.at.rank, 0.0);
            update.b.pull(dy, &mut s.low, rows, false);
            update.a.pull(&s.low, dx, rows, true);
        }
    }

    /// `dW += dy^T x`, for `x` already packed.
    pub(crate) fn weigh(&self, dy: &[f32], x: &Panels, dweight: &mut [f32], rows: usize) {
        self.matrix.weigh(dy, x, dweight, rows);
    }

    /// Adds the gradients of A and B to `grads`, an adapter's vector; `x` comes plain and
    /// packed.
    pub(crate) fn weigh_update(
        &self,
        dy: &[f32],
        (x, x_packed): (&[f32], &Panels),
        grads: &mut [f32],
        rows: usize,
        s: &mut LowRankScratch,
    ) {
        let Some(update) = self.update(s) else { return };
        let LowRankPlace { a, b, rank, scale } = &update.at;
        s.low.resize(rows * rank, 0.0);
        update.a.apply(x, &mut s.low, rows, false);
        s.low.iter_mut().for_each(|h| *h *= scale);
        s.packed.pack(View::rows(&s.low, *rank), rows, *rank);
        update.b.weigh(dy, &s.packed, &mut grads[b.clone()], rows);
        update.b.pull(dy, &mut s.low, rows, false);
        update.a.weigh(&s.low, x_packed, &mut grads[a.clone()], rows);
    }
}
