//! The matrix of a linear layer or of the output layer.

use super::{
    Frozen, Panels, View,
    blocks::{Blocks, Rows, multiply},
    frozen::{Plain, Rounded, Transposed},
    gemm,
    team::{FromColumn, shared},
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
        let sizes = ((x, self.input), (y, self.output));
        shared(sizes.0, sizes.1, rows, accumulate, |x, y, rows, columns| {
            self.product(false, x, y, (rows, self.input, columns), accumulate);
        });
    }

    /// `dx (+)= dy W`, shared out likewise.
    pub(crate) fn pull(&self, dy: &[f32], dx: &mut [f32], rows: usize, accumulate: bool) {
        let sizes = ((dy, self.output), (dx, self.input));
        shared(sizes.0, sizes.1, rows, accumulate, |dy, dx, rows, columns| {
            self.product(true, dy, dx, (rows, self.output, columns), accumulate);
        });
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
            (Held::Blocks(w), Some(plan)) => {
                let b = &w[usize::from(plain)];
                multiply(plan, (y, n), shape, a, FromColumn(b, first), accumulate);
            }
            (Held::Frozen(matrix), Some(plan)) => {
                let b = Rounded { matrix, pieces: plan.pieces, plain };
                multiply(plan, (y, n), shape, a, FromColumn(b, first), accumulate);
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

    /// `dW += dy^T x`, for `x` already packed.
    pub(crate) fn weigh(&self, dy: &[f32], x: &Panels, dweight: &mut [f32], rows: usize) {
        let (n, shape) = (self.input, (self.output, self.input, rows));
        let a = View::transposed(dy, self.output);
        match self.plan {
            None => gemm(dweight, n, shape, a, x.rhs(), true),
            Some(p) => {
                let b = Rows { panels: x, pieces: p.pieces };
                multiply(p, (dweight, n), shape, a, b, true);
            }
        }
    }
}
