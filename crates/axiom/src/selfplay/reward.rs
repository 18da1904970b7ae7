//! What proposals and attempts are worth, and what is learnt from them.

use rand::seq::SliceRandom as _;
use tasks::selfplay::{Proposed, Role, complexity, diversity};

use super::{
    Buffers, Proposal,
    propose::Found,
    recipe::{SelfplayRecipe, SolverBatch},
    solve::{Solving, Solvings},
};
use crate::{groups::Material, rig::Rig, seed::Seed};

/// Rewards, none where the sandbox failed.
#[derive(Debug, Default)]
pub(crate) struct Rewards {
    /// Of each proposal.
    pub(crate) proposals: Vec<Option<f64>>,
    /// How learnable each valid proposal is.
    pub(crate) learnability: Vec<f64>,
    /// Of each attempt, puzzle by puzzle.
    pub(crate) estimates: Vec<Vec<Option<f64>>>,
    pub(crate) practice: Vec<Vec<Option<f64>>>,
}

/// The rewards of a step; with the recipe's control, dealt at random.
pub(crate) fn reward(
    rig: &Rig,
    proposals: &[Proposal],
    solvings: &Solvings,
    seed: Seed,
) -> Rewards {
    let s = &rig.recipe.selfplay;
    let solver = |solving: &Solving| -> Vec<Option<f64>> {
        let paid = |solved| s.rewards.solver(solved, s.wrong, s.unreadable);
        solving.attempts.iter().map(|a| a.solved.map(paid)).collect()
    };
    let mut rewards = Rewards {
        estimates: solvings.estimates.iter().map(solver).collect(),
        practice: solvings.practice.iter().map(solver).collect(),
        ..Rewards::default()
    };
    let mut estimates = solvings.estimates.iter();
    for proposal in proposals {
        let became = match &proposal.found {
            Found::JudgeError(_) | Found::HeldOut => None,
            Found::Unreadable(_) => Some(Proposed::Unreadable),
            Found::Invalid(..) => Some(Proposed::Invalid),
            Found::Valid(_) => estimates.next().and_then(Solving::rate).map(|rate| {
                let luck = s.is_luck(proposal.kind, rate);
                let learnability = if luck { 0.0 } else { s.learnability.of(rate) };
                rewards.learnability.push(learnability);
                Proposed::Valid(learnability)
            }),
        };
        let paid = |became| {
            let base = s.rewards.proposer(became, s.wrong, s.unreadable);
            if base > 0.0 { base + bonus(s, proposal, &rig.buffers) } else { base }
        };
        rewards.proposals.push(became.map(paid));
    }
    if rig.recipe.reward.shuffle {
        rewards.shuffle(seed.child("shuffle", 0));
    }
    rewards
}

/// What a learnable proposal is paid beside (off unless the recipe asks).
fn bonus(s: &SelfplayRecipe, proposal: &Proposal, buffers: &Buffers) -> f64 {
    let Some(puzzle) = proposal.puzzle() else { return 0.0 };
    let references = proposal.references.iter().map(String::as_str);
    s.bonus(s.complexity).of(complexity(&puzzle.program))
        + s.bonus(s.diversity).of(diversity(&puzzle.program, references))
        + s.bonus(s.surprise).of(1.0 - buffers.share_of_type(puzzle))
}

impl Rewards {
    fn all(&mut self) -> impl Iterator<Item = &mut Option<f64>> {
        let attempts = self.estimates.iter_mut().chain(&mut self.practice).flatten();
        self.proposals.iter_mut().chain(attempts)
    }

    fn shuffle(&mut self, seed: Seed) {
        let mut dealt: Vec<Option<f64>> = self.all().map(|reward| *reward).collect();
        dealt.shuffle(&mut seed.rng());
        self.all().zip(dealt).for_each(|(place, reward)| *place = reward);
    }
}

/// What a step learns from: the completions of both roles, each with its reward, under the
/// baseline of its kind and role.
pub(crate) fn lessons(
    rig: &Rig,
    proposals: &[Proposal],
    solvings: &Solvings,
    rewards: &Rewards,
) -> Material {
    let s = &rig.recipe.selfplay;
    let mut material = Material::default();
    if s.train_proposer {
        for (proposal, reward) in proposals.iter().zip(&rewards.proposals) {
            let row = reward.map(|reward| (0, &proposal.completion, reward));
            let kind = Role::Proposer.index(proposal.kind);
            material.add(kind, &proposal.prompt, row.into_iter());
        }
    }
    let paid = rewards.estimates.iter().chain(&rewards.practice);
    let learnt = solvings.learnt(s.solver_batch).count();
    let paid = paid.skip(solvings.all().count() - learnt);
    // A puzzle that is always or never solved, because its message misleads for example, says
    // nothing of one attempt against another; under one baseline for the kind it would still
    // reward or punish all of them.
    let skip = rig.recipe.learn.skip_silent_groups && s.solver_batch == SolverBatch::Estimates;
    for (solving, rewards) in solvings.learnt(s.solver_batch).zip(paid) {
        let luck = solving.rate().is_some_and(|rate| s.is_luck(solving.puzzle.kind, rate));
        if luck || (skip && solving.is_silent()) {
            continue;
        }
        let rows = solving.attempts.iter().zip(rewards).enumerate();
        let rows = rows.filter_map(|(i, (a, reward))| Some((i, &a.completion, (*reward)?)));
        material.add(Role::Solver.index(solving.puzzle.kind), &solving.prompt, rows);
    }
    material
}
