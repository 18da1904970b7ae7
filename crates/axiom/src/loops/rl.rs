//! The cycle. Each step: generate completions, verify them, learn from the verdicts.
//!
//! This is GRPO with one update a step, so every ratio is 1 when it is taken and the clip acts
//! only if the sampler and the learner disagree. It differs from the paper (Shao et al. 2024)
//! in having no KL term, in averaging over tokens rather than sequences, in leaving out the
//! groups whose rewards are all equal, and in imitating a few verified programs of earlier
//! steps beside each batch (self-imitation, Oh et al. 2018): what keeps a solved family solved
//! and a rare discovery from being lost.

use anyhow::Result;

use crate::{
    groups,
    loops::{Ending, after_step, begin},
    record,
    replay::Replay,
    rig::{Clock, Rig},
};

/// Runs the rig's recipe from its next step to the last.
pub(crate) fn run(rig: &mut Rig) -> Result<Ending> {
    begin(rig)?;
    let bar = rig.machine.progress.bar(rig.recipe.steps, "steps");
    while rig.next_step < rig.recipe.steps {
        if rig.stop_requested() {
            return Ok(Ending::Interrupted);
        }
        let mut clock = Clock::start();
        let step = rig.next_step;
        let seed = rig.seed.child("step", step);
        let tasks = rig.draw_tasks(seed)?;

        // Generate: one group of completions for each task, from the current policy.
        let answered = rig.generate(tasks, seed)?;
        let generate_s = clock.lap();

        // Verify: one verdict for each program. A sandbox fault is an error, not a zero.
        let mut groups = rig.verify(answered, seed)?;
        let verify_s = clock.lap();
        for group in &groups {
            rig.curriculum.observe(&group.task.topic(), group.solve_rate());
        }

        // Learn: centre the rewards within each group, take one optimizer step. Groups whose
        // rewards are all equal carry no signal and are left out.
        groups::set_advantages(&mut groups, rig.recipe.advantage());
        let mut batch = groups::batch(&groups);
        let old = rig.replay.draw(rig.recipe.learn.replay_per_step, seed.child("replay", 0));
        batch.groups.extend(old.iter().map(|v| v.sequence(rig.recipe.learn.replay_weight)));
        let lr = rig.recipe.learning_rate(step);
        let (objective, threads) = (rig.recipe.objective(), rig.threads());
        let at = (lr, rig.recipe.sampling.temperature);
        let update = rig.learner.step(&mut rig.policy.model, &batch, &objective, at, threads)?;
        let learn_s = clock.lap();
        let timing = clock.timing(generate_s, verify_s, learn_s);

        rig.replay.add(&Replay::accepted(&groups));
        record::step(rig, &groups, &update, (lr, timing), &bar)?;
        after_step(rig)?;
    }
    bar.finish();
    Ok(Ending::Finished)
}
