//! `axiom solve`: many programs for one task, the best of them by the examples that anyone may
//! see, and second tries for those that failed.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use generate::Sampling;
use serde_json::json;
use tasks::{Task, complaint};
use verify::{Judgement, Submission, TestCase, Value, Verdict, Verifier};

use super::{put, show};
use crate::{
    ask::{self, Asked},
    machine::Machine,
    policy::Policy,
    seed::Seed,
};

/// How hard to try.
#[derive(Debug)]
pub(crate) struct Effort {
    /// Programs of the first round.
    pub(crate) n: u64,
    /// Rounds in which what failed is shown to the policy again, with what it got wrong.
    pub(crate) retries: u64,
    pub(crate) sampling: Sampling,
    pub(crate) seed: Seed,
}

/// A program, how often it was written, and what the examples say of it.
#[derive(Debug)]
struct Tried {
    program: String,
    count: usize,
    round: u64,
    visible: Judgement,
}

/// A task in words, with assertions as its examples.
pub(crate) fn question(statement: &str, examples: &[String]) -> Result<Task> {
    let mut name: Option<String> = None;
    let mut cases = Vec::with_capacity(examples.len());
    for example in examples {
        let text = format!("assert {example}");
        let (function, args, expected) = Value::from_assertion(&text).with_context(|| {
            format!("`{example}` is not a call with its value, as f([2, 1]) == 3")
        })?;
        let known = name.get_or_insert_with(|| function.to_string());
        ensure!(known == function, "the examples call `{known}` and `{function}`");
        cases.push(TestCase { args, expected });
    }
    let (Some(name), Some(first)) = (name, cases.first()) else {
        bail!("give at least one --example: programs are chosen by what they do with it");
    };
    let params = params(first.args.len());
    Ok(Task::given(statement, &name, params, cases))
}

/// `a`, `b`, ...; or `x` where there is one.
fn params(n: usize) -> Vec<String> {
    match n {
        1 => vec!["x".to_string()],
        n => (0..n).map(|i| format!("{}", char::from(b'a' + (i % 26) as u8))).collect(),
    }
}

/// Solves a task and prints the best program. Whether it passes every example.
pub(crate) fn run(
    policy: &Policy,
    task: &Task,
    effort: &Effort,
    (machine, json): (&Machine, bool),
) -> Result<bool> {
    ensure!(!task.examples.is_empty(), "the task has no visible examples to choose by");
    let verifier = machine.start_verifier()?;
    let mut tried: Vec<Tried> = Vec::new();
    for round in 0..=effort.retries {
        let asked = match round {
            0 => vec![Asked { task: task.clone(), prompt: policy.prompt(task)? }],
            _ => corrections(policy, task, &tried, round - 1)?,
        };
        let n = if round == 0 { effort.n } else { 1 };
        let seeds = |i: usize| {
            let seed = effort.seed.child("round", round).child("prompt", i as u64);
            (0..n).map(|s| seed.child("sample", s).0).collect()
        };
        let answered =
            ask::answer_prompts(policy, asked, seeds, &effort.sampling, machine.threads)?;
        let programs = answered.into_iter().flat_map(|a| a.2).map(|(_, program)| program);
        judge(&verifier, task, programs, round, &mut tried)?;
        if tried.iter().any(passes) {
            break;
        }
    }
    let best = best(&tried).context("the policy wrote nothing")?;
    print(task, &tried, best, json)?;
    Ok(passes(best))
}

fn passes(tried: &Tried) -> bool {
    tried.visible.verdict == Verdict::Accepted
}

/// The program that passes most examples; of equals the one written most often, and the first.
fn best(tried: &[Tried]) -> Option<&Tried> {
    let rank = |t: &Tried| (t.visible.passed, t.count);
    tried.iter().rev().max_by_key(|t| rank(t))
}

/// Prompts that show the failed programs of a round with what they got wrong.
fn corrections(policy: &Policy, task: &Task, tried: &[Tried], round: u64) -> Result<Vec<Asked>> {
    let failed = tried.iter().filter(|t| t.round == round && !passes(t));
    let ask = |t: &Tried| {
        let prompt = policy.corrected(task, &t.program, &complaint(&t.visible))?;
        Ok(Asked { task: task.clone(), prompt })
    };
    let asked: Result<Vec<Asked>> = failed.map(ask).collect();
    let room = policy.model.config.max_position_embeddings;
    Ok(asked?.into_iter().filter(|a| a.prompt.len() < room).collect())
}

/// Adds programs to those tried, each different one once.
fn judge(
    verifier: &Verifier,
    task: &Task,
    programs: impl Iterator<Item = String>,
    round: u64,
    tried: &mut Vec<Tried>,
) -> Result<()> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    let mut new: Vec<(String, usize)> = Vec::new();
    for program in programs {
        if let Some(at) = tried.iter().position(|t| t.program == program) {
            *counts.entry(at).or_default() += 1;
        } else if let Some(known) = new.iter_mut().find(|(p, _)| *p == program) {
            known.1 += 1;
        } else {
            new.push((program, 1));
        }
    }
    counts.into_iter().for_each(|(at, n)| tried[at].count += n);
    // All examples, not only those up to the first that fails: the best is to be told apart.
    let whole =
        |p: &str| Submission { stop_at_first_failure: false, ..task.visible(p.to_string()) };
    let submissions: Vec<Submission> = new.iter().map(|(p, _)| whole(p)).collect();
    let judgements = verifier.judge(&submissions)?;
    tried.extend(new.into_iter().zip(judgements).map(|((program, count), visible)| Tried {
        program,
        count,
        round,
        visible,
    }));
    Ok(())
}

fn print(task: &Task, tried: &[Tried], best: &Tried, json: bool) -> Result<()> {
    let samples: usize = tried.iter().map(|t| t.count).sum();
    let passing: usize = tried.iter().filter(|t| passes(t)).map(|t| t.count).sum();
    if json {
        return put(&json!({
            "program": best.program,
            "examples_passed": best.visible.passed,
            "examples": task.examples.len(),
            "verdict": best.visible.verdict.name(),
            "detail": best.visible.detail,
            "written": best.count,
            "round": best.round,
            "samples": samples,
            "different": tried.len(),
            "passing": passing,
        }));
    }
    show(&best.program)?;
    let Judgement { passed, total, detail, .. } = &best.visible;
    show(&format!(
        "# passes {passed} of {total} examples{}; {passing} of {samples} completions passed all, \
         {} different programs\n",
        if detail.is_empty() { String::new() } else { format!(" ({detail})") },
        tried.len(),
    ))
}
