//! The gated feed-forward activation, `silu(gate) * up` (Shazeer 2020, eq. 6).

use super::{kernel, softmax::exp};

kernel! {
    /// `h = silu(gate) * up`.
    fn swiglu / forward (gate: &[f32], up: &[f32], h: &mut [f32])
}

#[inline(always)]
fn forward<const F: bool>(gate: &[f32], up: &[f32], h: &mut [f32]) {
    for ((g, u), h) in gate.iter().zip(up).zip(h) {
        *h = g / (1.0 + exp::<F>(-g)) * u;
    }
}

kernel! {
    /// Replaces `gate` and `up` by their gradients, given `dh`.
    fn swiglu_backward / backward (gate: &mut [f32], up: &mut [f32], dh: &[f32])
}

#[inline(always)]
fn backward<const F: bool>(gate: &mut [f32], up: &mut [f32], dh: &[f32]) {
    for ((gate, up), dh) in gate.iter_mut().zip(up).zip(dh) {
        let (g, u) = (*gate, *up);
        let sigmoid = 1.0 / (1.0 + exp::<F>(-g));
        let silu = g * sigmoid;
        *gate = dh * u * (sigmoid + silu * (1.0 - sigmoid));
        *up = dh * silu;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_by_finite_differences() {
        for i in 0..40 {
            let (g, u) = (i as f32 / 5.0 - 4.0, (i as f32).sin());
            let value = |g: f32, u: f32| {
                let mut h = [0.0];
                swiglu(&[g], &[u], &mut h);
                f64::from(h[0])
            };
            let (mut dg, mut du) = ([g], [u]);
            swiglu_backward(&mut dg, &mut du, &[1.0]);
            let h = 1e-2f32;
            let ng = (value(g + h, u) - value(g - h, u)) / (2.0 * f64::from(h));
            let nu = (value(g, u + h) - value(g, u - h)) / (2.0 * f64::from(h));
            assert!((ng - f64::from(dg[0])).abs() < 1e-3);
            assert!((nu - f64::from(du[0])).abs() < 1e-3);
        }
    }
}
