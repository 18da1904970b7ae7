//! Measuring a policy on held-out tasks: the same prompts, extraction and hidden tests as in
//! training, on statements that training never shows.

use std::collections::BTreeMap;

use anyhow::Result;
use generate::Filter;
use runlog::{Event, FamilyScore, Timing};
use serde::{Deserialize, Serialize};
use tasks::{Reward, Task};
use verify::Verifier;

use crate::{
    ask,
    clock::Clock,
    detect::UNREADABLE,
    families,
    groups::{self, Group},
    policy::Policy,
    recipe::{EvalRecipe, TaskSource},
    rig::Rig,
    seed::Seed,
    selfplay::{Solver, exam},
};

/// What a measurement found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scores {
    /// Completions accepted, by family.
    pub(crate) families: BTreeMap<String, FamilyScore>,
    /// The same, by tier.
    pub(crate) tiers: BTreeMap<String, FamilyScore>,
    /// Share of hidden tests that the best constant answer passes, by family.
    pub(crate) constant_baseline: BTreeMap<String, f64>,
    /// Share of hidden tests that a lookup table of the visible examples passes.
    pub(crate) lookup_baseline: BTreeMap<String, f64>,
    /// Unbiased pass@k over tasks, where several completions were drawn.
    pub(crate) pass_at_k: BTreeMap<String, f64>,
    /// Completions that no program could be read from.
    #[serde(default)]
    pub(crate) unreadable: Option<FamilyScore>,
    /// Completions accepted of families that the run is not trained on. No tier counts them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) elsewhere: BTreeMap<String, FamilyScore>,
}

/// Measures `policy` on a bank of tasks from each family.
pub(crate) fn measure(
    policy: &Policy,
    verifier: &Verifier,
    names: &[String],
    recipe: &EvalRecipe,
    completion_tokens_max: usize,
    (seed, threads): (Seed, usize),
) -> Result<Scores> {
    let mut bank = Vec::new();
    for name in names {
        bank.extend(ask::bank(name, recipe)?);
    }
    let groups = rollouts(policy, verifier, bank, recipe, completion_tokens_max, (seed, threads))?;
    Ok(scores(&groups))
}

/// Completions of every task of the bank, judged.
pub(crate) fn rollouts(
    policy: &Policy,
    verifier: &Verifier,
    bank: Vec<Task>,
    recipe: &EvalRecipe,
    completion_tokens_max: usize,
    (seed, threads): (Seed, usize),
) -> Result<Vec<Group>> {
    let sampling = policy.sampling(recipe.temperature, completion_tokens_max, Filter::default());
    let seeds = |i: usize| {
        let task = seed.child("eval", i as u64);
        (0..recipe.samples).map(|s| task.child("sample", s).0).collect()
    };
    let answered = ask::answer(policy, bank, seeds, &sampling, threads)?;
    Ok(groups::judge(answered, Reward::Binary, verifier)?)
}

/// The scores of judged completions. A completion that the sandbox could not judge counts as
/// neither passed nor asked.
pub(crate) fn scores(groups: &[Group]) -> Scores {
    let mut counts: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    let mut scores = Scores::default();
    let mut sums: BTreeMap<&str, (f64, f64, f64)> = BTreeMap::new();
    let mut solved = Vec::new();
    for group in groups {
        let family = group.task.id.family.as_str();
        let judged: Vec<_> = group.rollouts.iter().filter(|r| r.reward.is_some()).collect();
        let passed = judged.iter().filter(|r| r.accepted()).count();
        let count = counts.entry(family).or_default();
        count.0 += passed as u32;
        count.1 += judged.len() as u32;
        let baselines = tasks::baselines(&group.task);
        let sum = sums.entry(family).or_default();
        *sum = (sum.0 + baselines.constant, sum.1 + baselines.lookup, sum.2 + 1.0);
        solved.push((passed, judged.len()));
    }
    let all = || groups.iter().flat_map(|g| &g.rollouts).filter(|r| r.reward.is_some());
    let unreadable = all().filter(|r| UNREADABLE.contains(&r.judgement.verdict));
    scores.unreadable = Some(FamilyScore::new(unreadable.count() as u32, all().count() as u32));
    let mut tiers: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for (family, (passed, n)) in &counts {
        scores.families.insert((*family).to_string(), FamilyScore::new(*passed, *n));
        let tier = tiers.entry(families::tier(family).name()).or_default();
        *tier = (tier.0 + passed, tier.1 + n);
    }
    for (tier, (passed, n)) in tiers {
        scores.tiers.insert(tier.to_string(), FamilyScore::new(passed, n));
    }
    for (family, (constant, lookup, n)) in sums {
        scores.constant_baseline.insert(family.to_string(), constant / n);
        scores.lookup_baseline.insert(family.to_string(), lookup / n);
    }
    scores.pass_at_k = pass_at_ks(&solved);
    scores
}

