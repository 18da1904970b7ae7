//! A family of tasks about one algorithm, and how its programs may go wrong.

use verify::{Comparator, Value};

use crate::{Rng, Sketch};

/// Which group of families a family is reported with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Short programs, one loop.
    Basic,
    /// Dynamic programming, search, intervals.
    Hard,
    /// Compositions of primitives.
    Composed,
}

impl Tier {
    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Hard => "hard",
            Self::Composed => "composed",
        }
    }
}

/// One reading of a family: the same signature, another right program.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// A short name, for reports.
    pub name: &'static str,
    /// How often this variant is drawn, relative to its siblings.
    pub share: u32,
    /// Statements, written so: `[a|b]` is a choice, `$0` a parameter.
    pub wordings: &'static [&'static str],
}

/// A set of variants, as a bit mask over their indices.
pub type Mask = u32;

/// Every variant.
pub const ALL: Mask = Mask::MAX;
/// No variant.
pub const NEVER: Mask = 0;

/// The variant at `index` alone.
pub const fn only(index: usize) -> Mask {
    1 << index
}

/// A family of tasks about one algorithm.
///
/// `solve` and `oracle` answer the same question by different means; a test holds them
/// against each other on thousands of inputs.
pub trait Algorithm: Sync {
    /// The family's name, which is also the entry point of its programs.
    fn name(&self) -> &'static str;

    /// The group it is reported with: `Basic` or `Hard`.
    fn tier(&self) -> Tier;

    /// Its readings; at least one.
    fn variants(&self) -> &'static [Variant];

    /// Alternative lists of parameter names, all of the same length.
    fn params(&self) -> &'static [&'static [&'static str]];

    /// Random arguments of one test. `difficulty` is 1 to 10 and must change them.
    fn inputs(&self, variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value>;

    /// Arguments that every hidden test suite contains: the ones that force the algorithm
    /// and tell the wrong programs from the right one.
    fn probes(&self, variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>>;

    /// Small arguments for the examples in the prompt: short when printed.
    fn example(&self, variant: usize, rng: &mut Rng) -> Vec<Value> {
        self.inputs(variant, 1, rng)
    }

    /// The right answer, fast.
    fn solve(&self, variant: usize, args: &[Value]) -> Value;

    /// The right answer, by another and simpler way, however slow.
    fn oracle(&self, variant: usize, args: &[Value]) -> Value;

    /// When a returned value counts as right.
    fn comparator(&self) -> Comparator {
        Comparator::Exact
    }

    /// How its programs look, with their right and wrong choices.
    fn sketches(&self) -> &'static [Sketch];
}
