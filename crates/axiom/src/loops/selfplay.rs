//! Self-play (Absolute Zero, arXiv 2505.03335). Each step: the policy proposes puzzles, the
//! verifier keeps those that are valid, the policy tries them, and both roles learn from what
//! came of it, in one update.
//!
//! It differs from the paper in what the recipe says it does: solvers practise the proposals of
//! the same step (its Algorithm 1; its code takes those of the step before), and may learn from
//! the very attempts that measured how learnable a proposal is.

use anyhow::Result;

use crate::{
    clock::Clock,
    loops::{Ending, steps},
    progress::Bar,
    rig::Rig,
    seed::Seed,
    selfplay, update,
};

/// Runs the rig's recipe from its next step to the last.
pub(crate) fn run(rig: &mut Rig) -> Result<Ending> {
    if rig.buffers.is_empty() && selfplay::bootstrap(rig)? == Ending::Interrupted {
        return Ok(Ending::Interrupted);
    }
    steps(rig, step)
}

/// One turn of the cycle.
fn step(rig: &mut Rig, seed: Seed, mut clock: Clock, bar: &Bar) -> Result<()> {
    // Propose: programs with inputs, unlike those in the buffers; run twice each.
    let proposals = match rig.recipe.selfplay.propose {
        true => selfplay::propose(rig, seed.child("propose", 0), &mut clock)?,
        false => Vec::new(),
    };

    // Solve: several attempts at each valid one say how learnable it is.
    let solvings = selfplay::solve(rig, &proposals, seed, &mut clock)?;

    // Learn: both roles and all kinds in one update, each with its own baseline.
    let rewards = selfplay::reward(rig, &proposals, &solvings, seed);
    let lessons = selfplay::lessons(rig, &proposals, &solvings, &rewards);
    let update = update::from_material(rig, lessons, seed)?;
    clock.learnt();

    selfplay::record(rig, &proposals, (&solvings, &rewards), &update, &clock, bar)?;
    selfplay::keep(rig, proposals, seed);
    Ok(())
}
