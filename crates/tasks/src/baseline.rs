//! What a program that understands nothing would score, reported beside every result.

use verify::{TestCase, Value};

use crate::Task;

/// Share of a task's hidden tests that trivial programs pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Baselines {
    /// The best single constant answer, chosen with knowledge of the tests.
    pub constant: f64,
    /// A lookup table of the visible examples that falls back to their first answer.
    pub lookup: f64,
}

/// The baselines of one task.
pub fn baselines(task: &Task) -> Baselines {
    let share = |hits: usize| hits as f64 / task.tests.len().max(1) as f64;
    let equal_to = |value: &Value| task.tests.iter().filter(|t| t.expected == *value).count();
    let constant = task.tests.iter().map(|t| equal_to(&t.expected)).max().unwrap_or(0);
    let lookup = task.tests.iter().filter(|t| looked_up(&task.examples, t)).count();
    Baselines { constant: share(constant), lookup: share(lookup) }
}

fn looked_up(examples: &[TestCase], test: &TestCase) -> bool {
    let known = examples.iter().find(|e| e.args == test.args).or(examples.first());
    known.is_some_and(|e| e.expected == test.expected)
}
