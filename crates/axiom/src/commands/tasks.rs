//! `axiom tasks`.

use anyhow::Result;
use serde_json::json;
use tasks::{Task, TaskId, composed, families};
use verify::TestCase;

use super::{put, show};
use crate::families as names;

/// Prints the families.
pub(crate) fn list() -> Result<()> {
    for family in families::all() {
        let variants: Vec<&str> = family.variants().iter().map(|v| v.name).collect();
        let tier = family.tier().name();
        show(&format!("{:22} {tier:9} {}\n", family.name(), variants.join("; ")))?;
    }
    let n = composed::primitives().len();
    show(&format!("{:22} {:9} chains of 1 to 4 of {n} primitives\n", composed::NAME, "composed"))
}

/// Prints the tasks `ids`, as text or as JSON lines.
pub(crate) fn print(ids: &[String], json: bool) -> Result<()> {
    let tasks: Vec<Task> =
        ids.iter().map(|id| Task::build(&id.parse()?)).collect::<Result<_, _>>()?;
    tasks.iter().try_for_each(|task| if json { put(&as_json(task)) } else { print_text(task) })
}

fn print_text(task: &Task) -> Result<()> {
    let baselines = tasks::baselines(task);
    show(&tasks::prompt(task))?;
    show("\nhidden tests:\n")?;
    for test in task.tests.iter() {
        let args: Vec<String> = test.args.iter().map(ToString::to_string).collect();
        show(&format!("  {}({}) == {}\n", task.entry_point, args.join(", "), test.expected))?;
    }
    show(&format!(
        "best constant answer passes {:.2} of them, a lookup of the examples {:.2}\n",
        baselines.constant, baselines.lookup
    ))
}

/// Prints tasks as JSON lines.
pub(crate) fn export(families: &str, difficulty: u8, split: &str, n: u64) -> Result<()> {
    let split = split.parse()?;
    for family in names::parse(families)? {
        for seed in 0..n {
            let id = TaskId { family: family.clone(), difficulty, split, seed };
            put(&as_json(&Task::build(&id)?))?;
        }
    }
    Ok(())
}

fn as_json(task: &Task) -> serde_json::Value {
    json!({
        "id": task.id.to_string(),
        "tier": task.tier().name(),
        "prompt": tasks::prompt(task),
        "statement": task.statement,
        "entry_point": task.entry_point,
        "params": task.params,
        "examples": task.examples.iter().map(case).collect::<Vec<_>>(),
        "tests": task.tests.iter().map(case).collect::<Vec<_>>(),
    })
}

fn case(test: &TestCase) -> serde_json::Value {
    let args: Vec<serde_json::Value> = test.args.iter().map(verify::Value::to_json).collect();
    json!({ "args": args, "expected": test.expected.to_json() })
}
