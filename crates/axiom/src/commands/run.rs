//! `axiom run` and `axiom resume`.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{put, show};
use crate::{
    loops::{self, Ending},
    recipe::Recipe,
    rig::{Machine, Rig},
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
    let rig = Rig::create(recipe, &out, machine)?;
    machine.progress.line(&format!("run folder: {}", out.display()));
    drive(rig, json)
}

/// Goes on with a run.
pub(crate) fn resume(dir: &Path, machine: Machine, json: bool) -> Result<Outcome> {
    let rig = Rig::resume(dir, machine)?;
    machine.progress.line(&format!("resuming at step {}", rig.next_step));
    drive(rig, json)
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

fn drive(mut rig: Rig, json: bool) -> Result<Outcome> {
    let ending = loops::rl::run(&mut rig)?;
    let dir = rig.folder().root().display().to_string();
    if ending == Ending::Interrupted {
        rig.interrupt()?;
        show(&format!(
            "stopped before step {}; go on with\n  axiom resume {dir}\n",
            rig.next_step
        ))?;
        return Ok(Outcome::Interrupted);
    }
    let after = loops::eval::run(&mut rig, "after")?;
    let found = summary::json(&rig, &after);
    let model = rig.finish(&serde_json::to_string_pretty(&found)?)?;
    if json {
        put(&found)?;
    } else {
        let text = summary::table(rig.totals.before.as_ref(), &after);
        let t = &rig.totals.timing;
        show(&format!(
            "\n{text}\npassed/asked with 95 % Wilson intervals, {} split, {}; \
             constant: share of hidden tests the best constant answer passes\n\
             {:.0} s: generate {:.0}, verify {:.0}, learn {:.0}, evaluate {:.0}; \
             {} verifications, sandbox {}\nmodel: {}\n",
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
    }
    Ok(Outcome::Done)
}
