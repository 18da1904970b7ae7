//! The puzzles that were ever valid, by kind: what proposers are shown, and what fills the
//! solver's batch.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng as _, seq::IteratorRandom as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tasks::selfplay::{Puzzle, TaskKind};
use verify::Value;

use super::recipe::Eviction;
use crate::seed::Seed;

/// A puzzle that is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) puzzle: Puzzle,
    /// The program's normal form and what is asked of it, hashed: no two puzzles of a buffer
    /// have the same.
    key: String,
    /// The program's normal form, hashed.
    program: String,
}

/// The puzzles of one kind, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Buffer {
    kept: Vec<Kept>,
    /// How many were ever added.
    seen: u64,
}

/// A buffer for each kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Buffers {
    kinds: BTreeMap<TaskKind, Buffer>,
}

impl Kept {
    /// A puzzle whose program has this normal form.
    pub(crate) fn new(puzzle: Puzzle, form: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(form);
        for case in puzzle.cases.iter() {
            hash.update(format!("\0{:?}", case.args));
        }
        let program = format!("{:x}", Sha256::digest(form));
        Self { puzzle, key: format!("{:x}", hash.finalize()), program }
    }

    /// What no other puzzle of its kind has.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

impl Buffers {
    /// Nothing but the identity, one of each kind.
    pub(crate) fn identity(kinds: &[TaskKind]) -> Self {
        let mut buffers = Self::default();
        for kind in kinds {
            let puzzle = Puzzle::identity(*kind);
            let form = puzzle.program.clone();
            let buffer = buffers.kinds.entry(*kind).or_default();
            *buffer = Buffer { kept: vec![Kept::new(puzzle, &form)], seen: 1 };
        }
        buffers
    }

    /// Whether nothing is there, not even the identity.
    pub(crate) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// How many puzzles of a kind there are.
    pub(crate) fn len(&self, kind: TaskKind) -> usize {
        self.kinds.get(&kind).map_or(0, |buffer| buffer.kept.len())
    }

    /// Whether this puzzle is there.
    pub(crate) fn contains(&self, new: &Kept) -> bool {
        let buffer = self.kinds.get(&new.puzzle.kind);
        buffer.is_some_and(|buffer| buffer.kept.iter().any(|kept| kept.key == new.key))
    }

    /// How many puzzles of its kind have its program.
    pub(crate) fn with_program_of(&self, new: &Kept) -> usize {
        let buffer = self.kinds.get(&new.puzzle.kind);
        let same = |kept: &&Kept| kept.program == new.program;
        buffer.map_or(0, |buffer| buffer.kept.iter().filter(same).count())
    }

    /// Adds puzzles; who leaves a full buffer is drawn from `seed`.
    pub(crate) fn add(&mut self, new: Vec<Kept>, max: usize, eviction: Eviction, seed: Seed) {
        let mut rng = seed.rng();
        for kept in new {
            let buffer = self.kinds.entry(kept.puzzle.kind).or_default();
            buffer.seen += 1;
            if buffer.kept.len() < max {
                buffer.kept.push(kept);
                continue;
            }
            match eviction {
                Eviction::Fifo => {
                    buffer.kept.remove(0);
                    buffer.kept.push(kept);
                }
                Eviction::Reservoir => {
                    let at = rng.random_range(0..buffer.seen) as usize;
                    if let Some(place) = buffer.kept.get_mut(at) {
                        *place = kept;
                    }
                }
            }
        }
    }

    /// `n` different puzzles of a kind, fewer where there are fewer.
    pub(crate) fn draw(&self, kind: TaskKind, n: usize, seed: Seed) -> Vec<&Puzzle> {
        let kept = self.kinds.get(&kind).into_iter().flat_map(|buffer| &buffer.kept);
        kept.map(|kept| &kept.puzzle).choose_multiple(&mut seed.rng(), n)
    }

    /// A program to ask questions about: any of those that have one input, the common ones no
    /// more often than the rare.
    pub(crate) fn program(&self, seed: Seed) -> Option<&str> {
        let of = |kind| self.kinds.get(&kind).into_iter().flat_map(|buffer| &buffer.kept);
        let all = of(TaskKind::Deduction).chain(of(TaskKind::Abduction));
        let different: BTreeMap<&str, &str> =
            all.map(|kept| (kept.program.as_str(), kept.puzzle.program.as_str())).collect();
        different.into_values().choose(&mut seed.rng())
    }

    /// Inputs of `n` different puzzles, fewer where there are fewer.
    pub(crate) fn inputs(&self, n: usize, seed: Seed) -> Vec<Vec<Value>> {
        let of = |kind| self.kinds.get(&kind).into_iter().flat_map(|buffer| &buffer.kept);
        let all = of(TaskKind::Deduction).chain(of(TaskKind::Abduction));
        let drawn = all.choose_multiple(&mut seed.rng(), n);
        drawn.into_iter().filter_map(|kept| Some(kept.puzzle.cases.first()?.args.clone())).collect()
    }

