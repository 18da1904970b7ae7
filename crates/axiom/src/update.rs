//! Learning from the groups of a step, by the recipe's method.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use learn::{
    Advantage, Batch, Pair, Score, Sequence, StepReport,
    advantage::{Outcome, advantages, whiten},
    preference::Preference,
    value::{ValueTarget, token_rewards},
};

use crate::{
    groups::{self, Group, Material},
    hash,
    method::Method,
    replay::{Forms, Replay, Verified},
    retry,
    rig::Rig,
    seed::Seed,
    visible, vote,
};

/// What a step's updates did.
#[derive(Debug, Default)]
pub(crate) struct Update {
    /// The report of the last update, with the tokens of all.
    pub(crate) report: StepReport,
    /// What only some methods have to say, by TRL's names where it has them.
    pub(crate) metrics: BTreeMap<String, f64>,
    /// What people should look at.
    pub(crate) alarm: Option<String>,
}

impl Update {
    fn add(&mut self, report: StepReport) {
        let first = self.report.tokens == 0;
        let (tokens, gap) = (self.report.tokens, self.report.logprob_gap_max);
        self.report = report;
        self.report.tokens += tokens;
        if !first {
            // After an update the policy is no longer the one that sampled.
            self.report.logprob_gap_max = gap;
        }
        *self.metrics.entry("updates".to_string()).or_default() += 1.0;
    }

    pub(crate) fn note(&mut self, name: &str, value: f64) {
        self.metrics.insert(name.to_string(), value);
    }
}

/// Learns from the groups, whose rollouts are given their advantages, and remembers the
/// programs that passed.
pub(crate) fn learn(rig: &mut Rig, groups: &mut [Group], seed: Seed) -> Result<Update> {
    let forms = if rig.recipe.replay.dedupe { forms(rig, groups)? } else { Forms::new() };
    let found = Replay::accepted(groups, &forms);
    let method = rig.method.clone();
    let skip_silent = rig.recipe.learn.skip_silent_groups && method.compares_within_groups();
    let mut update = match method {
        Method::Rewards(method) => {
            from_rewards(rig, Material::of(groups, skip_silent), groups, (&method, seed))
        }
        Method::Pairs(spec) => from_pairs(rig, groups, &spec),
        Method::Imitation { restart: false } => imitate_new(rig, &found, seed),
        Method::Imitation { restart: true } => imitate_all(rig, &found, seed),
        Method::Given => imitate_given(rig),
    }?;
    if let Some(level) = rig.curriculum.pace().mean() {
        update.note("level_mean", level);
    }
    vote::describe(groups, &mut update);
    visible::measure(rig, groups, &mut update)?;
    retry::describe(groups, &mut update);
    rig.replay.add(&found, (&rig.recipe.replay, rig.next_step));
    rig.move_copies();
    Ok(update)
}

/// Hashes of the normal forms of the programs that passed. A program without one is kept as
/// its completion is.
fn forms(rig: &Rig, groups: &[Group]) -> Result<Forms> {
    let rollouts = groups.iter().flat_map(|g| &g.rollouts);
    let passed = rollouts.filter(|r| r.passed() == Some(true)).map(|r| r.program.clone());
    let programs: Vec<String> = passed.collect::<BTreeSet<_>>().into_iter().collect();
    let forms = rig.verifier.normal_forms(&programs)?;
    let hashed = programs.into_iter().zip(forms);
    Ok(hashed.filter_map(|(program, form)| Some((program, hash::of(form?.as_bytes())))).collect())
}

/// A policy gradient: scores, advantages, and one or more updates.
fn from_rewards(
    rig: &mut Rig,
    mut material: Material,
    groups: &mut [Group],
    (method, seed): (&learn::Method, Seed),
) -> Result<Update> {
    if rig.recipe.learn.mask_truncated_completions {
        material.mask_truncated(groups);
    }
    weigh(rig, &mut material, method)?;
    material.report_advantages(groups);
    apply(rig, material.batch, method, seed)
}

