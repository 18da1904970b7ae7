//! Adapters against PEFT: numbers written by `scripts/golden_adapter.py`. (The ten AdamW steps
//! are in `learn`, which owns the optimizer.)

use std::path::{Path, PathBuf};

use model::{AdapterSpec, Chunk, Decoder, Hold, Model, Tape, read_tensors};

use crate::golden::{folder, golden, numbers, tokens};

pub(crate) const CASES: [(&str, &str); 2] =
    [("qwen3-bf16", "adapter-all"), ("llama-linear-sharded", "adapter-qv")];

fn read(dir: &Path, name: &str) -> Vec<u8> {
    std::fs::read(dir.join(name)).unwrap()
}

/// Lays the adapter of a case on its base model.
pub(crate) fn attach(model: &mut Model, base: &str, name: &str) {
    let dir = folder(base).join(name);
    let config = String::from_utf8(read(&dir, "adapter_config.json")).unwrap();
    model.attach_peft(&config, &read(&dir, "adapter_model.safetensors")).unwrap();
}

/// The base model with the adapter of a case.
fn adapted(base: &str, name: &str) -> (Model, PathBuf) {
    let mut model = Model::load(&folder(base), Hold::Learning).unwrap();
    attach(&mut model, base, name);
    (model, folder(base).join(name))
}

pub(crate) fn sequences(base: &str) -> Vec<Vec<u32>> {
    golden(&folder(base))["sequences"].as_array().unwrap().iter().map(tokens).collect()
}

/// Every next-token log-prob of some sequences.
pub(crate) fn all_targets(sequences: &[Vec<u32>]) -> Chunk {
    let mut all = Chunk::default();
    for s in sequences {
        let start = all.tokens.len();
        all.push(s, None);
        all.targets.extend(s[1..].iter().enumerate().map(|(i, t)| (start + i, *t)));
    }
    all
}

#[test]
fn log_probs_and_gradients_are_those_of_peft() {
    for (base, name) in CASES {
        let (model, dir) = adapted(base, name);
        let (source, golden) = (golden(&folder(base)), golden(&dir));
        let tensors = read_tensors(&read(&dir, "golden.safetensors")).unwrap();
        let mut tape = Tape::default();
        model.forward(&all_targets(&sequences(base)), 1.0, &mut tape).unwrap();
        let want = golden["logprobs"].as_array().unwrap().iter().flat_map(numbers);
        for (got, want) in tape.log_probs().iter().zip(want) {
            assert!((f64::from(*got) - want).abs() < 2e-5, "{base}: {got} {want}");
        }

        let prompt = source["prompt"].as_u64().unwrap() as usize;
        let mut chunk = Chunk::default();
        for s in sequences(base) {
            chunk.push_group(&s[..prompt], &[&s[prompt..]]);
        }
        let weights = source["weights"].as_array().unwrap().iter().flat_map(numbers);
        let weights: Vec<f32> = weights.map(|x| x as f32).collect();
        model.forward(&chunk, 1.0, &mut tape).unwrap();
        let mut grads = vec![0.0; model.layout.len()];
        model.backward(&chunk, 1.0, &weights, &mut grads, &mut tape);
        for entry in &model.layout.entries {
            let want = &tensors[&format!("grad.{}", entry.name)];
            for (g, w) in grads[entry.range.clone()].iter().zip(want) {
                assert!((g - w).abs() < 2e-4, "{base} {}: {g} {w}", entry.name);
            }
        }
        let n_grads = tensors.keys().filter(|name| name.starts_with("grad.")).count();
        assert_eq!(n_grads, model.layout.entries.len());
    }
}

#[test]
fn the_reference_is_the_base_model() {
    let (base, name) = CASES[0];
    let (model, _) = adapted(base, name);
    let chunk = all_targets(&sequences(base));
    let (mut tape, mut plain) = (Tape::default(), Tape::default());
    Model::load(&folder(base), Hold::Learning).unwrap().forward(&chunk, 1.0, &mut plain).unwrap();
    model.forward_reference(&chunk, 1.0, &mut tape).unwrap();
    assert_eq!(tape.log_probs(), plain.log_probs());
    model.forward(&chunk, 1.0, &mut tape).unwrap();
    assert_ne!(tape.log_probs(), plain.log_probs());
}

#[test]
fn decoding_has_the_bits_of_a_full_forward() {
    for (base, name) in CASES {
        let (model, _) = adapted(base, name);
        let sequence = &sequences(base)[0];
        let mut tape = Tape::default();
        model.forward(&all_targets(std::slice::from_ref(sequence)), 1.0, &mut tape).unwrap();
        let want = tape.log_probs()[9..].to_vec();
        let mut decoder =
            Decoder::start(&model, &[(&sequence[..10], 2)], sequence.len(), &mut tape).unwrap();
        for (token, want) in sequence[10..].iter().zip(want) {
            assert_eq!(decoder.next(1, 1.0).log_prob(*token), want);
            decoder.step(&[*token, *token]);
        }
    }
}

