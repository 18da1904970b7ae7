//! Completions and verdicts in, learning material out: the seam between the stages.

use std::collections::HashMap;

use generate::{Completion, Stop};
use learn::{
    Batch, Pair, Sequence,
    advantage::{Outcome, no_signal, overlong_penalty},
};
use rand::seq::SliceRandom as _;
use tasks::{Reward, Task};
use verify::{Judgement, Submission, Verdict, Verifier, VerifyError};

use crate::{seed::Seed, vote::Vote};

/// One completion and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Rollout {
    pub(crate) completion: Completion,
    pub(crate) program: String,
    pub(crate) judgement: Judgement,
    /// None where the sandbox failed, and where it is not to be learnt from.
    pub(crate) reward: Option<f64>,
    /// None where the completion teaches nothing.
    pub(crate) advantage: Option<f64>,
    /// Whether the entropy filter left it out.
    pub(crate) filtered: bool,
}

impl Rollout {
    pub(crate) fn accepted(&self) -> bool {
        self.judgement.verdict == Verdict::Accepted
    }

    /// Whether its reward is that of a program that passed; none where it has none.
    pub(crate) fn passed(&self) -> Option<bool> {
        self.reward.map(|r| r >= 1.0)
    }
}

/// How the rollouts of a group came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The task was asked.
    Asked,
    /// It was asked again with a hint, after no completion had passed.
    Hinted,
    /// It was asked again with a program that had failed.
    Corrected,
}

/// The rollouts of one task.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) role: Role,
    pub(crate) task: Task,
    /// Under which they are learnt.
    pub(crate) prompt: Vec<u32>,
    pub(crate) rollouts: Vec<Rollout>,
    /// How it voted, where rewards come from votes.
    pub(crate) vote: Option<Vote>,
}

impl Group {
    /// The share of its completions that were accepted.
    pub(crate) fn solve_rate(&self) -> f64 {
        let solved = self.rollouts.iter().filter(|r| r.accepted()).count();
        solved as f64 / self.rollouts.len().max(1) as f64
    }

    /// Whether there were verdicts, and none of them was that the program passes.
    pub(crate) fn failed(&self) -> bool {
        let mut judged = self.rollouts.iter().filter_map(Rollout::passed).peekable();
        judged.peek().is_some() && !judged.any(|passed| passed)
    }

    /// How well the policy does on its task, as far as the run may know.
    pub(crate) fn success(&self) -> f64 {
        self.vote.map_or_else(|| self.solve_rate(), |vote| vote.share)
    }

    /// Whether its rewards are all equal, so that comparing them teaches nothing.
    pub(crate) fn is_silent(&self) -> bool {
        let rewards: Vec<f64> = self.rollouts.iter().filter_map(|r| r.reward).collect();
        no_signal(&rewards)
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
                Rollout { completion, program, judgement, reward, advantage: None, filtered: false }
            });
        Group { role: Role::Asked, rollouts: rollouts.collect(), task, prompt, vote: None }
    });
    Ok(groups.collect())
}

