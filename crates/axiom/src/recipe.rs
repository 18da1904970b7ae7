//! Recipes: what was written. The defaults live in one commented file that is part of the
//! binary; a recipe names what differs, and a key that does not exist there is an error.

use std::{fs, path::Path};

use ::tasks::Reward;
use anyhow::{Context as _, Result, bail};
use generate::Filter;
use model::AdapterSpec;
use serde::{Deserialize, Serialize};

use crate::{
    dtype::{LoadDtype, Matmul, SaveDtype},
    method::Method,
    policy::{Chat, Policy, Source, check_stop},
    seed::Seed,
    selfplay::SelfplayRecipe,
    state::Totals,
};

mod eval;
mod layers;
mod material;
mod pretrain;
mod reward;
mod tasks;

pub(crate) use self::{
    eval::{DiagnoseRecipe, EvalRecipe},
    material::{CorrectRecipe, DataRecipe, ReplayRecipe},
    pretrain::{CorpusName, PretrainRecipe},
    reward::{RewardRecipe, RewardSource},
    tasks::{CurriculumKind, TaskSource, TasksRecipe},
};
use layers::layered;

/// The recipes in the binary, by name.
const EMBEDDED: &[(&str, &str)] = &[
    ("default", include_str!("../../../recipes/default.toml")),
    ("composed", include_str!("../../../recipes/composed.toml")),
    ("shuffled", include_str!("../../../recipes/shuffled.toml")),
    ("expert-iteration", include_str!("../../../recipes/expert-iteration.toml")),
    ("curriculum", include_str!("../../../recipes/curriculum.toml")),
    ("correct", include_str!("../../../recipes/correct.toml")),
    ("transfer", include_str!("../../../recipes/transfer.toml")),
    ("star", include_str!("../../../recipes/star.toml")),
    ("sft", include_str!("../../../recipes/sft.toml")),
    ("ppo", include_str!("../../../recipes/ppo.toml")),
    ("m-grpo", include_str!("../../../recipes/m-grpo.toml")),
    ("replay", include_str!("../../../recipes/replay.toml")),
    ("m-grpo-unlabelled", include_str!("../../../recipes/m-grpo-unlabelled.toml")),
    ("dpo", include_str!("../../../recipes/dpo.toml")),
    ("selfplay", include_str!("../../../recipes/selfplay.toml")),
    ("azr-3b", include_str!("../../../recipes/azr-3b.toml")),
    ("azr-7b", include_str!("../../../recipes/azr-7b.toml")),
    ("smoke", include_str!("../../../recipes/smoke.toml")),
];
const DEFAULT: &str = EMBEDDED[0].1;

/// A run that can be repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) method: String,
    pub(crate) steps: u64,
    pub(crate) budget: BudgetRecipe,
    pub(crate) model: ModelRecipe,
    pub(crate) tasks: TasksRecipe,
    pub(crate) sampling: SamplingRecipe,
    pub(crate) reward: RewardRecipe,
    pub(crate) learn: LearnRecipe,
    pub(crate) slow: SlowRecipe,
    pub(crate) selfplay: SelfplayRecipe,
    pub(crate) replay: ReplayRecipe,
    pub(crate) data: DataRecipe,
    pub(crate) correct: CorrectRecipe,
    pub(crate) eval: EvalRecipe,
    pub(crate) diagnose: DiagnoseRecipe,
    pub(crate) checkpoint: CheckpointRecipe,
}

/// What a run may use before it ends; 0 is no limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetRecipe {
    pub(crate) seconds: f64,
    pub(crate) tokens: u64,
    pub(crate) verifications: u64,
}

