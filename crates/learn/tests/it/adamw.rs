//! Ten AdamW steps on the NLL against PyTorch: losses, gradient norms, final weights.

use std::path::{Path, PathBuf};

use learn::{Batch, Learner, OptimizerSpec, Sequence, Threads, objective::Objective};
use model::{Hold, Model, read_tensors};
use serde_json::Value;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden").join(name)
}

fn golden(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("golden.json")).unwrap()).unwrap()
}

/// Trains `model` on the sequences of `base` and compares with the numbers in `dir`.
fn check(mut model: Model, base: &Path, dir: &Path) {
    let source = golden(base);
    let tensors = read_tensors(&std::fs::read(dir.join("golden.safetensors")).unwrap()).unwrap();
    let training = &golden(dir)["training"];
    let prompt = source["prompt"].as_u64().unwrap() as usize;
    let mut batch = Batch::default();
    for s in source["sequences"].as_array().unwrap() {
        let tokens: Vec<u32> =
            s.as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect();
        let sequence = Sequence::imitated(tokens[prompt..].to_vec());
        batch.groups.push((tokens[..prompt].to_vec(), vec![sequence]));
    }
    let number = |key: &str| training[key].as_f64().unwrap();
    let optimizer = OptimizerSpec {
        beta1: training["betas"][0].as_f64().unwrap() as f32,
        beta2: training["betas"][1].as_f64().unwrap() as f32,
        eps: number("eps") as f32,
        weight_decay: number("weight_decay") as f32,
        grad_norm_max: number("clip"),
    };
    let mut learner = Learner::new(optimizer, model.layout.len());
    for i in 0..10 {
        let at = (number("lr"), 1.0);
        let report = learner.step(&mut model, &batch, &Objective::NLL, at, Threads(2)).unwrap();
        let loss = training["losses"][i].as_f64().unwrap();
        assert!((report.loss - loss).abs() < 2e-5, "loss {i}: {} {loss}", report.loss);
        let norm = training["grad_norms"][i].as_f64().unwrap();
        assert!((report.grad_norm - norm).abs() < 1e-4, "norm {i}: {} {norm}", report.grad_norm);
    }
    // Adam divides by the gradient's own size, so an element whose gradient is all rounding
    // may move by a fraction of the learning rate; there must be few of them.
    let mut far = 0;
    for entry in &model.layout.entries {
        let want = &tensors[&format!("final.{}", entry.name)];
        for (got, want) in model.params()[entry.range.clone()].iter().zip(want) {
            assert!((got - want).abs() < 2e-4, "{}: {got} {want}", entry.name);
            far += usize::from((got - want).abs() > 5e-6);
        }
    }
    assert!(far * 1000 < model.layout.len(), "{far} of {} weights are off", model.layout.len());
}

#[test]
fn ten_steps() {
    for name in ["qwen2-tiny", "qwen2-untied"] {
        let dir = folder(name);
        check(Model::load(&dir, Hold::Learning).unwrap(), &dir, &dir);
    }
}

/// The same on the weights of an adapter alone, against PEFT.
#[test]
fn ten_steps_of_an_adapter() {
    for (base, name) in [("qwen3-bf16", "adapter-all"), ("llama-linear-sharded", "adapter-qv")] {
        let (base, dir) = (folder(base), folder(base).join(name));
        let mut model = Model::load(&base, Hold::Learning).unwrap();
        let config = std::fs::read_to_string(dir.join("adapter_config.json")).unwrap();
        let weights = std::fs::read(dir.join("adapter_model.safetensors")).unwrap();
        model.attach_peft(&config, &weights).unwrap();
        check(model, &base, &dir);
    }
}
