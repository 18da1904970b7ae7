//! Which tokens may be drawn: the usual ways to cut the tail of a distribution off.
//!
//! In the order of `transformers`: the penalty on what the text holds already, the temperature,
//! `top_k`, `top_p`, `min_p`. Ties at an edge stay in, so that nothing depends on a sort.

/// What is left out. The default leaves nothing out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Filter {
    /// Only the `top_k` likeliest tokens; 0 for all.
    pub top_k: usize,
    /// Only the likeliest tokens that together have this probability; 1 for all (Holtzman et
    /// al. 2020).
    pub top_p: f32,
    /// Only tokens at least so likely, as a share of the likeliest; 0 for all (Nguyen et al.
    /// 2024).
    pub min_p: f32,
    /// The logits of tokens that the prompt or the completion has are divided by it where they
    /// are positive, and multiplied where not (Keskar et al. 2019); 1 for no change.
    pub repetition_penalty: f32,
}

impl Default for Filter {
    fn default() -> Self {
        Self { top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0 }
    }
}

impl Filter {
    /// Whether it changes what is drawn.
    pub fn is_on(&self) -> bool {
        *self != Self::default()
    }

    /// Says which setting means nothing.
    ///
    /// # Errors
    /// Its name and what it may be.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err("top_p is above 0 and at most 1");
        }
        if !(0.0..=1.0).contains(&self.min_p) {
            return Err("min_p is 0 to 1");
        }
        if !(self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite()) {
            return Err("repetition_penalty is above 0; 1 changes nothing");
        }
        Ok(())
    }

    /// The probabilities of all tokens after this filter, 0 for those left out; they sum to 1.
    /// `seen` are the tokens of the text so far.
    pub(crate) fn probabilities(
        &self,
        logits: &[f32],
        temperature: f32,
        seen: impl Iterator<Item = u32>,
    ) -> Vec<f64> {
        let mut scores: Vec<f64> = logits.iter().map(|x| f64::from(*x)).collect();
        self.penalise(&mut scores, seen);
        scores.iter_mut().for_each(|x| *x /= f64::from(temperature));
        if let Some(edge) = self.kth(&scores) {
            scores.iter_mut().filter(|x| **x < edge).for_each(|x| *x = f64::NEG_INFINITY);
        }
        let mut p = softmax(&scores);
        self.nucleus(&mut p);
        let floor = f64::from(self.min_p) * p.iter().copied().fold(0.0, f64::max);
        p.iter_mut().filter(|x| **x < floor).for_each(|x| *x = 0.0);
        let sum: f64 = p.iter().sum();
        p.iter_mut().for_each(|x| *x /= sum);
        p
    }

    fn penalise(&self, scores: &mut [f64], seen: impl Iterator<Item = u32>) {
        let penalty = f64::from(self.repetition_penalty);
        if penalty == 1.0 {
            return;
        }
        let mut done = vec![false; scores.len()];
        for token in seen.map(|t| t as usize) {
            let Some(x) = scores.get_mut(token) else { continue };
            if !std::mem::replace(&mut done[token], true) {
                *x = if *x > 0.0 { *x / penalty } else { *x * penalty };
            }
        }
    }

    /// The score of the last token that `top_k` keeps.
    fn kth(&self, scores: &[f64]) -> Option<f64> {
        (1..scores.len()).contains(&self.top_k).then(|| {
            let mut sorted = scores.to_vec();
            let at = self.top_k - 1;
            *sorted.select_nth_unstable_by(at, |a, b| b.total_cmp(a)).1
        })
    }

    /// Leaves the likeliest tokens until they reach `top_p`, the one that does included.
    fn nucleus(&self, p: &mut [f64]) {
        if self.top_p >= 1.0 {
            return;
        }
        let mut sorted: Vec<f64> = p.iter().copied().filter(|x| *x > 0.0).collect();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let mut sum = 0.0;
        let reached = sorted.iter().find(|x| {
            sum += **x;
            sum >= f64::from(self.top_p)
        });
        if let Some(edge) = reached.copied() {
            p.iter_mut().filter(|x| **x < edge).for_each(|x| *x = 0.0);
        }
    }
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exp: Vec<f64> = scores.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.into_iter().map(|x| x / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Probabilities .5, .25, .15, .1.
    fn logits() -> Vec<f32> {
        [0.5f32, 0.25, 0.15, 0.1].map(f32::ln).to_vec()
    }

    fn rounded(filter: Filter, temperature: f32, seen: &[u32]) -> Vec<f64> {
        let p = filter.probabilities(&logits(), temperature, seen.iter().copied());
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        p.into_iter().map(|x| (x * 1e4).round() / 1e4).collect()
    }

    #[test]
    fn each_filter_keeps_what_it_says() {
        let off = Filter::default();
        assert!(!off.is_on());
        assert_eq!(rounded(off, 1.0, &[]), [0.5, 0.25, 0.15, 0.1]);
        assert_eq!(rounded(Filter { top_k: 2, ..off }, 1.0, &[]), [0.6667, 0.3333, 0.0, 0.0]);
        assert_eq!(rounded(Filter { top_k: 9, ..off }, 1.0, &[]), [0.5, 0.25, 0.15, 0.1]);
        assert_eq!(rounded(Filter { top_p: 0.6, ..off }, 1.0, &[]), [0.6667, 0.3333, 0.0, 0.0]);
        assert_eq!(rounded(Filter { top_p: 0.4, ..off }, 1.0, &[]), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(rounded(Filter { min_p: 0.29, ..off }, 1.0, &[]), [0.5556, 0.2778, 0.1667, 0.0]);
        // The temperature comes first: .25, .0625, .0225, .01 of .345.
        let cold = rounded(Filter { top_p: 0.7, ..off }, 0.5, &[]);
        assert_eq!(cold, [1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn what_was_written_is_penalised_once() {
        let filter = Filter { repetition_penalty: 2.0, ..Filter::default() };
        let p = filter.probabilities(&[2.0, 2.0, -2.0, -2.0], 1.0, [0, 0, 2, 900].into_iter());
        let plain = softmax(&[1.0, 2.0, -4.0, -2.0]);
        assert!(p.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-12), "{p:?}");
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let off = Filter::default();
        off.check().unwrap();
        assert!(Filter { top_p: 0.0, ..off }.check().is_err());
        assert!(Filter { min_p: 1.5, ..off }.check().is_err());
        assert!(Filter { repetition_penalty: 0.0, ..off }.check().is_err());
        assert!(Filter { top_p: f32::NAN, ..off }.check().is_err());
    }
}
