//! `config.json` to [`Config`].

use serde_json::{Value, json};

use super::{Biases, Config, Dtype, Family, RopeSpec};
use crate::fields::Fields;

/// Keys that change neither logits nor gradients: names, versions, caching, output options,
/// tokens that are not computed with, and sliding windows that `use_sliding_window` (checked
/// to be false) leaves unused.
const HARMLESS: &[&str] = &[
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_name_or_path",
    "attn_implementation",
    "id2label",
    "label2id",
    "max_window_layers",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "problem_type",
    "return_dict",
    "sliding_window",
    "task_specific_params",
    "tokenizer_class",
    "transformers_version",
    "unsloth_fixed",
    "unsloth_version",
    "use_cache",
];

pub(super) fn config(value: Value) -> Result<Config, String> {
    let mut f = Fields::new("", value.clone())?;
    let family = family(&mut f)?;
    let hidden_size: usize = f.require("hidden_size")?;
    let num_attention_heads: usize = f.require("num_attention_heads")?;
    let max_position_embeddings = f.require("max_position_embeddings")?;
    let head_dim = match (f.get("head_dim")?, family) {
        (Some(dim), _) => dim,
        // `transformers` takes this width whatever the others are.
        (None, Family::Qwen3) => 128,
        (None, Family::Qwen2 | Family::Llama) => {
            hidden_size.checked_div(num_attention_heads).unwrap_or(0)
        }
    };
    let config = Config {
        family,
        vocab_size: f.require("vocab_size")?,
        intermediate_size: f.require("intermediate_size")?,
        num_hidden_layers: f.require("num_hidden_layers")?,
        num_key_value_heads: f.get("num_key_value_heads")?.unwrap_or(num_attention_heads),
        rms_norm_eps: f.require("rms_norm_eps")?,
        tie_word_embeddings: f.get("tie_word_embeddings")?.unwrap_or(false),
        eos_token_ids: token_ids(f.get("eos_token_id")?),
        bos_token_id: token_ids(f.get("bos_token_id")?).first().copied(),
        dtype: dtype(&mut f)?,
        initializer_range: f.get("initializer_range")?.unwrap_or(0.02),
        rope: RopeSpec::parse(&mut f, max_position_embeddings)?,
        biases: biases(&mut f, family)?,
        source: value.as_object().cloned().unwrap_or_default(),
        hidden_size,
        num_attention_heads,
        head_dim,
        max_position_embeddings,
    };
    fixed(&mut f)?;
    f.ignore(HARMLESS);
    f.finish()?;
    check(&config)?;
    Ok(config)
}

fn family(f: &mut Fields) -> Result<Family, String> {
    let name: String = f.require("model_type")?;
    let family = [Family::Qwen2, Family::Qwen3, Family::Llama]
        .into_iter()
        .find(|family| family.name() == name)
        .ok_or_else(|| {
            format!("model_type `{name}`; `qwen2`, `qwen3` and `llama` are supported")
        })?;
    f.only("architectures", &json!([family.architecture()]))?;
    Ok(family)
}

/// Keys that this engine knows one value of.
fn fixed(f: &mut Fields) -> Result<(), String> {
    let silu: String = f.require("hidden_act")?;
    if silu != "silu" {
        return Err(format!("`hidden_act` is {silu}; only silu is supported"));
    }
    f.only("attention_dropout", &json!(0.0))?;
    f.only("pretraining_tp", &json!(1))?;
    f.only("partial_rotary_factor", &json!(1.0))?;
    f.only("chunk_size_feed_forward", &json!(0))?;
    for key in ["use_sliding_window", "use_mrope", "quantization_config", "is_encoder_decoder"] {
        f.empty(key)?;
    }
    let kinds: Vec<String> = f.get("layer_types")?.unwrap_or_default();
    match kinds.iter().find(|kind| *kind != "full_attention") {
        Some(kind) => Err(format!("`layer_types` has {kind}; only full_attention is supported")),
        None => Ok(()),
    }
}

fn biases(f: &mut Fields, family: Family) -> Result<Biases, String> {
    let mut flag = |key: &str| Ok::<_, String>(f.get(key)?.unwrap_or(false));
    match family {
        Family::Qwen2 => Ok(Biases { qkv: true, o: false, mlp: false }),
        Family::Qwen3 => {
            let attention = flag("attention_bias")?;
            Ok(Biases { qkv: attention, o: attention, mlp: false })
        }
        Family::Llama => {
            let attention = flag("attention_bias")?;
            Ok(Biases { qkv: attention, o: attention, mlp: flag("mlp_bias")? })
        }
    }
}

/// `dtype`, or `torch_dtype` as it was called before transformers 5.
fn dtype(f: &mut Fields) -> Result<Dtype, String> {
    let old: Option<String> = f.get("torch_dtype")?;
    let name = f.get("dtype")?.or(old).unwrap_or_else(|| Dtype::F32.name().to_string());
    [Dtype::F32, Dtype::Bf16, Dtype::F16]
        .into_iter()
        .find(|d| d.name() == name)
        .ok_or_else(|| format!("`dtype` is {name}; float32, bfloat16 and float16 are supported"))
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum TokenIds {
    One(u32),
    Many(Vec<u32>),
}

/// One id or several, as `eos_token_id` has them.
fn token_ids(ids: Option<TokenIds>) -> Vec<u32> {
    match ids {
        None => Vec::new(),
        Some(TokenIds::One(id)) => vec![id],
        Some(TokenIds::Many(ids)) => ids,
    }
}

fn check(c: &Config) -> Result<(), String> {
    let sizes = [
        ("vocab_size", c.vocab_size),
        ("hidden_size", c.hidden_size),
        ("intermediate_size", c.intermediate_size),
        ("num_hidden_layers", c.num_hidden_layers),
        ("num_attention_heads", c.num_attention_heads),
        ("num_key_value_heads", c.num_key_value_heads),
        ("head_dim", c.head_dim),
        ("max_position_embeddings", c.max_position_embeddings),
    ];
    if let Some((key, _)) = sizes.iter().find(|(_, size)| *size == 0) {
        return Err(format!("`{key}` is zero"));
    }
    if let Some((key, size)) = sizes.iter().find(|(_, size)| *size > 1 << 24) {
        return Err(format!("`{key}` is {size}, more than any model has"));
    }
    if !c.head_dim.is_multiple_of(2) {
        return Err(format!("`head_dim` is {}; it must be even", c.head_dim));
    }
    if !c.num_attention_heads.is_multiple_of(c.num_key_value_heads) {
        return Err("`num_key_value_heads` does not divide `num_attention_heads`".to_string());
    }
    match c.eos_token_ids.iter().find(|id| **id as usize >= c.vocab_size) {
        Some(id) => Err(format!("`eos_token_id` {id} is not below `vocab_size`")),
        None => Ok(()),
    }
}