    /// The share of different programs among the puzzles.
    pub(crate) fn diversity(&self) -> f64 {
        let all = || self.kinds.values().flat_map(|buffer| &buffer.kept);
        let different: BTreeSet<&str> = all().map(|kept| kept.program.as_str()).collect();
        different.len() as f64 / all().count().max(1) as f64
    }

    /// The share of a kind's outputs that have the type of this one.
    pub(crate) fn share_of_type(&self, puzzle: &Puzzle) -> f64 {
        let kind = |p: &Puzzle| p.cases.first().map(|c| std::mem::discriminant(&c.expected));
        let kept = self.kinds.get(&puzzle.kind).map_or(&[][..], |buffer| &buffer.kept);
        let same = kept.iter().filter(|k| kind(&k.puzzle) == kind(puzzle)).count();
        same as f64 / kept.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn puzzle(i: usize) -> Kept {
        let mut puzzle = Puzzle::identity(TaskKind::Deduction);
        puzzle.program = format!("def f(x):\n    return {i}\n");
        let form = puzzle.program.clone();
        Kept::new(puzzle, &form)
    }

    fn numbers(buffers: &Buffers) -> Vec<usize> {
        let n = buffers.len(TaskKind::Deduction);
        let mut all: Vec<usize> = buffers
            .draw(TaskKind::Deduction, n, Seed(0))
            .iter()
            .filter_map(|p| p.program.trim().rsplit(' ').next()?.parse().ok())
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn a_full_buffer_drops_the_oldest_or_a_fair_one() {
        // The prior work kept the oldest.
        let mut fifo = Buffers::default();
        fifo.add((0..10).map(puzzle).collect(), 4, Eviction::Fifo, Seed(1));
        assert_eq!(numbers(&fifo), [6, 7, 8, 9]);
        let mut late = 0;
        for seed in 0..200 {
            let mut fair = Buffers::default();
            fair.add((0..10).map(puzzle).collect(), 4, Eviction::Reservoir, Seed(seed));
            assert_eq!(fair.len(TaskKind::Deduction), 4);
            late += numbers(&fair).iter().filter(|i| **i >= 5).count();
        }
        assert!((300..500).contains(&late), "{late} of 800 are from the later half");
    }

    #[test]
    fn draws_are_different_and_as_many_as_there_are() {
        let mut buffers = Buffers::identity(&TaskKind::ALL);
        assert_eq!(buffers.draw(TaskKind::Deduction, 6, Seed(0)).len(), 1);
        buffers.add((0..5).map(puzzle).collect(), 100, Eviction::Fifo, Seed(0));
        let mut programs: Vec<&str> = buffers
            .draw(TaskKind::Deduction, 6, Seed(3))
            .iter()
            .map(|p| p.program.as_str())
            .collect();
        programs.sort_unstable();
        programs.dedup();
        assert_eq!(programs.len(), 6);
        assert_eq!(
            buffers.draw(TaskKind::Deduction, 3, Seed(3)),
            buffers.draw(TaskKind::Deduction, 3, Seed(3))
        );
    }

    #[test]
    fn the_same_program_and_input_is_known_again() {
        let mut buffers = Buffers::identity(&TaskKind::ALL);
        buffers.add(vec![puzzle(1)], 100, Eviction::Fifo, Seed(0));
        assert!(buffers.contains(&puzzle(1)));
        assert!(!buffers.contains(&puzzle(2)));
        let mut other_input = puzzle(1).puzzle;
        other_input.cases = Puzzle::identity(TaskKind::Induction).cases;
        let form = other_input.program.clone();
        assert!(!buffers.contains(&Kept::new(other_input, &form)));
    }

    #[test]
    fn a_common_program_is_asked_about_no_more_often() {
        let mut buffers = Buffers::default();
        let mut common: Vec<Kept> = (0..30).map(|_| puzzle(1)).collect();
        common.push(puzzle(2));
        buffers.add(common, 100, Eviction::Fifo, Seed(0));
        assert_eq!(buffers.with_program_of(&puzzle(1)), 30);
        assert_eq!(buffers.with_program_of(&puzzle(3)), 0);
        let rare = |seed: &u64| buffers.program(Seed(*seed)).unwrap().contains('2');
        let n = (0..200).filter(rare).count();
        assert!((70..130).contains(&n), "{n} of 200");
    }

    #[test]
    fn buffers_survive_a_checkpoint() {
        let mut buffers = Buffers::identity(&TaskKind::ALL);
        buffers.add((0..5).map(puzzle).collect(), 3, Eviction::Fifo, Seed(0));
        let text = serde_json::to_string(&buffers).unwrap();
        assert_eq!(serde_json::from_str::<Buffers>(&text).unwrap(), buffers);
    }
}
