//! The `[selfplay]` table of a recipe.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use tasks::selfplay::{Bonus, Format, Learnability, RewardTable, Style, TaskKind};
use verify::Limits;

use crate::{
    method::Method,
    recipe::{CurriculumKind, Recipe, RewardSource, TaskSource},
};

/// How tasks are proposed, kept, solved and paid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SelfplayRecipe {
    pub(crate) kinds: Vec<TaskKind>,
    pub(crate) proposals: usize,
    pub(crate) references: usize,
    pub(crate) inputs: usize,
    pub(crate) borrow_inputs: bool,
    pub(crate) rollouts: usize,
    pub(crate) solver_batch: SolverBatch,
    pub(crate) prompt_tokens_max: usize,
    pub(crate) seed_factor: usize,
    pub(crate) seed_rounds_max: u64,
    pub(crate) buffer_max: usize,
    pub(crate) puzzles_per_program: usize,
    pub(crate) eviction: Eviction,
    pub(crate) rewards: RewardTable,
    pub(crate) learnability: Learnability,
    pub(crate) induction_rate_min: f64,
    pub(crate) wrong: f64,
    pub(crate) unreadable: f64,
    pub(crate) format: Format,
    pub(crate) style: Style,
    pub(crate) propose: bool,
    pub(crate) train_proposer: bool,
    pub(crate) cpu_ms: u64,
    pub(crate) memory_mib: u64,
    pub(crate) forbidden_modules: Vec<String>,
    pub(crate) complexity: f64,
    pub(crate) diversity: f64,
    pub(crate) surprise: f64,
    pub(crate) bonus_max: f64,
}

/// What the solver learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SolverBatch {
    /// One new attempt at each puzzle of a batch (the paper's).
    Fresh,
    /// The attempts by which learnability was estimated, and as many at puzzles of the buffer.
    Estimates,
}

/// Who leaves a full buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Eviction {
    /// The oldest.
    Fifo,
    /// Anyone, so that what is kept is a fair sample of all there was (Vitter 1985).
    Reservoir,
}

impl SelfplayRecipe {
    /// Says what cannot be run, before anything starts.
    pub(crate) fn check(&self, recipe: &Recipe) -> Result<()> {
        if recipe.tasks.source == TaskSource::Selfplay {
            fits(recipe)?;
        }
        let counts = [
            ("proposals", self.proposals),
            ("rollouts", self.rollouts),
            ("seed_factor", self.seed_factor),
            ("prompt_tokens_max", self.prompt_tokens_max),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, n)| *n == 0) {
            bail!("selfplay.{key} must be positive");
        }
        if self.kinds.is_empty() {
            bail!("selfplay.kinds names no kind: give some of deduction, abduction, induction");
        }
        if self.kinds == [TaskKind::Induction] {
            bail!("selfplay.kinds: induction takes its programs from the other kinds");
        }
        if self.inputs < 2 {
            bail!("selfplay.inputs must be at least 2: half of them are hidden");
        }
        if self.buffer_max < self.proposals * self.seed_factor {
            bail!(
                "selfplay.buffer_max is less than the {} puzzles of the first buffers",
                self.proposals * self.seed_factor
            );
        }
        if !(0.0..1.0).contains(&self.induction_rate_min) {
            bail!("selfplay.induction_rate_min is 0 or more, and less than 1");
        }
        if self.induction_rate_min > 0.0 && self.solver_batch == SolverBatch::Fresh {
            bail!(
                "selfplay.induction_rate_min needs the rates of all puzzles that are learnt from: set \
                 it to 0, or selfplay.solver_batch to \"estimates\""
            );
        }
        if self.wrong > 0.0 || self.unreadable > 0.0 {
            bail!("selfplay.wrong and unreadable are penalties: 0 or less");
        }
        Ok(())
    }

    /// What a program of a puzzle may use.
    pub(crate) fn limits(&self) -> Limits {
        let (cpu_ms, memory_mib) = (self.cpu_ms, self.memory_mib);
        let wall_ms = 3 * cpu_ms + 1_000;
        Limits { cpu_ms, test_cpu_ms: cpu_ms, wall_ms, memory_mib, ..Limits::default() }
            .within_caps()
    }

    /// Whether puzzles of this kind are proposed and solved.
    pub(crate) fn has(&self, kind: TaskKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Whether so few attempts solved a puzzle of this kind that they may have been lucky.
    pub(crate) fn is_luck(&self, kind: TaskKind, rate: f64) -> bool {
        kind == TaskKind::Induction && rate < self.induction_rate_min
    }

    /// The term that a coefficient stands for.
    pub(crate) fn bonus(&self, coef: f64) -> Bonus {
        Bonus { coef, max: self.bonus_max }
    }
}

/// What self-play has no use for is refused, not ignored.
fn fits(recipe: &Recipe) -> Result<()> {
    let method = Method::of(recipe)?;
    if !matches!(method, Method::Rewards(_)) || method.compares_within_groups() {
        bail!(
            "method `{}` does not fit self-play, where a prompt may have one completion: take \
             trr_pp, trr_pp_code, ppo or another that compares over the batch",
            recipe.method
        );
    }
    let unused = [
        ("reward.partial_weight", recipe.reward.partial_weight > 0.0),
        ("reward.overlong_cache", recipe.reward.overlong_cache > 0),
        ("reward.entropy_filter", recipe.reward.entropy_filter > 0.0),
        ("reward.source", recipe.reward.source != RewardSource::Verdict),
        ("learn.replay_per_step", recipe.learn.replay_per_step > 0),
        ("learn.mask_truncated_completions", recipe.learn.mask_truncated_completions),
        ("tasks.resample_max", recipe.tasks.resample_max > 0),
        ("learn.rationalise", recipe.learn.rationalise > 0),
        ("tasks.curriculum", recipe.tasks.curriculum != CurriculumKind::Rates),
        ("slow.share", recipe.slow.share > 0.0),
        ("replay.dedupe", recipe.replay.dedupe),
        ("replay.programs_max", recipe.replay.programs_max > 0),
        ("replay.cold_start", !recipe.replay.cold_start.is_empty()),
        ("replay.discovery_share", recipe.replay.discovery_share > 0.0),
        ("data.path", !recipe.data.path.is_empty()),
        ("correct.share", recipe.correct.share > 0.0),
        ("diagnose.visible", recipe.diagnose.visible),
        ("diagnose.transfer", !recipe.diagnose.transfer.is_empty()),
    ];
    if let Some((key, _)) = unused.iter().find(|(_, set)| *set) {
        bail!("{key} says nothing to self-play; set it to its default, or to 0");
    }
    Ok(())
}
