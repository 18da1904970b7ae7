//! Second tries: what failed is asked again, with more in the prompt.
//!
//! With a hint it is STaR's rationalisation (Zelikman et al. 2022): where no completion passed,
//! the task is asked with a right program beside it, and what then passes is learnt under the
//! prompt without the hint. Here the hint is a program where the paper has an answer.

use anyhow::Result;
use tasks::Reward;

use crate::{
    ask::{self, Asked},
    groups::{self, Group, Role},
    rig::Rig,
    seed::Seed,
    update::Update,
};

/// Asks the tasks that failed again, with a hint, and adds what comes of it to the groups.
pub(crate) fn with_hints(rig: &mut Rig, groups: &mut Vec<Group>, seed: Seed) -> Result<()> {
    let n = rig.recipe.learn.rationalise as u64;
    if n == 0 {
        return Ok(());
    }
    let (mut prompts, mut asked) = (Vec::new(), Vec::new());
    for group in groups.iter().filter(|g| g.failed()) {
        let hinted = rig.policy.hinted(&group.task)?;
        if rig.fits(&hinted) {
            prompts.push(group.prompt.clone());
            asked.push(Asked { task: group.task.clone(), prompt: hinted });
        }
    }
    let hinted = judge(rig, asked, (n, seed.child("hints", 0)))?;
    groups.extend(hinted.into_iter().zip(prompts).map(|(group, prompt)| Group {
        role: Role::Hinted,
        prompt,
        ..group
    }));
    Ok(())
}

/// How often second tries passed.
pub(crate) fn describe(groups: &[Group], update: &mut Update) {
    let rollouts = || groups.iter().filter(|g| g.role == Role::Hinted).flat_map(|g| &g.rollouts);
    let n = rollouts().count();
    if n > 0 {
        let passed = rollouts().filter(|r| r.accepted()).count();
        update.note("rationalised", passed as f64 / n as f64);
    }
}

/// `n` judged completions of each.
fn judge(rig: &Rig, asked: Vec<Asked>, (n, seed): (u64, Seed)) -> Result<Vec<Group>> {
    let seeds = |i: usize| {
        let task = seed.child("task", i as u64);
        (0..n).map(|s| task.child("sample", s).0).collect()
    };
    let sampling = rig.sampling();
    let answered = ask::answer_prompts(&rig.policy, asked, seeds, &sampling, rig.machine.threads)?;
    Ok(groups::judge(answered, Reward::Binary, &rig.verifier)?)
}