/// Learns by policy gradient from completions that have rewards.
pub(crate) fn from_material(rig: &mut Rig, mut material: Material, seed: Seed) -> Result<Update> {
    let Method::Rewards(method) = rig.method.clone() else {
        bail!("method `{}` does not learn from rewards", rig.recipe.method);
    };
    weigh(rig, &mut material, &method)?;
    let update = apply(rig, material.batch, &method, seed)?;
    rig.move_copies();
    Ok(update)
}

/// Gives every sequence its advantage.
fn weigh(rig: &mut Rig, material: &mut Material, method: &learn::Method) -> Result<()> {
    if method.needs_reference() {
        let scores = rig.score_reference(&material.batch)?;
        for (sequence, score) in material.sequences().zip(scores) {
            sequence.reference_logprobs = score.logprobs;
        }
    }
    if let Some(kl) = method.kl_reward {
        let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|x| f64::from(*x)).collect() };
        let Material { batch, outcomes, .. } = &mut *material;
        let sequences = batch.groups.iter().flat_map(|g| &g.1);
        for (outcome, s) in outcomes.iter_mut().zip(sequences) {
            outcome.penalties =
                kl.penalties(&wide(&s.sampling_logprobs), &wide(&s.reference_logprobs));
        }
    }
    match method.gae {
        Some(gae) => {
            let scores = rig.score(&material.batch)?;
            estimate(material, gae, &scores);
        }
        None => compare(material, method),
    }
    Ok(())
}

/// The updates on a batch, beside which old verified programs are imitated.
fn apply(rig: &mut Rig, mut batch: Batch, method: &learn::Method, seed: Seed) -> Result<Update> {
    let l = rig.recipe.learn.clone();
    let rules = (&rig.recipe.replay, rig.next_step);
    let old = rig.replay.draw(l.replay_per_step, seed.child("replay", 0), rules);
    batch.groups.extend(old.iter().map(|v| v.sequence(l.replay_weight)));
    let mut update = Update::default();
    for _ in 0..l.num_iterations {
        for part in batch.clone().minibatches(l.minibatches) {
            let report = rig.step(&part, &method.objective)?;
            update.add(report);
        }
    }
    describe(&mut update, method);
    Ok(update)
}

/// Advantages by comparison, with every completion counted as often as it was sampled.
fn compare(material: &mut Material, method: &learn::Method) {
    let counts: Vec<usize> = material.sequences().map(|s| s.count).collect();
    let each = material.outcomes.iter().zip(&counts);
    let expanded: Vec<Outcome> =
        each.flat_map(|(o, n)| std::iter::repeat_n(o.clone(), *n)).collect();
    let found = advantages(&expanded, &method.advantage);
    let mut at = 0;
    for (sequence, n) in material.sequences().zip(counts) {
        sequence.advantage = found[at].clone();
        at += n;
    }
}

/// Advantages from the critic (PPO), whitened over all tokens, and what it is to learn.
fn estimate(material: &mut Material, gae: learn::value::Gae, scores: &[Score]) {
    let mut rows = Vec::new();
    let outcomes = std::mem::take(&mut material.outcomes);
    let each = material.sequences().zip(&outcomes).zip(scores);
    for ((sequence, outcome), score) in each {
        let rewards = token_rewards(outcome.reward, sequence.tokens.len(), &outcome.penalties);
        let values: Vec<f64> = score.values.iter().map(|v| f64::from(*v)).collect();
        let (advantages, returns) = gae.estimate(&rewards, &values);
        sequence.value = Some(ValueTarget { old: score.values.clone(), returns });
        rows.extend(std::iter::repeat_n(advantages, sequence.count));
    }
    whiten(&mut rows);
    let mut rows = rows.into_iter();
    for sequence in material.sequences() {
        if let Some(row) = rows.nth(sequence.count - 1) {
            sequence.advantage = Advantage::Tokens(row);
        }
    }
    material.outcomes = outcomes;
}

/// What this method has to say beyond what every step says.
fn describe(update: &mut Update, method: &learn::Method) {
    let r = update.report;
    update.note("clip_ratio/low_mean", r.clip_ratio_low);
    update.note("clip_ratio/high_mean", r.clip_ratio_high);
    update.note("ratio_mean", r.ratio_mean);
    update.note("ratio_max", r.ratio_max);
    if r.masked_frac > 0.0 {
        update.note("masked_frac", r.masked_frac);
    }
    if r.dropped_frac > 0.0 {
        update.note("dropped_frac", r.dropped_frac);
    }
    if method.gae.is_some() {
        update.note("value_loss", r.value_loss);
        update.note("value_clip_ratio", r.value_clip_ratio);
    }
}

