//! Checkpoints: Hugging Face directories, in and out.

use std::{fs, path::Path};

use crate::{
    Config, Dtype, Layout, Model, ModelError,
    layout::Places,
    tensors::{Tensors, write_file, write_tensors},
};

impl Model {
    /// Loads `config.json` and the weights of a directory, in one file or several.
    ///
    /// # Errors
    /// If a file is missing or does not fit this engine; the message names the field or tensor.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("config.json");
        let config = fs::read_to_string(&path).map_err(|e| ModelError::io(&path, e))?;
        Self::from_tensors(Config::parse(&config)?, &Tensors::open_model(dir)?)
    }

    /// A model from the contents of `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(config: &str, weights: &[u8]) -> Result<Self, ModelError> {
        Self::from_tensors(Config::parse(config)?, &Tensors::from_bytes(weights)?)
    }

    fn from_tensors(config: Config, tensors: &Tensors<'_>) -> Result<Self, ModelError> {
        let (_, layout) = Places::new(&config);
        let weights = read_layout(&layout, tensors)?;
        refuse_unknown(&config, &layout, tensors)?;
        Ok(Self::new(config, weights))
    }

    /// `config.json` and `model.safetensors` in f32, as bytes.
    ///
    /// # Errors
    /// If they cannot be serialised, which does not happen.
    pub fn to_bytes(&self) -> Result<(Vec<u8>, Vec<u8>), ModelError> {
        Ok((self.config_bytes(Dtype::F32)?, write_tensors(&self.named_weights())?))
    }

    /// Writes `config.json` and `model.safetensors` into `dir`, with weights rounded to
    /// `dtype`. An adapter is not part of them.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, dir: &Path, dtype: Dtype) -> Result<(), ModelError> {
        let path = dir.join("model.safetensors");
        let unfinished = dir.join("model.safetensors.tmp");
        write_file(&unfinished, &self.named_weights(), dtype)?;
        fs::rename(&unfinished, &path).map_err(|e| ModelError::io(&path, e))?;
        let path = dir.join("config.json");
        let unfinished = dir.join("config.json.tmp");
        let config = self.config_bytes(dtype)?;
        fs::write(&unfinished, config)
            .and_then(|()| fs::File::open(&unfinished)?.sync_all())
            .and_then(|()| fs::rename(&unfinished, &path))
            .map_err(|e| ModelError::io(&path, e))
    }

    fn named_weights(&self) -> Vec<(&str, &[usize], &[f32])> {
        let entries = self.base.entries.iter();
        entries.map(|e| (e.name.as_str(), &e.shape[..], &self.weights[e.range.clone()])).collect()
    }

    fn config_bytes(&self, dtype: Dtype) -> Result<Vec<u8>, ModelError> {
        let value = self.config.to_value(dtype);
        serde_json::to_vec_pretty(&value).map_err(|e| ModelError::Config(e.to_string()))
    }
}

/// Reads every tensor of a layout into one vector.
pub(crate) fn read_layout(layout: &Layout, tensors: &Tensors<'_>) -> Result<Vec<f32>, ModelError> {
    let mut flat = vec![0.0; layout.len()];
    for entry in &layout.entries {
        tensors.read(&entry.name, &entry.shape, &mut flat[entry.range.clone()])?;
    }
    Ok(flat)
}

/// Tensors that the config does not mention mean that the config is not that of the weights.
/// Old checkpoints also store the rotary frequencies, and some the tied output layer.
fn refuse_unknown(
    config: &Config,
    layout: &Layout,
    tensors: &Tensors<'_>,
) -> Result<(), ModelError> {
    let known: std::collections::HashSet<&str> =
        layout.entries.iter().map(|e| e.name.as_str()).collect();
    for name in tensors.names() {
        if known.contains(name.as_str()) || name.ends_with(".rotary_emb.inv_freq") {
            continue;
        }
        let embedding = || tensors.get("model.embed_tokens.weight");
        let tied = config.tie_word_embeddings && name == "lm_head.weight";
        if tied && tensors.get(&name).zip(embedding()).is_some_and(|(a, b)| a.equals(&b)) {
            continue;
        }
        let what = if tied {
            "`lm_head.weight` differs from the embedding, though config.json ties them".to_string()
        } else {
            format!("config.json says nothing of a tensor `{name}`")
        };
        return Err(ModelError::Tensors(what));
    }
    Ok(())
}
