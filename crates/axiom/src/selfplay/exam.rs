//! Measuring the solver: on the held-out bank, or on puzzles that were given, never on those of
//! a buffer.

use std::collections::BTreeMap;

use anyhow::Result;
use runlog::FamilyScore;
use tasks::{
    Split,
    selfplay::{Puzzle, Solved, TaskKind, bank},
};

use super::{Solver, Solving};
use crate::{
    clock::Clock,
    loops::eval::{Scores, pass_at_ks},
    seed::Seed,
};

/// Steps of the programs of the bank.
const DEPTHS: [usize; 3] = [1, 2, 3];
/// The name of all puzzles together.
const ALL: &str = "all";

/// `n` puzzles of each kind and depth.
pub(crate) fn held_out(kinds: &[TaskKind], split: Split, n: u64) -> Vec<(String, Puzzle)> {
    let mut puzzles = Vec::new();
    for kind in kinds {
        for depth in DEPTHS {
            let puzzle = |i| (format!("{kind} depth {depth}"), bank(*kind, depth, split, i));
            puzzles.extend((0..n).map(puzzle));
        }
    }
    puzzles
}

/// Attempts at puzzles, counted by their names, by kind, and together.
pub(crate) fn examine(
    solver: &Solver<'_>,
    puzzles: Vec<(String, Puzzle)>,
    samples: usize,
    seed: Seed,
) -> Result<Scores> {
    let (names, puzzles): (Vec<String>, Vec<Puzzle>) = puzzles.into_iter().unzip();
    let solvings = solver.attempt(puzzles, |_| samples, seed, &mut Clock::start())?;
    let counts: Vec<(u32, u32)> = solvings.iter().map(count).collect();
    let kinds = solvings.iter().map(|s| s.puzzle.kind.name());
    let mut tiers = totals(kinds.zip(counts.iter().copied()));
    tiers.extend(totals(counts.iter().map(|count| (ALL, *count))));
    let solved: Vec<(usize, usize)> =
        counts.iter().map(|(right, n)| (*right as usize, *n as usize)).collect();
    Ok(Scores {
        families: totals(names.iter().map(String::as_str).zip(counts.iter().copied())),
        tiers,
        pass_at_k: pass_at_ks(&solved),
        ..Scores::default()
    })
}

/// Right and judged.
fn count(solving: &Solving) -> (u32, u32) {
    let judged = solving.attempts.iter().filter_map(|a| a.solved);
    judged.fold((0, 0), |(right, n), solved| (right + u32::from(solved == Solved::Right), n + 1))
}

fn totals<'a>(
    counts: impl Iterator<Item = (&'a str, (u32, u32))>,
) -> BTreeMap<String, FamilyScore> {
    let mut sums: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for (name, (right, n)) in counts {
        let sum = sums.entry(name).or_default();
        *sum = (sum.0 + right, sum.1 + n);
    }
    sums.into_iter()
        .map(|(name, (right, n))| (name.to_string(), FamilyScore::new(right, n)))
        .collect()
}