impl BudgetRecipe {
    /// How much of it these totals are: 1 and above is all.
    pub(crate) fn spent(&self, totals: &Totals) -> f64 {
        let t = &totals.timing;
        let seconds = t.generate_s + t.verify_s + t.learn_s;
        [
            (seconds, self.seconds),
            (totals.tokens_generated as f64, self.tokens as f64),
            (totals.verifications as f64, self.verifications as f64),
        ]
        .into_iter()
        .map(|(used, limit)| if limit > 0.0 { used / limit } else { 0.0 })
        .fold(0.0, f64::max)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelRecipe {
    pub(crate) path: String,
    pub(crate) chat: Chat,
    pub(crate) load_dtype: LoadDtype,
    pub(crate) matmul_precision: Matmul,
    pub(crate) save_dtype: SaveDtype,
    pub(crate) adapter: AdapterRecipe,
}

/// A new adapter; none where `r` is 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdapterRecipe {
    pub(crate) r: usize,
    pub(crate) lora_alpha: f64,
    pub(crate) lora_dropout: f64,
    pub(crate) use_rslora: bool,
    pub(crate) target_modules: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SamplingRecipe {
    pub(crate) temperature: f32,
    pub(crate) top_p: f32,
    pub(crate) top_k: usize,
    pub(crate) min_p: f32,
    pub(crate) repetition_penalty: f32,
    pub(crate) completion_tokens_max: usize,
    pub(crate) stop: Vec<String>,
}

impl SamplingRecipe {
    pub(crate) fn filter(&self) -> Filter {
        let Self { top_p, top_k, min_p, repetition_penalty, .. } = *self;
        Filter { top_k, top_p, min_p, repetition_penalty }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LearnRecipe {
    pub(crate) lr: f64,
    pub(crate) lr_end: f64,
    pub(crate) warmup_steps: u64,
    pub(crate) grad_norm_max: f64,
    pub(crate) gradient_checkpointing: bool,
    pub(crate) weight_decay: f32,
    pub(crate) num_iterations: usize,
    pub(crate) minibatches: usize,
    pub(crate) skip_silent_groups: bool,
    pub(crate) mask_truncated_completions: bool,
    pub(crate) replay_per_step: usize,
    pub(crate) replay_weight: f64,
    pub(crate) replay_ratio: f64,
    pub(crate) rationalise: usize,
    pub(crate) pairs_per_group: usize,
    pub(crate) ref_model_sync_steps: u64,
    pub(crate) ref_model_mixup_alpha: f64,
    pub(crate) value_lr_factor: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) beta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) epsilon: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) epsilon_high: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entropy_coef: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) loss_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scale_rewards: Option<String>,
}

/// A slow copy of the policy that takes part in the sampling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlowRecipe {
    pub(crate) share: f64,
    pub(crate) momentum: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckpointRecipe {
    pub(crate) every: u64,
    pub(crate) keep: std::num::NonZeroUsize,
}

impl Recipe {
    /// The recipe `name` (embedded, or a TOML file) with `key=value` settings on top.
    pub(crate) fn load(name: &str, settings: &[String]) -> Result<Self> {
        let text = match EMBEDDED.iter().find(|r| r.0 == name) {
            Some((_, text)) => (*text).to_string(),
            None => fs::read_to_string(Path::new(name)).with_context(|| {
                let known: Vec<&str> = EMBEDDED.iter().map(|r| r.0).collect();
                format!("no recipe `{name}`: give a file, or one of {}", known.join(", "))
            })?,
        };
        Self::resolve(&text, settings).with_context(|| format!("in recipe `{name}`"))
    }

