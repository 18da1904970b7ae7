//! Second tries: what failed is asked again, with more in the prompt.
//!
//! With the failed program and its error it is self-correction: the completions are groups of
//! their own, under the longer prompt, rewarded and learnt from in the same update. Of the error
//! only that is said which the visible examples show.
//!
//! With a hint it is STaR's rationalisation (Zelikman et al. 2022): where no completion passed,
//! the task is asked with a right program beside it, and what then passes is learnt under the
//! prompt without the hint. Here the hint is a program where the paper has an answer.

use anyhow::Result;
use rand::Rng as _;
use verify::Submission;

use crate::{
    ask::{self, Asked},
    groups::{Group, Role},
    recipe::CorrectRecipe,
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
    for group in groups.iter().filter(|g| g.role == Role::Asked && g.failed()) {
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

/// A program that failed, to be shown to the policy again.
struct Failed<'a> {
    group: &'a Group,
    program: &'a str,
}

/// Shows a share of the failed programs to the policy, with what they got wrong, and adds what
/// comes of it to the groups.
pub(crate) fn with_corrections(rig: &mut Rig, groups: &mut Vec<Group>, seed: Seed) -> Result<()> {
    let CorrectRecipe { share, samples } = rig.recipe.correct.clone();
    if share == 0.0 {
        return Ok(());
    }
    let seed = seed.child("corrections", 0);
    let failed = failed(groups, share, seed);
    let shown = |f: &Failed<'_>| f.group.task.visible(f.program.to_string());
    let submissions: Vec<Submission> = failed.iter().map(shown).collect();
    let visible = rig.verifier.judge(&submissions)?;
    rig.totals.verifications += submissions.len() as u64;
    let mut asked = Vec::new();
    for (Failed { group, program }, visible) in failed.iter().zip(&visible) {
        let prompt = rig.policy.corrected(&group.task, program, &tasks::complaint(visible))?;
        if rig.fits(&prompt) {
            asked.push(Asked { task: group.task.clone(), prompt });
        }
    }
    let corrected = judge(rig, asked, (samples as u64, seed))?;
    groups.extend(corrected.into_iter().map(|g| Group { role: Role::Corrected, ..g }));
    Ok(())
}

/// A share of the programs that failed, each different one of a task once at most.
fn failed(groups: &[Group], share: f64, seed: Seed) -> Vec<Failed<'_>> {
    let mut found: Vec<Failed<'_>> = Vec::new();
    for (g, group) in groups.iter().enumerate() {
        let first = found.len();
        let mut rng = seed.child("group", g as u64).rng();
        for rollout in &group.rollouts {
            let drawn = rng.random::<f64>() < share;
            let program = rollout.program.as_str();
            let known = found[first..].iter().any(|f| f.program == program);
            if drawn && !known && rollout.passed() == Some(false) {
                found.push(Failed { group, program });
            }
        }
    }
    found
}

/// How often second tries passed.
pub(crate) fn describe(groups: &[Group], update: &mut Update) {
    for (role, name) in [(Role::Hinted, "rationalised"), (Role::Corrected, "correction_rate")] {
        let rollouts = || groups.iter().filter(|g| g.role == role).flat_map(|g| &g.rollouts);
        let n = rollouts().count();
        if n > 0 {
            let passed = rollouts().filter(|r| r.accepted()).count();
            update.note(name, passed as f64 / n as f64);
        }
    }
}

/// `n` judged completions of each.
fn judge(rig: &mut Rig, asked: Vec<Asked>, (n, seed): (u64, Seed)) -> Result<Vec<Group>> {
    let seeds = |i: usize| {
        let task = seed.child("task", i as u64);
        (0..n).map(|s| task.child("sample", s).0).collect()
    };
    let sampling = rig.sampling();
    let answered = ask::answer_prompts(&rig.policy, asked, seeds, &sampling, rig.machine.threads)?;
    rig.verify(answered, seed)
}
