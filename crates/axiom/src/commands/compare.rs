//! `axiom compare`: recipes side by side at equal cost, over several seeds.
//!
//! Each arm and seed is a run of its own in a folder of its own, so that a comparison that was
//! interrupted goes on where it stopped.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use rand::Rng as _;
use runlog::FamilyScore;
use serde_json::{Value, json};

use super::{
    picture, put,
    run::{Outcome, drive},
    show,
};
use crate::{machine::Machine, recipe::Recipe, rig::Rig, seed::Seed};

/// Sign flips of the paired test.
const FLIPS: u32 = 10_000;

/// What is compared.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// A label and a recipe each.
    pub(crate) arms: Vec<(String, Recipe)>,
    pub(crate) seeds: u64,
    pub(crate) out: PathBuf,
}

impl Comparison {
    /// Arms given as `RECIPE[,KEY=VALUE]...`, with a budget of `KIND=AMOUNT` for each run.
    pub(crate) fn new(
        arms: &[String],
        settings: &[String],
        budget: Option<&str>,
        seeds: u64,
        out: PathBuf,
    ) -> Result<Self> {
        if seeds == 0 {
            bail!("--seeds must be at least 1");
        }
        let budget = budget.map(|b| format!("budget.{b}"));
        let mut found: Vec<(String, Recipe)> = Vec::new();
        for arm in arms {
            let mut parts = arm.split(',');
            let name = parts.next().unwrap_or_default();
            let own = parts.map(str::to_string);
            let all: Vec<String> =
                settings.iter().cloned().chain(own).chain(budget.clone()).collect();
            let label = arm.replace([',', '/'], " ");
            if found.iter().any(|(known, _)| *known == label) {
                bail!("the arm `{arm}` is given twice");
            }
            found.push((label, Recipe::load(name, &all)?));
        }
        Ok(Self { arms: found, seeds, out })
    }
}

/// Runs what has not been run yet, and reports.
pub(crate) fn run(comparison: &Comparison, machine: &Machine, json: bool) -> Result<Outcome> {
    let mut arms = Vec::new();
    for (label, recipe) in &comparison.arms {
        let mut summaries = Vec::new();
        for seed in 0..comparison.seeds {
            let dir =
                comparison.out.join(format!("{}-seed-{seed}", label.replace([' ', '='], "-")));
            let recipe = Recipe { seed, ..recipe.clone() };
            let Some(summary) = summary(&recipe, &dir, machine)? else {
                show(&format!(
                    "go on with the same command: {} has what is done\n",
                    comparison.out.display()
                ))?;
                return Ok(Outcome::Interrupted);
            };
            summaries.push(summary);
        }
        arms.push(Arm { label: label.clone(), summaries });
    }
    let report = report(&arms)?;
    let path = comparison.out.join("compare.json");
    runlog::write_atomic(&path, serde_json::to_string_pretty(&report)?.as_bytes())?;
    let drawn = picture::svg(&report)?;
    runlog::write_atomic(&comparison.out.join("comparison.svg"), drawn.as_bytes())?;
    if json {
        put(&report)?
    } else {
        show(&table(&report))?
    }
    Ok(Outcome::Done)
}

/// The summary of a run, which is started, resumed, or read if it is done. None where the user
/// stopped it.
fn summary(recipe: &Recipe, dir: &Path, machine: &Machine) -> Result<Option<Value>> {
    let (summary, written) = (dir.join("summary.json"), dir.join("recipe.toml"));
    if written.exists() && Recipe::resolve(&fs::read_to_string(&written)?, &[])? != *recipe {
        bail!("{} holds a run of another recipe: give another --out", dir.display());
    }
    if !summary.exists() {
        machine.progress.line(&format!("run folder: {}", dir.display()));
        let rig = if dir.exists() {
            Rig::resume(dir, machine.clone())?
        } else {
            Rig::create(recipe.clone(), dir, machine.clone())?
        };
        if drive(rig)?.is_none() {
            return Ok(None);
        }
    }
    let context = || format!("{} is damaged", summary.display());
    serde_json::from_slice(&fs::read(&summary)?).with_context(context)
}

/// The runs of one arm, by seed.
struct Arm {
    label: String,
    summaries: Vec<Value>,
}

type Scores = BTreeMap<String, FamilyScore>;

impl Arm {
    fn scores(&self, seed: usize, pointer: &str) -> Result<Scores> {
        let found = self.summaries[seed].pointer(pointer).cloned();
        let found = found.with_context(|| format!("a summary lacks {pointer}"))?;
        Ok(serde_json::from_value(found)?)
    }

    fn mean(&self, pointer: &str) -> f64 {
        let values = self.summaries.iter().filter_map(|s| s.pointer(pointer)?.as_f64());
        values.sum::<f64>() / self.summaries.len() as f64
    }

    /// The counts of all seeds together.
    fn pooled(&self, pointer: &str) -> Result<Scores> {
        let mut counts: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        for seed in 0..self.summaries.len() {
            for (name, score) in self.scores(seed, pointer)? {
                let (passed, n) = counts.entry(name).or_default();
                (*passed, *n) = (*passed + score.passed, *n + score.n);
            }
        }
        Ok(counts.into_iter().map(|(k, (p, n))| (k, FamilyScore::new(p, n))).collect())
    }

