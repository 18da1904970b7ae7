//! Rewards without labels: agreement with the majority of a group, and the entropy filter
//! (M-GRPO, arXiv 2512.13070).
//!
//! Programs of a group vote for what they answer on the inputs of the hidden tests; a program
//! that fails on any of them abstains. What the tests expect is not looked at. Completions of a
//! slow copy vote and are not learnt from, as in the paper. The verdicts are there for the log.

use std::collections::HashMap;

use anyhow::Result;
use learn::{
    Batch, Sequence,
    vote::{agreement, keep_by_entropy, majority},
};
use tasks::Task;
use verify::{Execution, Job, Value, Verdict, Verifier};

use crate::{groups::Group, rig::Rig, update::Update};

/// How a group voted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Vote {
    /// The share of the votes that the winner got; 0 where there is none.
    pub(crate) share: f64,
    /// A rollout that voted for the winner.
    pub(crate) winner: Option<usize>,
}

/// Leaves completions of unusually low entropy out of the step: they neither vote nor teach.
pub(crate) fn filter(rig: &mut Rig, groups: &mut [Group]) -> Result<()> {
    let factor = rig.recipe.reward.entropy_filter;
    let entropies = entropies(rig, groups)?;
    for (group, entropies) in groups.iter_mut().zip(entropies) {
        let kept = keep_by_entropy(&entropies, factor);
        for (rollout, kept) in group.rollouts.iter_mut().zip(kept) {
            rollout.filtered = !kept;
            rollout.reward = rollout.reward.filter(|_| kept);
        }
    }
    Ok(())
}

/// The mean entropy of each completion's tokens, under the weights that drew it.
fn entropies(rig: &mut Rig, groups: &[Group]) -> Result<Vec<Vec<f64>>> {
    let n_own = rig.n_own();
    let batch = |part: fn(&Group, usize) -> std::ops::Range<usize>| {
        let tokens = |g: &Group, i: usize| g.rollouts[i].completion.tokens.clone();
        let sequences = |g: &Group| -> Vec<Sequence> {
            part(g, n_own).map(|i| Sequence::imitated(tokens(g, i))).collect()
        };
        Batch { groups: groups.iter().map(|g| (g.prompt.clone(), sequences(g))).collect() }
    };
    let own = rig.score(&batch(|_, n_own| 0..n_own))?;
    let slow = rig.score_slow(&batch(|g, n_own| n_own..g.rollouts.len()))?;
    let (mut own, mut slow) = (own.into_iter(), slow.into_iter());
    let mean = |score: learn::Score| {
        let sum: f64 = score.entropies.iter().map(|h| f64::from(*h)).sum();
        sum / score.entropies.len().max(1) as f64
    };
    let each = groups.iter().map(|g| {
        let own = own.by_ref().take(n_own);
        own.chain(slow.by_ref().take(g.rollouts.len() - n_own)).map(mean).collect()
    });
    Ok(each.collect())
}

/// Rewards each completion of the policy for agreeing with the majority of its group.
pub(crate) fn reward(rig: &Rig, groups: &mut [Group]) -> Result<()> {
    let ballots = ballots(&rig.verifier, groups)?;
    for (group, ballots) in groups.iter_mut().zip(ballots) {
        count(group, &ballots, (rig.n_own(), rig.recipe.reward.vote_share_min));
    }
    Ok(())
}

/// What became of a program on the inputs of its task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ballot {
    /// It answered, as others in this cluster did.
    For(usize),
    /// It failed.
    Abstains,
    /// The sandbox did.
    Lost,
}