/// Unbiased pass@k over tasks, from how many completions of each passed and were judged;
/// nothing where there is only one of each.
pub(crate) fn pass_at_ks(solved: &[(usize, usize)]) -> BTreeMap<String, f64> {
    let most = solved.iter().map(|s| s.1).min().unwrap_or(0);
    let ks = [1, 2, 4, 8, 16, 32].into_iter().filter(|k| *k <= most && most > 1);
    let mean = |k: usize| {
        let sum = solved.iter().map(|(c, n)| pass_at_k(*c, *n, k)).sum::<f64>();
        sum / solved.len() as f64
    };
    ks.map(|k| (format!("pass@{k}"), mean(k))).collect()
}

/// The chance that one of `k` completions passes, estimated without bias from `c` passes in
/// `n` (Chen et al. 2021, eq. 1).
fn pass_at_k(c: usize, n: usize, k: usize) -> f64 {
    if n - c < k {
        return 1.0;
    }
    1.0 - (n - c + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product::<f64>()
}

/// Scores in the families that the run is trained on, and in those that it is compared with.
fn families_of(rig: &Rig, recipe: &EvalRecipe, seed: Seed) -> Result<Scores> {
    let measure = |names: &[String]| {
        let tokens_max = rig.recipe.sampling.completion_tokens_max;
        let at = (seed, rig.machine.threads);
        measure(&rig.policy, &rig.verifier, names, recipe, tokens_max, at)
    };
    let names = families::parse(&rig.recipe.tasks.families)?;
    let mut found = measure(&names)?;
    let (related, control) = rig.recipe.diagnose.families()?;
    let mut elsewhere: Vec<String> = related.into_iter().chain(control).collect();
    elsewhere.retain(|name| !names.contains(name));
    if !elsewhere.is_empty() {
        found.elsewhere = measure(&elsewhere)?.families;
    }
    Ok(found)
}

/// Measures the run's policy and logs it.
pub(crate) fn run(rig: &mut Rig, label: &str) -> Result<Scores> {
    let clock = Clock::start();
    let recipe = &rig.recipe.eval;
    // The same tasks and draws for every run: the bank does not depend on the run's seed.
    let seed = Seed(0);
    let found = match rig.recipe.tasks.source {
        TaskSource::Families => families_of(rig, recipe, seed)?,
        TaskSource::Selfplay => {
            let mut solver = Solver::of(rig);
            solver.sampling.temperature = recipe.temperature;
            let (split, n) = (recipe.split.parse()?, recipe.tasks_per_family);
            let puzzles = exam::held_out(&rig.recipe.selfplay.kinds, split, n);
            exam::examine(&solver, puzzles, recipe.samples as usize, seed)?
        }
    };
    let measured = found.families.iter().chain(&found.elsewhere);
    let wall_s = clock.timing().wall_s;
    rig.log.append(&Event::Eval {
        step: rig.next_step,
        split: recipe.split.clone(),
        label: label.to_string(),
        samples_per_task: recipe.samples as u32,
        temperature: f64::from(recipe.temperature),
        families: measured.map(|(name, score)| (name.clone(), *score)).collect(),
        tiers: found.tiers.clone(),
        timing: Timing { eval_s: wall_s, wall_s, ..Timing::default() },
    })?;
    rig.log.flush()?;
    rig.totals.timing.eval_s += wall_s;
    rig.totals.timing.wall_s += wall_s;
    let tiers: Vec<String> =
        found.tiers.iter().map(|(t, s)| format!("{t} {:.3}", s.rate())).collect();
    rig.machine.progress.line(&format!("eval {label} ({}): {}", recipe.split, tiers.join(", ")));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::pass_at_k;

    #[test]
    fn pass_at_k_is_the_unbiased_estimate() {
        assert_eq!(pass_at_k(0, 8, 4), 0.0);
        assert_eq!(pass_at_k(8, 8, 1), 1.0);
        assert_eq!(pass_at_k(5, 8, 4), 1.0);
        // 1 - C(6, 4) / C(8, 4)
        assert!((pass_at_k(2, 8, 4) - (1.0 - 15.0 / 70.0)).abs() < 1e-12);
    }
}
