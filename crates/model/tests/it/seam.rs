//! The transformer on two implementations of its operations: the CPU's kernels and the plain
//! formulas of `naive`. What differs is the rounding of float32.

use model::{Chunk, Decoder, Hold, Model, Ops as _, Slopes, Tape};

use crate::{
    adapter::{CASES, attach},
    golden::{SMALL, folder},
    naive::Naive,
};

fn tokens(n: usize, by: u32) -> Vec<u32> {
    (0..n as u32).map(|i| (i * by + 11) % 47).collect()
}

/// Sequences that share prompts and more, one that is alone, and targets out of order.
fn chunk() -> Chunk {
    let (a, b) = (tokens(60, 31), tokens(60, 17));
    let mut chunk = Chunk::default();
    let (forked, again) = ([&a[40..50], &b[..6]].concat(), [&a[40..50], &b[..3], &a[..4]].concat());
    let sequences = [&a[40..], &b[3..9], &a[2..5], &forked, &a[40..44], &again];
    chunk.push_group(&a[..40], &sequences);
    chunk.push_group(&b[..3], &[&b[3..50], &b[3..4]]);
    chunk.push(&b[..9], None);
    let last = chunk.tokens.len() - 1;
    chunk.targets.extend([(last, 3), (last - 4, 5), (2, 9), (last, 4)]);
    chunk
}

pub(crate) fn assert_near(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    let largest = want.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let gap = (got - want).abs();
        assert!(gap <= tolerance * (1.0 + largest), "{what} {i}: {got} {want}");
    }
}

/// Log-probs, entropies, last states and gradients of one model on both.
fn check(name: &str, model: &Model) {
    let naive = model.to(Naive);
    let chunk = chunk();
    let n = chunk.targets.len();
    let slopes: [Vec<f32>; 3] =
        [1.0, 0.3, 0.1].map(|by| (0..n).map(|i| by * ((i % 7) as f32 - 2.5)).collect());
    let direction: Vec<f32> = (0..model.config.hidden_size).map(|i| (i as f32).sin()).collect();
    let slopes =
        Slopes { log_probs: &slopes[0], entropies: &slopes[1], hidden: (&slopes[2], &direction) };
    for recompute in [false, true] {
        let (mut tape, mut plain) = (Tape::recomputing(recompute), Tape::recomputing(recompute));
        model.forward(&chunk, 0.8, &mut tape).unwrap();
        naive.forward(&chunk, 0.8, &mut plain).unwrap();
        assert_near(name, tape.log_probs(), plain.log_probs(), 2e-6);
        assert_near(name, tape.entropies(), plain.entropies(), 2e-6);
        let (hidden, same) = (model.hidden(&tape), naive.hidden(&plain));
        (0..n).for_each(|i| assert_near(name, hidden.of(i), same.of(i), 2e-6));
        if model.is_frozen() && model.adapter().is_none() {
            continue;
        }
        let mut grads = vec![0.0; model.layout.len()];
        model.backward_from(&chunk, 0.8, slopes, &mut grads, &mut tape);
        let mut same = Default::default();
        Naive.zero(&mut same, grads.len());
        naive.backward_from(&chunk, 0.8, slopes, &mut same, &mut plain);
        let same = Naive.read(&same);
        for entry in &model.layout.entries {
            let at = entry.range.clone();
            let what = format!("{name} {}", entry.name);
            assert_near(&what, &grads[at.clone()], &same[at], 5e-6);
        }
    }
    decode(name, model, &naive);
}

/// Decoding from caches, rows leaving and others coming, on both and against a whole pass.
fn decode(name: &str, model: &Model, naive: &Model<Naive>) {
    let (a, b) = (tokens(40, 31), tokens(4, 17));
    let groups = [(&a[..], 2), (&b[..], 1)];
    let (mut tape, mut plain) = (Tape::default(), Tape::default());
    let mut decoder = Decoder::new(model, 3, 6);
    let mut same = Decoder::new(naive, 3, 6);
    let mut admit = |decoder: &mut Decoder<'_>, same: &mut Decoder<'_, Naive>, n: usize| {
        decoder.admit(&groups[n..=n], &mut tape).unwrap();
        same.admit(&groups[n..=n], &mut plain).unwrap();
    };
    admit(&mut decoder, &mut same, 0);
    admit(&mut decoder, &mut same, 1);
    let mut tokens = vec![5, 6, 7];
    for step in 0..6 {
        for row in 0..decoder.n_rows() {
            assert_near(name, decoder.logits(row), same.logits(row), 5e-6);
        }
        let into = match step {
            // One row ends, the one before it becomes two.
            1 => [2, 0, 1],
            // The first prompt goes with its rows; its place is taken.
            3 => [0, 0, 1],
            _ => [1, 1, 1],
        };
        decoder.branch(&into);
        same.branch(&into);
        if step == 3 {
            admit(&mut decoder, &mut same, 0);
        }
        tokens.iter_mut().for_each(|t| *t += 1);
        decoder.step(&tokens);
        same.step(&tokens);
    }
}

#[test]
fn both_implementations_agree() {
    for name in ["qwen2-tiny", "qwen2-untied"].iter().chain(&SMALL) {
        check(name, &Model::load(&folder(name), Hold::Learning).unwrap());
    }
}

#[test]
fn they_agree_on_frozen_models_and_adapters() {
    check("qwen2-untied", &Model::load(&folder("qwen2-untied"), Hold::Frozen(None)).unwrap());
    for (base, name) in CASES {
        let mut model = Model::load(&folder(base), Hold::Frozen(None)).unwrap();
        attach(&mut model, base, name);
        check(base, &model);
        let (mut tape, mut plain) = (Tape::default(), Tape::default());
        model.forward_reference(&chunk(), 1.0, &mut tape).unwrap();
        model.to(Naive).forward_reference(&chunk(), 1.0, &mut plain).unwrap();
        assert_near(base, tape.log_probs(), plain.log_probs(), 2e-6);
    }
}
