//! The advantage of each rollout of a group, in f64.
//!
//! A group whose rewards are all equal has zero advantages, exactly: dividing by a tiny
//! standard deviation must not turn rounding into signal.

/// How rewards of a group become advantages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advantage {
    /// GRPO (Shao et al. 2024, section 4.1.2): centred on the group's mean, divided by its
    /// standard deviation (n - 1) plus 1e-4.
    GroupNorm,
    /// Dr. GRPO (Liu et al. 2025, eq. 3): centred only.
    GroupMean,
    /// RLOO (Ahmadian et al. 2024, eq. 6): centred on the mean of the others.
    LeaveOneOut,
    /// The reward itself: expert iteration, where it is 0 or 1.
    Reward,
}

/// Added to the standard deviation, as TRL does.
const EPS: f64 = 1e-4;

impl Advantage {
    /// The advantages of one group.
    pub fn of_group(self, rewards: &[f64]) -> Vec<f64> {
        let n = rewards.len() as f64;
        if self == Self::Reward {
            return rewards.to_vec();
        }
        if no_signal(rewards) {
            return vec![0.0; rewards.len()];
        }
        let mean = rewards.iter().sum::<f64>() / n;
        let centred = rewards.iter().map(|r| r - mean);
        match self {
            Self::GroupMean | Self::Reward => centred.collect(),
            Self::LeaveOneOut => centred.map(|c| c * n / (n - 1.0)).collect(),
            Self::GroupNorm => {
                let squares = rewards.iter().map(|r| (r - mean).powi(2)).sum::<f64>();
                let std = (squares / (n - 1.0)).sqrt();
                centred.map(|c| c / (std + EPS)).collect()
            }
        }
    }
}

/// Whether a group's rewards are all equal, so that it teaches nothing.
pub fn no_signal(rewards: &[f64]) -> bool {
    let min = rewards.iter().copied().fold(f64::INFINITY, f64::min);
    let max = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    rewards.len() < 2 || max - min <= 1e-12
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() < 1e-9, "{got:?} {want:?}");
        }
    }

    #[test]
    fn one_success_in_four() {
        let rewards = [1.0, 0.0, 0.0, 0.0];
        let s = 0.5 + EPS;
        close(
            &Advantage::GroupNorm.of_group(&rewards),
            &[0.75 / s, -0.25 / s, -0.25 / s, -0.25 / s],
        );
        close(&Advantage::GroupMean.of_group(&rewards), &[0.75, -0.25, -0.25, -0.25]);
        let third = -1.0 / 3.0;
        close(&Advantage::LeaveOneOut.of_group(&rewards), &[1.0, third, third, third]);
    }

    #[test]
    fn equal_rewards_teach_nothing() {
        for a in [Advantage::GroupNorm, Advantage::GroupMean, Advantage::LeaveOneOut] {
            assert_eq!(a.of_group(&[0.1; 3]), [0.0; 3]);
            assert_eq!(a.of_group(&[1.0]), [0.0]);
        }
    }

    #[test]
    fn a_constant_changes_nothing_and_a_factor_leaves_grpo() {
        let rewards = [0.0, 0.25, 1.0, 0.5];
        let moved: Vec<f64> = rewards.iter().map(|r| r + 3.0).collect();
        for a in [Advantage::GroupNorm, Advantage::GroupMean, Advantage::LeaveOneOut] {
            close(&a.of_group(&moved), &a.of_group(&rewards));
        }
    }
}
