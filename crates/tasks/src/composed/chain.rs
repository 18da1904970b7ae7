//! Which compositions belong to which split.

use std::{collections::HashMap, sync::LazyLock};

use rand::Rng as _;

use super::{
    Composition, Step,
    data::{Data, Kind},
    inputs,
    primitive::primitives,
    program::{right_lines, run, without},
};
use crate::{Rng, Split, wording};

/// The class of an ordered pair of neighbouring primitives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pairs {
    /// 15 %: in the test split and nowhere else.
    Test,
    /// 8 %: in the validation split and nowhere else.
    Validation,
    /// 15 %: practised in runs, absent from the corpus.
    Train,
    /// In the corpus, and in runs beside a pair of `Train`.
    Common,
}

impl Pairs {
    /// The class of `first` followed by `second` (indices of primitives), by a stable hash of
    /// their names.
    pub fn of(first: usize, second: usize) -> Self {
        static CLASSES: LazyLock<Vec<Vec<Pairs>>> = LazyLock::new(|| {
            let row = |a| primitives().iter().map(move |b| Pairs::by_name(a, b.name)).collect();
            primitives().iter().map(|a| row(a.name)).collect()
        });
        CLASSES[first][second]
    }

    fn by_name(first: &str, second: &str) -> Self {
        match (wording::hash(&format!("{first} {second}")) >> 32) % 100 {
            ..15 => Self::Test,
            15..23 => Self::Validation,
            23..38 => Self::Train,
            _ => Self::Common,
        }
    }

    /// Whether the pair may occur in the split.
    fn allowed(self, split: Split) -> bool {
        match split {
            Split::Pretrain => self == Self::Common,
            Split::Train => matches!(self, Self::Common | Self::Train),
            Split::Validation => self == Self::Validation,
            Split::Test => self == Self::Test,
        }
    }
}

/// Draws a composition of the split. Chains grow from a primitive drawn uniformly, so that
/// none is rare.
pub(crate) fn draw(split: Split, depth: usize, rng: &mut Rng) -> Composition {
    for _ in 0..1_000 {
        let seed = rng.random_range(0..primitives().len());
        for _ in 0..200 {
            let Some(chain) = grown(seed, split, depth, rng) else { continue };
            let composition = with_constants(&chain, rng);
            if is_telling(&composition) {
                return composition;
            }
        }
    }
    unreachable!("every split has compositions of depth {depth}; a test draws them")
}

/// A chain through `seed`, or `None` at a dead end.
fn grown(seed: usize, split: Split, depth: usize, rng: &mut Rng) -> Option<Vec<usize>> {
    let mut chain = vec![seed];
    let ends = primitives()[seed].gives() == Kind::Int;
    let before = if ends { depth - 1 } else { rng.random_range(0..depth) };
    for i in 0..depth - 1 {
        let left = i < before;
        let end = if left { chain[0] } else { chain[chain.len() - 1] };
        let fits = |next: &usize| {
            let (a, b) = if left { (*next, end) } else { (end, *next) };
            primitives()[a].gives() == primitives()[b].takes()
                && Pairs::of(a, b).allowed(split)
                && !chain.contains(next)
        };
        let choices: Vec<usize> = (0..primitives().len()).filter(fits).collect();
        if choices.is_empty() {
            return None;
        }
        let next = choices[rng.random_range(0..choices.len())];
        chain.insert(if left { 0 } else { chain.len() }, next);
    }
    let practised = chain.windows(2).any(|w| Pairs::of(w[0], w[1]) == Pairs::Train);
    (split != Split::Train || depth == 1 || practised).then_some(chain)
}

fn with_constants(chain: &[usize], rng: &mut Rng) -> Composition {
    let step = |&primitive: &usize| {
        let (low, high) = primitives()[primitive].constants;
        let constant = if high > low { rng.random_range(low..=high) } else { low };
        Step { primitive, constant }
    };
    Composition { steps: chain.iter().map(step).collect() }
}

/// Whether the composition is worth asking about: its outputs vary, stay small, and each of
/// its steps matters.
fn is_telling(composition: &Composition) -> bool {
    const SAMPLE: usize = 24;
    let lines = right_lines(composition);
    let sample = &inputs::battery(composition.takes())[..SAMPLE];
    let Some(outputs): Option<Vec<Data>> = sample.iter().map(|x| run(&lines, x)).collect() else {
        return false;
    };
    let mut counts: HashMap<&Data, usize> = HashMap::new();
    for output in &outputs {
        *counts.entry(output).or_default() += 1;
    }
    let varied = counts.len() >= 5 && counts.values().all(|n| *n <= SAMPLE / 3);
    varied
        && (0..lines.len()).all(|i| {
            let shorter = without(&lines, i).unwrap_or_default();
            let differs = |(x, y): &(&Data, &Data)| run(&shorter, x).as_ref() != Some(*y);
            sample.iter().zip(&outputs).filter(differs).count() >= SAMPLE / 6
        })
}
