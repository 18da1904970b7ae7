//! Rewards without a verifier: agreement with the majority (M-GRPO, arXiv 2512.13070).
//!
//! The caller decides when two completions agree (equal outputs on generated inputs, say) and
//! gives each a cluster.

use crate::statistics::quantile;

/// Which completions are kept: those whose entropy is not below `Q1 - factor (Q3 - Q1)`. A
/// completion of unusually low entropy is one that the policy has collapsed onto. The paper has
/// a factor of 0.75. Where the middle half are all equal, everything below them goes.
pub fn keep_by_entropy(entropies: &[f64], factor: f64) -> Vec<bool> {
    let (q1, q3) = (quantile(entropies, 0.25), quantile(entropies, 0.75));
    let min = q1 - factor * (q3 - q1);
    entropies.iter().map(|h| *h >= min).collect()
}

/// The outcome of a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Majority<C> {
    /// The winner.
    pub cluster: C,
    /// Votes for it.
    pub votes: usize,
    /// Votes in all.
    pub of: usize,
}

impl<C> Majority<C> {
    /// The share of votes for the winner.
    pub fn share(&self) -> f64 {
        self.votes as f64 / self.of.max(1) as f64
    }
}

/// The cluster with most votes among those cast (`None` abstains, as a program that crashed
/// does). Of equal ones the first to be voted for wins. None where nobody votes, or where the
/// winner's share of the votes cast is below `share_min` (0.5 in the released code, 0 in the
/// paper).
pub fn majority<C: Copy + Eq>(votes: &[Option<C>], share_min: f64) -> Option<Majority<C>> {
    let mut tally: Vec<(C, usize)> = Vec::new();
    for vote in votes.iter().flatten() {
        match tally.iter_mut().find(|(cluster, _)| cluster == vote) {
            Some((_, n)) => *n += 1,
            None => tally.push((*vote, 1)),
        }
    }
    let of = tally.iter().map(|(_, n)| n).sum();
    // `rev` because `max_by_key` takes the last of equal ones.
    let (cluster, votes) = tally.into_iter().rev().max_by_key(|(_, n)| *n)?;
    let winner = Majority { cluster, votes, of };
    (winner.share() >= share_min).then_some(winner)
}

/// 1 for a vote for the winner, 0 for any other and for abstaining; all 0 without a winner.
pub fn agreement<C: Copy + Eq>(votes: &[Option<C>], winner: Option<Majority<C>>) -> Vec<f64> {
    let winner = winner.map(|w| w.cluster);
    let agrees = |vote: &Option<C>| winner.is_some() && *vote == winner;
    votes.iter().map(|vote| if agrees(vote) { 1.0 } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropies_far_below_the_middle_half_go() {
        assert_eq!(
            keep_by_entropy(&[1.0, 1.0, 1.0, 1.0, 0.1], 0.75),
            [true, true, true, true, false]
        );
        assert!(!keep_by_entropy(&[1.0, 0.999, 1.0, 1.0, 1.0], 0.75)[1]);
        // Q1 = 1.5, Q3 = 2.5: the bound is 0.75.
        assert_eq!(
            keep_by_entropy(&[0.7, 1.5, 2.0, 2.5, 9.0], 0.75),
            [false, true, true, true, true]
        );
        assert!(keep_by_entropy(&[], 0.75).is_empty());
    }

    #[test]
    fn the_first_of_equal_clusters_wins() {
        let votes = [Some('b'), Some('a'), None, Some('a'), Some('b'), Some('c')];
        let winner = majority(&votes, 0.0);
        assert_eq!(winner, Some(Majority { cluster: 'b', votes: 2, of: 5 }));
        assert_eq!(agreement(&votes, winner), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn a_weak_majority_is_none() {
        let votes = [Some(1), Some(1), Some(2), Some(3)];
        assert_eq!(majority(&votes, 0.5).map(|w| w.cluster), Some(1));
        assert_eq!(majority(&votes, 0.51), None);
        assert_eq!(agreement(&votes, None), [0.0; 4]);
        assert_eq!(majority::<u8>(&[None, None], 0.0), None);
    }
}
