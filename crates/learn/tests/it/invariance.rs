//! What must not change a step: the number of threads.

use std::path::Path;

use learn::{Batch, Learner, OptimizerSpec, Preset, Sequence, Threads};
use model::{Hold, Model};

fn batch() -> Batch {
    let mut batch = Batch::default();
    for g in 0..12u32 {
        let prompt: Vec<u32> = (0..30).map(|i| (i * 7 + g) % 90).collect();
        let sequences = (0..8u32)
            .map(|s| {
                let n = 5 + (s * 11 + g) % 30;
                Sequence {
                    tokens: (0..n).map(|i| (i * 13 + s * 5 + g) % 90).collect(),
                    sampling_logprobs: vec![-4.5; n as usize],
                    advantage: (f64::from(s) - 3.5).into(),
                    count: 1,
                    ..Sequence::default()
                }
            })
            .collect();
        batch.groups.push((prompt, sequences));
    }
    batch
}

#[test]
fn threads_change_no_bit() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden/qwen2-tiny");
    let start = Model::load(&dir, Hold::Learning).unwrap();
    let optimizer = OptimizerSpec {
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-8,
        weight_decay: 0.05,
        grad_norm_max: 1.0,
    };
    let dapo = Preset::Dapo.method(64).objective;
    let batch = batch();
    let run = |threads: usize| {
        let mut model = start.clone();
        let mut learner = Learner::new(optimizer, model.layout.len());
        for _ in 0..3 {
            learner.step(&mut model, &batch, &dapo, (1e-3, 1.0), Threads(threads)).unwrap();
        }
        model.params().to_vec()
    };
    let one = run(1);
    assert_ne!(one, start.params());
    for threads in [2, 3, 16] {
        assert_eq!(run(threads), one);
    }
}
