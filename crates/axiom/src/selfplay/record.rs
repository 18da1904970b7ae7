//! What a step of self-play found, as events.

use std::collections::BTreeMap;

use anyhow::Result;
use generate::{Completion, Stop};
use runlog::Event;
use tasks::selfplay::{Role, Solved, TaskKind};

use super::{
    Proposal,
    propose::Found,
    reward::Rewards,
    solve::{Attempt, Solving, Solvings},
};
use crate::{clock::Clock, progress::Bar, record::mean, rig::Rig, update::Update};

/// Logs a step with everything that was written in it, and shows it.
pub(crate) fn record(
    rig: &mut Rig,
    proposals: &[Proposal],
    (solvings, rewards): (&Solvings, &Rewards),
    update: &Update,
    clock: &Clock,
    bar: &Bar,
) -> Result<()> {
    let step = rig.next_step;
    for (i, (proposal, reward)) in proposals.iter().zip(&rewards.proposals).enumerate() {
        rig.log.append(&proposed(step, i, proposal, *reward))?;
    }
    let paid = rewards.estimates.iter().chain(&rewards.practice);
    for (i, (solving, rewards)) in solvings.all().zip(paid).enumerate() {
        for (k, (attempt, reward)) in solving.attempts.iter().zip(rewards).enumerate() {
            rig.log.append(&attempted((step, i, k), solving, attempt, *reward))?;
        }
    }
    let mut metrics = metrics(proposals, solvings, rewards);
    for kind in TaskKind::ALL.into_iter().filter(|kind| rig.recipe.selfplay.has(*kind)) {
        metrics.insert(format!("buffer/{kind}"), rig.buffers.len(kind) as f64);
    }
    metrics.insert("buffer/diversity".to_string(), rig.buffers.diversity());
    metrics.extend(update.metrics.clone());
    let event = summary(rig, proposals, (solvings, rewards), (update, metrics), clock);
    rig.log.append(&event)?;
    rig.log.flush()?;
    count(rig, &event, clock);
    show(rig, &event, bar);
    Ok(())
}

fn count(rig: &mut Rig, event: &Event, clock: &Clock) {
    let Event::Step { tokens_generated, tokens_trained, verifications, judge_errors, .. } = event
    else {
        return;
    };
    let totals = &mut rig.totals;
    totals.tokens_generated += tokens_generated;
    totals.tokens_trained += tokens_trained;
    totals.verifications += verifications;
    totals.judge_errors += u64::from(*judge_errors);
    totals.timing += clock.timing();
}

fn show(rig: &Rig, event: &Event, bar: &Bar) {
    let Event::Step { step, solve_rate, metrics, note, .. } = event else { return };
    let of = |name: &str| metrics.get(name).copied().unwrap_or(0.0);
    let text = format!(
        "solved {:.1} %  valid {:.1} %  learnability {:.3}",
        100.0 * solve_rate,
        100.0 * of("proposals/valid"),
        of("learnability"),
    );
    bar.set(step + 1, &text);
    rig.machine.progress.line(&format!("step {}/{}  {text}", step + 1, rig.recipe.steps));
    if let Some(note) = note.as_ref().filter(|_| (step + 1).is_multiple_of(25)) {
        rig.machine.progress.line(note);
    }
}

fn proposed(step: u64, i: usize, proposal: &Proposal, reward: Option<f64>) -> Event {
    let task = format!("propose/{}/{i}", proposal.kind);
    let found = &proposal.found;
    let verdict = (found.name().to_string(), found.detail());
    completion((step, task, 0), &proposal.completion, &proposal.text, verdict, reward)
}

fn attempted(
    (step, i, k): (u64, usize, usize),
    solving: &Solving,
    attempt: &Attempt,
    reward: Option<f64>,
) -> Event {
    let verdict = match attempt.solved {
        Some(Solved::Right) => "accepted",
        Some(Solved::Wrong) => "wrong_answer",
        Some(Solved::Unreadable) => "unreadable",
        None => "judge_error",
    };
    let task = format!("solve/{}/{i}", solving.puzzle.kind);
    let verdict = (verdict.to_string(), String::new());
    completion((step, task, k), &attempt.completion, &attempt.text, verdict, reward)
}

fn completion(
    (step, task, k): (u64, String, usize),
    completion: &Completion,
    text: &str,
    (verdict, detail): (String, String),
    reward: Option<f64>,
) -> Event {
    let passed = u32::from(verdict == "accepted" || verdict == "valid");
    Event::Completion {
        step,
        task,
        sample: k as u32,
        program: text.to_string(),
        tokens: completion.tokens.len() as u32,
        stop: completion.stop.name().to_string(),
        logprob: completion.logprobs.iter().map(|x| f64::from(*x)).sum(),
        verdict,
        passed,
        total: 1,
        reward,
        advantage: None,
        detail,
        sandbox: None,
        timing: None,
    }
}

