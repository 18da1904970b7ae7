//! The critic: a linear function of the model's last state.

/// The value of a state, `w h + b`, with the state of its own optimizer. It starts at zero.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueHead {
    /// `hidden_size` weights, then the bias.
    weights: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    t: u64,
}

impl ValueHead {
    /// A head for a model with this `hidden_size`.
    pub fn new(hidden_size: usize) -> Self {
        let zeros = vec![0.0; hidden_size + 1];
        Self { weights: zeros.clone(), first: zeros.clone(), second: zeros, t: 0 }
    }

    /// A head as [`ValueHead::state`] gave it. None where the lengths differ or are zero.
    pub fn restored(weights: Vec<f32>, first: Vec<f32>, second: Vec<f32>, t: u64) -> Option<Self> {
        let same = first.len() == weights.len() && second.len() == weights.len();
        (same && !weights.is_empty()).then_some(Self { weights, first, second, t })
    }

    /// Weights (the bias last), first moments, second moments, steps taken.
    pub fn state(&self) -> (&[f32], &[f32], &[f32], u64) {
        (&self.weights, &self.first, &self.second, self.t)
    }

    pub(crate) fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The weights without the bias.
    pub(crate) fn direction(&self) -> &[f32] {
        &self.weights[..self.weights.len() - 1]
    }

    /// The value of a state, summed in f64.
    pub fn value(&self, hidden: &[f32]) -> f32 {
        let product = |(w, h): (&f32, &f32)| f64::from(*w) * f64::from(*h);
        let bias = f64::from(self.weights[self.weights.len() - 1]);
        (self.direction().iter().zip(hidden).map(product).sum::<f64>() + bias) as f32
    }

    /// Adds to the gradient of the weights what a state gives whose value has this derivative.
    pub(crate) fn add_gradient(grads: &mut [f32], hidden: &[f32], dv: f32) {
        for (g, h) in grads.iter_mut().zip(hidden) {
            *g += dv * h;
        }
        if let Some(bias) = grads.last_mut() {
            *bias += dv;
        }
    }

    /// One step of AdamW without decay.
    pub(crate) fn update(&mut self, step: model::AdamW, grads: &[f32]) {
        self.t += 1;
        let step = model::AdamW { t: self.t, weight_decay: 0.0, ..step };
        model::adamw(step, &mut self.weights, grads, &mut self.first, &mut self.second);
    }
}