/// The ballot of each rollout, group by group.
pub(crate) fn ballots(verifier: &Verifier, groups: &[Group]) -> Result<Vec<Vec<Ballot>>> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut places: Vec<Vec<usize>> = Vec::new();
    for group in groups {
        let mut known: HashMap<&str, usize> = HashMap::new();
        let place = |program| {
            *known.entry(program).or_insert_with(|| {
                jobs.push(job(&group.task, program));
                jobs.len() - 1
            })
        };
        places.push(group.rollouts.iter().map(|r| r.program.as_str()).map(place).collect());
    }
    let found = verifier.execute(&jobs)?;
    let each = groups.iter().zip(places).map(|(group, places)| {
        let mut clusters: Vec<Vec<&Value>> = Vec::new();
        places.into_iter().map(|at| ballot(&found[at], group, &mut clusters)).collect()
    });
    Ok(each.collect())
}

/// A run on the inputs of the hidden tests, without what they expect.
fn job(task: &Task, program: &str) -> Job {
    Job {
        program: program.to_string(),
        entry_point: task.entry_point.clone(),
        inputs: task.tests.iter().map(|test| test.args.clone()).collect(),
        ..Job::default()
    }
}

fn ballot<'a>(found: &'a Execution, group: &Group, clusters: &mut Vec<Vec<&'a Value>>) -> Ballot {
    if found.failure.as_ref().is_some_and(|f| f.verdict == Verdict::JudgeError) {
        return Ballot::Lost;
    }
    let answers: Result<Vec<&Value>, _> = found.answers.iter().map(Result::as_ref).collect();
    let (Ok(answers), None) = (answers, &found.failure) else { return Ballot::Abstains };
    let comparator = &group.task.comparator;
    let alike = |known: &Vec<&Value>| {
        known.iter().zip(&answers).all(|(one, other)| comparator.alike(one, other))
    };
    if let Some(cluster) = clusters.iter().position(alike) {
        return Ballot::For(cluster);
    }
    clusters.push(answers);
    Ballot::For(clusters.len() - 1)
}

/// Counts the votes of a group. The first `n_own` rollouts are those of the policy.
fn count(group: &mut Group, ballots: &[Ballot], (n_own, share_min): (usize, f64)) {
    let cast = |(ballot, filtered): (&Ballot, bool)| match ballot {
        Ballot::For(cluster) if !filtered => Some(*cluster),
        Ballot::For(_) | Ballot::Abstains | Ballot::Lost => None,
    };
    let filtered = group.rollouts.iter().map(|r| r.filtered);
    let votes: Vec<Option<usize>> = ballots.iter().zip(filtered).map(cast).collect();
    let winner = majority(&votes, share_min);
    for (i, (rollout, agrees)) in
        group.rollouts.iter_mut().zip(agreement(&votes, winner)).enumerate()
    {
        if ballots[i] == Ballot::Lost {
            rollout.judgement.verdict = Verdict::JudgeError;
        }
        let is_learnt = i < n_own && !rollout.filtered && ballots[i] != Ballot::Lost;
        rollout.reward = is_learnt.then_some(agrees);
    }
    group.vote = Some(Vote {
        share: winner.map_or(0.0, |w| w.share()),
        winner: winner.and_then(|w| votes.iter().position(|v| *v == Some(w.cluster))),
    });
}

