//! What a step found, as events.

use std::collections::HashMap;

use anyhow::Result;
use runlog::{Event, ProgramTiming, Timing};
use tasks::TaskId;
use verify::{Tier, Verdict};

use crate::{
    clock::Clock,
    groups::{self, Group, Role, Rollout},
    progress::Bar,
    rig::Rig,
    update::Update,
};

/// Logs a step and its completions, and shows it.
pub(crate) fn step(
    rig: &mut Rig,
    found: &[Group],
    update: &Update,
    clock: &Clock,
    bar: &Bar,
) -> Result<()> {
    let (step, timing) = (rig.next_step, clock.timing());
    let mut seen: HashMap<&TaskId, usize> = HashMap::new();
    for group in found {
        // Second tries are numbered after the first ones of their task.
        let first = seen.entry(&group.task.id).or_default();
        for (i, rollout) in group.rollouts.iter().enumerate() {
            rig.log.append(&completion(step, group, *first + i, rollout))?;
        }
        *first += group.rollouts.len();
    }
    let event = summary(step, found, update, (rig.learning_rate(), timing));
    rig.log.append(&event)?;
    rig.log.flush()?;
    let Event::Step { solve_rate, reward_mean, tokens_generated, note, .. } = &event else {
        return Ok(());
    };
    let totals = &mut rig.totals;
    totals.tokens_generated += tokens_generated;
    totals.tokens_trained += update.report.tokens as u64;
    totals.verifications += rollouts(found).count() as u64;
    totals.judge_errors += judge_errors(found) as u64;
    totals.timing += timing;
    let speed = *tokens_generated as f64 / timing.wall_s.max(1e-9);
    let text = match found {
        [] => format!("loss {:.4}", update.report.loss),
        _ => format!(
            "reward {reward_mean:.3}  solved {:.1} %  {speed:.0} tokens/s{}",
            100.0 * solve_rate,
            note.as_ref().map(|n| format!("  ({n})")).unwrap_or_default(),
        ),
    };
    bar.set(step + 1, &text);
    rig.machine.progress.line(&format!("step {}/{}  {text}", step + 1, rig.recipe.steps));
    Ok(())
}

fn rollouts(found: &[Group]) -> impl Iterator<Item = &Rollout> {
    found.iter().flat_map(|g| &g.rollouts)
}

/// Completions that the sandbox failed on.
fn judge_errors(found: &[Group]) -> usize {
    rollouts(found).filter(|r| r.judgement.verdict == Verdict::JudgeError).count()
}

fn completion(step: u64, group: &Group, i: usize, rollout: &Rollout) -> Event {
    let judged = &rollout.judgement;
    Event::Completion {
        step,
        task: group.task.id.to_string(),
        sample: i as u32,
        program: rollout.program.clone(),
        tokens: rollout.completion.tokens.len() as u32,
        stop: rollout.completion.stop.name().to_string(),
        logprob: rollout.completion.logprobs.iter().map(|x| f64::from(*x)).sum(),
        verdict: judged.verdict.name().to_string(),
        passed: judged.passed as u32,
        total: judged.total as u32,
        reward: rollout.reward,
        advantage: rollout.advantage,
        detail: judged.detail.clone(),
        sandbox: (judged.tier == Tier::None).then(|| judged.tier.to_string()),
        timing: Some(ProgramTiming { cpu_ms: judged.cpu_ms, wall_ms: judged.wall_ms }),
    }
}

fn summary(
    step: u64,
    found: &[Group],
    Update { report: update, metrics, alarm }: &Update,
    (lr, timing): (f64, Timing),
) -> Event {
    let samples = rollouts(found).count();
    // Curves are about tasks that were asked; second tries have metrics of their own.
    let asked: Vec<&Group> = found.iter().filter(|g| g.role == Role::Asked).collect();
    let tries = || asked.iter().flat_map(|g| &g.rollouts);
    let rewards: Vec<f64> = tries().filter_map(|r| r.reward).collect();
    let silent = asked.iter().filter(|g| g.is_silent()).count();
    let tokens: usize = rollouts(found).map(|r| r.completion.tokens.len()).sum();
    let cut = |r: &&Rollout| r.completion.stop == generate::Stop::Length;
    let distinct = groups::distinct_programs(found);
    Event::Step {
        step,
        tasks: asked.len() as u32,
        samples: samples as u32,
        reward_mean: mean(&rewards),
        solve_rate: tries().filter(|r| r.accepted()).count() as f64 / tries().count().max(1) as f64,
        frac_reward_zero_std: silent as f64 / asked.len().max(1) as f64,
        loss: update.loss,
        grad_norm: update.grad_norm,
        entropy: update.entropy,
        clip_ratio: update.clip_ratio,
        kl: update.kl,
        logprob_gap_max: update.logprob_gap_max,
        completion_length_mean: tokens as f64 / samples.max(1) as f64,
        truncated: rollouts(found).filter(cut).count() as u32,
        distinct_programs: distinct as u32,
        tokens_generated: tokens as u64,
        tokens_trained: update.tokens as u64,
        verifications: distinct as u64,
        cache_hits: (samples - distinct) as u64,
        judge_errors: judge_errors(found) as u32,
        lr,
        metrics: metrics.clone(),
        note: alarm.clone().or_else(|| note(&asked, &rewards)),
        timing,
    }
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Why a step taught nothing.
fn note(asked: &[&Group], rewards: &[f64]) -> Option<String> {
    if asked.is_empty() {
        return None;
    }
    let all = |x: f64| rewards.iter().all(|r| *r == x);
    match (asked.iter().all(|g| g.is_silent()), rewards.is_empty()) {
        (_, true) => Some("the sandbox judged nothing".to_string()),
        (true, _) if all(0.0) => Some("no completion passed: nothing to learn from".to_string()),
        (true, _) if all(1.0) => Some("every completion passed: nothing to learn".to_string()),
        (true, _) => Some("rewards are equal within every group: no signal".to_string()),
        (false, _) => None,
    }
}
