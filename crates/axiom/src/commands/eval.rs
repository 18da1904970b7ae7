//! `axiom eval`.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use generate::Filter;
use serde_json::json;
use tasks::{
    Task,
    selfplay::{Format, Puzzle, Style, TaskKind},
};
use verify::Limits;

use super::{put, show};
use crate::{
    ask,
    cli::ModelArgs,
    families,
    loops::eval,
    machine::Machine,
    recipe::EvalRecipe,
    search,
    seed::Seed,
    selfplay::{Solver, cruxeval, exam},
    summary,
};

/// What to measure.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) model: ModelArgs,
    pub(crate) families: String,
    pub(crate) recipe: EvalRecipe,
    pub(crate) examples: String,
    pub(crate) completion_tokens_max: usize,
    pub(crate) stop: Vec<String>,
    pub(crate) search: bool,
    pub(crate) seed: u64,
}

/// Measures a model and prints its scores.
pub(crate) fn run(request: &Request, machine: &Machine, json: bool) -> Result<()> {
    let names = families::parse(&request.families)?;
    let policy = request.model.load(&request.stop)?;
    let verifier = machine.start_verifier()?;
    let mut bank = Vec::new();
    for name in &names {
        let mut tasks = ask::bank(name, &request.recipe)?;
        show_examples(&mut tasks, &request.examples);
        bank.extend(tasks);
    }
    let at = (Seed(request.seed), machine.threads);
    let tokens_max = request.completion_tokens_max;
    let groups = eval::rollouts(&policy, &verifier, bank, &request.recipe, tokens_max, at)?;
    let scores = eval::scores(&groups);
    let searched = match request.search {
        true => search::curves(&verifier, &groups)?,
        false => BTreeMap::new(),
    };
    if json {
        return put(&json!({
            "model": request.model.model,
            "split": request.recipe.split,
            "difficulty": request.recipe.difficulty,
            "samples": request.recipe.samples,
            "temperature": request.recipe.temperature,
            "seed": request.seed,
            "examples": request.examples,
            "families": scores.families,
            "tiers": scores.tiers,
            "pass_at_k": scores.pass_at_k,
            "search": searched,
            "baselines": {
                "best_constant_tests_passed": scores.constant_baseline,
                "visible_lookup_tests_passed": scores.lookup_baseline,
            },
            "sandbox": verifier.facts().tier.name(),
        }));
    }
    show(&summary::table(None, &scores))?;
    for (name, score) in &searched {
        show(&format!("{name:12}  {}\n", summary::cell(score)))?;
    }
    Ok(())
}

/// Measures a model on the puzzles of `which`: the bank, or a file, and prints its scores.
pub(crate) fn on_puzzles(
    request: &Request,
    (which, style): (&str, Style),
    machine: &Machine,
    json: bool,
) -> Result<()> {
    let recipe = &request.recipe;
    let puzzles = match which {
        "bank" => exam::held_out(&TaskKind::ALL, recipe.split.parse()?, recipe.tasks_per_family),
        path => {
            let named = |puzzle: Puzzle| (puzzle.kind.name().to_string(), puzzle);
            cruxeval::read(Path::new(path))?.into_iter().map(named).collect()
        }
    };
    let policy = request.model.load(&request.stop)?;
    let verifier = machine.start_verifier()?;
    let solver = Solver {
        policy: &policy,
        verifier: &verifier,
        sampling: policy.sampling(
            recipe.temperature,
            request.completion_tokens_max,
            Filter::default(),
        ),
        style,
        format: Format::Plain,
        limits: Limits::default(),
        threads: machine.threads,
    };
    let samples = recipe.samples as usize;
    let scores = exam::examine(&solver, puzzles, samples, Seed(request.seed))?;
    if json {
        return put(&json!({
            "model": request.model.model,
            "puzzles": which,
            "samples": recipe.samples,
            "temperature": recipe.temperature,
            "seed": request.seed,
            "families": scores.families,
            "tiers": scores.tiers,
            "pass_at_k": scores.pass_at_k,
            "sandbox": verifier.facts().tier.name(),
        }));
    }
    show(&summary::table(None, &scores))
}

/// Changes what the prompts show: nothing, or the examples of the next task of the bank.
fn show_examples(bank: &mut [Task], which: &str) {
    match which {
        "none" => bank.iter_mut().for_each(|t| t.examples.clear()),
        "other" if bank.len() > 1 => {
            let first = bank[0].examples.clone();
            for i in 1..bank.len() {
                bank[i - 1].examples = bank[i].examples.clone();
            }
            if let Some(last) = bank.last_mut() {
                last.examples = first;
            }
        }
        _ => {}
    }
}
