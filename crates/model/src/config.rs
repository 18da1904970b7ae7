//! The shape of a model, as `config.json` states it.
//!
//! Reading is strict: a key or value that this engine does not follow is an error that names
//! it, because a model that is computed otherwise than it was trained fails silently. What was
//! read is kept, so that saving gives back every key.

mod parse;
mod rope;

use serde_json::{Map, Value};

use crate::ModelError;

pub(crate) use rope::RopeSpec;

/// A family of architectures: what `model_type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `Qwen2ForCausalLM`: biases on queries, keys and values.
    Qwen2,
    /// `Qwen3ForCausalLM`: queries and keys are normalised head by head.
    Qwen3,
    /// `LlamaForCausalLM`: biases where the config says so.
    Llama,
}

impl Family {
    /// Its `model_type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Llama => "llama",
        }
    }

    fn architecture(self) -> &'static str {
        match self {
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Llama => "LlamaForCausalLM",
        }
    }
}

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// `float32`.
    F32,
    /// `bfloat16`.
    Bf16,
    /// `float16`.
    F16,
}

impl Dtype {
    /// Its name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
        }
    }
}

/// What decides the computation, and the keys of the file it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The family.
    pub family: Family,
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
    /// Width of one head, even.
    pub head_dim: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Added to the mean square before its root.
    pub rms_norm_eps: f64,
    /// Whether the output layer is the embedding.
    pub tie_word_embeddings: bool,
    /// The tokens that end a completion.
    pub eos_token_ids: Vec<u32>,
    /// The token before the first, if the tokenizer adds one; unused by the computation.
    pub bos_token_id: Option<u32>,
    /// How the checkpoint stores the weights; they are computed with in f32.
    pub dtype: Dtype,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
    pub(crate) rope: RopeSpec,
    pub(crate) biases: Biases,
    /// Everything that was in the file.
    source: Map<String, Value>,
}

/// Which linear layers have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Biases {
    /// Queries, keys and values.
    pub(crate) qkv: bool,
    /// The output of attention.
    pub(crate) o: bool,
    /// The feed-forward layer.
    pub(crate) mlp: bool,
}

impl Config {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// If it is not JSON, lacks a field, or says anything that this engine does not do; the
    /// message names the key.
    pub fn parse(json: &str) -> Result<Self, ModelError> {
        let value = serde_json::from_str(json).map_err(|e| ModelError::Config(e.to_string()))?;
        Self::from_value(value)
    }

    /// A config from the contents of `config.json`.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn from_value(value: Value) -> Result<Self, ModelError> {
        parse::config(value).map_err(ModelError::Config)
    }

    /// The contents of `config.json`: what was read, for weights stored as `dtype`.
    pub fn to_value(&self, dtype: Dtype) -> Value {
        let mut map = self.source.clone();
        let key = if map.contains_key("torch_dtype") { "torch_dtype" } else { "dtype" };
        map.insert(key.to_string(), dtype.name().into());
        Value::Object(map)
    }

    /// The angles by which the pairs of a head's dimensions turn from one position to the
    /// next, and the factor on cosines and sines.
    pub fn frequencies(&self) -> (Vec<f32>, f64) {
        self.rope.frequencies(self.head_dim)
    }

    /// Width of the queries of one token.
    pub fn q_size(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of the keys (and of the values) of one token.
    pub fn kv_size(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Whether queries and keys are normalised head by head.
    pub(crate) fn has_qk_norm(&self) -> bool {
        self.family == Family::Qwen3
    }
}
