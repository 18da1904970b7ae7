//! The cycle. Each step: generate completions, verify them, learn from the verdicts.
//!
//! The methods differ in what they make of the verdicts, and only there: a policy gradient
//! compares the completions of a group, a preference pairs them, imitation keeps those that
//! passed. Beside its own batch a policy gradient imitates a few verified programs of earlier
//! steps (self-imitation, Oh et al. 2018): what keeps a solved family solved and a rare
//! discovery from being lost.

use anyhow::Result;

use crate::{
    clock::Clock,
    loops::{Ending, steps},
    progress::Bar,
    record, retry,
    rig::Rig,
    seed::Seed,
    update,
};

/// Runs the rig's recipe from its next step to the last.
pub(crate) fn run(rig: &mut Rig) -> Result<Ending> {
    steps(rig, step)
}

/// One turn of the cycle.
fn step(rig: &mut Rig, seed: Seed, mut clock: Clock, bar: &Bar) -> Result<()> {
    // Generate: one group of completions for each task, from the current policy.
    let tasks = rig.draw_tasks(seed)?;
    let answered = rig.generate(tasks, seed)?;
    clock.generated();

    // Verify: one verdict for each program. A sandbox fault is an error, not a zero.
    let mut groups = rig.verify(answered, seed)?;
    rig.refill(&mut groups, seed)?;
    rig.observe(&groups);
    retry::with_corrections(rig, &mut groups, seed)?;
    retry::with_hints(rig, &mut groups, seed)?;
    clock.verified();

    // Learn: from the rewards, as the recipe's method has it.
    let update = update::learn(rig, &mut groups, seed)?;
    clock.learnt();

    record::step(rig, &groups, &update, &clock, bar)
}
