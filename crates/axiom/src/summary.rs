//! What a finished run says about itself, to machines and to people.

use anyhow::Result;
use runlog::FamilyScore;
use serde_json::{Value, json};

use crate::{
    detect::{self, History},
    loops::eval::Scores,
    plan,
    rig::Rig,
};

/// The contents of `summary.json`.
pub(crate) fn json(rig: &Rig, after: &Scores) -> Result<Value> {
    let t = &rig.totals;
    let before = t.before.clone().unwrap_or_default();
    let history = History::read(&rig.folder().events(), &after.elsewhere)?;
    let (related, control) = rig.recipe.diagnose.families()?;
    Ok(json!({
        "version": 1,
        "recipe": rig.recipe,
        "seed": rig.recipe.seed,
        "steps": rig.next_step,
        "wall_seconds": {
            "total": t.timing.wall_s,
            "generate": t.timing.generate_s,
            "verify": t.timing.verify_s,
            "learn": t.timing.learn_s,
            "evaluate": t.timing.eval_s,
        },
        // Of this process; a run that was resumed says it of its last part.
        "memory_peak_bytes": plan::peak(),
        "tokens_generated": t.tokens_generated,
        "tokens_trained": t.tokens_trained,
        "verifications": t.verifications,
        "judge_errors": t.judge_errors,
        "sandbox": rig.verifier.facts().tier.name(),
        "replay_programs": rig.replay.len(),
        "eval": {
            "split": rig.recipe.eval.split,
            "temperature": rig.recipe.eval.temperature,
            "before": before.families,
            "after": after.families,
            "forgotten": FamilyScore::fallen(&before.families, &after.families),
            "tiers": { "before": before.tiers, "after": after.tiers },
            "pass_at_k": { "before": before.pass_at_k, "after": after.pass_at_k },
            "baselines": {
                "best_constant_tests_passed": after.constant_baseline,
                "visible_lookup_tests_passed": after.lookup_baseline,
            },
            "elsewhere": { "before": before.elsewhere, "after": after.elsewhere },
        },
        "detectors": detect::report(&history, (&before, after), (&related, &control)),
    }))
}

/// The scores of one or two measurements as a table, a line a family, tiers last.
pub(crate) fn table(before: Option<&Scores>, after: &Scores) -> String {
    let width = after.families.keys().map(String::len).max().unwrap_or(0).max(8);
    let mut text = String::new();
    if before.is_some() {
        text += &format!("{:width$}  {:^23}  {:^23}  constant\n", "", "before", "after");
    }
    let mut line =
        |name: &str, old: Option<&FamilyScore>, new: &FamilyScore, base: Option<&f64>| {
            text += &format!("{name:width$}");
            if before.is_some() {
                text += &format!("  {}", old.map_or_else(|| " ".repeat(23), cell));
            }
            text += &format!("  {}", cell(new));
            text += &base.map_or_else(String::new, |b| format!("  {b:8.2}"));
            text.push('\n');
        };
    for (name, score) in &after.families {
        let old = before.and_then(|b| b.families.get(name));
        line(name, old, score, after.constant_baseline.get(name));
    }
    if after.families.len() > 1 {
        for (name, score) in &after.tiers {
            line(&name.to_uppercase(), before.and_then(|b| b.tiers.get(name)), score, None);
        }
    }
    if let Some(before) = before {
        let lost = FamilyScore::fallen(&before.families, &after.families);
        let lost = if lost.is_empty() { "nothing".to_string() } else { lost.join(", ") };
        text += &format!("forgotten (intervals apart): {lost}\n");
    }
    for (name, value) in &after.pass_at_k {
        let old = before.and_then(|b| b.pass_at_k.get(name));
        let old = old.map(|o| format!("{o:.3} -> ")).unwrap_or_default();
        text += &format!("{name:width$}  {old}{value:.3}\n");
    }
    text
}

/// Passed, asked, and the 95 % interval: `14/16 0.88 [0.64, 0.97]`.
pub(crate) fn cell(s: &FamilyScore) -> String {
    let counts = format!("{}/{}", s.passed, s.n);
    format!("{counts:>8} [{:.2}, {:.2}]", s.low, s.high)
}
