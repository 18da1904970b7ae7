//! Gradients through a tiny model, and what a step refuses.

use std::path::Path;

use super::*;
use crate::{
    Preset,
    kl::{Estimator, KlLoss},
    objective::{ClipCov, KlCov},
    preference::Length,
    value::{ValueLoss, ValueTarget},
};

const SPEC: OptimizerSpec =
    OptimizerSpec { beta1: 0.9, beta2: 0.98, eps: 1e-8, weight_decay: 0.0, grad_norm_max: 1.0 };

fn tiny() -> Model {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden/qwen2-tiny");
    Model::load(&dir, model::Hold::Learning).expect("the fixture loads")
}

fn noise(i: usize) -> f32 {
    (i as f32 * 12.9898 + 0.5).sin() * 437.58 % 1.0
}

fn learner(model: &Model) -> Learner {
    let n = model.config.hidden_size + 1;
    let weights = (0..n).map(|i| 0.3 * noise(i)).collect();
    let head = ValueHead::restored(weights, vec![0.0; n], vec![0.0; n], 0);
    Learner::new(SPEC, model.layout.len()).with_value_head(head.expect("lengths agree"), 1.0)
}

/// Groups whose log-probs are near those of the model, with everything an objective reads.
fn batch(learner: &mut Learner, model: &Model) -> Batch {
    let mut batch = Batch::default();
    for g in 0..3_u32 {
        let prompt: Vec<u32> = (0..7).map(|i| (i * 7 + g) % 90).collect();
        let tokens = |s: u32| (0..4 + 3 * s).map(|i| (i * 13 + s * 5 + g) % 90).collect();
        let sequences = (0..4).map(|s| Sequence::imitated(tokens(s))).collect();
        batch.groups.push((prompt, sequences));
    }
    let scores = learner.score(model, &batch, 1.0, Threads(2)).expect("it fits");
    let sequences = batch.groups.iter_mut().flat_map(|g| &mut g.1);
    for (i, (sequence, score)) in sequences.zip(scores).enumerate() {
        let near = |by: f32, k: usize| -> Vec<f32> {
            let each = score.logprobs.iter().enumerate();
            each.map(|(t, l)| l + by * noise(31 * i + 7 * t + k)).collect()
        };
        sequence.old_logprobs = near(0.1, 1);
        sequence.sampling_logprobs = near(0.15, 2);
        sequence.reference_logprobs = near(0.5, 3);
        sequence.advantage = f64::from(noise(i) + 0.1).into();
        let returns = near(1.0, 4).into_iter().map(f64::from).collect();
        sequence.value = Some(ValueTarget { old: score.values.clone(), returns });
        sequence.count = 1 + i % 2;
    }
    batch
}

/// The derivative of the loss along a random direction of all weights.
fn check(
    model: &Model,
    head: Option<&ValueHead>,
    name: &str,
    mut run: impl FnMut(&Model, Option<ValueHead>) -> (f64, Vec<f32>, Vec<f32>),
) {
    let (_, grads, head_grads) = run(model, head.cloned());
    for seed in 0..3 {
        let direction = |i: usize| noise(i.wrapping_mul(2 * seed + 3) + seed);
        let moved = |h: f32| {
            let mut at = model.clone();
            at.update(1, |p| p.iter_mut().enumerate().for_each(|(i, p)| *p += h * direction(i)));
            let head = head.map(|head| {
                let (w, m, v, t) = head.state();
                let w = w.iter().enumerate().map(|(i, w)| w + h * direction(i)).collect();
                ValueHead::restored(w, m.to_vec(), v.to_vec(), t).expect("lengths agree")
            });
            (at, head)
        };
        let h = 1e-4;
        let mut loss = |h: f32| {
            let (model, head) = moved(h);
            run(&model, head).0
        };
        let numeric = (loss(h) - loss(-h)) / f64::from(2.0 * h);
        let along = |g: &[f32]| -> f64 {
            g.iter().enumerate().map(|(i, g)| f64::from(g * direction(i))).sum()
        };
        let exact = along(&grads) + along(&head_grads);
        let off = (numeric - exact).abs();
        assert!(off < 0.02 * exact.abs() + 0.003, "{name}: {numeric} {exact}");
    }
}

