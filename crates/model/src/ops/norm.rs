//! Root-mean-square normalisation (Zhang and Sennrich 2019, eq. 4).

use super::{fma, kernel, lane_sum};

kernel! {
    /// `y = x * rstd * w` for each row of `w.len()` floats; keeps `rstd` (one a row).
    fn rms_norm / forward (x: &[f32], w: &[f32], eps: f32, y: &mut [f32], rstd: &mut [f32])
}

#[inline(always)]
fn forward<const F: bool>(x: &[f32], w: &[f32], eps: f32, y: &mut [f32], rstd: &mut [f32]) {
    let d = w.len();
    for ((x, y), rstd) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(rstd) {
        let mean = lane_sum([x], |[x]| x * x) / d as f32;
        let r = 1.0 / (mean + eps).sqrt();
        *rstd = r;
        for i in 0..d {
            y[i] = x[i] * r * w[i];
        }
    }
}

kernel! {
    /// Adds to `dx` and `dw` what `dy` gives, for `y = x * rstd * w`.
    fn rms_norm_backward / backward (
        x: &[f32], w: &[f32], rstd: &[f32], dy: &[f32], dx: &mut [f32], dw: &mut [f32]
    )
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "a kernel takes its arrays apart")]
fn backward<const F: bool>(
    x: &[f32],
    w: &[f32],
    rstd: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dw: &mut [f32],
) {
    let d = w.len();
    let rows = x.chunks_exact(d).zip(dy.chunks_exact(d)).zip(dx.chunks_exact_mut(d));
    for (((x, dy), dx), &r) in rows.zip(rstd) {
        let dot = lane_sum([dy, w, x], |[dy, w, x]| dy * w * x);
        let pull = dot * r * r * r / d as f32;
        for i in 0..d {
            dx[i] += fma::<F>(dy[i] * w[i], r, -(x[i] * pull));
            dw[i] = fma::<F>(dy[i] * x[i], r, dw[i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_by_finite_differences() {
        let d = 20;
        let x: Vec<f32> = (0..d).map(|i| (i as f32 * 0.7).sin()).collect();
        let w: Vec<f32> = (0..d).map(|i| 1.0 + (i as f32 * 0.3).cos() / 2.0).collect();
        let g: Vec<f32> = (0..d).map(|i| (i as f32 * 1.1).cos()).collect();
        let loss = |x: &[f32], w: &[f32]| -> f64 {
            let (mut y, mut r) = (vec![0.0; d], vec![0.0]);
            rms_norm(x, w, 1e-6, &mut y, &mut r);
            y.iter().zip(&g).map(|(y, g)| f64::from(*y) * f64::from(*g)).sum()
        };
        let (mut y, mut r) = (vec![0.0; d], vec![0.0]);
        rms_norm(&x, &w, 1e-6, &mut y, &mut r);
        let (mut dx, mut dw) = (vec![0.0; d], vec![0.0; d]);
        rms_norm_backward(&x, &w, &r, &g, &mut dx, &mut dw);
        for i in 0..d {
            let h = 1e-2;
            let moved = |v: &[f32], by: f32| {
                let mut v = v.to_vec();
                v[i] += by;
                v
            };
            let nx = (loss(&moved(&x, h), &w) - loss(&moved(&x, -h), &w)) / (2.0 * f64::from(h));
            let nw = (loss(&x, &moved(&w, h)) - loss(&x, &moved(&w, -h))) / (2.0 * f64::from(h));
            assert!((nx - f64::from(dx[i])).abs() < 1e-3, "dx {nx} {}", dx[i]);
            assert!((nw - f64::from(dw[i])).abs() < 1e-3, "dw {nw} {}", dw[i]);
        }
    }
}
