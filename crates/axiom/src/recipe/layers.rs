//! How a recipe is put together: the defaults, a file over them, settings over both.

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use toml::{Table, Value};

/// Keys that the defaults leave to the method.
const OPTIONAL: &[&str] = &[
    "learn.beta",
    "learn.epsilon",
    "learn.epsilon_high",
    "learn.delta",
    "learn.entropy_coef",
    "learn.loss_type",
    "learn.scale_rewards",
];

/// TRL's names, which have no tables, and where ours with the same meaning stand.
const TRL: &[(&str, &str)] = &[
    ("model_name_or_path", "model.path"),
    ("max_steps", "steps"),
    ("learning_rate", "learn.lr"),
    ("warmup_steps", "learn.warmup_steps"),
    ("max_grad_norm", "learn.grad_norm_max"),
    ("gradient_checkpointing", "learn.gradient_checkpointing"),
    ("weight_decay", "learn.weight_decay"),
    ("num_generations", "tasks.group_size"),
    ("temperature", "sampling.temperature"),
    ("top_p", "sampling.top_p"),
    ("top_k", "sampling.top_k"),
    ("min_p", "sampling.min_p"),
    ("repetition_penalty", "sampling.repetition_penalty"),
    ("max_completion_length", "sampling.completion_tokens_max"),
    ("num_iterations", "learn.num_iterations"),
    ("mask_truncated_completions", "learn.mask_truncated_completions"),
    ("ref_model_sync_steps", "learn.ref_model_sync_steps"),
    ("ref_model_mixup_alpha", "learn.ref_model_mixup_alpha"),
    ("beta", "learn.beta"),
    ("epsilon", "learn.epsilon"),
    ("epsilon_high", "learn.epsilon_high"),
    ("delta", "learn.delta"),
    ("loss_type", "learn.loss_type"),
    ("scale_rewards", "learn.scale_rewards"),
];

/// `defaults`, then `text`, then `settings`, as one value. Every key must be in the defaults.
pub(crate) fn layered<T: for<'a> Deserialize<'a>>(
    defaults: &str,
    text: &str,
    settings: &[String],
) -> Result<T> {
    let mut merged: Table = defaults.parse().context("the embedded defaults")?;
    overlay(&mut merged, text.parse::<Table>()?, "")?;
    for setting in settings {
        let Some((key, value)) = setting.split_once('=') else {
            bail!("`--set {setting}` is not KEY=VALUE");
        };
        // What does not parse as a TOML value is meant as a string.
        let parsed: Option<Table> = format!("value = {value}").parse().ok();
        let value = parsed
            .and_then(|mut t| t.remove("value"))
            .unwrap_or_else(|| Value::String(value.to_string()));
        overlay(&mut merged, nested(key, value), "")?;
    }
    Ok(Value::Table(merged).try_into()?)
}

/// The table in which `value` stands at a dotted key.
fn nested(key: &str, value: Value) -> Table {
    let (first, rest) = match key.split_once('.') {
        Some((first, rest)) => (first, Value::Table(nested(rest, value))),
        None => (key, value),
    };
    [(first.trim().to_string(), rest)].into_iter().collect()
}

fn overlay(base: &mut Table, over: Table, path: &str) -> Result<()> {
    for (key, value) in over {
        let full = format!("{path}{key}");
        if let Some((_, ours)) = TRL.iter().find(|(trl, _)| *trl == full) {
            overlay(base, nested(ours, value), "")?;
            continue;
        }
        if OPTIONAL.contains(&full.as_str()) {
            let value = value.as_integer().map_or(value.clone(), |n| Value::Float(n as f64));
            base.insert(key, value);
            continue;
        }
        let Some(old) = base.get_mut(&key) else {
            let nearest =
                base.keys().max_by(|a, b| strsim::jaro(a, &key).total_cmp(&strsim::jaro(b, &key)));
            let nearest = nearest.map(|n| format!("; did you mean `{path}{n}`?"));
            bail!("unknown key `{full}`{}", nearest.unwrap_or_default());
        };
        match (old, value) {
            (Value::Table(old), Value::Table(new)) => overlay(old, new, &format!("{full}."))?,
            (old @ Value::Float(_), Value::Integer(n)) => *old = Value::Float(n as f64),
            (old, new) if old.same_type(&new) => *old = new,
            (old, new) => {
                bail!("`{full}` must be {}, not {}", a(old.type_str()), a(new.type_str()));
            }
        }
    }
    Ok(())
}

/// A noun with its article.
fn a(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}
