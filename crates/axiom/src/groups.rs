//! Completions and verdicts in, learning material out: the seam between the stages.

use std::collections::HashMap;

use generate::Completion;
use learn::{
    Batch, Sequence,
    advantage::{AdvantageSpec, Outcome, advantages, no_signal},
};
use rand::seq::SliceRandom as _;
use tasks::{Reward, Task};
use verify::{Judgement, Submission, Verdict, Verifier, VerifyError};

use crate::seed::Seed;

/// One completion and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Rollout {
    pub(crate) completion: Completion,
    pub(crate) program: String,
    pub(crate) judgement: Judgement,
    /// None where the sandbox failed.
    pub(crate) reward: Option<f64>,
    /// None where the completion teaches nothing.
    pub(crate) advantage: Option<f64>,
}

impl Rollout {
    pub(crate) fn accepted(&self) -> bool {
        self.judgement.verdict == Verdict::Accepted
    }
}

/// The rollouts of one task.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) task: Task,
    pub(crate) prompt: Vec<u32>,
    pub(crate) rollouts: Vec<Rollout>,
}

impl Group {
    /// The share of its completions that were accepted.
    pub(crate) fn solve_rate(&self) -> f64 {
        let solved = self.rollouts.iter().filter(|r| r.accepted()).count();
        solved as f64 / self.rollouts.len().max(1) as f64
    }
}

/// A task, its prompt's tokens, and each completion with the program in it.
pub(crate) type Answered = (Task, Vec<u32>, Vec<(Completion, String)>);

/// Judges every program, each different one of a task once.
pub(crate) fn judge(
    answered: Vec<Answered>,
    reward: Reward,
    verifier: &Verifier,
) -> Result<Vec<Group>, VerifyError> {
    let mut submissions: Vec<Submission> = Vec::new();
    let mut places = Vec::new();
    for (task, _, completions) in &answered {
        let mut known: HashMap<&str, usize> = HashMap::new();
        for (_, program) in completions {
            places.push(*known.entry(program).or_insert_with(|| {
                let stop = reward.stops_at_first_failure();
                submissions.push(task.submission(program.clone(), stop));
                submissions.len() - 1
            }));
        }
    }
    let judgements = verifier.judge(&submissions)?;
    let mut places = places.into_iter();
    let groups = answered.into_iter().map(|(task, prompt, completions)| {
        let rollouts =
            completions.into_iter().zip(&mut places).map(|((completion, program), at)| {
                let judgement = judgements[at].clone();
                let reward = reward.of(&judgement);
                Rollout { completion, program, judgement, reward, advantage: None }
            });
        Group { rollouts: rollouts.collect(), task, prompt }
    });
    Ok(groups.collect())
}

/// The control: the rewards of the step change hands at random.
pub(crate) fn shuffle_rewards(groups: &mut [Group], seed: Seed) {
    let rollouts = || groups.iter().flat_map(|g| &g.rollouts);
    let mut rewards: Vec<Option<f64>> = rollouts().map(|r| r.reward).collect();
    rewards.shuffle(&mut seed.rng());
    let places = groups.iter_mut().flat_map(|g| &mut g.rollouts);
    for (rollout, reward) in places.zip(rewards) {
        rollout.reward = reward;
    }
}

/// Gives every rollout its advantage. Rollouts without a reward are left out of their group,
/// and groups whose rewards are all equal out of the step.
pub(crate) fn set_advantages(groups: &mut [Group], how: AdvantageSpec) {
    for group in groups {
        let rewards: Vec<f64> = group.rollouts.iter().filter_map(|r| r.reward).collect();
        if no_signal(&rewards) {
            continue;
        }
        let outcome = |reward: &f64| Outcome { reward: *reward, ..Outcome::default() };
        let outcomes: Vec<Outcome> = rewards.iter().map(outcome).collect();
        let mut found = advantages(&outcomes, &how).into_iter();
        for rollout in group.rollouts.iter_mut().filter(|r| r.reward.is_some()) {
            rollout.advantage = found.next().map(|a| a.mean());
        }
    }
}

/// What the learner takes: the rollouts that have an advantage. Equal completions of a group
/// count as often as they occur and are computed once.
pub(crate) fn batch(groups: &[Group]) -> Batch {
    let mut batch = Batch::default();
    for group in groups {
        let mut sequences: Vec<Sequence> = Vec::new();
        for rollout in &group.rollouts {
            let Some(advantage) = rollout.advantage else { continue };
            let tokens = &rollout.completion.tokens;
            // Equal programs have equal rewards, except where the control shuffled them.
            let same = |s: &&mut Sequence| s.tokens == *tokens && s.advantage == advantage.into();
            match sequences.iter_mut().find(same) {
                Some(known) => known.count += 1,
                None => sequences.push(Sequence {
                    tokens: tokens.clone(),
                    sampling_logprobs: rollout.completion.logprobs.clone(),
                    advantage: advantage.into(),
                    count: 1,
                    ..Sequence::default()
                }),
            }
        }
        if !sequences.is_empty() {
            batch.groups.push((group.prompt.clone(), sequences));
        }
    }
    batch
}

/// How many different programs there are, task by task.
pub(crate) fn distinct_programs(groups: &[Group]) -> usize {
    let distinct = |g: &Group| {
        let mut programs: Vec<&str> = g.rollouts.iter().map(|r| r.program.as_str()).collect();
        programs.sort_unstable();
        programs.dedup();
        programs.len()
    };
    groups.iter().map(distinct).sum()
}
