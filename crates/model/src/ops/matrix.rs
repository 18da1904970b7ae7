//! The matrix of a linear layer or of the output layer.

use super::{
    Frozen, Panels, View,
    frozen::{Plain, Transposed},
    gemm,
};

/// A matrix of `output` rows of `input`.
#[derive(Debug, Clone)]
pub enum Matrix {
    /// One that learns: copies in float32 for both directions, made anew after each step.
    Packed {
        /// `W^T`.
        forward: Panels,
        /// `W`.
        backward: Panels,
        input: usize,
        output: usize,
    },
    /// One that does not.
    Frozen(Frozen),
}

impl Default for Matrix {
    fn default() -> Self {
        let (forward, backward) = Default::default();
        Self::Packed { forward, backward, input: 0, output: 0 }
    }
}

impl Matrix {
    /// Copies `weight`, which has `rows` rows of `columns` floats.
    pub(crate) fn pack(&mut self, weight: &[f32], columns: usize, rows: usize) {
        if !matches!(self, Self::Packed { .. }) {
            *self = Self::default();
        }
        let Self::Packed { forward, backward, input, output } = self else { return };
        (*input, *output) = (columns, rows);
        forward.pack(View::transposed(weight, columns), columns, rows);
        backward.pack(View::rows(weight, columns), rows, columns);
    }

    /// Multiplies what was packed.
    pub(crate) fn scale(&mut self, by: f32) {
        let Self::Packed { forward, backward, .. } = self else { return };
        forward.scale(by);
        backward.scale(by);
    }

    pub(crate) fn input(&self) -> usize {
        match self {
            Self::Packed { input, .. } => *input,
            Self::Frozen(frozen) => frozen.input(),
        }
    }

    pub(crate) fn output(&self) -> usize {
        match self {
            Self::Packed { output, .. } => *output,
            Self::Frozen(frozen) => frozen.output(),
        }
    }

    /// `y (+)= x W^T` for `rows` rows.
    pub(crate) fn apply(&self, x: &[f32], y: &mut [f32], rows: usize, accumulate: bool) {
        let (input, output) = (self.input(), self.output());
        let (shape, x) = ((rows, output, input), View::rows(x, input));
        match self {
            Self::Packed { forward, .. } => gemm(y, output, shape, x, forward.rhs(), accumulate),
            Self::Frozen(w) => gemm(y, output, shape, x, Transposed(w), accumulate),
        }
    }

    /// `dx (+)= dy W`.
    pub(crate) fn pull(&self, dy: &[f32], dx: &mut [f32], rows: usize, accumulate: bool) {
        let (input, output) = (self.input(), self.output());
        let (shape, dy) = ((rows, input, output), View::rows(dy, output));
        match self {
            Self::Packed { backward, .. } => gemm(dx, input, shape, dy, backward.rhs(), accumulate),
            Self::Frozen(w) => gemm(dx, input, shape, dy, Plain(w), accumulate),
        }
    }

    /// `dW += dy^T x`, for `x` already packed.
    pub(crate) fn weigh(&self, dy: &[f32], x: &Panels, dweight: &mut [f32], rows: usize) {
        let (input, output) = (self.input(), self.output());
        gemm(dweight, input, (output, input, rows), View::transposed(dy, output), x.rhs(), true);
    }
}
