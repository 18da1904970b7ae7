//! `axiom eval`.

use anyhow::Result;
use serde_json::json;
use tasks::Task;

use super::{put, show};
use crate::{
    ask, cli::ModelArgs, families, loops::eval, machine::Machine, policy::Policy,
    recipe::EvalRecipe, seed::Seed, summary,
};

/// Most tokens of a completion.
const COMPLETION_TOKENS_MAX: usize = 192;

/// What to measure.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) model: ModelArgs,
    pub(crate) families: String,
    pub(crate) recipe: EvalRecipe,
    pub(crate) examples: String,
    pub(crate) seed: u64,
}

/// Measures a model and prints its scores.
pub(crate) fn run(request: &Request, machine: &Machine, json: bool) -> Result<()> {
    let names = families::parse(&request.families)?;
    let policy = Policy::load(&request.model.source())?;
    let verifier = machine.start_verifier()?;
    let mut bank = Vec::new();
    for name in &names {
        let mut tasks = ask::bank(name, &request.recipe)?;
        show_examples(&mut tasks, &request.examples);
        bank.extend(tasks);
    }
    let at = (Seed(request.seed), machine.threads);
    let groups =
        eval::rollouts(&policy, &verifier, bank, &request.recipe, COMPLETION_TOKENS_MAX, at)?;
    let scores = eval::scores(&groups);
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
            "baselines": {
                "best_constant_tests_passed": scores.constant_baseline,
                "visible_lookup_tests_passed": scores.lookup_baseline,
            },
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
