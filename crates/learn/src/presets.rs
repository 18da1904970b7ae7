//! The named methods: each a choice of advantage and objective, nothing else.
//!
//! How rollouts come about (dynamic sampling, rollouts of a slow copy, overlong shaping of the
//! reward, several updates per batch) is the loop's business; see [`crate::advantage`],
//! [`crate::vote`] and [`crate::Ema`] for what it needs.

use crate::{
    advantage::{AdvantageSpec, Baseline, Over, Returns, Scale},
    kl::{Estimator, KlLoss, KlReward},
    objective::{Aggregation, ClipCov, KlCov, Objective, Ratio, Surrogate},
    preference::{Length, Preference},
    value::{Gae, ValueLoss},
};

/// A method of learning from rewards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Method {
    /// Rewards to advantages.
    pub advantage: AdvantageSpec,
    /// Advantages to a loss.
    pub objective: Objective,
    /// A KL term of the reward.
    pub kl_reward: Option<KlReward>,
    /// Advantages come from the value head: [`Gae::estimate`], then
    /// [`crate::advantage::whiten`], in place of `advantage`.
    pub gae: Option<Gae>,
}

impl Method {
    /// Whether it needs reference log-probs.
    pub fn needs_reference(&self) -> bool {
        self.kl_reward.is_some() || self.objective.kl.is_some()
    }
}

/// A method by name, with the values of the paper or the framework that is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// REINFORCE (Williams 1992): the reward itself, no baseline, no ratio, the mean over
    /// sequences of their sums.
    Reinforce,
    /// RLOO (Ahmadian et al. 2024, eq. 6) in TRL's form: leave-one-out baseline, the ratio of
    /// the whole sequence clipped at 0.2, k1 in the reward with beta 0.05. The paper has
    /// neither ratio nor clip and beta 0.03 to 0.1; on policy the gradients are equal.
    Rloo,
    /// GRPO (Shao et al. 2024, eq. 3): group mean and deviation (`n - 1`; plus 1e-4, TRL's),
    /// clip 0.2, k3 in the loss with the paper's beta 0.04. The deviation weighs groups by
    /// difficulty, and the mean over each sequence favours short successes and long failures.
    Grpo,
    /// Dr. GRPO (Liu et al. 2025, eq. 3): group mean only, tokens summed and divided by the
    /// longest length allowed.
    DrGrpo,
    /// DAPO (Yu et al. 2025, eq. 8): GRPO's advantage, clip 0.2 and 0.28, mean over tokens, no
    /// KL. Its dynamic sampling and overlong shaping belong to the loop.
    Dapo,
    /// GSPO (Zheng et al. 2025, eq. 5): the ratio of the sequence, clip 3e-4 and 4e-4.
    Gspo,
    /// CISPO (MiniMax-M1 2025, eq. 4): a constant weight capped at 5, the value of ScaleRL and
    /// TRL; the paper gives none.
    Cispo,
    /// REINFORCE++ (Hu 2025): k1 per token in the reward with beta 0.001, returns to go,
    /// whitened over the tokens of the batch as verl does (`n - 1`, plus 1e-8 under the root),
    /// clip 0.2, mean over each sequence.
    ReinforcePp,
    /// REINFORCE++-baseline (Hu 2025): group mean, then whitened over the tokens of the batch;
    /// k2 in the loss with beta 0.001 (OpenRLHF's convention).
    ReinforcePpBaseline,
    /// TRR++ as the paper prints it (Zhao et al. 2025, eq. 8): mean and deviation over the
    /// *completions* of each kind of task in each role; clip 0.2, mean over tokens, entropy
    /// bonus 0.001, no KL.
    TrrPp,
    /// TRR++ as its code has it: whitened over the *tokens* of each kind of task in each role.
    TrrPpCode,
    /// Lite PPO (Liu et al. 2025, "Tricks or Traps"): group mean, batch deviation, clip 0.2,
    /// mean over tokens.
    LitePpo,
    /// PPO (Schulman et al. 2017) with a value head: GAE with gamma 1 and lambda 0.95, clip
    /// 0.2, values clipped at 0.2 with weight 0.1, k1 in the reward with beta 0.05 (TRL's
    /// values), advantages whitened.
    Ppo,
    /// M-GRPO (arXiv 2512.13070): GRPO with beta 0.005. Rollouts of the slow copy
    /// ([`M_GRPO_MOMENTUM`]), the entropy filter and the vote belong to the loop.
    MGrpo,
    /// ScaleRL (Khatri et al. 2025): CISPO capped at 5 with group mean and batch deviation.
    ScaleRl,
    /// SAPO (Gao et al. 2025): a soft gate with temperatures 1 and 1.05 (TRL's), mean over each
    /// sequence.
    Sapo,
    /// Clip-Cov (Cui et al. 2025): drops 2e-4 of the tokens, of covariance between 1 and 5
    /// (verl's values).
    ClipCov,
    /// KL-Cov (Cui et al. 2025): no clip; the 2e-4 of tokens of highest covariance pay
    /// `|log r|` (verl's values).
    KlCov,
    /// Imitation: `-log p` of what is given, mean over tokens. STaR, ReST-EM and expert
    /// iteration are this on completions that passed.
    Sft,
    /// KL to the verified search paths: weighted imitation, with the weights of
    /// [`crate::imitation::search_weights`] as advantages.
    SearchKl,
}

