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

/// How much a puzzle teaches that a share of the attempts solved: nothing where all or none did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learnability {
    /// More the rarer it is solved (Absolute Zero, eq. 4).
    OneMinusRate,
    /// Most where half of the attempts did: four times the variance of one (as Rutherford et al.
    /// 2024, "No Regrets", pick levels), which does not favour what is solved by luck.
    Variance,
}

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Proposed {
    /// It could not be read.
    Unreadable,
    /// It was read, and is no valid puzzle.
    Invalid,
    /// It is one, this much learnable.
    Valid(f64),
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

impl Learnability {
    /// Of a puzzle that a share `rate` of the attempts solved; 0 to 1.
    pub fn of(self, rate: f64) -> f64 {
        match self {
            _ if rate <= 0.0 || rate >= 1.0 => 0.0,
            Self::OneMinusRate => 1.0 - rate,
            Self::Variance => 4.0 * rate * (1.0 - rate),
        }
    }
}

impl RewardTable {
    /// What the proposer earns; `wrong` and `unreadable` are the penalties, below 0.
    pub fn proposer(self, became: Proposed, wrong: f64, unreadable: f64) -> f64 {
        match (self, became) {
            (_, Proposed::Unreadable) | (Self::Code, Proposed::Invalid) => unreadable,
            (Self::Paper, Proposed::Invalid) => wrong,
            (Self::Code, Proposed::Valid(0.0)) => wrong,
            (_, Proposed::Valid(learnability)) => learnability,
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
        for learnability in [Learnability::OneMinusRate, Learnability::Variance] {
            assert_eq!(learnability.of(0.0), 0.0);
            assert_eq!(learnability.of(1.0), 0.0);
        }
        assert_eq!(Learnability::OneMinusRate.of(0.125), 0.875);
        assert_eq!(Learnability::OneMinusRate.of(0.75), 0.25);
        assert_eq!(Learnability::Variance.of(0.5), 1.0);
        assert_eq!(Learnability::Variance.of(0.25), Learnability::Variance.of(0.75));
    }

    #[test]
    fn the_two_tables() {
        use Proposed::{Invalid, Unreadable, Valid};
        let row = |table: RewardTable| {
            [Unreadable, Invalid, Valid(0.0), Valid(0.75)]
                .map(|became| table.proposer(became, -0.5, -1.0))
        };
        assert_eq!(row(RewardTable::Paper), [-1.0, -0.5, 0.0, 0.75]);
        assert_eq!(row(RewardTable::Code), [-1.0, -1.0, -0.5, 0.75]);
        for table in [RewardTable::Paper, RewardTable::Code] {
            let solver = [Solved::Unreadable, Solved::Wrong, Solved::Right]
                .map(|found| table.solver(found, -0.5, -1.0));
            assert_eq!(solver, [-1.0, -0.5, 1.0]);
        }
    }
}
