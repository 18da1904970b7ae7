//! Ten AdamW steps on the NLL against PyTorch: losses, gradient norms, final weights.

use std::path::Path;

use learn::{Batch, Learner, OptimizerSpec, Sequence, Threads, objective::Objective};
use model::{Model, read_tensors};
use serde_json::Value;

fn check(name: &str) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden").join(name);
    let mut model = Model::load(&dir).unwrap();
    let golden: Value =
        serde_json::from_slice(&std::fs::read(dir.join("golden.json")).unwrap()).unwrap();
    let tensors = read_tensors(&std::fs::read(dir.join("golden.safetensors")).unwrap()).unwrap();
    let training = &golden["training"];
    let prompt = golden["prompt"].as_u64().unwrap() as usize;
    let mut batch = Batch::default();
    for s in golden["sequences"].as_array().unwrap() {
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
    check("qwen2-tiny");
    check("qwen2-untied");
}
