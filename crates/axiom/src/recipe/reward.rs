//! What a completion is worth: `[reward]`.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// What a reward is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RewardSource {
    /// What the hidden tests say.
    Verdict,
    /// What most programs of the group answer.
    Vote,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RewardRecipe {
    pub(crate) source: RewardSource,
    pub(crate) vote_share_min: f64,
    pub(crate) entropy_filter: f64,
    pub(crate) partial_weight: f64,
    pub(crate) shuffle: bool,
    pub(crate) overlong_cache: usize,
}

impl RewardRecipe {
    pub(super) fn is_by_verdict_alone(&self) -> bool {
        self.source == RewardSource::Verdict && self.entropy_filter == 0.0
    }

    pub(super) fn check(&self) -> Result<()> {
        if !(self.entropy_filter >= 0.0 && self.entropy_filter.is_finite()) {
            bail!("entropy_filter is 0 (off) or positive");
        }
        match self.source {
            RewardSource::Verdict if self.vote_share_min > 0.0 => {
                bail!("vote_share_min says nothing where `source` is \"verdict\"");
            }
            RewardSource::Vote if self.partial_weight > 0.0 => {
                bail!(
                    "partial_weight says nothing where `source` is \"vote\": nothing is expected"
                );
            }
            RewardSource::Verdict | RewardSource::Vote => Ok(()),
        }
    }
}