    /// A recipe from its text, on top of the defaults.
    pub(crate) fn resolve(text: &str, settings: &[String]) -> Result<Self> {
        let recipe: Self = layered(DEFAULT, text, settings)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// The resolved recipe, as TOML.
    pub(crate) fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string_pretty(self)?)
    }

    fn check(&self) -> Result<()> {
        let t = &self.tasks;
        t.check()?;
        let method = Method::of(self)?;
        if method.compares_within_groups() && t.group_size < 2 {
            bail!("tasks.group_size must be at least 2: `{}` compares completions", self.method);
        }
        let l = &self.learn;
        if l.num_iterations == 0 || l.minibatches == 0 || l.pairs_per_group == 0 {
            bail!("learn.num_iterations, minibatches and pairs_per_group must be positive");
        }
        if self.sampling.temperature <= 0.0 || !self.sampling.temperature.is_finite() {
            bail!("sampling.temperature must be positive: a run needs different completions");
        }
        if let Err(why) = self.sampling.filter().check() {
            bail!("sampling: {why}");
        }
        if self.sampling.completion_tokens_max == 0 {
            bail!("sampling.completion_tokens_max must be positive");
        }
        self.sampling.stop.iter().try_for_each(|text| check_stop(text)).context("sampling.stop")?;
        let shares = [
            ("tasks.replay_share", t.replay_share),
            ("tasks.rate_memory", t.rate_memory),
            ("tasks.level_up", t.level_up),
            ("tasks.level_down", t.level_down),
            ("reward.partial_weight", self.reward.partial_weight),
            ("reward.vote_share_min", self.reward.vote_share_min),
            ("learn.ref_model_mixup_alpha", l.ref_model_mixup_alpha),
            ("replay.discovery_share", self.replay.discovery_share),
            ("replay.cold_start_share", self.replay.cold_start_share),
            ("correct.share", self.correct.share),
            ("slow.share", self.slow.share),
            ("slow.momentum", self.slow.momentum),
        ];
        if let Some((key, _)) = shares.iter().find(|(_, x)| !(0.0..=1.0).contains(x)) {
            bail!("{key} is 0 to 1");
        }
        if self.checkpoint.every == 0 {
            bail!("checkpoint.every must be positive");
        }
        self.selfplay.check(self)?;
        self.reward.check().context("in [reward]")?;
        self.data.check(&method).context("in [data]")?;
        if l.rationalise > 0 && !matches!(method, Method::Imitation { .. }) {
            bail!(
                "learn.rationalise is for imitation: a hinted completion was not sampled from \
                   the prompt that it is learnt under"
            );
        }
        if method == Method::Given && self.slow.share > 0.0 {
            bail!("slow.share says nothing to method `sft`, which samples nothing");
        }
        self.correct.check(&method).context("in [correct]")?;
        let tries_again = l.rationalise > 0 || self.correct.share > 0.0;
        if tries_again && !self.reward.is_by_verdict_alone() {
            bail!(
                "correct.share and learn.rationalise need verdicts: reward.source = \"verdict\" \
                   and no reward.entropy_filter"
            );
        }
        self.replay.check(&method).context("in [replay]")?;
        self.model.adapter.check().context("in [model.adapter]")?;
        self.diagnose.families().context("in [diagnose]")?;
        self.eval.check().context("in [eval]")
    }

    /// The model that the run starts from.
    pub(crate) fn source(&self, offline: bool) -> Source<'_> {
        let ModelRecipe { path, chat, load_dtype, matmul_precision, adapter, .. } = &self.model;
        let (chat, dtype, learns) = (*chat, *load_dtype, adapter.r == 0);
        Source { name: path, chat, offline, dtype, matmul: *matmul_precision, learns }
    }

    /// The policy that the run starts from, with the adapter that it learns by.
    pub(crate) fn policy(&self, offline: bool) -> Result<Policy> {
        let mut policy = Policy::load(&self.source(offline))?;
        policy.stop_at(&self.sampling.stop);
        let Some(spec) = self.model.adapter.spec() else { return Ok(policy) };
        match policy.model.adapter() {
            None => policy.attach(spec, Seed(self.seed).child("adapter", 0))?,
            Some(found) if *found == spec => {}
            Some(found) => bail!(
                "model.adapter asks for another adapter than the one in {} ({found:?}); set \
                 model.adapter.r to 0 to go on with that one",
                self.model.path
            ),
        }
        Ok(policy)
    }

    pub(crate) fn reward(&self) -> Reward {
        match self.reward.partial_weight {
            0.0 => Reward::Binary,
            weight => Reward::Partial { weight },
        }
    }

    /// The learning rate of a step: linear warm-up, then linear from `lr` to `lr_end` with the
    /// share of the steps taken, or of the budget used where that is more.
    pub(crate) fn learning_rate(&self, step: u64, spent: f64) -> f64 {
        let l = &self.learn;
        let warmup = ((step + 1) as f64 / l.warmup_steps.max(1) as f64).min(1.0);
        let taken = step as f64 / self.steps.saturating_sub(1).max(1) as f64;
        warmup * (l.lr + (l.lr_end - l.lr) * taken.max(spent).min(1.0))
    }
}

impl AdapterRecipe {
    fn check(&self) -> Result<()> {
        self.spec().map_or(Ok(()), |spec| Ok(spec.check()?))
    }

    pub(crate) fn spec(&self) -> Option<AdapterSpec> {
        let target_modules = match self.target_modules.as_str() {
            "all-linear" => AdapterSpec::all_linear(),
            names => names.split(',').map(|name| name.trim().to_string()).collect(),
        };
        (self.r > 0).then_some(AdapterSpec {
            r: self.r,
            lora_alpha: self.lora_alpha,
            lora_dropout: self.lora_dropout,
            use_rslora: self.use_rslora,
            target_modules,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_recipe_resolves() {
        for (name, _) in EMBEDDED {
            let recipe = Recipe::load(name, &[]).unwrap();
            assert_eq!(recipe.name, *name);
            let again = Recipe::resolve(&recipe.to_toml().unwrap(), &[]).unwrap();
            assert_eq!(again, recipe);
        }
        for corpus in [CorpusName::Families, CorpusName::Selfplay] {
            assert_eq!(PretrainRecipe::load(corpus, &[]).unwrap().corpus, corpus);
        }
    }

    #[test]
    fn settings_come_last() {
        let set = |s: &str| Recipe::load("default", &[s.to_string()]);
        assert_eq!(set("learn.lr=1e-5").unwrap().learn.lr, 1e-5);
        assert_eq!(set("learn.lr=1").unwrap().learn.lr, 1.0);
        assert_eq!(set("tasks.families=lcs").unwrap().tasks.families, "lcs");
        assert!(set("reward.shuffle=true").unwrap().reward.shuffle);
    }

    #[test]
    fn errors_name_the_key_and_its_neighbour() {
        let error =
            |s: &str| format!("{:#}", Recipe::load("default", &[s.to_string()]).unwrap_err());
        assert!(error("learn.lrr=1").contains("unknown key `learn.lrr`; did you mean `learn.lr`?"));
        assert!(error("stpes=1").contains("did you mean `steps`?"));
        assert!(error("steps=many").contains("`steps` must be an integer, not a string"));
        assert!(error("steps").contains("is not KEY=VALUE"));
        assert!(error("tasks.group_size=1").contains("group_size"));
    }
}
