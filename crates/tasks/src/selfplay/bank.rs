//! Puzzles for measuring: always the same, and never in the corpus.

use rand::SeedableRng as _;
use sha2::{Digest as _, Sha256};

use super::{
    Puzzle, TaskKind,
    short::{Short, case},
};
use crate::{
    Rng, Split,
    composed::{self, Data, Line},
};

/// Cases of an induction puzzle, of which half are shown.
const INDUCTION_CASES: usize = 6;
/// Inputs among which each case is chosen, the one first by which most wrong programs fail.
const CANDIDATES: usize = 24;
/// Of the programs with one thing wrong, at most one in so many passes.
const SURVIVORS: usize = 10;

/// The puzzle of these arguments: a program of `depth` steps (1 to 3) that the split owns
/// (`Validation` or `Test`).
///
/// Of deduction, the output is not the input; of abduction, the output is no answer; of
/// induction, nine in ten programs with one thing wrong fail a case, and the identity and a table
/// of the cases shown fail every hidden one.
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
    let n_wrong = wrong.len();
    let lines = short.lines();
    let mut cases: Vec<[Data; 2]> = Vec::new();
    while cases.len() < INDUCTION_CASES {
        let drawn = (0..CANDIDATES).filter_map(|_| short.trace(rng));
        let new = drawn.filter(|values| cases.iter().all(|[input, _]| *input != values[0]));
        let survivors = |[input, output]: &[Data; 2]| {
            let survives = |m: &&Vec<Line>| composed::run(m, input).as_ref() == Some(output);
            wrong.iter().filter(survives).count()
        };
        let pairs = new.map(|values| [values[0].clone(), values[lines.len()].clone()]);
        let best = pairs.filter(|[input, output]| input != output).min_by_key(survivors)?;
        wrong.retain(|m| composed::run(m, &best[0]).as_ref() == Some(&best[1]));
        cases.push(best);
    }
    // The most telling were chosen first: they are hidden.
    cases.rotate_left(INDUCTION_CASES / 2);
    let cases = cases.iter().map(|pair| case(pair)).collect();
    let puzzle = Puzzle { kind: TaskKind::Induction, program: short.program(), message, cases };
    (wrong.len() * SURVIVORS <= n_wrong).then_some(puzzle)
}
