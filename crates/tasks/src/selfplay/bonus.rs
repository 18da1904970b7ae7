//! What else a proposal may be paid for; all off unless a recipe asks.

use std::collections::HashSet;

/// Words that make a program branch or repeat.
const BRANCHES: [&str; 9] =
    ["if", "elif", "for", "while", "and", "or", "except", "lambda", "match"];
/// Branches at which a program counts as fully complex.
const BRANCHES_MAX: f64 = 15.0;

/// A term of the proposer's reward: `min(coef * x, max)`, added where the puzzle is learnable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bonus {
    /// The coefficient; 0 is off.
    pub coef: f64,
    /// The most it pays.
    pub max: f64,
}

impl Bonus {
    /// What it pays for `x`.
    pub fn of(self, x: f64) -> f64 {
        (self.coef * x).min(self.max)
    }
}

/// How much a program branches, 0 to 1.
pub fn complexity(program: &str) -> f64 {
    let branches = words(program).filter(|word| BRANCHES.contains(word)).count();
    (branches as f64 / BRANCHES_MAX).min(1.0)
}

/// How far a program is from the nearest of `references`, 0 to 1: one less the share of its
/// runs of three words that they have in common (Jaccard).
pub fn diversity<'a>(program: &str, references: impl IntoIterator<Item = &'a str>) -> f64 {
    let mine = shingles(program);
    let likeness = |other: &str| {
        let other = shingles(other);
        let common = mine.intersection(&other).count();
        common as f64 / (mine.len() + other.len() - common).max(1) as f64
    };
    1.0 - references.into_iter().map(likeness).fold(0.0, f64::max)
}

fn words(program: &str) -> impl Iterator<Item = &str> {
    program.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

fn shingles(program: &str) -> HashSet<Vec<&str>> {
    let words: Vec<&str> = words(program).collect();
    words.windows(3.min(words.len().max(1))).map(<[&str]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bonuses_are_bounded_and_grow_with_what_they_name() {
        assert_eq!(Bonus { coef: 0.5, max: 0.3 }.of(1.0), 0.3);
        assert_eq!(Bonus { coef: 0.0, max: 1.0 }.of(1.0), 0.0);
        let (plain, branchy) =
            ("def f(x):\n    return x\n", "def f(x):\n    if x and x:\n        return 1\n");
        assert_eq!(complexity(plain), 0.0);
        assert!(complexity(branchy) > 0.0);
        assert_eq!(diversity(plain, [plain]), 0.0);
        assert_eq!(diversity(plain, []), 1.0);
        assert!(diversity(branchy, [plain]) > 0.5);
    }
}
