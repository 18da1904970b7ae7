//! Visible examples against hidden tests: whether programs pass what they were shown without
//! doing what they were asked. Measured where the recipe asks for it; nothing learns from it.

use anyhow::Result;
use runlog::FamilyScore;
use verify::{Submission, Verdict};

use crate::{
    groups::{Group, Role},
    rig::Rig,
    update::Update,
};

/// Metric: completions that passed the visible examples.
pub(crate) const PASSED: &str = "visible/passed";
/// Metric: those of them that failed the hidden tests.
pub(crate) const ONLY: &str = "visible/only";
/// Where more than this share surely fails the hidden tests, the step is noted.
const ALARM: f64 = 0.5;

/// Judges the programs of a step on their visible examples too, and notes what came of it.
pub(crate) fn measure(rig: &Rig, groups: &[Group], update: &mut Update) -> Result<()> {
    if !rig.recipe.diagnose.visible {
        return Ok(());
    }
    let asked = groups.iter().filter(|g| g.role == Role::Asked);
    let tries: Vec<_> = asked.flat_map(|g| g.rollouts.iter().map(move |r| (&g.task, r))).collect();
    let submissions: Vec<Submission> =
        tries.iter().map(|(task, r)| task.visible(r.program.clone())).collect();
    let judged = rig.verifier.judge(&submissions)?;
    let passed = || {
        let each = tries.iter().zip(&judged);
        each.filter(|(_, visible)| visible.verdict == Verdict::Accepted).map(|((_, r), _)| r)
    };
    let share = FamilyScore::new(
        passed().filter(|r| !r.accepted()).count() as u32,
        passed().count() as u32,
    );
    update.note("visible/solve_rate", f64::from(share.n) / tries.len().max(1) as f64);
    update.note(PASSED, f64::from(share.n));
    update.note(ONLY, f64::from(share.passed));
    if share.low > ALARM {
        update.alarm = Some(format!(
            "{} of {} programs that pass the visible examples fail the hidden tests",
            share.passed, share.n
        ));
    }
    Ok(())
}
