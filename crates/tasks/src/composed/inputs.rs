//! Inputs of composed programs.

use std::sync::LazyLock;

use rand::{Rng as _, SeedableRng as _};

use super::data::{Data, Kind};
use crate::Rng;

/// Inputs in the battery of each kind.
const BATTERY_LEN: usize = 96;

/// Fixed inputs by which programs are told apart while tasks are drawn.
pub(super) fn battery(kind: Kind) -> &'static [Data] {
    static LISTS: LazyLock<Vec<Data>> = LazyLock::new(|| fixed(Kind::List));
    static TEXTS: LazyLock<Vec<Data>> = LazyLock::new(|| fixed(Kind::Text));
    if kind == Kind::List { &LISTS } else { &TEXTS }
}

fn fixed(kind: Kind) -> Vec<Data> {
    let mut rng = Rng::seed_from_u64(0);
    (0..BATTERY_LEN).map(|i| random(kind, (i % 10) as u8 + 1, &mut rng)).collect()
}

/// A random input; a higher difficulty makes it longer and its numbers larger.
pub(super) fn random(kind: Kind, difficulty: u8, rng: &mut Rng) -> Data {
    let d = usize::from(difficulty);
    if kind == Kind::List {
        let len = rng.random_range(3..=6 + d / 2);
        let bound = 9 + i64::from(difficulty);
        return list(len, -bound / 2..=bound, rng);
    }
    let words = rng.random_range(2..=3 + d / 3);
    text(words, 2..=4 + d / 3, rng)
}

/// A short input for the prompt.
pub(super) fn example(kind: Kind, rng: &mut Rng) -> Data {
    if kind == Kind::List {
        let len = rng.random_range(3..=4);
        return list(len, -2..=9, rng);
    }
    let words = rng.random_range(2..=3);
    text(words, 2..=3, rng)
}

/// The edge cases of every hidden test suite.
pub(super) fn probes(kind: Kind, difficulty: u8, rng: &mut Rng) -> Vec<Data> {
    let d = usize::from(difficulty);
    if kind == Kind::List {
        let few = rng.random_range(2..=8);
        return vec![
            Data::List(Vec::new()),
            list(1, 1..=9, rng),
            list(3 + d / 2, -12..=-1, rng),
            list(6 + d / 2, few - 2..=few, rng),
        ];
    }
    vec![Data::Text(String::new()), text(1, 3..=5, rng), text(4, 1..=2, rng)]
}

/// Numbers in `range`, of which about one in five repeats an earlier one.
pub(crate) fn list(len: usize, range: std::ops::RangeInclusive<i64>, rng: &mut Rng) -> Data {
    let mut xs: Vec<i64> = Vec::with_capacity(len);
    for _ in 0..len {
        let repeat = !xs.is_empty() && rng.random_bool(0.2);
        let at = if repeat { rng.random_range(0..xs.len()) } else { 0 };
        xs.push(if repeat { xs[at] } else { rng.random_range(range.clone()) });
    }
    Data::List(xs)
}

/// Pronounceable words in lower case, one space between.
fn text(words: usize, lengths: std::ops::RangeInclusive<usize>, rng: &mut Rng) -> Data {
    let words: Vec<String> = (0..words)
        .map(|_| {
            let start = rng.random_range(0..2);
            let len = rng.random_range(lengths.clone());
            (start..start + len).map(|i| letter(i % 2 == 0, rng)).collect()
        })
        .collect();
    Data::Text(words.join(" "))
}

fn letter(vowel: bool, rng: &mut Rng) -> char {
    let letters: &[u8] = if vowel { b"aeiou" } else { b"bcdfglmnprst" };
    char::from(letters[rng.random_range(0..letters.len())])
}
