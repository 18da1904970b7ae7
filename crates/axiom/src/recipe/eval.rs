//! What is measured: `[eval]` and `[diagnose]`.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use tasks::Split;

use crate::families;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvalRecipe {
    pub(crate) every: u64,
    pub(crate) split: String,
    pub(crate) tasks_per_family: u64,
    pub(crate) difficulty: u8,
    pub(crate) samples: u64,
    pub(crate) temperature: f32,
}

/// What is measured besides, for diagnosis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiagnoseRecipe {
    pub(crate) visible: bool,
    pub(crate) transfer: String,
    pub(crate) control: String,
}

impl DiagnoseRecipe {
    /// The families whose rise is compared, and those it is compared with; none where the
    /// recipe asks for none.
    pub(crate) fn families(&self) -> Result<(Vec<String>, Vec<String>)> {
        match (self.transfer.is_empty(), self.control.is_empty()) {
            (true, true) => Ok((Vec::new(), Vec::new())),
            (false, false) => {
                Ok((families::parse(&self.transfer)?, families::parse(&self.control)?))
            }
            _ => bail!("transfer and control need each other: a rise is compared with a rise"),
        }
    }
}

impl EvalRecipe {
    /// Says what cannot be measured, before anything starts.
    pub(crate) fn check(&self) -> Result<()> {
        match self.split.parse() {
            Ok(Split::Validation | Split::Test) => {}
            Ok(Split::Pretrain | Split::Train) | Err(_) => {
                bail!("the split must be `validation` or `test`, not `{}`", self.split);
            }
        }
        if !(1..=10).contains(&self.difficulty) {
            bail!("the difficulty must be 1 to 10, not {}", self.difficulty);
        }
        if self.tasks_per_family == 0 || self.samples == 0 {
            bail!("the numbers of tasks and of samples must be positive");
        }
        if self.temperature < 0.0 || !self.temperature.is_finite() {
            bail!("the temperature must be 0 (greedy) or positive");
        }
        Ok(())
    }
}
