//! A slowly moving copy of the weights.

/// An exponential moving average of a model's weights, in f32: an increment of a hundredth of
/// a small update would vanish in a shorter format. The averages of two factors are not the
/// average of their product, so for adapters it must be fed the merged weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Ema {
    weights: Vec<f32>,
}

impl Ema {
    /// Starts at these weights.
    pub fn new(weights: &[f32]) -> Self {
        Self { weights: weights.to_vec() }
    }

    /// `average <- momentum average + (1 - momentum) weights`.
    ///
    /// # Panics
    /// If there are more or fewer weights than before.
    pub fn update(&mut self, weights: &[f32], momentum: f64) {
        assert_eq!(weights.len(), self.weights.len(), "the weights of one model");
        let rate = (1.0 - momentum) as f32;
        for (average, w) in self.weights.iter_mut().zip(weights) {
            // The difference is exact where they are close, so equal weights stay equal.
            *average += rate * (w - *average);
        }
    }

    /// The average.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_towards_the_weights() {
        let mut ema = Ema::new(&[0.0, 1.0]);
        for _ in 0..2 {
            ema.update(&[1.0, 1.0], 0.75);
        }
        assert_eq!(ema.weights(), [0.4375, 1.0]);
        ema.update(&[9.0, 9.0], 1.0);
        assert_eq!(ema.weights(), [0.4375, 1.0]);
    }

    #[test]
    fn keeps_small_increments() {
        let mut ema = Ema::new(&[1.0]);
        (0..1000).for_each(|_| ema.update(&[1.001], 0.99));
        assert!((ema.weights()[0] - 1.001).abs() < 1e-5, "{:?}", ema.weights());
    }
}