    /// The share passed after the run, of every family and seed.
    fn rates(&self) -> Result<Vec<f64>> {
        let mut rates = Vec::new();
        for seed in 0..self.summaries.len() {
            rates.extend(self.scores(seed, "/eval/after")?.values().map(FamilyScore::rate));
        }
        Ok(rates)
    }

    /// Families in which the runs ended below where they began.
    fn forgotten(&self) -> Result<Vec<String>> {
        Ok(FamilyScore::fallen(&self.pooled("/eval/before")?, &self.pooled("/eval/after")?))
    }
}

fn report(arms: &[Arm]) -> Result<Value> {
    let first = arms.first().context("nothing to compare")?.rates()?;
    let mut rows = Vec::new();
    for arm in arms {
        let rates = arm.rates()?;
        let differences: Vec<f64> = rates.iter().zip(&first).map(|(a, b)| a - b).collect();
        rows.push(json!({
            "arm": arm.label,
            "seeds": arm.summaries.len(),
            "before": arm.pooled("/eval/tiers/before")?,
            "after": arm.pooled("/eval/tiers/after")?,
            "forgotten": arm.forgotten()?,
            "mean_difference": mean(&differences),
            "p_value": sign_flip_p_value(&differences),
            "steps": arm.mean("/steps"),
            "tokens_generated": arm.mean("/tokens_generated"),
            "tokens_trained": arm.mean("/tokens_trained"),
            "verifications": arm.mean("/verifications"),
            "seconds": arm.mean("/wall_seconds/total") - arm.mean("/wall_seconds/evaluate"),
        }));
    }
    Ok(json!({
        "version": 1,
        "intervals": "95 % Wilson, all seeds pooled",
        "test": "paired sign-flip permutation test over families and seeds, against the first arm",
        "arms": rows,
    }))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The share of random sign patterns whose mean is at least as far from 0 as the one seen: two
/// sided, the pattern seen counted among them.
fn sign_flip_p_value(differences: &[f64]) -> f64 {
    let seen = mean(differences).abs() - 1e-12;
    let mut rng = Seed(0).child("sign-flips", differences.len() as u64).rng();
    let as_far = (0..FLIPS).filter(|_| {
        let flipped = differences.iter().map(|d| if rng.random::<bool>() { *d } else { -d });
        let sum: f64 = flipped.sum();
        (sum / differences.len().max(1) as f64).abs() >= seen
    });
    (as_far.count() + 1) as f64 / f64::from(FLIPS + 1)
}

/// The report for people.
fn table(report: &Value) -> String {
    let rows = report["arms"].as_array().map_or(&[][..], Vec::as_slice);
    let width = rows.iter().filter_map(|r| r["arm"].as_str()).map(str::len).max().unwrap_or(3);
    let tiers: Vec<&String> = rows
        .first()
        .and_then(|r| r["after"].as_object())
        .map_or(Vec::new(), |t| t.keys().collect());
    let mut text = format!("{:width$}", "arm");
    for tier in &tiers {
        text += &format!("  {:>24}", format!("{tier} before -> after"));
    }
    text += "  against first       p  steps  tokens  verif.    s  forgotten\n";
    for row in rows {
        text += &format!("{:width$}", row["arm"].as_str().unwrap_or_default());
        for tier in &tiers {
            let (b, a) = (&row["before"][*tier], &row["after"][*tier]);
            let rate = |s: &Value| {
                s["passed"].as_f64().unwrap_or(0.0) / s["n"].as_f64().unwrap_or(1.0).max(1.0)
            };
            let (low, high) = (a["low"].as_f64().unwrap_or(0.0), a["high"].as_f64().unwrap_or(0.0));
            text += &format!("  {:.3} -> {:.3} [{low:.2}, {high:.2}]", rate(b), rate(a));
        }
        let number = |key: &str| row[key].as_f64().unwrap_or(0.0);
        let forgotten: Vec<&str> =
            row["forgotten"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        text += &format!(
            "  {:+13.3}  {:.4}  {:5.0}  {:5.1}k  {:6.0}  {:3.0}  {}\n",
            number("mean_difference"),
            number("p_value"),
            number("steps"),
            number("tokens_generated") / 1e3,
            number("verifications"),
            number("seconds"),
            if forgotten.is_empty() { "-".to_string() } else { forgotten.join(" ") },
        );
    }
    text += "95 % Wilson intervals over all seeds; p: paired sign flips over families and seeds\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_flips_tell_a_difference_from_none() {
        assert!(sign_flip_p_value(&[0.0; 20]) > 0.99);
        assert!(sign_flip_p_value(&[0.3; 20]) < 0.001);
        let mixed: Vec<f64> = (0..20).map(|i| if i % 2 == 0 { 0.5 } else { -0.5 }).collect();
        assert!(sign_flip_p_value(&mixed) > 0.5);
    }
}
