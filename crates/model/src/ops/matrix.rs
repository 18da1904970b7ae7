//! The matrix of a linear layer or of the output layer.

use std::ops::Range;

use super::{
    Aligned, Frozen, Panels, View,
    blocks::{Blocks, Loose, RightBlocks, Target, multiply},
    frozen::{Plain, Rounded, Transposed},
    gemm, grown,
    parts::{FromColumn, is_alone, shared},
    turn::transpose,
    units::Plan,
};

/// A matrix of `output` rows of `input`, and what multiplies by it.
#[derive(Debug, Clone)]
pub struct Matrix {
    held: Held,
    input: usize,
    output: usize,
    /// None for products in float32.
    plan: Option<Plan>,
}

#[derive(Debug, Clone)]
enum Held {
    /// One that learns: copies for both directions, `W^T` and `W`, made anew after each step.
    Panels([Panels; 2]),
    /// The same for products on a unit.
    Blocks([Blocks; 2]),
    /// One that does not learn.
    Frozen(Frozen),
}

/// Rows of activations that several gradients of weights are summed over.
#[derive(Debug)]
pub enum PackedRows {
    /// In float32.
    Panels(Panels),
    /// For products on a unit.
    Blocks(Blocks),
}

impl Default for PackedRows {
    fn default() -> Self {
        Self::Panels(Panels::default())
    }
}

impl PackedRows {
    /// Copies `rows` rows of `width` floats.
    pub(crate) fn pack(&mut self, x: &[f32], (rows, width): (usize, usize), plan: Option<Plan>) {
        let plain = View::rows(x, width);
        match (plan, &mut *self) {
            (None, Self::Panels(panels)) => panels.pack(plain, rows, width),
            (Some(plan), Self::Blocks(blocks)) => blocks.pack(plain, (rows, width), plan.pieces),
            _ => {
                *self = match plan {
                    Some(_) => Self::Blocks(Blocks::default()),
                    None => Self::default(),
                };
                self.pack(x, (rows, width), plan);
            }
        }
    }
}

/// What a unit multiplies by.
#[derive(Clone, Copy)]
enum Either<'a> {
    Blocks(&'a Blocks),
    Frozen(Rounded<'a>),
}

impl RightBlocks for Either<'_> {
    fn pieces(&self) -> usize {
        match self {
            Self::Blocks(b) => b.pieces(),
            Self::Frozen(b) => b.pieces(),
        }
    }

    fn panel<'r>(
        &'r self,
        panel: usize,
        blocks: Range<usize>,
        room: &'r mut Aligned<u32>,
    ) -> &'r [u32] {
        match self {
            Self::Blocks(b) => b.panel(panel, blocks, room),
            Self::Frozen(b) => b.panel(panel, blocks, room),
        }
    }
}

impl Default for Matrix {
    fn default() -> Self {
        Self { held: Held::Panels(Default::default()), input: 0, output: 0, plan: None }
    }
}

impl From<Frozen> for Matrix {
    fn from(frozen: Frozen) -> Self {
        let (input, output) = (frozen.input(), frozen.output());
        Self { held: Held::Frozen(frozen), input, output, plan: None }
    }
}

impl Matrix {
    /// Copies `weight`, which has `rows` rows of `columns` floats.
    pub(crate) fn pack(&mut self, weight: &[f32], columns: usize, rows: usize) {
        (self.input, self.output) = (columns, rows);
        let turned = View::transposed(weight, columns);
        let plain = View::rows(weight, columns);
        match (self.plan, &mut self.held) {
            (Some(plan), Held::Blocks([forward, backward])) => {
                forward.pack(turned, (columns, rows), plan.pieces);
                backward.pack(plain, (rows, columns), plan.pieces);
            }
            (None, Held::Panels([forward, backward])) => {
                forward.pack(turned, columns, rows);
                backward.pack(plain, rows, columns);
            }
            _ => {
                self.held = match self.plan {
                    Some(_) => Held::Blocks(Default::default()),
                    None => Held::Panels(Default::default()),
                };
                self.pack(weight, columns, rows);
            }
        }
    }

    /// Changes what multiplies by the matrix. A matrix that learns must be packed afterwards.
    pub(crate) fn set_plan(&mut self, plan: Option<Plan>) {
        self.plan = plan;
    }

    /// The matrix, if it does not learn.
    pub(crate) fn frozen(&self) -> Option<&Frozen> {
        match &self.held {
            Held::Frozen(frozen) => Some(frozen),
            _ => None,
        }
    }

    /// Whether [`Matrix::row`] can be asked: blocks round what learns.
    pub(crate) fn has_rows(&self) -> bool {
        !matches!(self.held, Held::Blocks(_))
    }

