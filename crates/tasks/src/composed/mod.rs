//! Composed programs: one to four primitives, one after the other, described in words.
//!
//! What is held out is not wording but *composition*: every ordered pair of neighbouring
//! primitives has a class (see [`Pairs`]), and each split is made of its own classes. A
//! task of depth one has no pair, and is told apart by its statement like the other families.

use rand::Rng as _;
use verify::{Comparator, TestCase};

use crate::{
    Rng, Split, Task, TaskId,
    task::{HIDDEN_TESTS, Source, VISIBLE_EXAMPLES},
    wording,
};

mod chain;
mod data;
mod inputs;
mod lists;
mod primitive;
mod program;
mod statement;
#[cfg(test)]
mod tests;
mod texts;

pub use chain::Pairs;
pub use primitive::{Primitive, primitives};
pub use program::{Draw, draw, mutants, reference};
pub use statement::statement;

pub(crate) use chain::draw as draw_chain;

pub(crate) use data::{Data, Kind};
pub(crate) use inputs::list;
pub(crate) use primitive::written;
pub(crate) use program::{Line, SLIP_MAX, right_lines, run, variations};
pub(crate) use statement::unnamed;

/// The family's name.
pub const NAME: &str = "composed";
/// The function that its programs define.
pub const ENTRY_POINT: &str = "transform";

const LIST_PARAMS: &[&str] = &["xs", "nums", "values", "items", "data"];
const TEXT_PARAMS: &[&str] = &["s", "text", "line", "t"];

/// One step of a composition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step {
    /// Its index in [`primitives`].
    pub primitive: usize,
    /// Its constant; 0 where the primitive has none.
    pub constant: i64,
}

/// Primitives applied one after the other; the types fit and no primitive occurs twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Composition {
    /// First step first.
    pub steps: Vec<Step>,
}

impl Composition {
    /// The classes of its neighbouring pairs, in order.
    pub fn pairs(&self) -> impl Iterator<Item = Pairs> {
        self.steps.windows(2).map(|w| Pairs::of(w[0].primitive, w[1].primitive))
    }

    /// Whether no step meets a text.
    pub(crate) fn is_numeric(&self) -> bool {
        let steps = self.steps.iter().map(|step| primitives()[step.primitive]);
        steps.into_iter().all(|p| p.takes() == Kind::List && p.gives() != Kind::Text)
    }

    fn takes(&self) -> Kind {
        primitives()[self.steps[0].primitive].takes()
    }
}

/// How many steps a task of this difficulty has. Pretraining stops at three.
pub fn depth(difficulty: u8, split: Split) -> usize {
    match difficulty {
        ..=2 => 1,
        3..=4 => 2,
        5..=7 => 3,
        _ if split == Split::Pretrain => 3,
        _ => 4,
    }
}

/// The task without its hidden tests.
pub(crate) fn question(id: &TaskId, rng: &mut Rng) -> Task {
    let (composition, text) = drawn(id, rng);
    let pool = if composition.takes() == Kind::List { LIST_PARAMS } else { TEXT_PARAMS };
    let params = vec![pool[rng.random_range(0..pool.len())].to_string()];
    let examples = examples(&composition, rng);
    Task {
        id: id.clone(),
        statement: wording::name_params(&text, &params),
        source: Source::Composed(composition),
        entry_point: ENTRY_POINT.to_string(),
        params,
        examples,
        tests: [].into(),
        comparator: Comparator::Exact,
    }
}

/// A composition of the split, with its statement (the parameter still `$0`).
fn drawn(id: &TaskId, rng: &mut Rng) -> (Composition, String) {
    loop {
        let composition = chain::draw(id.split, depth(id.difficulty, id.split), rng);
        let text = statement::unnamed(&composition, rng);
        if composition.steps.len() > 1 || id.split.owns(wording::class(&text)) {
            return (composition, text);
        }
    }
}

/// Short examples; where possible with outputs that are neither empty nor equal.
fn examples(composition: &Composition, rng: &mut Rng) -> Vec<TestCase> {
    let lines = right_lines(composition);
    let mut kept: Vec<(Data, Data)> = Vec::with_capacity(VISIBLE_EXAMPLES);
    for attempt in 0.. {
        let input = inputs::example(composition.takes(), rng);
        let Some(output) = run(&lines, &input) else { continue };
        let new = !kept.iter().any(|(i, _)| *i == input);
        let telling = !output.is_empty() && !kept.iter().any(|(_, o)| *o == output);
        if new && (telling || attempt > 20) {
            kept.push((input, output));
        }
        if kept.len() == VISIBLE_EXAMPLES {
            break;
        }
    }
    kept.into_iter().map(case).collect()
}

/// The hidden tests: edge cases first, then inputs chosen so that each mutant fails one.
pub(crate) fn hidden(
    composition: &Composition,
    difficulty: u8,
    shown: &[TestCase],
    rng: &mut Rng,
) -> Vec<TestCase> {
    let lines = right_lines(composition);
    let mut alive: Vec<Vec<Line>> = variations(composition).into_iter().map(|v| v.lines).collect();
    let mut kept: Vec<(Data, Data)> = Vec::with_capacity(HIDDEN_TESTS);
    let mut add = |input: Data, alive: &mut Vec<Vec<Line>>, must_kill: bool| {
        let seen = shown.iter().any(|e| e.args[0] == input.value());
        let Some(output) = run(&lines, &input) else { return false };
        if seen || kept.iter().any(|(i, _)| *i == input) || kept.len() >= HIDDEN_TESTS {
            return kept.len() >= HIDDEN_TESTS;
        }
        let dying = alive.iter().filter(|m| run(m, &input).as_ref() != Some(&output)).count();
        let outputs = kept.iter().filter(|(_, o)| *o == output).count();
        if must_kill && (outputs > 2 || (dying == 0 && !alive.is_empty())) {
            return false;
        }
        alive.retain(|m| run(m, &input).as_ref() == Some(&output));
        kept.push((input, output));
        kept.len() >= HIDDEN_TESTS
    };
    for input in inputs::probes(composition.takes(), difficulty, rng) {
        add(input, &mut alive, false);
    }
    for _ in 0..150 {
        if add(inputs::random(composition.takes(), difficulty, rng), &mut alive, true) {
            break;
        }
    }
    // What random inputs of this difficulty leave alive, an input of the battery kills.
    for input in inputs::battery(composition.takes()) {
        if alive.is_empty() || add(input.clone(), &mut alive, true) {
            break;
        }
    }
    while !add(inputs::random(composition.takes(), difficulty, rng), &mut alive, false) {}
    kept.into_iter().map(case).collect()
}

fn case((input, output): (Data, Data)) -> TestCase {
    TestCase { args: vec![input.value()], expected: output.value() }
}
