//! Numbers written by `scripts/golden_model.py`: logits, log-probs, gradients, greedy
//! generation, for every family, type of storage and rotary scaling. (The ten AdamW steps are
//! in `learn`, which owns the optimizer.)

use std::path::{Path, PathBuf};

use model::{Chunk, Decoder, Dtype, Hold, Model, Tape, read_tensors};
use serde_json::Value;

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Small checkpoints: dynamic, YaRN, Llama 3 and linear scaling; f32, bf16 and f16; biases;
/// an output layer of its own; several files.
pub(crate) const SMALL: [&str; 5] =
    ["qwen2-dynamic-bf16", "qwen3-bf16", "qwen3-yarn", "llama-llama3-f16", "llama-linear-sharded"];

pub(crate) fn golden(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("golden.json")).unwrap()).unwrap()
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

pub(crate) fn tokens(value: &Value) -> Vec<u32> {
    numbers(value).iter().map(|x| *x as u32).collect()
}

/// Logits, loss, log-probs and gradients of one case, sequences packed into one chunk.
fn check(name: &str) {
    let dir = folder(name);
    let model = Model::load(&dir, Hold::Learning).unwrap();
    let golden = golden(&dir);
    let tensors = read_tensors(&std::fs::read(dir.join("golden.safetensors")).unwrap()).unwrap();
    let prompt = golden["prompt"].as_u64().unwrap() as usize;
    let sequences: Vec<Vec<u32>> =
        golden["sequences"].as_array().unwrap().iter().map(tokens).collect();

    let mut tape = Tape::default();
    for (i, s) in sequences.iter().enumerate() {
        check_logits(&model, s, &tensors[&format!("logits.{i}")], &mut tape);
    }

    // Every next-token log-prob, at both temperatures.
    let mut all = Chunk::default();
    for s in &sequences {
        let start = all.tokens.len();
        all.push(s, None);
        all.targets.extend(s[1..].iter().enumerate().map(|(i, t)| (start + i, *t)));
    }
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

fn check_logits(model: &Model, sequence: &[u32], want: &[f32], tape: &mut Tape) {
    let rows = want.chunks_exact(model.config.vocab_size);
    for (end, want) in rows.enumerate() {
        let decoder = Decoder::start(model, &[(&sequence[..=end], 1)], 1, tape).unwrap();
        for (got, want) in decoder.logits(0).iter().zip(want) {
            assert!((got - want).abs() < 5e-5, "after {end}: {got} {want}");
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
fn every_family_storage_and_scaling() {
    SMALL.iter().for_each(|name| check(name));
}

#[test]
fn greedy_generation_is_that_of_transformers() {
    for name in SMALL {
        let dir = folder(name);
        let (model, golden) = (Model::load(&dir, Hold::Learning).unwrap(), golden(&dir));
        let list = |key: &str| -> Vec<Vec<u32>> {
            golden["greedy"][key].as_array().unwrap().iter().map(tokens).collect()
        };
        let (prompts, want) = (list("prompts"), list("completions"));
        let groups: Vec<(&[u32], usize)> = prompts.iter().map(|p| (&p[..], 1)).collect();
        let mut decoder = Decoder::start(&model, &groups, 200, &mut Tape::default()).unwrap();
        for i in 0..200 {
            let best: Vec<u32> = (0..prompts.len()).map(|row| best(decoder.logits(row))).collect();
            let expected: Vec<u32> = want.iter().map(|completion| completion[i]).collect();
            assert_eq!(best, expected, "{name}, token {i}");
            if i < 199 {
                decoder.step(&best);
            }
        }
    }
}

fn best(logits: &[f32]) -> u32 {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap() as u32
}

#[test]
fn saving_rounds_to_the_type_that_was_asked_for() {
    for (name, dtype) in [("qwen3-bf16", Dtype::Bf16), ("llama-llama3-f16", Dtype::F16)] {
        let dir = tempfile::tempdir().unwrap();
        let model = Model::load(&folder(name), Hold::Learning).unwrap();
        assert_eq!(model.config.dtype, dtype);
        model.save(dir.path(), dtype).unwrap();
        let again = Model::load(dir.path(), Hold::Learning).unwrap();
        assert_eq!(again.params(), model.params());
        let bytes = |dir: &Path| std::fs::read(dir.join("model.safetensors")).unwrap();
        let tensors = |dir: &Path| read_tensors(&bytes(dir)).unwrap();
        assert_eq!(tensors(dir.path()), tensors(&folder(name)));
        assert_eq!(bytes(dir.path()).len() / 100, bytes(&folder(name)).len() / 100);
    }
}

#[test]
fn a_checkpoint_survives_a_round_trip() {
    for name in ["qwen2-tiny", "qwen2-untied"].iter().chain(&SMALL) {
        let model = Model::load(&folder(name), Hold::Learning).unwrap();
        let (config, weights) = model.to_bytes().unwrap();
        let again =
            Model::from_bytes(std::str::from_utf8(&config).unwrap(), &weights, Hold::Learning)
                .unwrap();
        assert_eq!(again.params(), model.params());
        let f32_again = again.config.to_value(Dtype::F32);
        assert_eq!(f32_again, model.config.to_value(Dtype::F32));
    }
}

#[test]
fn bad_checkpoints_are_named() {
    let config = std::fs::read_to_string(folder("qwen2-untied").join("config.json")).unwrap();
    let weights = std::fs::read(folder("qwen2-untied").join("model.safetensors")).unwrap();
    let error = |config: &str, weights: &[u8]| {
        Model::from_bytes(config, weights, Hold::Learning).unwrap_err()
    };
    let mamba = config.replace("\"qwen2\"", "\"mamba\"");
    assert!(error(&mamba, &weights).to_string().contains("model_type `mamba`"));
    let wide = config.replace("\"intermediate_size\": ", "\"intermediate_size\": 1");
    assert!(error(&wide, &weights).to_string().contains("has shape"));
    assert!(error(&config, &weights[..100]).to_string().contains("not a safetensors file"));
    assert!(error("{", &weights).to_string().contains("unsupported config.json"));
}
