//! Estimates of the KL divergence from one sampled token (Schulman 2020).
//!
//! With `d = reference - logprob`, all three have the divergence of the policy from the
//! reference as their mean or near it. As a loss they differ: the gradient of k1 is zero on
//! average, that of k2 is the gradient of KL(policy, reference), and that of k3 the gradient of
//! KL(reference, policy).

/// An estimator of KL(policy, reference).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimator {
    /// `-d`: unbiased, may be negative. In the reward its policy gradient is right; as a loss
    /// it does nothing on average.
    K1,
    /// `d^2 / 2`: biased where the policies are far apart, and the right gradient as a loss.
    K2,
    /// `exp(d) - d - 1`: unbiased and never negative.
    K3,
}

impl Estimator {
    /// The estimate.
    pub fn value(self, logprob: f64, reference: f64) -> f64 {
        let d = reference - logprob;
        match self {
            Self::K1 => -d,
            Self::K2 => d * d / 2.0,
            Self::K3 => d.exp_m1() - d,
        }
    }

    /// Its derivative by `logprob`.
    pub fn slope(self, logprob: f64, reference: f64) -> f64 {
        let d = reference - logprob;
        match self {
            Self::K1 => 1.0,
            Self::K2 => -d,
            Self::K3 => -d.exp_m1(),
        }
    }
}

/// A KL term of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KlLoss {
    /// Its weight.
    pub beta: f64,
    /// What it is worth.
    pub estimator: Estimator,
    /// Whose derivative is taken: another estimator's makes the term straight-through (`k3+`
    /// in verl is the value of k3 with the derivative of k2).
    pub gradient: Estimator,
    /// Whether it is multiplied by the ratio to the old policy, which keeps it unbiased off
    /// policy (DeepSeek-V3.2; `use_bias_correction_kl` in TRL).
    pub corrected: bool,
}

impl KlLoss {
    /// `beta` times an estimator with its own gradient.
    pub const fn plain(estimator: Estimator, beta: f64) -> Self {
        Self { beta, estimator, gradient: estimator, corrected: false }
    }
}

/// A KL term of the reward: `beta` times the estimate is taken off, token by token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KlReward {
    /// Its weight.
    pub beta: f64,
    /// What is taken off.
    pub estimator: Estimator,
}

impl KlReward {
    /// What each token pays, for log-probs under the policy that sampled it and under the
    /// reference.
    ///
    /// # Panics
    /// If there is not one reference log-prob a token.
    pub fn penalties(&self, logprobs: &[f64], references: &[f64]) -> Vec<f64> {
        assert_eq!(logprobs.len(), references.len(), "one reference log-prob a token");
        let each = logprobs.iter().zip(references);
        each.map(|(l, r)| self.beta * self.estimator.value(*l, *r)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: [f64; 2] = [0.5, 0.5];
    const REFERENCE: [f64; 2] = [0.25, 0.75];

    fn expected(f: impl Fn(f64, f64) -> f64) -> f64 {
        (0..2).map(|i| POLICY[i] * f(POLICY[i].ln(), REFERENCE[i].ln())).sum()
    }

    /// The mean gradient by the first logit of a two-way softmax.
    fn gradient(estimator: Estimator) -> f64 {
        let by_logit = |i: usize| if i == 0 { 1.0 - POLICY[0] } else { -POLICY[0] };
        let slope = |i: usize| estimator.slope(POLICY[i].ln(), REFERENCE[i].ln());
        (0..2).map(|i| POLICY[i] * slope(i) * by_logit(i)).sum()
    }

    #[test]
    fn means_over_the_policy() {
        let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-6, "{got} {want}");
        close(expected(|l, r| Estimator::K1.value(l, r)), 0.143_841);
        close(expected(|l, r| Estimator::K2.value(l, r)), 0.161_214);
        close(expected(|l, r| Estimator::K3.value(l, r)), 0.143_841);
    }

    #[test]
    fn gradients_as_a_loss() {
        let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-6, "{got} {want}");
        let kl = |p: f64| p * (p / 0.25_f64).ln() + (1.0 - p) * ((1.0 - p) / 0.75_f64).ln();
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let exact = (kl(sigmoid(1e-5)) - kl(sigmoid(-1e-5))) / 2e-5;
        close(exact, 0.274_653);
        close(gradient(Estimator::K1), 0.0);
        close(gradient(Estimator::K2), exact);
        close(gradient(Estimator::K3), 0.25);
    }

    #[test]
    fn equal_policies_pay_nothing() {
        let kl = KlReward { beta: 0.1, estimator: Estimator::K1 };
        assert_eq!(kl.penalties(&[-1.0, -2.0], &[-1.0, -1.5]), [0.0, -0.05]);
        assert_eq!(Estimator::K3.value(-1.5, -1.5), 0.0);
    }
}
