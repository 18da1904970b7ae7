//! Configuration files of azrl-llm, read as settings of a recipe. Every key is mapped, or said
//! to have no effect here and why, or refused by name.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

/// What a file says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Prior {
    /// `KEY=VALUE` of ours.
    pub(crate) settings: Vec<String>,
    /// What has no effect, and why, a line each.
    pub(crate) notes: Vec<String>,
}

/// Keys whose value is a value of ours.
const SAME: &[(&str, &str)] = &[
    ("model.name", "model.path"),
    ("model.max_prompt_length", "selfplay.prompt_tokens_max"),
    ("model.max_response_length", "sampling.completion_tokens_max"),
    ("training.batch_size", "selfplay.proposals"),
    ("training.ppo_epochs", "learn.num_iterations"),
    ("training.entropy_coeff", "learn.entropy_coef"),
    ("training.rollout_temp", "sampling.temperature"),
    ("training.k_references", "selfplay.references"),
    ("training.n_samples", "selfplay.rollouts"),
    ("training.format_penalty.formatted_wrong", "selfplay.wrong"),
    ("training.format_penalty.format_error", "selfplay.unreadable"),
    ("training.seed_batch_factor", "selfplay.seed_factor"),
    ("training.max_buffer_size", "selfplay.buffer_max"),
    ("training.checkpoint_interval", "checkpoint.every"),
    ("executor.forbidden_modules", "selfplay.forbidden_modules"),
    ("task_types", "selfplay.kinds"),
];

/// Keys that are read and change nothing here.
const NOTED: &[(&str, &str)] = &[
    ("executor.use_mock", "programs always run in the sandbox, which needs no Docker"),
    ("executor.docker_image", "programs always run in the sandbox, which needs no Docker"),
    ("logging", "a run logs to events.jsonl in its folder"),
    ("paths", "buffers and checkpoints are in the run folder, which --out names"),
];

impl Prior {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let context = || format!("in {}", path.display());
        let text = fs::read_to_string(path).with_context(context)?;
        Self::parse(&text).with_context(context)
    }

    fn parse(text: &str) -> Result<Self> {
        let table: Map<String, Value> = serde_saphyr::from_str(text).context("not YAML")?;
        let mut prior = Self::default();
        prior.table("", &table)?;
        Ok(prior)
    }

    fn table(&mut self, path: &str, table: &Map<String, Value>) -> Result<()> {
        for (key, value) in table {
            let key = format!("{path}{key}");
            if let Some((_, why)) = NOTED.iter().find(|noted| noted.0 == key) {
                self.notes.push(format!("{key} has no effect: {why}"));
            } else if let Some(table) = value.as_object() {
                self.table(&format!("{key}."), table)?;
            } else {
                self.value(&key, value)?;
            }
        }
        Ok(())
    }

    fn value(&mut self, key: &str, value: &Value) -> Result<()> {
        if let Some((_, ours)) = SAME.iter().find(|same| same.0 == key) {
            self.set(ours, value);
            return Ok(());
        }
        let text = value.as_str().unwrap_or_default();
        match key {
            "training.rl_algorithm" => {
                let method = match text.to_ascii_lowercase().as_str() {
                    "trr++" => "trr_pp",
                    "ppo" => "ppo",
                    _ => bail!("{key} is TRR++ or PPO, not {value}"),
                };
                self.set("method", &method.into());
            }
            "training.learning_rate" => {
                self.set("learn.lr", value);
                self.set("learn.lr_end", value);
            }
            "training.optimizer" if text == "AdamW" => {}
            "training.use_kl" if *value == Value::Bool(false) => {
                self.set("learn.beta", &0.0.into());
            }
            "training.use_kl" => bail!("{key}: set learn.beta to how strong it is instead"),
            "training.rollout_top_p" | "executor.cpu_limit" if value.as_f64() == Some(1.0) => {}
            "executor.timeout" => {
                let seconds = value.as_f64().with_context(|| format!("{key} is in seconds"))?;
                self.set("selfplay.cpu_ms", &((seconds * 1000.0).round() as u64).into());
            }
            "executor.memory_limit" => {
                let mib = mib(text).with_context(|| format!("{key} is like `1g` or `512m`"))?;
                self.set("selfplay.memory_mib", &mib.into());
            }
            _ => bail!("{key} = {value} has no counterpart here: take it out of the file"),
        }
        Ok(())
    }

    /// JSON's scalars and lists are TOML's too.
    fn set(&mut self, ours: &str, value: &Value) {
        self.settings.push(format!("{ours}={value}"));
    }
}

/// Docker's sizes, in MiB.
fn mib(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "m" | "M" => Some(number),
        "g" | "G" => number.checked_mul(1024),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    const FILE: &str = "\
model:
  name: Qwen/Qwen2.5-Coder-3B
  max_prompt_length: 6144
  max_response_length: 8096
training:
  rl_algorithm: TRR++
  optimizer: AdamW
  learning_rate: 1e-6
  batch_size: 32
  ppo_epochs: 1
  use_kl: false
  entropy_coeff: 0.001
  rollout_temp: 1.0
  rollout_top_p: 1.0
  k_references: 6
  n_samples: 8
  format_penalty:
    formatted_wrong: -0.5
    format_error: -1.0
  seed_batch_factor: 4
  max_buffer_size: 16384
  checkpoint_interval: 50
executor:
  use_mock: true
  timeout: 15
  memory_limit: 1g
  cpu_limit: 1.0
  forbidden_modules: [os, sys]
task_types: [deduction, abduction, induction]
logging:
  level: INFO
  use_wandb: true
paths:
  buffer_dir: data/buffers
";

    #[test]
    fn the_prior_configuration_becomes_a_recipe() {
        let prior = Prior::parse(FILE).unwrap();
        let recipe = Recipe::load("selfplay", &prior.settings).unwrap();
        assert_eq!(recipe.model.path, "Qwen/Qwen2.5-Coder-3B");
        assert_eq!((recipe.learn.lr, recipe.learn.lr_end), (1e-6, 1e-6));
        assert_eq!((recipe.selfplay.proposals, recipe.selfplay.rollouts), (32, 8));
        assert_eq!((recipe.selfplay.cpu_ms, recipe.selfplay.memory_mib), (15_000, 1024));
        assert_eq!(recipe.selfplay.forbidden_modules, ["os", "sys"]);
        assert_eq!((recipe.method.as_str(), recipe.learn.beta), ("trr_pp", Some(0.0)));
        assert_eq!(recipe.checkpoint.every, 50);
        assert_eq!(prior.notes.len(), 3, "{:?}", prior.notes);
    }

    #[test]
    fn what_has_no_counterpart_is_refused_by_name() {
        let error = |text: &str| format!("{:#}", Prior::parse(text).unwrap_err());
        assert!(
            error("training:\n  rollout_top_p: 0.9\n").contains("training.rollout_top_p = 0.9")
        );
        assert!(error("training:\n  use_kl: true\n").contains("learn.beta"));
        assert!(error("colour: red\n").contains("colour"));
        assert!(error("a: [1\n").contains("not YAML"));
    }
}
