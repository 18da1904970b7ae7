//! The critic's half of PPO: advantages from values, and the loss of the values.

/// Settings of generalized advantage estimation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gae {
    /// The discount.
    pub gamma: f64,
    /// How far the estimate trusts rewards over values: 1 is Monte Carlo, 0 one step.
    pub lambda: f64,
}

impl Gae {
    /// Advantages and returns of one completion (Schulman et al. 2016, eq. 16):
    /// `delta_t = r_t + gamma V_{t+1} - V_t`, `A_t = delta_t + gamma lambda A_{t+1}`, and the
    /// return is `A_t + V_t`. After the last token the value is 0.
    ///
    /// # Panics
    /// If there is not one value a reward.
    pub fn estimate(self, rewards: &[f64], values: &[f64]) -> (Vec<f64>, Vec<f64>) {
        assert_eq!(rewards.len(), values.len(), "one value a reward");
        let mut advantages = vec![0.0; rewards.len()];
        let (mut next_value, mut later) = (0.0, 0.0);
        for t in (0..rewards.len()).rev() {
            let delta = rewards[t] + self.gamma * next_value - values[t];
            later = delta + self.gamma * self.lambda * later;
            advantages[t] = later;
            next_value = values[t];
        }
        let returns = advantages.iter().zip(values).map(|(a, v)| a + v).collect();
        (advantages, returns)
    }
}

/// The rewards of a completion's tokens: what they pay, and at the last token its reward.
pub fn token_rewards(reward: f64, tokens: usize, penalties: &[f64]) -> Vec<f64> {
    let mut rewards: Vec<f64> =
        (0..tokens).map(|t| -penalties.get(t).copied().unwrap_or(0.0)).collect();
    if let Some(last) = rewards.last_mut() {
        *last += reward;
    }
    rewards
}

/// The loss of the value head: `coef / 2` times the mean over tokens of the squared error,
/// with the value held within `clip` of what it was at the start of the batch where that makes
/// the error larger (as in PPO's code).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValueLoss {
    /// Its weight beside the policy's loss.
    pub coef: f64,
    /// How far a value may move; infinity for no clip.
    pub clip: f64,
}

/// What the value of a token is to become.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ValueTarget {
    /// Values at the start of the batch, one a token.
    pub old: Vec<f32>,
    /// Returns, one a token.
    pub returns: Vec<f64>,
}

impl ValueLoss {
    /// The loss of one token, its derivative by the value, and whether it was clipped.
    pub fn of(&self, value: f64, old: f64, target: f64) -> (f64, f64, bool) {
        let held = value.clamp(old - self.clip, old + self.clip);
        let (free, clipped) = (value - target, held - target);
        let at_bound = clipped * clipped > free * free;
        if at_bound {
            (0.5 * self.coef * clipped * clipped, 0.0, true)
        } else {
            (0.5 * self.coef * free * free, self.coef * free, false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() < 1e-12, "{got:?} {want:?}");
        }
    }

    #[test]
    fn the_ends_of_lambda() {
        let (rewards, values) = ([0.0, -0.1, 1.0], [0.2, 0.4, 0.7]);
        let monte_carlo = Gae { gamma: 1.0, lambda: 1.0 }.estimate(&rewards, &values);
        close(&monte_carlo.0, &[0.7, 0.5, 0.3]);
        close(&monte_carlo.1, &[0.9, 0.9, 1.0]);
        let one_step = Gae { gamma: 0.5, lambda: 0.0 }.estimate(&rewards, &values);
        close(&one_step.0, &[0.0, -0.15, 0.3]);
        close(&one_step.1, &[0.2, 0.25, 1.0]);
    }

    #[test]
    fn rewards_come_last() {
        close(&token_rewards(1.0, 3, &[0.1, 0.0, 0.2]), &[-0.1, 0.0, 0.8]);
        close(&token_rewards(1.0, 2, &[]), &[0.0, 1.0]);
    }

    #[test]
    fn values_are_held_near_the_old_ones() {
        let loss = ValueLoss { coef: 1.0, clip: 0.2 };
        assert_eq!(loss.of(1.5, 1.0, 0.0), (1.125, 1.5, false));
        // Beyond the bound in the right direction: the held value is the worse one.
        let (value, slope, clipped) = loss.of(0.5, 1.0, 0.0);
        assert!((value - 0.32).abs() < 1e-12 && slope == 0.0 && clipped);
        let free = ValueLoss { coef: 0.5, clip: f64::INFINITY };
        assert_eq!(free.of(0.5, 9.0, 0.0), (0.0625, 0.25, false));
    }
}