    /// A row of W.
    ///
    /// # Panics
    /// If it holds none.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        match &self.held {
            Held::Frozen(frozen) => frozen.row(row, out),
            Held::Panels([turned, _]) => {
                out.iter_mut().zip(turned.column(row)).for_each(|(x, w)| *x = w);
            }
            Held::Blocks(_) => unreachable!("blocks hold no rows"),
        }
    }

    pub(crate) fn input(&self) -> usize {
        self.input
    }

    pub(crate) fn output(&self) -> usize {
        self.output
    }

    /// `y (+)= x W^T` for `rows` rows, shared out among the threads of a team.
    pub(crate) fn apply(&self, x: &[f32], y: &mut [f32], rows: usize, accumulate: bool) {
        self.multiply(false, (x, rows), y, accumulate);
    }

    /// `dx (+)= dy W`, shared out likewise.
    pub(crate) fn pull(&self, dy: &[f32], dx: &mut [f32], rows: usize, accumulate: bool) {
        self.multiply(true, (dy, rows), dx, accumulate);
    }

    /// One or the other: with `W^T`, or with W where it is `plain`.
    pub(crate) fn multiply(
        &self,
        plain: bool,
        (x, rows): (&[f32], usize),
        y: &mut [f32],
        accumulate: bool,
    ) {
        let (k, n) = self.sizes(plain);
        shared((x, k), (y, n), rows, accumulate, |x, y, rows, columns| {
            self.product(plain, x, y, (rows, k, columns), accumulate);
        });
    }

    /// The same for two matrices, and what becomes of their products, with the bits that each has
    /// alone: a unit takes the rows once for both.
    pub(crate) fn multiply_both(
        plain: bool,
        (x, rows): (&[f32], usize),
        one: (&Self, &mut [f32], bool),
        other: (&Self, &mut [f32], bool),
    ) {
        let (k, n) = one.0.sizes(plain);
        let m = other.0.sizes(plain).1;
        match (one.0.blocks(plain), other.0.blocks(plain), one.0.plan) {
            (Some(a), Some(b), plan @ Some(unit)) if plan == other.0.plan && is_alone() => {
                let mut to = [
                    Target { b: a, c: one.1, n, accumulate: one.2 },
                    Target { b, c: other.1, n: m, accumulate: other.2 },
                ];
                multiply(unit, (rows, k), View::rows(x, k), &mut to);
            }
            _ => {
                one.0.multiply(plain, (x, rows), one.1, one.2);
                other.0.multiply(plain, (x, rows), other.1, other.2);
            }
        }
    }

    /// Floats of a row that is multiplied, and of its product.
    fn sizes(&self, plain: bool) -> (usize, usize) {
        if plain { (self.output, self.input) } else { (self.input, self.output) }
    }

    /// What a unit multiplies by.
    fn blocks(&self, plain: bool) -> Option<Either<'_>> {
        match (&self.held, self.plan) {
            (Held::Blocks(w), _) => Some(Either::Blocks(&w[usize::from(plain)])),
            (Held::Frozen(matrix), Some(Plan { pieces, .. })) => {
                Some(Either::Frozen(Rounded { matrix, pieces, plain }))
            }
            _ => None,
        }
    }

    /// Columns `first` to `first + n` of the product of `rows` rows of `k` with `W^T`, or with W
    /// where it is `plain`.
    fn product(
        &self,
        plain: bool,
        x: &[f32],
        y: &mut [f32],
        (rows, k, (first, n)): (usize, usize, (usize, usize)),
        accumulate: bool,
    ) {
        let (shape, a) = ((rows, n, k), View::rows(x, k));
        match (&self.held, self.plan) {
            (Held::Panels(w), _) => {
                let b = w[usize::from(plain)].rhs();
                gemm(y, n, shape, a, FromColumn(b, first), accumulate);
            }
            (_, Some(plan)) => {
                let b = FromColumn(self.blocks(plain).expect("packed for the plan"), first);
                let mut to = [Target { b, c: y, n, accumulate }];
                multiply(plan, (rows, k), a, &mut to);
            }
            (Held::Frozen(w), None) if plain => {
                gemm(y, n, shape, a, FromColumn(Plain(w), first), accumulate);
            }
            (Held::Frozen(w), None) => {
                gemm(y, n, shape, a, FromColumn(Transposed(w), first), accumulate);
            }
            (Held::Blocks(_), None) => unreachable!("packed after the plan was changed"),
        }
    }

    /// Copies rows that [`Matrix::weigh`] sums over.
    pub(crate) fn pack_rows(&self, x: &[f32], rows: usize, packed: &mut PackedRows) {
        packed.pack(x, (rows, self.input), self.plan);
    }

    /// `dW += dy^T x`, for `x` already packed by the matrix's plan.
    pub(crate) fn weigh(&self, dy: &[f32], x: &PackedRows, dweight: &mut [f32], rows: usize) {
        let (m, n) = (self.output, self.input);
        let a = View::transposed(dy, m);
        match (x, self.plan) {
            (PackedRows::Panels(x), None) => gemm(dweight, n, (m, n, rows), a, x.rhs(), true),
            (PackedRows::Blocks(b), Some(plan)) => {
                let mut to = [Target { b, c: dweight, n, accumulate: true }];
                multiply(plan, (m, rows), a, &mut to);
            }
            _ => unreachable!("packed by the plan"),
        }
    }

    /// The same for a W of few rows or columns, for which packing would be most of the work: the
    /// wide one of `dy` and `x` is read where it lies. What `dW` holds is in `turned` meanwhile if
    /// that is `dy`.
    pub(crate) fn weigh_thin(
        &self,
        (dy, x): (&[f32], &[f32]),
        dweight: &mut [f32],
        rows: usize,
        turned: &mut Vec<f32>,
    ) {
        let (output, input) = (self.output, self.input);
        if output <= input {
            return self.weigh_loose((dy, output), (x, input), dweight, rows);
        }
        let turned = grown(turned, dweight.len());
        transpose(dweight, input, turned);
        self.weigh_loose((x, input), (dy, output), turned, rows);
        transpose(turned, output, dweight);
    }

    /// `dW += thin^T wide` for rows of so many floats.
    fn weigh_loose(
        &self,
        (thin, m): (&[f32], usize),
        (wide, n): (&[f32], usize),
        dweight: &mut [f32],
        rows: usize,
    ) {
        let a = View::transposed(thin, m);
        let b = Loose { x: View::rows(wide, n), size: (rows, n), pieces: 1 };
        match self.plan {
            None => gemm(dweight, n, (m, n, rows), a, b, true),
            Some(plan) => {
                let b = Loose { pieces: plan.pieces, ..b };
                let mut to = [Target { b, c: dweight, n, accumulate: true }];
                multiply(plan, (m, rows), a, &mut to);
            }
        }
    }
}