fn summary(
    rig: &Rig,
    proposals: &[Proposal],
    (solvings, rewards): (&Solvings, &Rewards),
    (Update { report, .. }, metrics): (&Update, BTreeMap<String, f64>),
    clock: &Clock,
) -> Event {
    let attempts = || solvings.all().flat_map(|s| &s.attempts);
    let completions =
        || proposals.iter().map(|p| &p.completion).chain(attempts().map(|a| &a.completion));
    let tokens: usize = completions().map(|c| c.tokens.len()).sum();
    let n = completions().count();
    let paid = rewards.estimates.iter().chain(&rewards.practice).flatten();
    let paid: Vec<f64> = rewards.proposals.iter().chain(paid).flatten().copied().collect();
    let right = attempts().filter(|a| a.solved == Some(Solved::Right)).count();
    Event::Step {
        step: rig.next_step,
        tasks: solvings.all().count() as u32,
        samples: n as u32,
        reward_mean: mean(&paid),
        solve_rate: right as f64 / attempts().count().max(1) as f64,
        frac_reward_zero_std: solvings.all().filter(|s| s.is_silent()).count() as f64
            / solvings.all().count().max(1) as f64,
        loss: report.loss,
        grad_norm: report.grad_norm,
        entropy: report.entropy,
        clip_ratio: report.clip_ratio,
        kl: report.kl,
        logprob_gap_max: report.logprob_gap_max,
        completion_length_mean: tokens as f64 / n.max(1) as f64,
        truncated: completions().filter(|c| c.stop == Stop::Length).count() as u32,
        distinct_programs: proposals.iter().filter(|p| p.puzzle().is_some()).count() as u32,
        tokens_generated: tokens as u64,
        tokens_trained: report.tokens as u64,
        verifications: n as u64,
        cache_hits: 0,
        judge_errors: judge_errors(proposals, solvings),
        lr: rig.learning_rate(),
        metrics,
        note: hardest(solvings),
        timing: clock.timing(),
    }
}

fn judge_errors(proposals: &[Proposal], solvings: &Solvings) -> u32 {
    let faulty = |p: &&Proposal| matches!(p.found, Found::JudgeError(_));
    let attempts = solvings.all().flat_map(|s| &s.attempts);
    let lost = attempts.filter(|a| a.solved.is_none()).count();
    (proposals.iter().filter(faulty).count() + lost) as u32
}

/// The puzzle that was solved most rarely, in one line.
fn hardest(solvings: &Solvings) -> Option<String> {
    let solved = solvings.all().filter(|s| s.rate().is_some_and(|rate| rate > 0.0));
    let rate = |s: &&Solving| s.rate().unwrap_or(1.0);
    let hardest = solved.min_by(|a, b| rate(a).total_cmp(&rate(b)))?;
    let puzzle = &hardest.puzzle;
    let case = puzzle.cases.first()?;
    let args: Vec<String> = case.args.iter().map(ToString::to_string).collect();
    Some(format!(
        "hardest solved ({:.0} % of {}): {} of {:?} with f({}) == {}",
        100.0 * rate(&hardest),
        hardest.attempts.len(),
        puzzle.kind,
        puzzle.program,
        args.join(", "),
        case.expected,
    ))
}

fn metrics(
    proposals: &[Proposal],
    solvings: &Solvings,
    rewards: &Rewards,
) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    let share = 1.0 / proposals.len().max(1) as f64;
    metrics.insert("proposals/valid".to_string(), 0.0);
    for proposal in proposals {
        *metrics.entry(format!("proposals/{}", proposal.found.name())).or_default() += share;
    }
    metrics.insert("learnability".to_string(), mean(&rewards.learnability));
    for solving in &solvings.estimates {
        let right = solving.attempts.iter().filter(|a| a.solved == Some(Solved::Right)).count();
        let n = solving.attempts.len();
        *metrics.entry(format!("solved/{right}_of_{n}")).or_default() += 1.0;
    }
    let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut add = |role: Role, kind: TaskKind, rewards: &mut dyn Iterator<Item = f64>| {
        groups.entry(format!("reward/{}/{kind}", role.name())).or_default().extend(rewards);
    };
    for (proposal, reward) in proposals.iter().zip(&rewards.proposals) {
        add(Role::Proposer, proposal.kind, &mut reward.iter().copied());
    }
    let paid = rewards.estimates.iter().chain(&rewards.practice);
    for (solving, rewards) in solvings.all().zip(paid) {
        add(Role::Solver, solving.puzzle.kind, &mut rewards.iter().flatten().copied());
    }
    metrics.extend(groups.into_iter().map(|(name, rewards)| (name, mean(&rewards))));
    metrics
}