/// What the votes of a step were like, and how often the majority was right: that is known
/// because the verdicts are, and nothing learns from it.
pub(crate) fn describe(groups: &[Group], update: &mut Update) {
    let rollouts = groups.iter().flat_map(|g| &g.rollouts);
    let filtered = rollouts.clone().filter(|r| r.filtered).count();
    if filtered > 0 {
        update.note("vote/filtered", filtered as f64 / rollouts.count() as f64);
    }
    let votes = groups.iter().filter_map(|g| g.vote.map(|vote| (g, vote)));
    let n = votes.clone().count();
    if n == 0 {
        return;
    }
    update.note("vote/share_mean", votes.clone().map(|(_, v)| v.share).sum::<f64>() / n as f64);
    let winners: Vec<bool> =
        votes.filter_map(|(g, v)| v.winner.map(|i| g.rollouts[i].accepted())).collect();
    update.note("vote/undecided", (n - winners.len()) as f64 / n as f64);
    if !winners.is_empty() {
        let right = winners.iter().filter(|right| **right).count();
        update.note("vote/majority_right", right as f64 / winners.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use generate::{Completion, Stop};
    use verify::{Judgement, Tier, VerifierConfig};

    use super::*;
    use crate::groups::{Role, Rollout};

    fn group(programs: &[&str]) -> Group {
        let judgement = Judgement {
            verdict: Verdict::WrongAnswer,
            passed: 0,
            total: 1,
            detail: String::new(),
            cpu_ms: 0.0,
            wall_ms: 0.0,
            tier: Tier::None,
        };
        let completion = Completion {
            tokens: vec![1],
            logprobs: vec![0.0],
            drawn_logprobs: Vec::new(),
            stop: Stop::End,
        };
        let rollout = |program: &&str| Rollout {
            completion: completion.clone(),
            program: (*program).to_string(),
            judgement: judgement.clone(),
            reward: None,
            advantage: None,
            filtered: false,
        };
        Group {
            role: Role::Asked,
            task: Task::build(&"fibonacci/3/train/1".parse().unwrap()).unwrap(),
            prompt: vec![1],
            rollouts: programs.iter().map(rollout).collect(),
            vote: None,
        }
    }

    fn rewards(group: &Group) -> Vec<Option<f64>> {
        group.rollouts.iter().map(|r| r.reward).collect()
    }

    const RAISES: &str = "def fibonacci(n):\n    raise ValueError\n";
    const ZERO: &str = "def fibonacci(n):\n    return 0\n";
    const ALSO_ZERO: &str = "def fibonacci(k):\n    return k - k\n";
    const ONE: &str = "def fibonacci(n):\n    return 1\n";

    #[test]
    fn equal_answers_vote_together_whatever_the_tests_expect() {
        let verifier = Verifier::start(VerifierConfig::default()).unwrap();
        let mut groups = [group(&[RAISES, ONE, ZERO, ALSO_ZERO, RAISES, "def f(:", ZERO])];
        let found = ballots(&verifier, &groups).unwrap();
        use Ballot::{Abstains, For};
        assert_eq!(found[0], [Abstains, For(0), For(1), For(1), Abstains, Abstains, For(1)]);
        let mut tests = groups[0].task.tests.to_vec();
        tests.iter_mut().for_each(|t| t.expected = Value::None);
        groups[0].task.tests = tests.into();
        assert_eq!(ballots(&verifier, &groups).unwrap(), found);
    }

    #[test]
    fn the_slow_copy_and_the_filter_decide_who_wins() {
        let ballots = [0, 0, 1, 1, 1].map(Ballot::For);
        let mut all = group(&[ONE; 5]);
        count(&mut all, &ballots, (3, 0.0));
        // The last two are the slow copy's: they turn the vote, and learn nothing.
        assert_eq!(rewards(&all), [Some(0.0), Some(0.0), Some(1.0), None, None]);
        assert_eq!(all.vote, Some(Vote { share: 0.6, winner: Some(2) }));
        let mut filtered = group(&[ONE; 5]);
        filtered.rollouts[3].filtered = true;
        filtered.rollouts[4].filtered = true;
        count(&mut filtered, &ballots, (5, 0.0));
        assert_eq!(rewards(&filtered), [Some(1.0), Some(1.0), Some(0.0), None, None]);
        let mut weak = group(&[ONE; 5]);
        count(&mut weak, &ballots, (5, 0.7));
        assert_eq!(rewards(&weak), [Some(0.0); 5]);
        assert_eq!(weak.vote, Some(Vote { share: 0.0, winner: None }));
    }

    #[test]
    fn a_fault_of_the_sandbox_is_no_vote_and_no_reward() {
        let mut one = group(&[ONE; 3]);
        count(&mut one, &[Ballot::Lost, Ballot::For(0), Ballot::Abstains], (3, 0.0));
        assert_eq!(rewards(&one), [None, Some(1.0), Some(0.0)]);
        assert_eq!(one.rollouts[0].judgement.verdict, Verdict::JudgeError);
    }
}
