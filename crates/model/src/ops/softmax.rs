//! The exponential and the softmax.

use super::{LANES, fma, kernel, lane_sum};

/// `e^x`, within 2 units in the last place between -87 and 88; 0 below.
///
/// The argument is split as `n ln 2 + r` and `e^r` taken from its Taylor polynomial.
#[inline(always)]
pub(super) fn exp<const F: bool>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding and subtracting it rounds.
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = fma::<F>(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma::<F>(n, -0.693_359_4, clamped);
    let r = fma::<F>(n, 2.121_944_4e-4, r);
    let mut p = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = fma::<F>(p, r, c);
    }
    // The lowest bits of `shifted` are those of `n`; a cast would be checked number by number.
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { p * scale }
}

/// Softmax of `scale * row[..len]`, in place. What follows becomes zero up to whole lanes, for which
/// the row has room: numbers beside whole lanes would be computed one by one.
pub(super) fn softmax(row: &mut [f32], len: usize, scale: f32) {
    let row = &mut row[..len.next_multiple_of(LANES)];
    row[len..].fill(f32::NEG_INFINITY);
    softmax_lanes(row, scale);
}

kernel! {
    fn softmax_lanes / forward (row: &mut [f32], scale: f32)
}

#[inline(always)]
fn forward<const F: bool>(row: &mut [f32], scale: f32) {
    let max = max(row) * scale;
    for x in row.iter_mut() {
        *x = exp::<F>(fma::<F>(*x, scale, -max));
    }
    let norm = 1.0 / lane_sum([row], |[x]| x);
    for x in row.iter_mut() {
        *x *= norm;
    }
}

/// The largest element, whatever the order of comparison.
#[inline(always)]
pub(super) fn max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let larger = |(lane, x): (&mut f32, &f32)| *lane = if *x > *lane { *x } else { *lane };
    let (whole, rest) = row.as_chunks::<LANES>();
    for chunk in whole {
        lanes.iter_mut().zip(chunk).for_each(larger);
    }
    lanes.iter_mut().zip(rest).for_each(larger);
    let mut width = LANES / 2;
    while width > 0 {
        for l in 0..width {
            lanes[l] = if lanes[l + width] > lanes[l] { lanes[l + width] } else { lanes[l] };
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close() {
        for i in -8600..8700 {
            let x = i as f32 / 100.0;
            let exact = f64::from(x).exp();
            for got in [exp::<false>(x), exp::<true>(x)] {
                assert!((f64::from(got) / exact - 1.0).abs() < 3e-7, "{x}: {got} {exact}");
            }
        }
        assert_eq!(exp::<false>(0.0), 1.0);
        assert_eq!(exp::<false>(-200.0), 0.0);
        assert_eq!(exp::<false>(f32::NEG_INFINITY), 0.0);
    }

    #[test]
    fn softmax_sums_to_one() {
        for n in [1, 5, 16, 33] {
            let mut row: Vec<f32> = (0..48).map(|i| (i as f32 * 1.7).sin() * 9.0).collect();
            let mut own = row.clone();
            softmax(&mut row, n, 0.7);
            assert!((row[..n].iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert!(row[n..n.next_multiple_of(LANES)].iter().all(|x| *x == 0.0));
            // The bits are those of the row by itself.
            softmax_lanes(&mut own[..n], 0.7);
            assert_eq!(own[..n], row[..n]);
        }
    }
}