/// Preferences: each group's programs that passed against those that failed.
fn from_pairs(rig: &mut Rig, groups: &[Group], spec: &Preference) -> Result<Update> {
    let mut pairs = groups::pairs(groups, rig.recipe.learn.pairs_per_group);
    let batch = Pair::batch(&pairs);
    let scores = rig.score_reference(&batch)?;
    let total = |s: &Score| s.logprobs.iter().map(|x| f64::from(*x)).sum::<f64>();
    for (pair, scores) in pairs.iter_mut().zip(scores.chunks_exact(2)) {
        (pair.chosen_reference, pair.rejected_reference) = (total(&scores[0]), total(&scores[1]));
    }
    let mut update = Update::default();
    let size = pairs.len().div_ceil(rig.recipe.learn.minibatches).max(1);
    for _ in 0..rig.recipe.learn.num_iterations {
        for part in pairs.chunks(size) {
            let report = rig.step_pairs(part, spec)?;
            update.add(StepReport {
                loss: report.loss,
                grad_norm: report.grad_norm,
                tokens: report.tokens,
                sequences: 2 * report.pairs,
                ..StepReport::default()
            });
            update.note("rewards/accuracies", report.accuracy);
            update.note("rewards/margins", report.margin);
        }
    }
    update.note("pairs", pairs.len() as f64);
    Ok(update)
}

/// Expert iteration: the new programs, with old ones beside them against forgetting.
fn imitate_new(rig: &mut Rig, found: &[Verified], seed: Seed) -> Result<Update> {
    let mut update = Update::default();
    for epoch in 0..rig.recipe.learn.num_iterations as u64 {
        let n = (found.len() as f64 * rig.recipe.learn.replay_ratio).round() as usize;
        let rules = (&rig.recipe.replay, rig.next_step);
        let old = rig.replay.draw(n, seed.child("replay", epoch), rules);
        let all: Vec<&Verified> = found.iter().chain(old).collect();
        let batch = imitated(&all);
        imitate(rig, batch, &mut update)?;
    }
    Ok(update)
}

/// STaR and ReST-EM: everything ever found, learnt anew from the first weights.
fn imitate_all(rig: &mut Rig, found: &[Verified], seed: Seed) -> Result<Update> {
    rig.restart_policy();
    let mut replay = rig.replay.clone();
    replay.add(found, (&rig.recipe.replay, rig.next_step));
    let mut update = Update::default();
    for epoch in 0..rig.recipe.learn.num_iterations as u64 {
        imitate(rig, imitated(&replay.shuffled(seed.child("epoch", epoch))), &mut update)?;
    }
    Ok(update)
}

/// SFT: the next completions of the file.
fn imitate_given(rig: &mut Rig) -> Result<Update> {
    let data = rig.data.take().context("there are no given completions")?;
    let due = data.of_step(rig.next_step, rig.recipe.data.per_step, rig.seed);
    let mut update = Update::default();
    for _ in 0..rig.recipe.learn.num_iterations {
        imitate(rig, imitated(&due), &mut update)?;
    }
    rig.data = Some(data);
    Ok(update)
}

fn imitated(programs: &[&Verified]) -> Batch {
    Batch { groups: programs.iter().map(|v| v.sequence(1.0)).collect() }
}

/// One pass over a batch, in as many updates as the recipe has it.
fn imitate(rig: &mut Rig, batch: Batch, update: &mut Update) -> Result<()> {
    for part in batch.minibatches(rig.recipe.learn.minibatches) {
        update.add(rig.step(&part, &learn::objective::Objective::NLL)?);
    }
    Ok(())
}

impl Material {
    fn sequences(&mut self) -> impl Iterator<Item = &mut Sequence> {
        self.batch.groups.iter_mut().flat_map(|g| &mut g.1)
    }
}
