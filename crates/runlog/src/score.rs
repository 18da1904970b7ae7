//! A pass count with its uncertainty.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many of `n` samples passed, with a 95 % interval.
///
/// The interval treats the samples as independent. Samples of one task are not quite, so with
/// few tasks and many samples each it is on the narrow side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyScore {
    /// Samples that passed.
    pub passed: u32,
    /// Samples judged.
    pub n: u32,
    /// Lower end of the 95 % Wilson interval of the pass rate.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl FamilyScore {
    /// The score of `passed` out of `n`, with its interval.
    pub fn new(passed: u32, n: u32) -> Self {
        let (low, high) = wilson(passed, n);
        Self { passed, n, low, high }
    }

    /// The names that ended below where they began, the intervals apart: what was forgotten.
    pub fn fallen(before: &BTreeMap<String, Self>, after: &BTreeMap<String, Self>) -> Vec<String> {
        let fell = |(name, b): &(&String, &Self)| after.get(*name).is_some_and(|a| a.high < b.low);
        before.iter().filter(fell).map(|(name, _)| name.clone()).collect()
    }

    /// The share that passed; 0 where nothing was judged.
    pub fn rate(&self) -> f64 {
        if self.n == 0 { 0.0 } else { f64::from(self.passed) / f64::from(self.n) }
    }
}

/// The 0.975 quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The 95 % score interval of a pass rate, without continuity correction.
///
/// Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
/// (1927): the rates `p` for which `|p_hat - p| <= z sqrt(p (1 - p) / n)`. Solved for `p`, with
/// `p_hat = passed / n`:
///
/// ```text
/// (p_hat + z^2/2n  +-  z sqrt(p_hat (1 - p_hat)/n + z^2/4n^2)) / (1 + z^2/n)
/// ```
///
/// Unlike the textbook interval it has a width at 0 and at 1, which is where most families are.
/// With nothing judged nothing is known: `(0, 1)`.
///
/// # Panics
///
/// If more passed than were judged.
pub fn wilson(passed: u32, n: u32) -> (f64, f64) {
    assert!(passed <= n, "{passed} of {n} samples cannot pass");
    if n == 0 {
        return (0.0, 1.0);
    }
    let (count, rate) = (f64::from(n), f64::from(passed) / f64::from(n));
    let scale = 1.0 + Z * Z / count;
    let centre = (rate + Z * Z / (2.0 * count)) / scale;
    let half = Z * (rate * (1.0 - rate) / count + Z * Z / (4.0 * count * count)).sqrt() / scale;
    // At the ends one bound is exact; say so rather than leave a rounding error.
    let low = if passed == 0 { 0.0 } else { centre - half };
    let high = if passed == n { 1.0 } else { centre + half };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(passed: u32, n: u32, expected: (f64, f64)) {
        let (low, high) = wilson(passed, n);
        let close = (low - expected.0).abs() < 1e-9 && (high - expected.1).abs() < 1e-9;
        assert!(close, "{passed}/{n}: ({low}, {high}), expected {expected:?}");
    }

    // At 0 of n the upper end is z^2/(n + z^2); at n of n the lower end is n/(n + z^2); at one
    // half the interval is 1/2 +- z/(2 sqrt(n + z^2)). With z^2 = 3.841458820694124:
    #[test]
    fn forgotten_is_what_fell_with_the_intervals_apart() {
        let scores = |all: [(&str, u32); 3]| -> BTreeMap<String, FamilyScore> {
            all.into_iter().map(|(name, n)| (name.to_string(), FamilyScore::new(n, 16))).collect()
        };
        let before = scores([("kept", 16), ("lost", 16), ("learnt", 2)]);
        let after = scores([("kept", 14), ("lost", 8), ("learnt", 16)]);
        assert_eq!(FamilyScore::fallen(&before, &after), ["lost"]);
    }

    #[test]
    fn wilson_has_the_values_of_the_formula() {
        check(0, 16, (0.0, 3.841_458_820_694_124 / 19.841_458_820_694_124));
        check(16, 16, (16.0 / 19.841_458_820_694_124, 1.0));
        let half = Z / (2.0 * 19.841_458_820_694_124_f64.sqrt());
        check(8, 16, (0.5 - half, 0.5 + half));
        check(0, 0, (0.0, 1.0));
    }

    // Rounded values that other programs print for the same counts.
    #[test]
    fn wilson_has_the_published_values() {
        for (passed, n, low, high) in
            [(0, 16, 0.0, 0.1936), (16, 16, 0.8064, 1.0), (8, 16, 0.2800, 0.7200)]
        {
            let found = wilson(passed, n);
            assert!((found.0 - low).abs() < 5e-5 && (found.1 - high).abs() < 5e-5, "{found:?}");
        }
    }

    #[test]
    fn wilson_brackets_the_rate_and_narrows() {
        for n in [1, 2, 7, 100] {
            for passed in 0..=n {
                let (low, high) = wilson(passed, n);
                let rate = f64::from(passed) / f64::from(n);
                assert!(0.0 <= low && low <= rate && rate <= high && high <= 1.0, "{passed}/{n}");
            }
        }
        let width = |(low, high): (f64, f64)| high - low;
        assert!(width(wilson(50, 100)) < width(wilson(5, 10)));
    }

    #[test]
    #[should_panic(expected = "3 of 2 samples")]
    fn more_passes_than_samples_is_a_bug() {
        wilson(3, 2);
    }
}