/// Momentum of M-GRPO's slow copy, after each update (paper).
pub const M_GRPO_MOMENTUM: f64 = 0.99;
/// Factor of M-GRPO's entropy filter (paper), for [`crate::vote::keep_by_entropy`].
pub const M_GRPO_IQR_FACTOR: f64 = 0.75;

/// DPO with TRL's beta.
pub const DPO: Preference = Preference::Dpo { beta: 0.1, smoothing: 0.0 };
/// IPO with TRL's beta and its mean over tokens.
pub const IPO: Preference = Preference::Ipo { beta: 0.1, length: Length::Mean };

const CLIP: Surrogate = clip(0.2, 0.2);
const NONE: f64 = f64::INFINITY;

const fn clip(low: f64, high: f64) -> Surrogate {
    Surrogate::PpoClip { low, high, cap: NONE }
}

/// Group mean over a deviation; TRL's 1e-4 is added.
const fn normed(over: Over) -> AdvantageSpec {
    let scale = Scale::Deviation { over, ddof: 1, eps: 1e-4 };
    AdvantageSpec { returns: Returns::Total, baseline: Baseline::Mean(Over::Group), scale }
}

/// verl's whitening of returns to go.
const fn whitened(baseline: Baseline, over: Over) -> AdvantageSpec {
    let scale = Scale::Whiten { over, eps: 1e-8 };
    AdvantageSpec { returns: Returns::ToGo { gamma: 1.0 }, baseline, scale }
}

