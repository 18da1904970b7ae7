//! The shape of a model, as `config.json` states it.

use serde::{Deserialize, Serialize};

use crate::ModelError;

/// The fields of a Qwen2 `config.json` that decide the computation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// `["Qwen2ForCausalLM"]`.
    pub architectures: Vec<String>,
    /// `qwen2`.
    pub model_type: String,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Base of the rotary embedding.
    #[serde(default = "default_theta")]
    pub rope_theta: f64,
    /// Added to the mean square before its root.
    pub rms_norm_eps: f64,
    /// Whether the output layer is the embedding.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// `silu`.
    pub hidden_act: String,
    /// The token that ends a completion, where the checkpoint names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eos_token_id: Option<u32>,
    /// The token before the first, if the tokenizer adds one; unused by the computation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bos_token_id: Option<u32>,
    /// `float32`: how the weights are stored.
    #[serde(default = "default_dtype", alias = "dtype")]
    pub torch_dtype: String,
    /// Standard deviation of the initial weights.
    #[serde(default = "default_range")]
    pub initializer_range: f64,
}

fn default_theta() -> f64 {
    10_000.0
}

fn default_dtype() -> String {
    "float32".to_string()
}

fn default_range() -> f64 {
    0.02
}

impl Config {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// If it is not JSON, lacks a field, or asks for what this engine does not do.
    pub fn parse(json: &str) -> Result<Self, ModelError> {
        let raw: serde_json::Value =
            serde_json::from_str(json).map_err(|e| ModelError::Config(e.to_string()))?;
        let mut raw = raw;
        lift_rope_parameters(&mut raw)?;
        refuse_unsupported(&raw)?;
        let config: Self =
            serde_json::from_value(raw).map_err(|e| ModelError::Config(e.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// Width of one head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Width of the keys (and of the values) of one token.
    pub fn kv_size(&self) -> usize {
        self.num_key_value_heads * self.head_dim()
    }

    fn check(&self) -> Result<(), ModelError> {
        let bad = |what: &str| Err(ModelError::Config(what.to_string()));
        if self.model_type != "qwen2" {
            return bad(&format!("model_type `{}`; only `qwen2` is supported", self.model_type));
        }
        if self.hidden_act != "silu" {
            return bad(&format!("hidden_act `{}`; only `silu` is supported", self.hidden_act));
        }
        if self.num_attention_heads == 0 || self.num_key_value_heads == 0 || self.vocab_size == 0 {
            return bad("a size is zero");
        }
        if !self.hidden_size.is_multiple_of(2 * self.num_attention_heads) {
            return bad("hidden_size is not an even multiple of num_attention_heads");
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return bad("num_key_value_heads does not divide num_attention_heads");
        }
        Ok(())
    }
}

/// Newer writers put the rotary base into `rope_parameters`.
fn lift_rope_parameters(raw: &mut serde_json::Value) -> Result<(), ModelError> {
    let Some(parameters) = raw.get("rope_parameters").filter(|p| !p.is_null()).cloned() else {
        return Ok(());
    };
    let kind = parameters.get("rope_type").and_then(|t| t.as_str()).unwrap_or("default");
    if kind != "default" {
        return Err(ModelError::Config(format!("rope_parameters.rope_type `{kind}`")));
    }
    if let (Some(theta), Some(object)) = (parameters.get("rope_theta"), raw.as_object_mut()) {
        object.insert("rope_theta".to_string(), theta.clone());
    }
    Ok(())
}

/// Fields that change the computation in ways this engine does not follow.
fn refuse_unsupported(raw: &serde_json::Value) -> Result<(), ModelError> {
    let set = |key: &str| raw.get(key).is_some_and(|v| !v.is_null() && *v != false);
    for key in ["rope_scaling", "use_sliding_window", "quantization_config"] {
        if set(key) {
            return Err(ModelError::Config(format!("`{key}` is set")));
        }
    }
    let head_dim = raw.get("head_dim").and_then(serde_json::Value::as_u64);
    let (hidden, heads) = (raw["hidden_size"].as_u64(), raw["num_attention_heads"].as_u64());
    if let (Some(head_dim), Some(hidden), Some(heads)) = (head_dim, hidden, heads)
        && head_dim * heads != hidden
    {
        return Err(ModelError::Config("`head_dim` differs from hidden_size / heads".to_string()));
    }
    Ok(())
}
