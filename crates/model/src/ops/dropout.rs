//! Dropout (Srivastava et al. 2014), with the scaling at training time. Which elements are dropped
//! is a function of where they stand ([`Mask`]), so that a backward pass drops the same.

use super::{
    fma, kernel,
    seam::{Mask, Out},
};

/// `to (+)= x` where the mask keeps it, scaled; else 0.
pub(super) fn drop_out(x: &[f32], rows: usize, mask: Mask<'_>, to: &mut [f32], out: Out) {
    let width = (x.len() / rows.max(1)).max(1);
    let each = x.chunks_exact(width).zip(to.chunks_exact_mut(width));
    for (row, (x, to)) in each.enumerate().take(rows) {
        if out == Out::Write {
            to.fill(0.0);
        }
        add_kept(x, (mask.key(row), mask.rate), mask.scale(), to);
    }
}

kernel! {
    fn add_kept / add_kept_body (x: &[f32], of: (u64, f32), scale: f32, to: &mut [f32])
}

#[inline(always)]
fn add_kept_body<const F: bool>(x: &[f32], (key, rate): (u64, f32), scale: f32, to: &mut [f32]) {
    for (column, (x, to)) in x.iter().zip(to).enumerate() {
        let kept = if Mask::keeps(key, column, rate) { *x } else { 0.0 };
        *to = fma::<F>(kept, scale, *to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_kept_is_the_one_asked_for() {
        let (rows, width) = (64, 256);
        let keys: Vec<u64> = (0..rows as u64).collect();
        let x = vec![1.0; rows * width];
        for rate in [0.05f32, 0.3, 0.9] {
            let mut kept = Vec::new();
            for layer in 0..3 {
                let mut y = vec![7.0; x.len()];
                let mask = Mask { keys: &keys, layer, rate };
                drop_out(&x, rows, mask, &mut y, Out::Write);
                assert!(y.iter().all(|y| *y == 0.0 || *y == mask.scale()));
                let share = y.iter().filter(|y| **y > 0.0).count() as f32 / y.len() as f32;
                // Four standard deviations.
                let far = 4.0 * (rate * (1.0 - rate) / y.len() as f32).sqrt();
                assert!((share - (1.0 - rate)).abs() < far, "{rate}: {share}");
                kept.push(y);
            }
            // Layers, and rows, are dropped from apart.
            assert!(kept[0] != kept[1] && kept[1] != kept[2]);
            assert!(kept[0][..width] != kept[0][width..2 * width]);
        }
    }
}
