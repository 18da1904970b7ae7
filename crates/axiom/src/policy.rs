//! A model with its tokenizer, and where they come from.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use model::{Model, Tokenizer};

/// The embedded model: what `axiom pretrain` wrote into `assets/nano`.
static CONFIG: &str = include_str!("../../../assets/nano/config.json");
static WEIGHTS: &[u8] = include_bytes!("../../../assets/nano/model.safetensors");
static TOKENIZER: &[u8] = include_bytes!("../../../assets/nano/tokenizer.json");

/// The name of the embedded model where a directory is expected.
pub(crate) const EMBEDDED: &str = "embedded";

/// A model with its tokenizer.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) model: Model,
    pub(crate) tokenizer: Tokenizer,
    /// The token that ends a completion.
    pub(crate) eos: u32,
}

impl Policy {
    /// Loads `embedded`, or a Hugging Face directory.
    pub(crate) fn load(name: &str) -> Result<Self> {
        let (model, tokenizer) = if name == EMBEDDED {
            (Model::from_bytes(CONFIG, WEIGHTS)?, Tokenizer::from_bytes(TOKENIZER)?)
        } else {
            let dir = Path::new(name);
            if !dir.is_dir() {
                bail!("no model at `{name}`: give a Hugging Face directory, or `{EMBEDDED}`");
            }
            let context = || format!("cannot load the model in {name}");
            (Model::load(dir).with_context(context)?, Tokenizer::load(dir).with_context(context)?)
        };
        Self::new(model, tokenizer)
    }

    pub(crate) fn new(model: Model, tokenizer: Tokenizer) -> Result<Self> {
        let Some(eos) = model.config.eos_token_id else {
            bail!("config.json has no `eos_token_id`; add the token that ends a completion");
        };
        if tokenizer.vocab_size() > model.config.vocab_size {
            let (tokens, rows) = (tokenizer.vocab_size(), model.config.vocab_size);
            bail!("the tokenizer has {tokens} entries, the model's embedding {rows}");
        }
        Ok(Self { model, tokenizer, eos })
    }

    /// Writes a Hugging Face directory into `dir`, which exists.
    pub(crate) fn save(&self, dir: &Path) -> Result<()> {
        let (config, weights) = self.model.to_bytes()?;
        runlog::write_atomic(&dir.join("config.json"), &config)?;
        runlog::write_atomic(&dir.join("tokenizer.json"), &self.tokenizer.to_bytes()?)?;
        let special = serde_json::json!({
            "tokenizer_class": "Qwen2Tokenizer",
            "eos_token": self.tokenizer.token(self.eos),
            "pad_token": self.tokenizer.token(self.eos),
            "model_max_length": self.model.config.max_position_embeddings,
        });
        let special = serde_json::to_vec_pretty(&special)?;
        runlog::write_atomic(&dir.join("tokenizer_config.json"), &special)?;
        runlog::write_atomic(&dir.join("model.safetensors"), &weights)?;
        Ok(())
    }
}
