//! `axiom run` and `axiom resume`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use super::{put, show};
use crate::{
    detect,
    loops::{self, Ending, eval::Scores},
    machine::Machine,
    recipe::Recipe,
    rig::Rig,
    summary,
};

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Interrupted,
}

/// Starts a run.
pub(crate) fn run(
    recipe: Recipe,
    out: Option<PathBuf>,
    machine: Machine,
    json: bool,
) -> Result<Outcome> {
    let out = out.unwrap_or_else(|| free_folder(&recipe));
    if recipe.sampling.filter().is_on() {
        machine.progress.line(
            "completions are drawn from a part of the policy's distribution: what is learnt is \
             weighted by how much likelier that made each token, up to 2",
        );
    }
    let rig = Rig::create(recipe, &out, machine)?;
    rig.machine.progress.line(&format!("run folder: {}", out.display()));
    finish(rig, json)
}

/// Goes on with a run.
pub(crate) fn resume(dir: &Path, machine: Machine, json: bool) -> Result<Outcome> {
    let rig = Rig::resume(dir, machine)?;
    rig.machine.progress.line(&format!("resuming at step {}", rig.next_step));
    finish(rig, json)
}

/// `runs/NAME-seed-SEED`, or the first of `-2`, `-3`, ... that is free.
fn free_folder(recipe: &Recipe) -> PathBuf {
    let base = format!("runs/{}-seed-{}", recipe.name, recipe.seed);
    let numbered = (2..).map(|i| format!("{base}-{i}"));
    std::iter::once(base.clone())
        .chain(numbered)
        .map(PathBuf::from)
        .find(|p| !p.exists())
        .unwrap_or_else(|| PathBuf::from(base))
}

fn finish(rig: Rig, json: bool) -> Result<Outcome> {
    let dir = rig.folder().root().display().to_string();
    let Some(Finished { rig, after, summary, model }) = drive(rig)? else {
        show(&format!("stopped; go on with\n  axiom resume {dir}\n"))?;
        return Ok(Outcome::Interrupted);
    };
    if json {
        put(&summary)?;
        return Ok(Outcome::Done);
    }
    let text = summary::table(rig.totals.before.as_ref(), &after);
    let t = &rig.totals.timing;
    show(&format!(
        "\n{text}{}\npassed/asked with 95 % Wilson intervals, {} split, {}; \
         constant: share of hidden tests the best constant answer passes\n\
         {:.0} s: generate {:.0}, verify {:.0}, learn {:.0}, evaluate {:.0}; \
         {} verifications, sandbox {}\nmodel: {}\n",
        detect::alarms(&summary["detectors"]),
        rig.recipe.eval.split,
        if rig.recipe.eval.temperature == 0.0 { "greedy" } else { "sampled" },
        t.wall_s,
        t.generate_s,
        t.verify_s,
        t.learn_s,
        t.eval_s,
        rig.totals.verifications,
        rig.verifier.facts().tier.name(),
        model.display(),
    ))?;
    Ok(Outcome::Done)
}

/// A run that took its last step, was measured and saved.
pub(crate) struct Finished {
    rig: Rig,
    after: Scores,
    summary: Value,
    model: PathBuf,
}

/// Takes a run to its end. None where the user stopped it; it can be resumed then.
pub(crate) fn drive(mut rig: Rig) -> Result<Option<Finished>> {
    if loops::run(&mut rig)? == Ending::Interrupted {
        rig.interrupt()?;
        return Ok(None);
    }
    let after = loops::eval::run(&mut rig, "after")?;
    let summary = summary::json(&rig, &after)?;
    let model = rig.finish(&serde_json::to_string_pretty(&summary)?)?;
    Ok(Some(Finished { rig, after, summary, model }))
}
