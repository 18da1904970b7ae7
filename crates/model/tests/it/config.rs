//! `config.json` is read strictly.

use model::{Config, Family};
use serde_json::{Value, json};

fn base() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 100,
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": 64, "rms_norm_eps": 1e-6,
        "hidden_act": "silu", "use_cache": true, "rope_scaling": null
    })
}

fn with(changes: Value) -> Result<Config, String> {
    let mut value = base();
    value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    Config::from_value(value).map_err(|e| e.to_string())
}

#[test]
fn defaults_are_those_of_transformers() {
    let config = with(json!({ "eos_token_id": [7, 8], "bos_token_id": 3 })).unwrap();
    assert_eq!(config.family, Family::Llama);
    assert_eq!((config.num_key_value_heads, config.head_dim), (4, 8));
    assert_eq!((config.eos_token_ids, config.bos_token_id), (vec![7, 8], Some(3)));
    assert!(!config.tie_word_embeddings);
    let qwen3 = json!({ "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"] });
    assert_eq!(with(qwen3).unwrap().head_dim, 128);
}

#[test]
fn both_spellings_of_rope_are_the_same() {
    let scaling = json!({ "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32, "rope_type": "llama3" });
    let mut parameters = scaling.clone();
    parameters["rope_theta"] = json!(5e5);
    let old = with(json!({ "rope_scaling": scaling, "rope_theta": 5e5 })).unwrap();
    let new = with(json!({ "rope_parameters": parameters })).unwrap();
    assert_eq!(old.frequencies(), new.frequencies());
    assert_ne!(old.frequencies(), with(json!({ "rope_theta": 5e5 })).unwrap().frequencies());
}

/// What this engine does not do is an error that names the key.
#[test]
fn unsupported_keys_and_values_are_named() {
    let cases = [
        (json!({ "rope_scaling": { "type": "longrope", "factor": 2.0 } }), "longrope"),
        (json!({ "rope_scaling": { "type": "linear" } }), "no `rope_scaling.factor`"),
        (json!({ "rope_scaling": { "type": "linear", "factor": 0.0 } }), "rope_scaling"),
        (
            json!({ "rope_scaling": { "rope_type": "default", "mrope_section": [1] } }),
            "unknown key `rope_scaling.mrope_section`",
        ),
        (json!({ "use_sliding_window": true }), "`use_sliding_window` is true"),
        (json!({ "quantization_config": { "bits": 4 } }), "`quantization_config`"),
        (json!({ "layer_types": ["full_attention", "sliding_attention"] }), "sliding_attention"),
        (json!({ "attention_dropout": 0.1 }), "`attention_dropout` is 0.1"),
        (json!({ "hidden_act": "gelu" }), "`hidden_act` is gelu"),
        (json!({ "embedding_multiplier": 12.0 }), "unknown key `embedding_multiplier`"),
        (json!({ "dtype": "float8" }), "`dtype` is float8"),
        (json!({ "model_type": "gemma" }), "model_type `gemma`"),
        (json!({ "architectures": ["LlamaForSequenceClassification"] }), "`architectures`"),
        (json!({ "num_key_value_heads": 3 }), "`num_key_value_heads`"),
        (json!({ "head_dim": 7 }), "`head_dim` is 7"),
        (json!({ "vocab_size": 0 }), "`vocab_size` is zero"),
        (json!({ "vocab_size": -1 }), "`vocab_size`"),
        (json!({ "eos_token_id": 100 }), "`eos_token_id` 100"),
        (json!({ "intermediate_size": null }), "no `intermediate_size`"),
    ];
    for (change, expected) in cases {
        let error = with(change.clone()).unwrap_err();
        assert!(error.contains(expected), "{change}: {error}");
    }
}

#[test]
fn what_was_read_is_given_back() {
    let config = with(json!({ "transformers_version": "5.0", "torch_dtype": "bfloat16" })).unwrap();
    let value = config.to_value(model::Dtype::F32);
    assert_eq!(value["torch_dtype"], "float32");
    assert_eq!(value["transformers_version"], "5.0");
    assert_eq!(value["rope_scaling"], Value::Null);
}
