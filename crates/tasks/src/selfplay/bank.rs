//! Puzzles for measuring: always the same, and never in the corpus.

use rand::SeedableRng as _;
use sha2::{Digest as _, Sha256};
use verify::TestCase;

use super::{
    Puzzle, TaskKind,
    short::{Short, case, input},
};
use crate::{
    Rng, Split,
    composed::{self, Data, Line},
};

/// Cases of an induction puzzle, of which half are shown.
const INDUCTION_CASES: usize = 6;

/// The puzzle of these arguments: a program of `depth` steps (1 to 3) that the split owns
/// (`Validation` or `Test`).
///
/// Of deduction, the output is not the input; of abduction, the output is no answer; of
/// induction, each program with one thing wrong fails a hidden case, and so do the identity and
/// a table of the cases shown.
pub fn bank(kind: TaskKind, depth: usize, split: Split, seed: u64) -> Puzzle {
    let name = format!("selfplay/bank/{kind}/{depth}/{}/{seed}", split.name());
    let mut rng = Rng::from_seed(Sha256::digest(name).into());
    loop {
        let short = Short::draw(split, depth, &mut rng);
        let found = match kind {
            TaskKind::Deduction | TaskKind::Abduction => single(kind, &short, &mut rng),
            TaskKind::Induction => induction(&short, split, &mut rng),
        };
        if let Some(puzzle) = found {
            return puzzle;
        }
    }
}

fn single(kind: TaskKind, short: &Short, rng: &mut Rng) -> Option<Puzzle> {
    let trace = short.trace(rng)?;
    let output = &trace[trace.len() - 1];
    let trivial = match kind {
        TaskKind::Abduction => composed::run(&short.lines(), output).as_ref() == Some(output),
        TaskKind::Deduction | TaskKind::Induction => *output == trace[0],
    };
    let cases = [case(&trace)].into();
    (!trivial).then(|| Puzzle { kind, program: short.program(), message: String::new(), cases })
}

fn induction(short: &Short, split: Split, rng: &mut Rng) -> Option<Puzzle> {
    let message = short.statement(split, rng)?;
    let mut wrong: Vec<Vec<Line>> =
        composed::variations(&short.composition).into_iter().map(|v| v.lines).collect();
    wrong.push(Vec::new());
    let lines = short.lines();
    let mut hidden: Vec<Data> = Vec::new();
    for _ in 0..200 {
        let left = INDUCTION_CASES / 2 - hidden.len();
        if left == 0 {
            break;
        }
        let Some(new) = short.trace(rng).map(|mut values| values.swap_remove(0)) else { continue };
        let output = composed::run(&lines, &new);
        let survives = |m: &Vec<Line>| composed::run(m, &new) == output;
        let n = wrong.iter().filter(|m| survives(m)).count();
        // What is left to tell apart is shared by the cases that are left.
        if hidden.contains(&new) || n * left > wrong.len() * (left - 1) {
            continue;
        }
        wrong.retain(survives);
        hidden.push(new);
    }
    let mut inputs: Vec<Data> = Vec::new();
    while hidden.len() == INDUCTION_CASES / 2 && inputs.len() < hidden.len() {
        let new = input(rng);
        let known = inputs.contains(&new) || hidden.contains(&new);
        if !known && composed::run(&lines, &new).is_some() {
            inputs.push(new);
        }
    }
    inputs.extend(hidden);
    let case = |input: Data| Some(case(&[input.clone(), composed::run(&lines, &input)?]));
    let cases: Option<Vec<TestCase>> = inputs.into_iter().map(case).collect();
    let complete = wrong.is_empty();
    let puzzle = |cases: Vec<TestCase>| Puzzle {
        kind: TaskKind::Induction,
        program: short.program(),
        message,
        cases: cases.into(),
    };
    cases.filter(|cases| complete && cases.len() == INDUCTION_CASES).map(puzzle)
}
