//! Sums that the methods share, in f64.

/// The mean; 0 of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The variance about `mean`, divided by `n - ddof`; 0 where that is not positive.
pub(crate) fn variance(values: &[f64], mean: f64, ddof: usize) -> f64 {
    let n = values.len().saturating_sub(ddof);
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    if n == 0 { 0.0 } else { squares / n as f64 }
}

/// Whether values are all equal up to rounding: dividing by their spread would turn rounding
/// into signal.
pub(crate) fn all_equal(values: &[f64]) -> bool {
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values.len() < 2 || max - min <= 1e-12
}

/// The `q`-quantile, interpolated linearly between the two nearest values, as NumPy and
/// PyTorch have it by default. NaN of nothing.
pub(crate) fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = q.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let x = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&x, 0.0), 1.0);
        assert_eq!(quantile(&x, 0.25), 1.75);
        assert_eq!(quantile(&x, 0.5), 2.5);
        assert_eq!(quantile(&x, 1.0), 4.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn variances() {
        let x = [1.0, 0.0, 0.0, 0.0];
        assert_eq!(variance(&x, mean(&x), 1), 0.25);
        assert_eq!(variance(&x, mean(&x), 0), 0.1875);
        assert_eq!(variance(&[3.0], 3.0, 1), 0.0);
        assert!(all_equal(&[0.1, 0.1, 0.1]) && !all_equal(&[0.0, 1e-9]));
    }
}
