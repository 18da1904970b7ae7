//! Rotary position embedding, in the half-split layout of Hugging Face checkpoints.

use super::{fma, kernel};

/// Cosines and sines for every position.
#[derive(Debug, Clone)]
pub(crate) struct Rope {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rope {
    pub(crate) fn new(head_dim: usize, positions: usize, theta: f64) -> Self {
        let half = head_dim / 2;
        let frequency = |i: usize| (1.0 / theta.powf(2.0 * i as f64 / head_dim as f64)) as f32;
        let angles =
            (0..positions).flat_map(|p| (0..half).map(move |i| f64::from(p as f32 * frequency(i))));
        let (sin, cos) = angles.map(|a| (a.sin() as f32, a.cos() as f32)).unzip();
        Self { half, cos, sin }
    }

    /// Rotates every head of one token's vector to its position.
    pub(crate) fn apply(&self, x: &mut [f32], position: usize) {
        let at = position * self.half..(position + 1) * self.half;
        rotate(x, &self.cos[at.clone()], &self.sin[at], 1.0);
    }

    /// Rotates back: the transpose, which is what a gradient goes through.
    pub(crate) fn apply_backward(&self, x: &mut [f32], position: usize) {
        let at = position * self.half..(position + 1) * self.half;
        rotate(x, &self.cos[at.clone()], &self.sin[at], -1.0);
    }
}

kernel! {
    fn rotate / rotate_body (x: &mut [f32], cos: &[f32], sin: &[f32], sign: f32)
}

#[inline(always)]
fn rotate_body<const F: bool>(x: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
    let half = cos.len();
    for head in x.chunks_exact_mut(2 * half) {
        let (low, high) = head.split_at_mut(half);
        for i in 0..half {
            let (a, b, s) = (low[i], high[i], sign * sin[i]);
            low[i] = fma::<F>(a, cos[i], -(b * s));
            high[i] = fma::<F>(b, cos[i], a * s);
        }
    }
}