#[test]
fn a_part_on_which_the_loss_does_not_depend_is_left_out() {
    let model = tiny();
    let mut learner = learner(&model);
    let batch = batch(&mut learner, &model);
    let parts = batch.parts(40, 1);
    let net = Net { model: &model, head: None, temperature: 1.0, seed: 0 };
    let mut gradient = |of_first: f32| {
        let slopes = |part: &Part<'_>, tape: &model::Tape| {
            let slope = if part.first == 0 { of_first } else { 0.5 };
            let log_probs = vec![slope; tape.log_probs().len()];
            PartSlopes { log_probs, ..PartSlopes::default() }
        };
        learner.lanes.gradient(net, &parts, Threads(2), &slopes).expect("it fits");
        learner.lanes.total().0.to_vec()
    };
    assert!(parts.len() > 2);
    // As good as nothing, but computed.
    let (left_out, computed) = (gradient(0.0), gradient(1e-30));
    assert!(left_out.iter().any(|g| *g != 0.0));
    assert!(left_out.iter().zip(&computed).all(|(a, b)| (a - b).abs() < 1e-25));
    assert!(gradient(0.5) != left_out);
}

#[test]
fn gradients_of_objectives_through_the_model() {
    let model = tiny();
    let mut start = learner(&model);
    let batch = batch(&mut start, &model);
    let clip = Preset::Dapo.method(16).objective;
    let mut named: Vec<(&str, Objective)> = Preset::ALL
        .iter()
        .filter(|p| !matches!(p, Preset::Cispo | Preset::ScaleRl | Preset::Gspo))
        .map(|p| (p.name(), p.method(16).objective))
        .collect();
    named.push(("entropy", Objective { entropy_coef: 1.0, ..clip }));
    named.push(("value", Objective { value: Some(ValueLoss { coef: 1.0, clip: 9.0 }), ..clip }));
    let kl = Some(KlLoss { corrected: true, ..KlLoss::plain(Estimator::K3, 1.0) });
    named.push(("kl", Objective { kl, ..clip }));
    for (name, spec) in named {
        check(&model, start.value_head(), name, |model, head| {
            let mut learner = Learner::new(SPEC, model.layout.len());
            if let Some(head) = head {
                learner = learner.with_value_head(head, 1.0);
            }
            let sums = learner.gradient(model, &batch, &spec, 1.0, Threads(2)).expect("it fits");
            let (grads, head) = learner.lanes.total();
            (sums.loss, grads.to_vec(), head.to_vec())
        });
    }
}

fn pairs() -> Vec<Pair> {
    let pair = |i: u32| Pair {
        prompt: (0..5).map(|t| (t * 11 + i) % 90).collect(),
        chosen: (0..6).map(|t| (t * 5 + i) % 90).collect(),
        rejected: (0..9).map(|t| (t * 17 + i) % 90).collect(),
        chosen_reference: -25.0 - f64::from(i),
        rejected_reference: -40.0 + f64::from(i),
    };
    (0..200).map(pair).collect()
}

#[test]
fn gradients_of_pairs_through_the_model() {
    let (model, pairs) = (tiny(), pairs());
    for spec in [
        Preference::Dpo { beta: 0.3, smoothing: 0.1 },
        Preference::Ipo { beta: 0.5, length: Length::Mean },
    ] {
        check(&model, None, &format!("{spec:?}"), |model, _| {
            let mut learner = Learner::new(SPEC, model.layout.len());
            let sums = learner.pair_gradient(model, &pairs, &spec, 1.0, Threads(2));
            (sums.expect("it fits").loss, learner.lanes.total().0.to_vec(), Vec::new())
        });
    }
}

