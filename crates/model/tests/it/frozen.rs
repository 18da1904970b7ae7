//! Matrices that do not learn, in every precision, and backward passes that compute blocks twice.

use model::{AdapterSpec, Chunk, Dtype, Hold, Model, Precision, Tape};

use crate::{
    adapter::{CASES, all_targets, attach, sequences},
    decoding,
    golden::{SMALL, folder},
};

fn load(name: &str, precision: Option<Precision>) -> Model {
    Model::load(&folder(name), Hold::Frozen(precision)).unwrap()
}

fn log_probs(model: &Model, chunk: &Chunk) -> Vec<f32> {
    let mut tape = Tape::default();
    model.forward(chunk, 1.0, &mut tape).unwrap();
    tape.log_probs().to_vec()
}

fn gradient(model: &Model, chunk: &Chunk, mut tape: Tape) -> Vec<f32> {
    model.forward(chunk, 0.9, &mut tape).unwrap();
    let slopes: Vec<f32> = (0..chunk.targets.len()).map(|i| (i % 7) as f32 - 2.5).collect();
    let mut grads = vec![0.0; model.layout.len()];
    model.backward(chunk, 0.9, &slopes, &mut grads, &mut tape);
    grads
}

/// As stored, nothing is lost: every bit is that of the model that learns.
#[test]
fn held_as_stored_a_model_computes_the_same_bits() {
    for name in ["qwen2-tiny", "qwen2-untied"].iter().chain(&SMALL) {
        let frozen = load(name, None);
        let learning = Model::load(&folder(name), Hold::Learning).unwrap();
        assert!(frozen.is_frozen() && !learning.is_frozen());
        assert_eq!(frozen.n_weights(), learning.n_weights());
        let chunk = all_targets(&sequences(name));
        assert_eq!(log_probs(&frozen, &chunk), log_probs(&learning, &chunk), "{name}");
        decoding::check(&frozen);
        assert_eq!(frozen.to_bytes().unwrap(), learning.to_bytes().unwrap(), "{name}");
    }
}

/// What is rounded computes what a checkpoint of the rounded numbers computes, and stays near.
#[test]
fn rounded_models_are_those_of_their_rounded_numbers() {
    use Precision::{Bfloat16, Float16, Float32, Int8, Nf4};
    let cases = [(Float32, 0.0), (Float16, 0.01), (Bfloat16, 0.08), (Int8, 0.2), (Nf4, 1.5)];
    for name in ["qwen2-tiny", "qwen2-untied", "qwen3-yarn"] {
        let chunk = all_targets(&sequences(name));
        let exact = log_probs(&load(name, None), &chunk);
        for (precision, far) in cases {
            let held = load(name, Some(precision));
            let dir = tempfile::tempdir().unwrap();
            held.save(dir.path(), Dtype::F32).unwrap();
            let rounded = Model::load(dir.path(), Hold::Learning).unwrap();
            let got = log_probs(&held, &chunk);
            assert_eq!(got, log_probs(&rounded, &chunk), "{name} {precision:?}");
            let gap = |(a, b): (&f32, &f32)| (a - b).abs();
            let gap = got.iter().zip(&exact).map(gap).fold(0.0, f32::max);
            assert!(gap <= far, "{name} {precision:?}: {gap}");
            assert!(gap > 0.0 || precision == Float32, "{name} {precision:?} rounds nothing");
        }
    }
}

/// An adapter learns on a frozen model as on one that could learn, bit for bit, and merges alike.
#[test]
fn an_adapter_learns_the_same_on_a_frozen_model() {
    for (base, name) in CASES {
        let mut frozen = load(base, None);
        attach(&mut frozen, base, name);
        let mut learning = Model::load(&folder(base), Hold::Learning).unwrap();
        attach(&mut learning, base, name);
        let chunk = all_targets(&sequences(base));
        let same = gradient(&learning, &chunk, Tape::default());
        assert_eq!(gradient(&frozen, &chunk, Tape::default()), same);
        assert_eq!(gradient(&frozen, &chunk, Tape::recomputing(true)), same);
        frozen.merge_adapter();
        learning.merge_adapter();
        assert_eq!(log_probs(&frozen, &chunk), log_probs(&learning, &chunk));
        assert_eq!(frozen.to_bytes().unwrap(), learning.to_bytes().unwrap());
    }
}

/// Some of the gradient of a loss against finite differences.
pub(crate) fn check_slopes(name: &str, model: &Model, grads: &[f32], loss: impl Fn(&Model) -> f64) {
    let n = grads.len();
    for i in (0..n).step_by(n / 23) {
        let moved = |by: f32| {
            let mut model = model.clone();
            model.update(1, |params| params[i] += by);
            loss(&model)
        };
        let step = 1e-2;
        let slope = (moved(step) - moved(-step)) / f64::from(2.0 * step);
        let got = f64::from(grads[i]);
        assert!((slope - got).abs() < 2e-2 * (1.0 + got.abs()), "{name} {i}: {got} {slope}");
    }
}

/// The gradient on rounded weights, against finite differences.
#[test]
fn adapters_on_four_bits_have_the_right_gradient() {
    let mut model = load("qwen3-yarn", Some(Precision::Nf4));
    let target_modules = AdapterSpec::all_linear();
    let spec =
        AdapterSpec { r: 2, lora_alpha: 4.0, lora_dropout: 0.0, use_rslora: false, target_modules };
    let mut state = 7u32;
    let mut uniform = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    model.attach(spec, &mut uniform).unwrap();
    model.update(1, |params| params.iter_mut().for_each(|x| *x += 0.2 * (uniform() - 0.5)));
    let chunk = all_targets(&sequences("qwen3-yarn"));
    let slopes: Vec<f32> = (0..chunk.targets.len()).map(|i| (i % 7) as f32 - 2.5).collect();
    let loss = |model: &Model| -> f64 {
        let mut tape = Tape::default();
        model.forward(&chunk, 0.9, &mut tape).unwrap();
        let each = tape.log_probs().iter().zip(&slopes);
        each.map(|(l, s)| f64::from(*l) * f64::from(*s)).sum()
    };
    let grads = gradient(&model, &chunk, Tape::default());
    check_slopes("qwen3-yarn", &model, &grads, loss);
}

/// Computing blocks twice changes memory, not numbers; a tape that kept nothing is refused.
#[test]
fn recomputed_gradients_have_the_same_bits() {
    for name in ["qwen2-tiny", "qwen3-yarn", "llama-llama3-f16"] {
        let model = Model::load(&folder(name), Hold::Learning).unwrap();
        let chunk = all_targets(&sequences(name));
        let (kept, again) = (Tape::default(), Tape::recomputing(true));
        assert_eq!(gradient(&model, &chunk, again), gradient(&model, &chunk, kept), "{name}");
    }
}

#[test]
#[should_panic(expected = "a forward pass comes before")]
fn a_score_is_not_learnt_from() {
    let model = Model::load(&folder("qwen2-tiny"), Hold::Learning).unwrap();
    let chunk = all_targets(&sequences("qwen2-tiny"));
    let mut tape = Tape::default();
    model.score(&chunk, 1.0, &mut tape).unwrap();
    let slopes = vec![1.0; chunk.targets.len()];
    model.backward(&chunk, 1.0, &slopes, &mut vec![0.0; model.layout.len()], &mut tape);
}
