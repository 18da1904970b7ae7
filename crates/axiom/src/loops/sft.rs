//! Supervised fine-tuning: a step imitates some given completions. Nothing is generated or run;
//! measuring and saving are those of every run.

use anyhow::Result;

use crate::{
    clock::Clock,
    loops::{Ending, steps},
    progress::Bar,
    record,
    rig::Rig,
    seed::Seed,
    update,
};

/// Runs the rig's recipe from its next step to the last.
pub(crate) fn run(rig: &mut Rig) -> Result<Ending> {
    steps(rig, step)
}

fn step(rig: &mut Rig, seed: Seed, mut clock: Clock, bar: &Bar) -> Result<()> {
    let update = update::learn(rig, &mut [], seed)?;
    clock.learnt();
    record::step(rig, &[], &update, &clock, bar)
}
