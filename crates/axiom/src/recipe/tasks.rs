//! What is asked: `[tasks]`.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tasks::{Curriculum, Pace, Schedule, Thresholds};

use crate::families;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TasksRecipe {
    pub(crate) source: TaskSource,
    pub(crate) families: String,
    pub(crate) difficulty_min: u8,
    pub(crate) difficulty_max: u8,
    pub(crate) per_step: usize,
    pub(crate) group_size: usize,
    pub(crate) replay_share: f64,
    pub(crate) rate_memory: f64,
    pub(crate) resample_max: u64,
    pub(crate) curriculum: CurriculumKind,
    pub(crate) level_steps: u64,
    pub(crate) level_window: usize,
    pub(crate) level_up: f64,
    pub(crate) level_down: f64,
}

/// Where tasks come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TaskSource {
    /// The families.
    Families,
    /// The policy itself.
    Selfplay,
}

/// What decides the difficulty of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CurriculumKind {
    Rates,
    Linear,
    Adaptive,
    SelfPaced,
}

impl TasksRecipe {
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=10).contains(&self.difficulty_min)
            || !(self.difficulty_min..=10).contains(&self.difficulty_max)
        {
            bail!("tasks.difficulty_min and difficulty_max must satisfy 1 <= min <= max <= 10");
        }
        if self.per_step == 0 || self.group_size == 0 {
            bail!("tasks.per_step and tasks.group_size must be positive");
        }
        if self.level_steps == 0 || self.level_window == 0 {
            bail!("tasks.level_steps and level_window must be positive");
        }
        if self.level_down >= self.level_up {
            bail!("tasks.level_down must be below level_up, or a level never lasts");
        }
        families::parse(&self.families).map(drop).context("tasks.families")
    }

    /// What decides which tasks a step asks, before anything is solved.
    pub(crate) fn curriculum(&self) -> Result<Curriculum> {
        let families = families::parse(&self.families)?;
        Ok(Curriculum::new(&families, self.pace(), self.replay_share, self.rate_memory))
    }

    /// How difficulties change.
    fn pace(&self) -> Pace {
        let (window, up, down) = (self.level_window, self.level_up, self.level_down);
        let thresholds = Thresholds { window, up, down };
        let schedule = match self.curriculum {
            CurriculumKind::Rates => Schedule::Flat,
            CurriculumKind::Linear => Schedule::Linear { steps: self.level_steps },
            CurriculumKind::Adaptive => Schedule::Adaptive(thresholds),
            CurriculumKind::SelfPaced => Schedule::SelfPaced(thresholds),
        };
        Pace::new(schedule, (self.difficulty_min, self.difficulty_max))
    }
}