/// What long completions are taken off their rewards (DAPO).
pub(crate) fn shape_overlong(groups: &mut [Group], max: usize, cache: usize) {
    for rollout in groups.iter_mut().flat_map(|g| &mut g.rollouts) {
        let penalty = overlong_penalty(rollout.completion.tokens.len(), max, cache);
        rollout.reward = rollout.reward.map(|r| r + penalty);
    }
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

/// What a step learns from: the different completions of each group, in order.
#[derive(Debug, Default)]
pub(crate) struct Material {
    pub(crate) batch: Batch,
    /// One for each sequence of the batch.
    pub(crate) outcomes: Vec<Outcome>,
    /// The rollouts, as (group, index), that each sequence stands for.
    places: Vec<Vec<(usize, usize)>>,
}

impl Material {
    /// The rollouts that have a reward. Equal completions of a group are one sequence that
    /// counts as often as they occur. Groups whose rewards are all equal may be left out.
    pub(crate) fn of(groups: &[Group], skip_silent: bool) -> Self {
        let mut material = Self::default();
        for (g, group) in groups.iter().enumerate() {
            if !(skip_silent && group.is_silent()) {
                material.push(g, group);
            }
        }
        material
    }

    fn push(&mut self, g: usize, group: &Group) {
        let rows = group.rollouts.iter().enumerate();
        let rows = rows.filter_map(|(i, r)| Some((i, &r.completion, r.reward?)));
        self.rows((g, 0), &group.prompt, rows);
    }

    /// Completions of one prompt with their rewards, as a group of its own under the baseline
    /// of this kind.
    pub(crate) fn add<'a>(
        &mut self,
        kind: usize,
        prompt: &[u32],
        rows: impl Iterator<Item = (usize, &'a Completion, f64)>,
    ) {
        self.rows((self.batch.groups.len(), kind), prompt, rows);
    }

    fn rows<'a>(
        &mut self,
        (g, kind): (usize, usize),
        prompt: &[u32],
        rows: impl Iterator<Item = (usize, &'a Completion, f64)>,
    ) {
        let first = self.outcomes.len();
        let mut sequences: Vec<Sequence> = Vec::new();
        for (i, completion, reward) in rows {
            let tokens = &completion.tokens;
            // Equal completions have equal rewards, except where the control shuffled them.
            let same = |(s, o): (&Sequence, &Outcome)| s.tokens == *tokens && o.reward == reward;
            let known = sequences.iter().zip(&self.outcomes[first..]).position(same);
            let at = known.unwrap_or(sequences.len());
            if known.is_none() {
                sequences.push(sampled(completion));
                let tokens = tokens.len();
                self.outcomes.push(Outcome {
                    reward,
                    group: g,
                    kind,
                    tokens,
                    ..Outcome::default()
                });
                self.places.push(Vec::new());
            }
            sequences[at].count += 1;
            self.places[first + at].push((g, i));
        }
        if !sequences.is_empty() {
            self.batch.groups.push((prompt.to_vec(), sequences));
        }
    }

    /// Leaves completions that were cut at the token limit out of the loss. Their rewards
    /// still count in the comparison.
    pub(crate) fn mask_truncated(&mut self, groups: &[Group]) {
        let sequences = self.batch.groups.iter_mut().flat_map(|g| &mut g.1);
        for (sequence, places) in sequences.zip(&self.places) {
            let (g, i) = places[0];
            if groups[g].rollouts[i].completion.stop == Stop::Length {
                sequence.mask = vec![false; sequence.tokens.len()];
            }
        }
    }

    /// Tells the rollouts their advantages, for the log.
    pub(crate) fn report_advantages(&self, groups: &mut [Group]) {
        let sequences = self.batch.groups.iter().flat_map(|g| &g.1);
        for (sequence, places) in sequences.zip(&self.places) {
            for (g, i) in places {
                groups[*g].rollouts[*i].advantage = Some(sequence.advantage.mean());
            }
        }
    }
}

/// A completion as the learner takes it. Where a filter made its draws others than the policy's,
/// it says what both gave each token.
fn sampled(completion: &Completion) -> Sequence {
    let Completion { tokens, logprobs, drawn_logprobs, .. } = completion.clone();
    let (sampling_logprobs, old_logprobs) = match drawn_logprobs.is_empty() {
        true => (logprobs, Vec::new()),
        false => (drawn_logprobs, logprobs),
    };
    Sequence { tokens, sampling_logprobs, old_logprobs, ..Sequence::default() }
}

/// Pairs of a different completion that passed and one that failed, at most `most` a group:
/// the first of each, the second of each, and so on.
pub(crate) fn pairs(groups: &[Group], most: usize) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for group in groups {
        let different = |passed: bool| {
            let mut found: Vec<&Vec<u32>> = Vec::new();
            for r in group.rollouts.iter().filter(|r| r.passed() == Some(passed)) {
                if !found.contains(&&r.completion.tokens) {
                    found.push(&r.completion.tokens);
                }
            }
            found
        };
        let (chosen, rejected) = (different(true), different(false));
        if chosen.is_empty() || rejected.is_empty() {
            continue;
        }
        let n = most.min(chosen.len().max(rejected.len()));
        pairs.extend((0..n).map(|i| Pair {
            prompt: group.prompt.clone(),
            chosen: chosen[i % chosen.len()].clone(),
            rejected: rejected[i % rejected.len()].clone(),
            chosen_reference: 0.0,
            rejected_reference: 0.0,
        }));
    }
    pairs
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
