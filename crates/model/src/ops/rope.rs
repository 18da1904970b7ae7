//! Rotary position embedding, in the half-split layout of Hugging Face checkpoints.

use std::sync::OnceLock;

use super::{fma, kernel};

/// Positions whose cosines and sines are computed together, when the first of them is needed:
/// a model may allow far more positions than any sequence has.
const BLOCK: usize = 256;

/// Cosines and sines for every position.
#[derive(Debug, Clone)]
pub struct Rope {
    frequencies: Vec<f32>,
    /// Cosines and sines are multiplied by it.
    factor: f64,
    blocks: Vec<OnceLock<Block>>,
}

#[derive(Debug, Clone)]
struct Block {
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rope {
    pub(super) fn new(frequencies: Vec<f32>, factor: f64, positions: usize) -> Self {
        let blocks = vec![OnceLock::new(); positions.div_ceil(BLOCK)];
        Self { frequencies, factor, blocks }
    }

    /// Rotates every head of one token's vector to its position.
    pub(super) fn apply(&self, x: &mut [f32], position: usize) {
        let (cos, sin) = self.at(position);
        rotate(x, cos, sin, 1.0);
    }

    /// Rotates back: the transpose, which is what a gradient goes through.
    pub(super) fn apply_backward(&self, x: &mut [f32], position: usize) {
        let (cos, sin) = self.at(position);
        rotate(x, cos, sin, -1.0);
    }

    fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let index = position / BLOCK;
        let block = self.blocks[index].get_or_init(|| self.block(index * BLOCK));
        let half = self.frequencies.len();
        let at = (position % BLOCK) * half..(position % BLOCK + 1) * half;
        (&block.cos[at.clone()], &block.sin[at])
    }

    fn block(&self, first: usize) -> Block {
        let angles = (first..first + BLOCK)
            .flat_map(|p| self.frequencies.iter().map(move |f| f64::from(p as f32 * f)));
        let scaled = |x: f64| (x * self.factor) as f32;
        let (sin, cos) = angles.map(|a| (scaled(a.sin()), scaled(a.cos()))).unzip();
        Block { cos, sin }
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
