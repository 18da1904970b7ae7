//! Asking a policy: prompts in, completions with the programs in them out.

use anyhow::Result;
use generate::{Completion, Request, Sampling};
use tasks::{Task, TaskId};

use crate::{groups::Answered, policy::Policy, recipe::EvalRecipe};

/// Completions of `tasks`, `seeds(i)` naming the draws for the i-th.
pub(crate) fn answer(
    policy: &Policy,
    tasks: Vec<Task>,
    seeds: impl Fn(usize) -> Vec<u64>,
    sampling: &Sampling,
    threads: usize,
) -> Result<Vec<Answered>> {
    let ask = |task: Task| policy.prompt(&task).map(|prompt| Asked { task, prompt });
    let asked: Result<Vec<Asked>> = tasks.into_iter().map(ask).collect();
    answer_prompts(policy, asked?, seeds, sampling, threads)
}

/// A task, and the prompt that asks it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) task: Task,
    pub(crate) prompt: Vec<u32>,
}

/// Completions of prompts, `seeds(i)` naming the draws for the i-th.
pub(crate) fn answer_prompts(
    policy: &Policy,
    asked: Vec<Asked>,
    seeds: impl Fn(usize) -> Vec<u64>,
    sampling: &Sampling,
    threads: usize,
) -> Result<Vec<Answered>> {
    let request =
        |(i, asked): (usize, &Asked)| Request { prompt: asked.prompt.clone(), seeds: seeds(i) };
    let requests: Vec<Request> = asked.iter().enumerate().map(request).collect();
    let completions = generate::generate(&policy.model, &requests, sampling, threads)?;
    let mut answered = Vec::with_capacity(asked.len());
    for (Asked { task, prompt }, completions) in asked.into_iter().zip(completions) {
        let program = |c: Completion| policy.program(&task, &c.tokens).map(|text| (c, text));
        let programs: Result<Vec<(Completion, String)>> =
            completions.into_iter().map(program).collect();
        answered.push((task, prompt, programs?));
    }
    Ok(answered)
}

/// Tasks of one family, for measuring.
pub(crate) fn bank(family: &str, recipe: &EvalRecipe) -> Result<Vec<Task>> {
    let split = recipe.split.parse()?;
    (0..recipe.tasks_per_family)
        .map(|seed| {
            let family = family.to_string();
            Ok(Task::build(&TaskId { family, difficulty: recipe.difficulty, split, seed })?)
        })
        .collect()
}