#[test]
fn merging_is_that_of_peft() {
    for (base, name) in CASES {
        let (mut model, dir) = adapted(base, name);
        let tensors = read_tensors(&read(&dir, "golden.safetensors")).unwrap();
        let before = Model::load(&folder(base), Hold::Learning).unwrap();
        model.merge_adapter();
        assert!(model.adapter().is_none());
        let mut changed = 0;
        for entry in &model.layout.entries {
            let range = entry.range.clone();
            let plain = &before.params()[range.clone()];
            let merged = tensors.get(&format!("merged.{}", entry.name));
            changed += usize::from(merged.is_some());
            let want = merged.map_or(plain, |m| &m[..]);
            for (got, want) in model.params()[range].iter().zip(want) {
                assert!((got - want).abs() < 1e-6, "{}: {got} {want}", entry.name);
            }
        }
        assert_eq!(changed, tensors.keys().filter(|name| name.starts_with("merged.")).count());
        assert!(changed >= 4);
    }
}

#[test]
fn a_new_adapter_changes_nothing_and_survives_a_round_trip() {
    let base = "llama-llama3-f16";
    let plain = Model::load(&folder(base), Hold::Learning).unwrap();
    let mut model = plain.clone();
    let target_modules = vec!["o_proj".to_string(), "down_proj".to_string()];
    let spec =
        AdapterSpec { r: 4, lora_alpha: 8.0, lora_dropout: 0.0, use_rslora: false, target_modules };
    let mut state = 1u32;
    let uniform = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    model.attach(spec.clone(), uniform).unwrap();
    assert_eq!(model.adapter(), Some(&spec));
    let chunk = all_targets(&sequences(base));
    let (mut tape, mut same) = (Tape::default(), Tape::default());
    plain.forward(&chunk, 1.0, &mut same).unwrap();
    model.forward(&chunk, 1.0, &mut tape).unwrap();
    assert_eq!(tape.log_probs(), same.log_probs());

    model.update(1, |params| params.iter_mut().for_each(|x| *x += 0.01));
    let (config, weights) = model.adapter_to_bytes("base").unwrap();
    let mut again = plain.clone();
    again.attach_peft(std::str::from_utf8(&config).unwrap(), &weights).unwrap();
    assert_eq!(again.params(), model.params());
    assert_eq!(again.adapter(), Some(&spec));
    assert!(again.attach_peft(std::str::from_utf8(&config).unwrap(), &weights).is_err());
}

/// The files have the names and keys that PEFT writes.
#[test]
fn the_layout_on_disk_is_that_of_peft() {
    for (base, name) in CASES {
        let (model, dir) = adapted(base, name);
        let (config, weights) = model.adapter_to_bytes(base).unwrap();
        let theirs = read_tensors(&read(&dir, "adapter_model.safetensors")).unwrap();
        assert_eq!(read_tensors(&weights).unwrap(), theirs);
        let json = |bytes: &[u8]| -> serde_json::Value { serde_json::from_slice(bytes).unwrap() };
        let (ours, theirs) = (json(&config), json(&read(&dir, "adapter_config.json")));
        for key in ["r", "lora_alpha", "use_rslora", "bias", "peft_type", "task_type"] {
            let number = |v: &serde_json::Value| v.as_f64().map_or(v.clone(), Into::into);
            assert_eq!(number(&ours[key]), number(&theirs[key]), "{key}");
        }
        assert_eq!(ours["base_model_name_or_path"], base);
    }
}

#[test]
fn a_layer_that_the_model_lacks_is_named() {
    let mut model = Model::load(&folder("llama-llama3-f16"), Hold::Learning).unwrap();
    let target_modules = vec!["model.layers.7.self_attn.q_proj".to_string()];
    let spec =
        AdapterSpec { r: 4, lora_alpha: 8.0, lora_dropout: 0.0, use_rslora: false, target_modules };
    assert!(model.attach(spec, || 0.5).unwrap_err().to_string().contains("layers.7"));
    assert!(model.adapter().is_none());
}

#[test]
fn unsupported_adapters_are_named() {
    let parse = |changes: serde_json::Value| {
        let mut config = serde_json::json!({ "peft_type": "LORA", "r": 2, "lora_alpha": 4,
            "target_modules": ["q_proj"], "use_dora": false, "rank_pattern": {} });
        config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        AdapterSpec::parse(&config.to_string()).map_err(|e| e.to_string())
    };
    assert_eq!(parse(serde_json::json!({})).unwrap().scale(), 2.0);
    let all = parse(serde_json::json!({ "target_modules": "all-linear" })).unwrap();
    assert_eq!(all.target_modules.len(), 7);
    for (change, expected) in [
        (serde_json::json!({ "lora_dropout": 1.0 }), "`lora_dropout` is 1"),
        (serde_json::json!({ "use_dora": true }), "`use_dora`"),
        (serde_json::json!({ "rank_pattern": { "q_proj": 8 } }), "`rank_pattern`"),
        (serde_json::json!({ "modules_to_save": ["lm_head"] }), "`modules_to_save`"),
        (serde_json::json!({ "target_modules": ["lm_head"] }), "lm_head"),
        (serde_json::json!({ "target_modules": ".*_proj" }), "`target_modules`"),
        (serde_json::json!({ "peft_type": "IA3" }), "`peft_type`"),
        (serde_json::json!({ "new_feature": 3 }), "unknown key `new_feature`"),
        (serde_json::json!({ "r": 0 }), "`r` is 0"),
    ] {
        let error = parse(change).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
