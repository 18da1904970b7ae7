//! Expert iteration. Each round: sample, verify, keep the programs that pass, imitate them.
//!
//! Verified programs of earlier rounds are replayed beside the new ones, every family alike,
//! against forgetting. It differs from STaR and ReST-EM in going on from the current weights
//! instead of starting each round from the base model.

use anyhow::Result;
use learn::{Batch, StepReport};

use crate::{
    loops::{Ending, after_step, begin},
    record,
    replay::Replay,
    rig::{Clock, Rig},
};

/// Runs the rig's recipe from its next round to the last.
pub(crate) fn run(rig: &mut Rig) -> Result<Ending> {
    begin(rig)?;
    let bar = rig.machine.progress.bar(rig.recipe.steps, "rounds");
    while rig.next_step < rig.recipe.steps {
        if rig.stop_requested() {
            return Ok(Ending::Interrupted);
        }
        let mut clock = Clock::start();
        let step = rig.next_step;
        let seed = rig.seed.child("step", step);

        // Sample and verify, as in the other loop.
        let answered = rig.generate(rig.draw_tasks(seed)?, seed)?;
        let generate_s = clock.lap();
        let groups = rig.verify(answered, seed)?;
        let verify_s = clock.lap();
        for group in &groups {
            rig.curriculum.observe(&group.task.topic(), group.solve_rate());
        }

        // Keep what passed, and imitate it.
        let found = Replay::accepted(&groups);
        let mut update = StepReport::default();
        for epoch in 0..rig.recipe.learn.epochs as u64 {
            let n = (found.len() as f64 * rig.recipe.learn.replay_ratio).round() as usize;
            let old = rig.replay.draw(n, seed.child("replay", epoch));
            let mut batch = Batch::default();
            batch.groups.extend(found.iter().chain(old).map(|v| v.sequence(1.0)));
            update = imitate(rig, &batch, step)?;
        }
        rig.replay.add(&found);
        let learn_s = clock.lap();
        let timing = clock.timing(generate_s, verify_s, learn_s);

        let lr = rig.recipe.learning_rate(step);
        record::step(rig, &groups, &update, (lr, timing), &bar)?;
        after_step(rig)?;
    }
    bar.finish();
    Ok(Ending::Finished)
}

/// One optimizer step on verified programs.
fn imitate(rig: &mut Rig, batch: &Batch, step: u64) -> Result<StepReport> {
    let (objective, threads) = (rig.recipe.objective(), rig.threads());
    let at = (rig.recipe.learning_rate(step), 1.0);
    Ok(rig.learner.step(&mut rig.policy.model, batch, &objective, at, threads)?)
}