#[test]
fn threads_change_no_bit() {
    let start = tiny();
    let batch = batch(&mut learner(&start), &start);
    let mut spec = Preset::Ppo.method(16).objective;
    spec.entropy_coef = 0.1;
    spec.keep.top_entropy = Some(0.5);
    spec.keep.clip_cov = Some(ClipCov { share: 0.1, low: 0.0, high: 5.0 });
    spec.kl_cov = Some(KlCov { share: 0.1, coef: 1.0 });
    let run = |threads: usize| {
        let (mut model, threads) = (start.clone(), Threads(threads));
        let mut learner = learner(&model);
        let scores = learner.score(&model, &batch, 0.7, threads).expect("it fits");
        let at = (1e-3, 1.0);
        let report = learner.step(&mut model, &batch, &spec, at, threads).expect("it fits");
        assert!(report.dropped_frac > 0.3 && report.value_loss > 0.0, "{report:?}");
        let dpo = crate::presets::DPO;
        let pairs = learner.step_pairs(&mut model, &pairs(), &dpo, at, threads);
        let head = learner.value_head().map(|h| h.weights().to_vec());
        (scores, report, pairs.expect("it fits"), head, model.params().to_vec())
    };
    let one = run(1);
    assert_ne!(one.4, start.params());
    for threads in [2, 5] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

/// What is dropped does not depend on threads, nor on whether blocks are computed twice; a learner
/// whose state was put back drops what it would have dropped.
#[test]
fn dropout_is_drawn_from_places() {
    let mut start = tiny();
    let (r, lora_alpha, use_rslora) = (4, 8.0, false);
    let target_modules = model::AdapterSpec::all_linear();
    let spec = model::AdapterSpec { r, lora_alpha, lora_dropout: 0.2, use_rslora, target_modules };
    let mut state = 3u32;
    let uniform = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    start.attach(spec, uniform).expect("it fits");
    let pairs = pairs();
    let dpo = crate::presets::DPO;
    let step = |learner: &mut Learner, model: &mut Model, threads: usize| {
        let report = learner.step_pairs(model, &pairs, &dpo, (1e-2, 1.0), Threads(threads));
        report.expect("it fits")
    };
    let new = |seed: u64| Learner::new(SPEC, start.layout.len()).seeded(seed);
    let run = |mut learner: Learner, threads: usize| {
        let mut model = start.clone();
        let reports = [0, 1].map(|_| step(&mut learner, &mut model, threads));
        (reports, model.params().to_vec())
    };
    let one = run(new(5), 1);
    for threads in [2, 5] {
        assert!(run(new(5), threads) == one, "{threads} threads");
    }
    assert!(run(new(5).recomputing(true), 2) == one);
    assert!(run(new(6), 2).1 != one.1);

    let (mut first, mut model) = (new(5), start.clone());
    step(&mut first, &mut model, 2);
    let (m, v, t) = first.state();
    let mut resumed = new(5);
    resumed.restore(m.to_vec(), v.to_vec(), t);
    step(&mut resumed, &mut model, 2);
    assert!(model.params() == one.1);
}

#[test]
fn what_is_missing_is_named() {
    let model = tiny();
    let mut learner = Learner::new(SPEC, model.layout.len());
    let full = batch(&mut super::tests::learner(&model), &model);
    let grpo = Preset::Grpo.method(16).objective;
    let mut fails = |change: &dyn Fn(&mut Sequence), spec: &Objective, word: &str| {
        let (mut batch, mut model) = (full.clone(), model.clone());
        change(&mut batch.groups[1].1[2]);
        let failed = learner.step(&mut model, &batch, spec, (1e-3, 1.0), Threads(1));
        let text = failed.expect_err("it is refused").to_string();
        assert!(text.contains(word), "{text}");
    };
    fails(&|s| s.tokens.clear(), &grpo, "no token");
    fails(&|s| s.count = 0, &grpo, "count is 0");
    fails(&|s| s.mask = vec![true], &grpo, "1 masks");
    fails(&|s| s.old_logprobs.truncate(2), &grpo, "2 old log-probs");
    fails(&|s| s.reference_logprobs.clear(), &grpo, "sequence 6: a KL term");
    fails(&|s| s.advantage = crate::Advantage::Tokens(vec![]), &grpo, "0 advantages");
    fails(&|_| (), &Preset::Ppo.method(16).objective, "with_value_head");
}
