//! The optimizer's loop over the flat vector.

use super::{kernel, lane_sum};

/// One step of AdamW (Loshchilov and Hutter 2019, algorithm 2), as PyTorch computes it.
#[derive(Debug, Clone, Copy)]
pub struct AdamW {
    /// Learning rate of this step.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay; 0 for norms and biases.
    pub weight_decay: f32,
    /// The number of this step, from 1.
    pub t: u64,
    /// The gradient is multiplied by this first: clipping.
    pub grad_scale: f32,
}

kernel! {
    /// Updates the weights `p` and their moments `m` and `v` from the gradient `g`.
    fn adamw_kernel / adamw_body (
        step: AdamW, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]
    )
}

/// Updates the weights `p` and their moments `m` and `v` from the gradient `g`.
pub fn adamw(step: AdamW, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    adamw_kernel(step, p, g, m, v);
}

#[inline(always)]
fn adamw_body<const F: bool>(step: AdamW, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    let t = step.t as i32;
    let correction1 = 1.0 - f64::from(step.beta1).powi(t);
    let correction2 = 1.0 - f64::from(step.beta2).powi(t);
    let rate = (f64::from(step.lr) / correction1) as f32;
    let root = correction2.sqrt() as f32;
    let keep = 1.0 - step.lr * step.weight_decay;
    for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        let g = g * step.grad_scale;
        *m = step.beta1 * *m + (1.0 - step.beta1) * g;
        *v = step.beta2 * *v + (1.0 - step.beta2) * g * g;
        *p = *p * keep - rate * *m / (v.sqrt() / root + step.eps);
    }
}

/// The sum of squares, in f64 over blocks of a fixed size.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    x.chunks(4096).map(|c| f64::from(block_squares(c))).sum()
}

kernel! {
    fn block_squares / block_squares_body (x: &[f32]) -> f32
}

#[inline(always)]
fn block_squares_body<const F: bool>(x: &[f32]) -> f32 {
    lane_sum([x], |[x]| x * x)
}
