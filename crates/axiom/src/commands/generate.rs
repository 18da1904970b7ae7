//! `axiom generate`.

use anyhow::Result;
use generate::{Request, Sampling};
use serde_json::json;
use tasks::{Reward, Task};

use super::{put, show};
use crate::{ask, groups, machine::Machine, policy::Policy, seed::Seed};

/// Completes a prompt `n` times and prints the completions.
pub(crate) fn prompt(
    policy: &Policy,
    prompt: &str,
    (n, seed): (u64, Seed),
    sampling: &Sampling,
    (machine, json): (&Machine, bool),
) -> Result<()> {
    let tokens = policy.ask(prompt)?;
    let seeds = (0..n).map(|s| seed.child("sample", s).0).collect();
    let request = Request { prompt: tokens, seeds };
    let found = generate::generate(&policy.model, &[request], sampling, machine.threads)?;
    for (i, completion) in found.into_iter().flatten().enumerate() {
        let text = policy.text(&completion.tokens)?;
        if json {
            let stop = completion.stop.name();
            put(&json!({ "completion": text, "stop": stop, "logprobs": completion.logprobs }))?;
        } else {
            let before = if policy.chats() { "" } else { prompt };
            show(&format!("--- {}\n{before}{text}\n", i + 1))?;
        }
    }
    Ok(())
}

/// Solves a task `n` times and prints the programs with their verdicts.
pub(crate) fn task(
    policy: &Policy,
    id: &str,
    (n, seed): (u64, Seed),
    sampling: &Sampling,
    (machine, json): (&Machine, bool),
) -> Result<()> {
    let task = Task::build(&id.parse()?)?;
    let verifier = machine.start_verifier()?;
    if !json {
        show(&policy.show_prompt(&task)?)?;
    }
    let seeds = |_| (0..n).map(|s| seed.child("sample", s).0).collect();
    let answered = ask::answer(policy, vec![task], seeds, sampling, machine.threads)?;
    let partial = Reward::Partial { weight: 0.5 };
    for rollout in groups::judge(answered, partial, &verifier)?.iter().flat_map(|g| &g.rollouts) {
        let j = &rollout.judgement;
        if json {
            put(&json!({
                "program": rollout.program,
                "stop": rollout.completion.stop.name(),
                "verdict": j.verdict.name(),
                "passed": j.passed,
                "total": j.total,
                "detail": j.detail,
                "sandbox": j.tier.name(),
            }))?;
        } else {
            let body = match policy.chats() {
                true => rollout.program.as_str(),
                false => rollout.program.split_once('\n').map_or("", |p| p.1),
            };
            let detail =
                if j.detail.is_empty() { String::new() } else { format!(": {}", j.detail) };
            let verdict = format!("{} {}/{}{detail}", j.verdict, j.passed, j.total);
            show(&format!("--- {verdict}\n{body}"))?;
        }
    }
    Ok(())
}
