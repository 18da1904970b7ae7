//! The loops: what `axiom` does for minutes at a time.

use anyhow::Result;

use crate::{
    clock::Clock, method::Method, progress::Bar, recipe::TaskSource, rig::Rig, seed::Seed,
};

pub(crate) mod eval;
pub(crate) mod pretrain;
pub(crate) mod rl;
pub(crate) mod selfplay;
pub(crate) mod sft;

/// How a loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every step was taken.
    Finished,
    /// The user asked it to stop, between two steps.
    Interrupted,
}

/// Runs the rig's recipe from its next step to the last.
pub(crate) fn run(rig: &mut Rig) -> Result<Ending> {
    match (rig.recipe.tasks.source, &rig.method) {
        (TaskSource::Selfplay, _) => selfplay::run(rig),
        (TaskSource::Families, Method::Given) => sft::run(rig),
        (
            TaskSource::Families,
            Method::Rewards(_) | Method::Pairs(_) | Method::Imitation { .. },
        ) => rl::run(rig),
    }
}

/// Takes the steps that are left, each with its own seed, until the user stops the run.
fn steps(
    rig: &mut Rig,
    step: impl Fn(&mut Rig, Seed, Clock, &Bar) -> Result<()>,
) -> Result<Ending> {
    begin(rig)?;
    let bar = rig.machine.progress.bar(rig.recipe.steps, "steps");
    while !rig.is_done() {
        if rig.stop_requested() {
            return Ok(Ending::Interrupted);
        }
        let seed = rig.seed.child("step", rig.next_step);
        step(rig, seed, Clock::start(), &bar)?;
        after_step(rig)?;
    }
    bar.finish();
    Ok(Ending::Finished)
}

/// Measures the policy and saves the first checkpoint, unless the run goes on from one.
fn begin(rig: &mut Rig) -> Result<()> {
    if rig.totals.before.is_none() {
        rig.totals.before = Some(eval::run(rig, "before")?);
        rig.checkpoint(0)?;
    }
    Ok(())
}

/// Closes a step: measures and saves where the recipe says so. What is due follows from the
/// step alone, so that a resumed run logs what an uninterrupted one does.
fn after_step(rig: &mut Rig) -> Result<()> {
    rig.next_step += 1;
    let (done, last) = (rig.next_step, rig.is_done());
    let every = rig.recipe.eval.every;
    if every > 0 && done.is_multiple_of(every) && !last {
        eval::run(rig, "step")?;
    }
    if done.is_multiple_of(rig.recipe.checkpoint.every) && !last {
        rig.checkpoint(done)?;
    }
    Ok(())
}
