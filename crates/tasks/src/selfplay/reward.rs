//! What a proposal and an answer are worth.

use serde::{Deserialize, Serialize};

/// Which table of rewards. The paper and its code differ in one cell: what a proposal earns
/// that is valid and teaches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardTable {
    /// As the paper writes it (eq. 4 to 6): 0 for that proposal.
    Paper,
    /// As its code has it: the same as for one that is wrong; and one that is not valid counts
    /// as one that cannot be read.
    Code,
}

/// What solvers found of a proposal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Learnability {
    /// It could not be read.
    Unreadable,
    /// It was read, and is no valid puzzle.
    Invalid,
    /// It is one, and this share of the attempts solved it.
    Rate(f64),
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Solved {
    /// It could not be read.
    Unreadable,
    /// It was read, and is wrong.
    Wrong,
    /// It is right.
    Right,
}

/// How much a puzzle teaches that a share `rate` of the attempts solved: nothing where all or
/// none did, and more the rarer it is solved (eq. 4).
pub fn learnability(rate: f64) -> f64 {
    if rate <= 0.0 || rate >= 1.0 { 0.0 } else { 1.0 - rate }
}

impl RewardTable {
    /// What the proposer earns; `wrong` and `unreadable` are the penalties, below 0.
    pub fn proposer(self, found: Learnability, wrong: f64, unreadable: f64) -> f64 {
        match (self, found) {
            (_, Learnability::Unreadable) | (Self::Code, Learnability::Invalid) => unreadable,
            (Self::Paper, Learnability::Invalid) => wrong,
            (_, Learnability::Rate(rate)) => match learnability(rate) {
                0.0 if self == Self::Code => wrong,
                learnability => learnability,
            },
        }
    }

    /// What the solver earns.
    pub fn solver(self, found: Solved, wrong: f64, unreadable: f64) -> f64 {
        match found {
            Solved::Unreadable => unreadable,
            Solved::Wrong => wrong,
            Solved::Right => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everyone_or_no_one_solves_teaches_nothing() {
        // The prior project paid the mean solve rate: most for what is trivial.
        assert_eq!(learnability(0.0), 0.0);
        assert_eq!(learnability(1.0), 0.0);
        assert_eq!(learnability(0.125), 0.875);
        assert!(learnability(0.25) > learnability(0.75));
    }

    #[test]
    fn the_two_tables() {
        use Learnability::{Invalid, Rate, Unreadable};
        let row = |table: RewardTable| {
            [Unreadable, Invalid, Rate(0.0), Rate(0.25), Rate(1.0)]
                .map(|found| table.proposer(found, -0.5, -1.0))
        };
        assert_eq!(row(RewardTable::Paper), [-1.0, -0.5, 0.0, 0.75, 0.0]);
        assert_eq!(row(RewardTable::Code), [-1.0, -1.0, -0.5, 0.75, -0.5]);
        for table in [RewardTable::Paper, RewardTable::Code] {
            let solver = [Solved::Unreadable, Solved::Wrong, Solved::Right]
                .map(|found| table.solver(found, -0.5, -1.0));
            assert_eq!(solver, [-1.0, -0.5, 1.0]);
        }
    }
}