const fn k1(beta: f64) -> Option<KlReward> {
    Some(KlReward { beta, estimator: Estimator::K1 })
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Reinforce,
        Self::Rloo,
        Self::Grpo,
        Self::DrGrpo,
        Self::Dapo,
        Self::Gspo,
        Self::Cispo,
        Self::ReinforcePp,
        Self::ReinforcePpBaseline,
        Self::TrrPp,
        Self::TrrPpCode,
        Self::LitePpo,
        Self::Ppo,
        Self::MGrpo,
        Self::ScaleRl,
        Self::Sapo,
        Self::ClipCov,
        Self::KlCov,
        Self::Sft,
        Self::SearchKl,
    ];

    /// Its name in recipes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reinforce => "reinforce",
            Self::Rloo => "rloo",
            Self::Grpo => "grpo",
            Self::DrGrpo => "dr_grpo",
            Self::Dapo => "dapo",
            Self::Gspo => "gspo",
            Self::Cispo => "cispo",
            Self::ReinforcePp => "reinforce_pp",
            Self::ReinforcePpBaseline => "reinforce_pp_baseline",
            Self::TrrPp => "trr_pp",
            Self::TrrPpCode => "trr_pp_code",
            Self::LitePpo => "lite_ppo",
            Self::Ppo => "ppo",
            Self::MGrpo => "m_grpo",
            Self::ScaleRl => "scale_rl",
            Self::Sapo => "sapo",
            Self::ClipCov => "clip_cov",
            Self::KlCov => "kl_cov",
            Self::Sft => "sft",
            Self::SearchKl => "search_kl",
        }
    }

    /// The method, for completions of at most `tokens_max` tokens (which Dr. GRPO divides by).
    pub const fn method(self, tokens_max: usize) -> Method {
        use Aggregation::{ConstantLength, SequenceMean, SequenceSum, TokenMean};
        let plain = AdvantageSpec::centred(Baseline::None);
        let grpo = normed(Over::Group);
        let mut kl_reward = None;
        let mut gae = None;
        let (advantage, surrogate, aggregation) = match self {
            Self::Reinforce | Self::SearchKl => (plain, Surrogate::Reinforce, SequenceSum),
            Self::Rloo => {
                kl_reward = k1(0.05);
                let rloo = AdvantageSpec::centred(Baseline::LeaveOneOut(Over::Group));
                (rloo, CLIP, SequenceMean)
            }
            Self::Grpo | Self::MGrpo => (grpo, CLIP, SequenceMean),
            Self::DrGrpo => {
                let centred = AdvantageSpec::centred(Baseline::Mean(Over::Group));
                (centred, CLIP, ConstantLength(tokens_max as f64))
            }
            Self::Dapo => (grpo, clip(0.2, 0.28), TokenMean),
            Self::Gspo => (grpo, clip(3e-4, 4e-4), SequenceMean),
            Self::Cispo => (grpo, Surrogate::Cispo { min: 0.0, max: 5.0 }, TokenMean),
            Self::ScaleRl => {
                (normed(Over::Batch), Surrogate::Cispo { min: 0.0, max: 5.0 }, TokenMean)
            }
            Self::ReinforcePp => {
                kl_reward = k1(0.001);
                (whitened(Baseline::None, Over::Batch), CLIP, SequenceMean)
            }
            Self::ReinforcePpBaseline => {
                (whitened(Baseline::Mean(Over::Group), Over::Batch), CLIP, SequenceMean)
            }
            Self::TrrPp => {
                let baseline = Baseline::Mean(Over::Kind);
                let scale = Scale::Deviation { over: Over::Kind, ddof: 1, eps: 1e-8 };
                (AdvantageSpec { baseline, scale, ..plain }, CLIP, TokenMean)
            }
            Self::TrrPpCode => (whitened(Baseline::None, Over::Kind), CLIP, TokenMean),
            Self::LitePpo => (normed(Over::Batch), CLIP, TokenMean),
            Self::Ppo => {
                kl_reward = k1(0.05);
                gae = Some(Gae { gamma: 1.0, lambda: 0.95 });
                (plain, CLIP, TokenMean)
            }
            Self::Sapo => (grpo, Surrogate::Sapo { positive: 1.0, negative: 1.05 }, SequenceMean),
            Self::ClipCov => (grpo, CLIP, TokenMean),
            Self::KlCov => (grpo, clip(NONE, NONE), TokenMean),
            Self::Sft => (plain, Surrogate::Nll, TokenMean),
        };
        let mut objective = Objective::new(surrogate, aggregation);
        self.complete(&mut objective);
        Method { advantage, objective, kl_reward, gae }
    }

    /// What some methods add to a surrogate and an aggregation.
    const fn complete(self, objective: &mut Objective) {
        match self {
            Self::Rloo => objective.ratio = Ratio::Product,
            Self::Gspo => objective.ratio = Ratio::Sequence,
            Self::Grpo => objective.kl = Some(KlLoss::plain(Estimator::K3, 0.04)),
            Self::MGrpo => objective.kl = Some(KlLoss::plain(Estimator::K3, 0.005)),
            Self::ReinforcePpBaseline => {
                objective.kl = Some(KlLoss::plain(Estimator::K2, 0.001));
            }
            Self::TrrPp | Self::TrrPpCode => objective.entropy_coef = 0.001,
            Self::Ppo => objective.value = Some(ValueLoss { coef: 0.1, clip: 0.2 }),
            Self::ClipCov => {
                objective.keep.clip_cov = Some(ClipCov { share: 2e-4, low: 1.0, high: 5.0 });
            }
            Self::KlCov => objective.kl_cov = Some(KlCov { share: 2e-4, coef: 1.0 }),
            Self::Reinforce
            | Self::DrGrpo
            | Self::Dapo
            | Self::Cispo
            | Self::ReinforcePp
            | Self::LitePpo
            | Self::ScaleRl
            | Self::Sapo
            | Self::Sft
            | Self::SearchKl => {}
        }
    }
}
