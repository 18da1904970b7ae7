//! The recipes of the embedded models.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::layers::layered;

const FAMILIES: &str = include_str!("../../../../recipes/pretrain.toml");
const SELFPLAY: &str = include_str!("../../../../recipes/pretrain-selfplay.toml");

/// What a model made from nothing imitates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CorpusName {
    /// Programs for the task families and composed tasks.
    Families,
    /// Both roles of self-play, over short programs.
    Selfplay,
}

/// How a model is made from nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PretrainRecipe {
    pub(crate) seed: u64,
    pub(crate) corpus: CorpusName,
    pub(crate) tokens: u64,
    pub(crate) batch_tokens: u64,
    pub(crate) lr: f64,
    pub(crate) warmup_steps: u64,
    pub(crate) composed_share: f64,
    pub(crate) noise: f64,
    pub(crate) clean: bool,
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
}

impl PretrainRecipe {
    /// The embedded recipe for a corpus with `key=value` settings on top.
    pub(crate) fn load(corpus: CorpusName, settings: &[String]) -> Result<Self> {
        let text = match corpus {
            CorpusName::Families => "",
            CorpusName::Selfplay => SELFPLAY,
        };
        layered(FAMILIES, text, settings)
    }
}
