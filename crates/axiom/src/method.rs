//! How a run learns: a named method with what the recipe changes of it.

use anyhow::{Result, bail};
use learn::{
    Preset,
    advantage::{Over, Scale},
    kl::{Estimator, KlLoss},
    objective::{Aggregation, Correction, Objective, Surrogate},
    preference::Preference,
    presets,
};

use crate::recipe::{LearnRecipe, Recipe};

/// What the learner is given to learn from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Method {
    /// Rewards of all completions: the policy gradients.
    Rewards(Box<learn::Method>),
    /// Pairs of a completion that passed and one that failed.
    Pairs(Preference),
    /// Completions that passed.
    Imitation {
        /// Every round starts from the first weights and imitates all that was ever found
        /// (STaR, ReST-EM), instead of going on with what is new.
        restart: bool,
    },
    /// Completions of a file (SFT).
    Given,
}

/// Largest weight of a token that a filter made likelier or rarer than the policy has it (TIS;
/// verl's value).
const WEIGHT_MAX: f64 = 2.0;
/// The name of [`Method::Given`].
const SFT: &str = learn::Preset::Sft.name();

const PAIRS: [(&str, Preference); 2] = [("dpo", presets::DPO), ("ipo", presets::IPO)];
const IMITATIONS: [(&str, bool); 2] = [("expert_iteration", false), ("rest_em", true)];

impl Method {
    /// The recipe's method.
    pub(crate) fn of(recipe: &Recipe) -> Result<Self> {
        let (name, l) = (recipe.method.as_str(), &recipe.learn);
        let rewards = Preset::ALL.iter().filter(|p| !matches!(p, Preset::Sft | Preset::SearchKl));
        if let Some(preset) = rewards.clone().find(|p| p.name() == name) {
            let tokens_max = recipe.sampling.completion_tokens_max;
            let mut method = preset.method(tokens_max);
            change(&mut method, l, tokens_max)?;
            if recipe.sampling.filter().is_on() {
                let truncated = Correction::truncate_tokens(WEIGHT_MAX);
                method.objective.correction.get_or_insert(truncated);
            }
            return Ok(Self::Rewards(Box::new(method)));
        }
        let reward_keys = [
            ("learn.epsilon", l.epsilon.is_some()),
            ("learn.epsilon_high", l.epsilon_high.is_some()),
            ("learn.delta", l.delta.is_some()),
            ("learn.loss_type", l.loss_type.is_some()),
            ("learn.scale_rewards", l.scale_rewards.is_some()),
            ("learn.entropy_coef", l.entropy_coef.is_some()),
            // A program that passed would count as one that failed for being long.
            ("reward.overlong_cache", recipe.reward.overlong_cache > 0),
        ];
        if let Some((key, _)) = reward_keys.iter().find(|(_, set)| *set) {
            bail!("{key} says nothing to method `{name}`, which has no policy gradient");
        }
        if let Some((_, spec)) = PAIRS.iter().find(|p| p.0 == name) {
            return Ok(Self::Pairs(with_beta(*spec, l.beta)));
        }
        if l.beta.is_some() {
            bail!("learn.beta says nothing to method `{name}`, which has no reference");
        }
        if name == SFT {
            return Ok(Self::Given);
        }
        if let Some((_, restart)) = IMITATIONS.iter().find(|i| i.0 == name) {
            return Ok(Self::Imitation { restart: *restart });
        }
        let known: Vec<&str> = rewards
            .map(|p| p.name())
            .chain(PAIRS.iter().map(|p| p.0))
            .chain(IMITATIONS.iter().map(|i| i.0))
            .chain([SFT])
            .collect();
        bail!("no method `{name}`; there are {}", known.join(", "))
    }

    /// Whether it compares the policy with a reference.
    pub(crate) fn needs_reference(&self) -> bool {
        match self {
            Self::Rewards(method) => method.needs_reference(),
            Self::Pairs(_) => true,
            Self::Imitation { restart } => *restart,
            Self::Given => false,
        }
    }

    /// Whether it has a critic.
    pub(crate) fn needs_values(&self) -> bool {
        matches!(self, Self::Rewards(method) if method.gae.is_some())
    }

    /// Whether a group whose rewards are all equal teaches nothing.
    pub(crate) fn compares_within_groups(&self) -> bool {
        match self {
            Self::Rewards(m) => m.gae.is_none() && m.advantage.compares_within_groups(),
            Self::Pairs(_) => true,
            Self::Imitation { .. } | Self::Given => false,
        }
    }
}

fn with_beta(spec: Preference, changed: Option<f64>) -> Preference {
    let Some(changed) = changed else { return spec };
    match spec {
        Preference::Dpo { smoothing, .. } => Preference::Dpo { beta: changed, smoothing },
        Preference::Ipo { length, .. } => Preference::Ipo { beta: changed, length },
    }
}

/// Lays the recipe's values over the preset's.
fn change(method: &mut learn::Method, l: &LearnRecipe, tokens_max: usize) -> Result<()> {
    let objective = &mut method.objective;
    if let Some(beta) = l.beta {
        match (&mut method.kl_reward, beta > 0.0) {
            (Some(kl), true) => kl.beta = beta,
            (kl @ Some(_), false) => *kl = None,
            (None, true) => {
                let old = objective.kl.unwrap_or(KlLoss::plain(Estimator::K3, beta));
                objective.kl = Some(KlLoss { beta, ..old });
            }
            (None, false) => objective.kl = None,
        }
    }
    if let Some(coef) = l.entropy_coef {
        objective.entropy_coef = coef;
    }
    change_clip(objective, l)?;
    objective.aggregation = match l.loss_type.as_deref() {
        None => objective.aggregation,
        Some("grpo") => Aggregation::SequenceMean,
        Some("dapo") => Aggregation::TokenMean,
        Some("dr_grpo") => Aggregation::ConstantLength(tokens_max as f64),
        Some(other) => bail!("learn.loss_type is `grpo`, `dapo` or `dr_grpo`, not `{other}`"),
    };
    let deviation = |over| Scale::Deviation { over, ddof: 1, eps: 1e-4 };
    method.advantage.scale = match l.scale_rewards.as_deref() {
        None => method.advantage.scale,
        Some("group") => deviation(Over::Group),
        Some("batch") => deviation(Over::Batch),
        Some("none") => Scale::None,
        Some(other) => bail!("learn.scale_rewards is `group`, `batch` or `none`, not `{other}`"),
    };
    Ok(())
}

fn change_clip(objective: &mut Objective, l: &LearnRecipe) -> Result<()> {
    match &mut objective.surrogate {
        Surrogate::PpoClip { low, high, cap } => {
            *low = l.epsilon.unwrap_or(*low);
            *high = l.epsilon_high.or(l.epsilon).unwrap_or(*high);
            *cap = l.delta.unwrap_or(*cap);
        }
        Surrogate::Cispo { max, .. } if l.epsilon.is_none() && l.delta.is_none() => {
            *max = l.epsilon_high.unwrap_or(*max);
        }
        other => {
            if l.epsilon.is_some() || l.epsilon_high.is_some() || l.delta.is_some() {
                bail!("learn.epsilon, epsilon_high and delta do not all fit {other:?}");
            }
        }
    }
    Ok(())
}
