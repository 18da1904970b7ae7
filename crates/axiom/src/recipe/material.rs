//! What is learnt from besides the completions of a step: `[replay]`, `[data]`, `[correct]`.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::method::Method;

/// Which verified programs are kept, and which of them are imitated again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRecipe {
    pub(crate) dedupe: bool,
    pub(crate) programs_max: usize,
    pub(crate) discovery_share: f64,
    pub(crate) discovery_steps: u64,
    pub(crate) cold_start: String,
    pub(crate) cold_start_share: f64,
}

impl ReplayRecipe {
    /// Whether some kinds of programs are drawn more often than chance has it.
    pub(crate) fn has_shares(&self) -> bool {
        self.discovery_share > 0.0 || self.cold_start_share > 0.0
    }

    pub(super) fn check(&self, method: &Method) -> Result<()> {
        if self.discovery_share + self.cold_start_share > 1.0 {
            bail!("discovery_share and cold_start_share are more than 1 together");
        }
        if self.cold_start_share > 0.0 && self.cold_start.is_empty() {
            bail!("cold_start_share needs `cold_start`, a file of given completions");
        }
        let keeps = self.dedupe || self.programs_max > 0 || !self.cold_start.is_empty();
        match method {
            Method::Pairs(_) | Method::Given if keeps || self.has_shares() => {
                bail!("neither a preference nor SFT replays anything");
            }
            Method::Imitation { restart: true } if self.has_shares() => {
                bail!("the shares say nothing to a method that imitates all it ever found");
            }
            Method::Rewards(_) | Method::Pairs(_) | Method::Imitation { .. } | Method::Given => {
                Ok(())
            }
        }
    }
}

/// Second tries with a failed program in the prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CorrectRecipe {
    pub(crate) share: f64,
    pub(crate) samples: usize,
}

impl CorrectRecipe {
    pub(super) fn check(&self, method: &Method) -> Result<()> {
        if self.share > 0.0 && *method == Method::Given {
            bail!("share says nothing to method `sft`, which samples nothing");
        }
        let least = if method.compares_within_groups() { 2 } else { 1 };
        if self.share > 0.0 && self.samples < least {
            bail!("samples must be at least {least}");
        }
        Ok(())
    }
}

/// Given completions to imitate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataRecipe {
    pub(crate) path: String,
    pub(crate) per_step: usize,
}

impl DataRecipe {
    pub(super) fn check(&self, method: &Method) -> Result<()> {
        let given = *method == Method::Given;
        if given && self.path.is_empty() {
            bail!("`path` is missing: the file that SFT learns from");
        }
        if given && self.per_step == 0 {
            bail!("per_step must be positive");
        }
        if !given && !self.path.is_empty() {
            bail!("`path` is for method `sft`; others may have replay.cold_start");
        }
        Ok(())
    }
}
