//! Supervised fine-tuning: a step imitates some given completions. Nothing is generated or run;
//! measuring and saving are those of every run.

use anyhow::Result;

use crate::{
    clock::Clock,
    loops::{Ending, after_step, begin},
    record,
    rig::Rig,
    update,
};

/// Runs the rig's recipe from its next step to the last.
pub(crate) fn run(rig: &mut Rig) -> Result<Ending> {
    begin(rig)?;
    let bar = rig.machine.progress.bar(rig.recipe.steps, "steps");
    while !rig.is_done() {
        if rig.stop_requested() {
            return Ok(Ending::Interrupted);
        }
        let mut clock = Clock::start();
        let seed = rig.seed.child("step", rig.next_step);
        let update = update::learn(rig, &mut [], seed)?;
        clock.learnt();
        record::step(rig, &[], &update, &clock, &bar)?;
        after_step(rig)?;
    }
    bar.finish();
    Ok(Ending::Finished)
}
