//! Numbers written by `scripts/golden_model.py`: logits, log-probs, gradients. (The ten AdamW
//! steps are in `learn`, which owns the optimizer.)

use std::path::{Path, PathBuf};

use model::{Chunk, Model, Tape, read_tensors};
use serde_json::Value;

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn tokens(value: &Value) -> Vec<u32> {
    numbers(value).iter().map(|x| *x as u32).collect()
}

/// Loss, log-probs and gradients of one case, sequences packed into one chunk.
fn check(name: &str) {
    let dir = folder(name);
    let model = Model::load(&dir).unwrap();
    let golden: Value =
        serde_json::from_slice(&std::fs::read(dir.join("golden.json")).unwrap()).unwrap();
    let tensors = read_tensors(&std::fs::read(dir.join("golden.safetensors")).unwrap()).unwrap();
    let prompt = golden["prompt"].as_u64().unwrap() as usize;
    let sequences: Vec<Vec<u32>> =
        golden["sequences"].as_array().unwrap().iter().map(tokens).collect();

    // Every next-token log-prob, at both temperatures.
    let mut all = Chunk::default();
    for s in &sequences {
        let start = all.tokens.len();
        all.push(s, None);
        all.targets.extend(s[1..].iter().enumerate().map(|(i, t)| (start + i, *t)));
    }
    let mut tape = Tape::default();
    for case in golden["logprobs"].as_array().unwrap() {
        let temperature = case["temperature"].as_f64().unwrap() as f32;
        model.forward(&all, temperature, &mut tape).unwrap();
        let expected = case["rows"].as_array().unwrap().iter().flat_map(numbers);
        for (got, want) in tape.log_probs().iter().zip(expected) {
            assert!((f64::from(*got) - want).abs() < 2e-5, "{got} {want}");
        }
    }

    // Gradients of the weighted sum over completion tokens.
    let mut chunk = Chunk::default();
    for s in &sequences {
        chunk.push_group(&s[..prompt], &[&s[prompt..]]);
    }
    let weights: Vec<f32> =
        golden["weights"].as_array().unwrap().iter().flat_map(numbers).map(|x| x as f32).collect();
    model.forward(&chunk, 1.0, &mut tape).unwrap();
    let loss: f64 =
        tape.log_probs().iter().zip(&weights).map(|(l, w)| f64::from(*l) * f64::from(*w)).sum();
    assert!((loss - golden["probe_loss"].as_f64().unwrap()).abs() < 2e-5);
    let mut grads = vec![0.0; model.layout.len()];
    model.backward(&chunk, 1.0, &weights, &mut grads, &mut tape);
    for entry in &model.layout.entries {
        let want = &tensors[&format!("grad.{}", entry.name)];
        let got = &grads[entry.range.clone()];
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() < 1e-4, "{}: {g} {w}", entry.name);
        }
    }
}

#[test]
fn tied() {
    check("qwen2-tiny");
}

#[test]
fn untied() {
    check("qwen2-untied");
}

#[test]
fn a_checkpoint_survives_a_round_trip() {
    for name in ["qwen2-tiny", "qwen2-untied"] {
        let model = Model::load(&folder(name)).unwrap();
        let (config, weights) = model.to_bytes().unwrap();
        let again = Model::from_bytes(std::str::from_utf8(&config).unwrap(), &weights).unwrap();
        assert_eq!(again.params(), model.params());
        assert_eq!(again.config.rope_theta, model.config.rope_theta);
    }
}

#[test]
fn bad_checkpoints_are_named() {
    let config = std::fs::read_to_string(folder("qwen2-untied").join("config.json")).unwrap();
    let weights = std::fs::read(folder("qwen2-untied").join("model.safetensors")).unwrap();
    let error = |config: &str, weights: &[u8]| Model::from_bytes(config, weights).unwrap_err();
    let llama = config.replace("\"qwen2\"", "\"llama\"");
    assert!(error(&llama, &weights).to_string().contains("model_type `llama`"));
    let wide = config.replace("\"intermediate_size\": ", "\"intermediate_size\": 1");
    assert!(error(&wide, &weights).to_string().contains("has shape"));
    assert!(error(&config, &weights[..100]).to_string().contains("not a safetensors file"));
    assert!(error("{", &weights).to_string().contains("unsupported config.json"));
}
