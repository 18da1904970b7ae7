//! Choosing one of several completions without the hidden tests: by the visible examples, or by
//! what most of them answer. Accuracy against how many there are to choose from.

use std::collections::BTreeMap;

use anyhow::Result;
use runlog::FamilyScore;
use verify::{Submission, Verdict, Verifier};

use crate::{
    groups::Group,
    vote::{Ballot, ballots},
};

/// Tasks solved by the completion that is chosen from the first `k` of each: `best@k`, the first
/// that passes the visible examples, and `majority@k`, the first of the largest part that gives
/// equal answers on the inputs of the hidden tests; the first of all where there is none.
pub(crate) fn curves(
    verifier: &Verifier,
    groups: &[Group],
) -> Result<BTreeMap<String, FamilyScore>> {
    let programs = |g: &Group| -> Vec<Submission> {
        g.rollouts.iter().map(|r| g.task.visible(r.program.clone())).collect()
    };
    let submissions: Vec<Submission> = groups.iter().flat_map(programs).collect();
    let mut visible = verifier.judge(&submissions)?.into_iter();
    let ballots = ballots(verifier, groups)?;
    let most = groups.iter().map(|g| g.rollouts.len()).min().unwrap_or(0);
    let ks: Vec<usize> = [1, 2, 4, 8, 16, 32, 64].into_iter().filter(|k| *k <= most).collect();
    let mut solved: BTreeMap<String, u32> = BTreeMap::new();
    for (group, ballots) in groups.iter().zip(&ballots) {
        let passed: Vec<bool> = visible
            .by_ref()
            .take(group.rollouts.len())
            .map(|found| found.verdict == Verdict::Accepted)
            .collect();
        for &k in &ks {
            let best = passed[..k].iter().position(|passed| *passed);
            for (how, chosen) in [("best", best), ("majority", winner(&ballots[..k]))] {
                let right = group.rollouts[chosen.unwrap_or(0)].accepted();
                *solved.entry(format!("{how}@{k}")).or_default() += u32::from(right);
            }
        }
    }
    let n = groups.len() as u32;
    Ok(solved.into_iter().map(|(name, passed)| (name, FamilyScore::new(passed, n))).collect())
}

/// The first vote for what most vote for; of equals, for what was voted for first.
fn winner(ballots: &[Ballot]) -> Option<usize> {
    let votes = |cluster: Ballot| ballots.iter().filter(|b| **b == cluster).count();
    let voted = (0..ballots.len()).filter(|i| matches!(ballots[*i], Ballot::For(_)));
    voted.rev().max_by_key(|i| votes(ballots[*i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_majority_wins_and_the_first_of_equals() {
        use Ballot::{Abstains, For};
        assert_eq!(winner(&[For(0), For(1), For(1)]), Some(1));
        assert_eq!(winner(&[Abstains, For(1), For(0)]), Some(1));
        assert_eq!(winner(&[Abstains]), None);
        assert_eq!(winner(&[]), None);
    }
}
