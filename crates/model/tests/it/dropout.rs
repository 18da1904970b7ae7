//! Dropout of an adapter's inputs: which, where, and what the gradient makes of it.

use model::{AdapterSpec, Chunk, Decoder, Hold, Model, Ops as _, Tape};

use crate::{
    adapter::CASES, frozen::check_slopes, golden::folder, naive::Naive, seam::assert_near,
};

const KEYS: [u64; 4] = [11, 12, 13, 14];

/// A model whose adapter drops `rate` of its inputs.
fn dropping(base: &str, rate: f64) -> Model {
    let mut model = Model::load(&folder(base), Hold::Frozen(None)).unwrap();
    let target_modules = AdapterSpec::all_linear();
    let spec = AdapterSpec {
        r: 3,
        lora_alpha: 6.0,
        lora_dropout: rate,
        use_rslora: false,
        target_modules,
    };
    let mut state = 7u32;
    let mut uniform = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    model.attach(spec, &mut uniform).unwrap();
    model.update(1, |params| params.iter_mut().for_each(|x| *x += 0.2 * (uniform() - 0.5)));
    model
}

fn chunk() -> Chunk {
    let tokens: Vec<u32> = (0..40).map(|i| (i * 31 + 11) % 47).collect();
    let mut chunk = Chunk::default();
    chunk.push_group(&tokens[..9], &[&tokens[9..20], &tokens[3..9]]);
    chunk.push(&tokens[..12], None);
    chunk.targets.push((chunk.tokens.len() - 1, 5));
    chunk
}

fn slopes(chunk: &Chunk) -> Vec<f32> {
    (0..chunk.targets.len()).map(|i| (i % 7) as f32 - 2.5).collect()
}

fn log_probs(model: &Model, keys: &[u64]) -> Vec<f32> {
    let mut tape = Tape::default();
    model.forward_dropping(&chunk(), 0.9, keys, &mut tape).unwrap();
    tape.log_probs().to_vec()
}

fn gradient(model: &Model, keys: &[u64], mut tape: Tape) -> Vec<f32> {
    let chunk = chunk();
    model.forward_dropping(&chunk, 0.9, keys, &mut tape).unwrap();
    let mut grads = vec![0.0; model.layout.len()];
    model.backward(&chunk, 0.9, &slopes(&chunk), &mut grads, &mut tape);
    grads
}

#[test]
fn the_gradient_is_that_of_what_was_kept() {
    for (base, _) in CASES {
        let model = dropping(base, 0.3);
        let grads = gradient(&model, &KEYS, Tape::default());
        assert!(gradient(&model, &KEYS, Tape::recomputing(true)) == grads, "computed twice");
        let loss = |model: &Model| -> f64 {
            let each = log_probs(model, &KEYS).into_iter().zip(slopes(&chunk()));
            each.map(|(l, s)| f64::from(l) * f64::from(s)).sum()
        };
        check_slopes(base, &model, &grads, loss);
    }
}

#[test]
fn the_plain_formulas_drop_the_same() {
    for (base, _) in CASES {
        let model = dropping(base, 0.4);
        let naive = model.to(Naive);
        let (chunk, mut plain) = (chunk(), Tape::default());
        naive.forward_dropping(&chunk, 0.9, &KEYS, &mut plain).unwrap();
        assert_near(base, &log_probs(&model, &KEYS), plain.log_probs(), 2e-6);
        let mut same = Default::default();
        Naive.zero(&mut same, model.layout.len());
        naive.backward(&chunk, 0.9, &slopes(&chunk), &mut same, &mut plain);
        let grads = gradient(&model, &KEYS, Tape::default());
        assert_near(base, &grads, &Naive.read(&same), 5e-6);
    }
}

/// What is dropped depends on a sequence's key and its positions: not on its place in a chunk.
#[test]
fn neighbours_change_nothing() {
    let model = dropping(CASES[0].0, 0.3);
    let all = log_probs(&model, &KEYS);
    let mut alone = Chunk::default();
    let whole = chunk();
    let last = whole.segments[3];
    alone.push(&whole.tokens[last.start..], None);
    alone.targets.push((last.len - 1, 5));
    let mut tape = Tape::default();
    model.forward_dropping(&alone, 0.9, &KEYS[3..], &mut tape).unwrap();
    assert_eq!(tape.log_probs()[0], all[all.len() - 1]);
    assert_ne!(log_probs(&model, &[11, 12, 13, 15]), all);
}

/// Nothing is dropped where nobody learns, nor at a rate of 0.
#[test]
fn only_learning_drops() {
    let (base, _) = CASES[0];
    let (model, none) = (dropping(base, 0.3), dropping(base, 0.0));
    let plain = log_probs(&none, &[]);
    assert_eq!(log_probs(&none, &KEYS), plain);
    let grads = gradient(&none, &[], Tape::default());
    assert!(gradient(&none, &KEYS, Tape::default()) == grads);
    assert_ne!(log_probs(&model, &KEYS), plain);
    // A tape that dropped before forgets it.
    let (chunk, mut tape) = (chunk(), Tape::default());
    model.forward_dropping(&chunk, 0.9, &KEYS, &mut tape).unwrap();
    model.score(&chunk, 0.9, &mut tape).unwrap();
    assert_eq!(tape.log_probs(), plain);
    model.forward(&chunk, 0.9, &mut tape).unwrap();
    assert_eq!(tape.log_probs(), plain);
    model.forward_dropping(&chunk, 0.9, &KEYS, &mut tape).unwrap();
    let prompt = &chunk.tokens[..9];
    let decoder = Decoder::start(&model, &[(prompt, 1)], 4, &mut tape).unwrap();
    assert_eq!(decoder.next(0, 0.9).log_prob(chunk.targets[0].1), plain[0]);
}

#[test]
fn the_rate_is_written_and_read() {
    let model = dropping(CASES[0].0, 0.25);
    let (config, weights) = model.adapter_to_bytes("base").unwrap();
    let config = String::from_utf8(config).unwrap();
    assert!(config.contains("\"lora_dropout\": 0.25"), "{config}");
    let mut again = Model::load(&folder(CASES[0].0), Hold::Frozen(None)).unwrap();
    again.attach_peft(&config, &weights).unwrap();
    assert_eq!(again.adapter(), model.adapter());
    assert_eq!(log_probs(&again, &KEYS), log_probs(&model, &KEYS));
}
