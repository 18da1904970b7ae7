//! What must not change an objective, and that its derivatives are those of its loss.

use learn::{
    Advantage, Preset,
    kl::{Estimator, KlLoss},
    objective::{
        Aggregation, ClipCov, Correction, Objective, Ratio, Row, Surrogate, Survey, Value,
        objective,
    },
    value::{ValueLoss, ValueTarget},
};

use crate::golden::{Rows, golden, spec};

/// Every objective of the fixtures and of the presets, with a bonus and a value loss.
fn specs() -> Vec<(String, Objective)> {
    let golden = golden();
    let cases = golden["cases"].as_array().unwrap().iter();
    let mixed = cases.filter(|c| c["batch"] == "mixed");
    let mut specs: Vec<(String, Objective)> =
        mixed.map(|c| (c["name"].to_string(), spec(&c["spec"]))).collect();
    specs.extend(Preset::ALL.map(|p| (p.name().to_string(), p.method(16).objective)));
    let all = Objective {
        ratio: Ratio::Sequence,
        entropy_coef: 0.03,
        value: Some(ValueLoss { coef: 0.5, clip: 0.2 }),
        correction: Some(Correction::truncate_tokens(1.1)),
        kl: Some(KlLoss { corrected: true, ..KlLoss::plain(Estimator::K3, 0.1) }),
        ..Preset::Gspo.method(16).objective
    };
    specs.push(("everything".to_string(), all));
    let mut drawn = Preset::ClipCov.method(16).objective;
    drawn.keep.clip_cov = Some(ClipCov { share: 0.1, low: 0.0, high: 5.0 });
    specs.push(("clip_cov_drawn".to_string(), drawn));
    specs
}

/// The rows of a fixture, with values and their targets.
struct Batch {
    rows: Rows,
    values: Vec<Vec<f64>>,
    targets: Vec<ValueTarget>,
}

impl Batch {
    fn new(name: &str) -> Self {
        let rows = Rows::named(&golden(), name);
        let wave = |i: usize, t: usize| (1.3 * i as f64 + 0.7 * t as f64).sin();
        let lengths: Vec<usize> = rows.logprobs.iter().map(Vec::len).collect();
        let each = |f: &dyn Fn(usize, usize) -> f64| -> Vec<Vec<f64>> {
            let row = |(i, n): (usize, &usize)| (0..*n).map(|t| f(i, t)).collect();
            lengths.iter().enumerate().map(row).collect()
        };
        let values = each(&|i, t| wave(i, t));
        let old = each(&|i, t| wave(i, t) + 0.4 * wave(t, i));
        let target = |(old, returns): (Vec<f64>, Vec<f64>)| ValueTarget {
            old: old.iter().map(|x| *x as f32).collect(),
            returns,
        };
        let targets = old.into_iter().zip(each(&|i, t| wave(t + 1, i))).map(target).collect();
        Self { rows, values, targets }
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = self.rows.rows();
        for ((row, values), target) in rows.iter_mut().zip(&self.values).zip(&self.targets) {
            (row.values, row.target) = (values, Some(target));
        }
        rows
    }
}

fn value(rows: &[Row<'_>], spec: &Objective) -> Value {
    objective(rows, spec, &Survey::of(rows, spec))
}

fn close(got: &[f64], want: &[f64], name: &str) {
    assert_eq!(got.len(), want.len(), "{name}");
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= 1e-12 * w.abs().max(1.0), "{name}: {g} {w}");
    }
}

fn same(got: &Value, want: &Value, name: &str) {
    close(&[got.loss], &[want.loss], name);
    close(&got.dlogprobs, &want.dlogprobs, name);
    close(&got.dentropies, &want.dentropies, name);
    close(&got.dvalues, &want.dvalues, name);
}

#[test]
fn cutting_changes_nothing() {
    let batch = Batch::new("mixed");
    let rows = batch.rows();
    for (name, spec) in specs() {
        let (whole, survey) = (value(&rows, &spec), Survey::of(&rows, &spec));
        let mut sum = Value::default();
        for part in rows.chunks(2) {
            let value = objective(part, &spec, &survey);
            sum.loss += value.loss;
            sum.dlogprobs.extend(value.dlogprobs);
            sum.dentropies.extend(value.dentropies);
            sum.dvalues.extend(value.dvalues);
            sum.tally.add(&value.tally);
        }
        same(&sum, &whole, &name);
        assert!((sum.tally.tokens - whole.tally.tokens).abs() < 1e-9);
    }
}

#[test]
fn order_changes_nothing() {
    let batch = Batch::new("mixed");
    let mut rows = batch.rows();
    let lengths: Vec<usize> = rows.iter().map(|r| r.logprobs.len()).collect();
    let turned = |x: &[f64]| -> Vec<f64> {
        let mut at = 0;
        let mut parts: Vec<&[f64]> = Vec::new();
        for n in lengths.iter().filter(|_| !x.is_empty()) {
            parts.push(&x[at..at + n]);
            at += n;
        }
        parts.reverse();
        parts.concat()
    };
    for (name, spec) in specs() {
        let mut want = value(&rows, &spec);
        rows.reverse();
        let got = value(&rows, &spec);
        rows.reverse();
        want.dlogprobs = turned(&want.dlogprobs);
        want.dentropies = turned(&want.dentropies);
        want.dvalues = turned(&want.dvalues);
        same(&got, &want, &name);
    }
}

/// Padding with NaN under the mask changes nothing and has no gradient.
#[test]
fn what_is_masked_does_not_leak() {
    let plain = Batch::new("mixed");
    let mut padded = Batch::new("mixed");
    let pad = |x: &mut Vec<f64>, mask: &[bool]| {
        (0..mask.len()).filter(|t| !mask[*t]).for_each(|t| x[t] = f64::NAN);
        x.extend([f64::NAN; 3]);
    };
    for i in 0..padded.values.len() {
        let mask = padded.rows.mask[i].clone();
        let r = &mut padded.rows;
        let all = [&mut r.logprobs, &mut r.old, &mut r.sampling, &mut r.reference];
        for x in all.into_iter().chain([&mut r.entropies, &mut padded.values]) {
            pad(&mut x[i], &mask);
        }
        pad(&mut padded.targets[i].returns, &mask);
        padded.targets[i].old.extend([f32::NAN; 3]);
        padded.rows.mask[i].extend([false; 3]);
    }
    for (name, spec) in specs() {
        let (mut got, want) = (value(&padded.rows(), &spec), value(&plain.rows(), &spec));
        let kept = |x: &[f64]| -> Vec<f64> {
            let mut at = 0;
            let mut kept = Vec::new();
            for mask in padded.rows.mask.iter().filter(|_| !x.is_empty()) {
                let row = &x[at..at + mask.len()];
                (0..mask.len()).filter(|t| !mask[*t]).for_each(|t| assert_eq!(row[t], 0.0));
                kept.extend_from_slice(&row[..mask.len() - 3]);
                at += mask.len();
            }
            kept
        };
        got.dlogprobs = kept(&got.dlogprobs);
        got.dentropies = kept(&got.dentropies);
        got.dvalues = kept(&got.dvalues);
        same(&got, &want, &name);
    }
}

#[test]
fn a_count_is_as_many_rows() {
    let batch = Batch::new("mixed");
    let rows = batch.rows();
    for (name, spec) in specs() {
        let mut repeated = rows.clone();
        repeated.extend([rows[1]; 2]);
        let mut counted = rows.clone();
        counted[1].count = 3;
        let (got, want) = (value(&counted, &spec), value(&repeated, &spec));
        close(&[got.loss], &[want.loss], &name);
        let at = rows[0].logprobs.len();
        let n = rows[1].logprobs.len();
        for t in at..at + n {
            close(&[got.dlogprobs[t]], &[3.0 * want.dlogprobs[t]], &name);
        }
    }
}

/// The objective whose loss has the slopes of `spec`: a straight-through term has those of
/// another estimator, and GSPO-token those of GSPO.
fn differentiated(spec: &Objective) -> Objective {
    let ratio = match spec.ratio {
        Ratio::SequenceToken => Ratio::Sequence,
        ratio => ratio,
    };
    let kl = spec.kl.map(|kl| KlLoss { estimator: kl.gradient, ..kl });
    Objective { ratio, kl, ..*spec }
}

/// Whether a loss has a kink within `h`: its one-sided slopes differ.
fn kinked(left: f64, right: f64) -> bool {
    (left - right).abs() > 1e-5
}

/// What a finite difference moves.
#[derive(Clone, Copy)]
enum What {
    Logprob,
    /// With the old and sampling log-probs, so that ratio and weight stay.
    LogprobAtConstantRatio,
    Entropy,
    Value,
}

impl Batch {
    fn move_by(&mut self, what: What, (i, t): (usize, usize), by: f64) {
        let r = &mut self.rows;
        match what {
            What::Logprob => r.logprobs[i][t] += by,
            What::LogprobAtConstantRatio => {
                for x in [&mut r.logprobs, &mut r.old, &mut r.sampling] {
                    x[i][t] += by;
                }
            }
            What::Entropy => r.entropies[i][t] += by,
            What::Value => self.values[i][t] += by,
        }
    }

    /// Slopes to the left and to the right.
    fn numeric(&self, what: What, at: (usize, usize), spec: &Objective) -> (f64, f64) {
        const H: f64 = 1e-6;
        let loss = |by: f64| {
            let mut moved = Self {
                rows: self.rows.clone(),
                values: self.values.clone(),
                targets: self.targets.clone(),
            };
            moved.move_by(what, at, by);
            value(&moved.rows(), spec).loss
        };
        let here = loss(0.0);
        ((here - loss(-H)) / H, (loss(H) - here) / H)
    }
}

#[test]
fn slopes_are_those_of_the_loss() {
    let (mut checked, mut skipped) = (0, 0);
    for name in ["mixed", "far"] {
        let batch = Batch::new(name);
        let rows = batch.rows();
        let positions: Vec<(usize, usize)> =
            (0..rows.len()).flat_map(|i| (0..rows[i].mask.len()).map(move |t| (i, t))).collect();
        for (spec_name, spec) in specs() {
            let want = value(&rows, &spec);
            let constant =
                matches!(spec.surrogate, Surrogate::Cispo { .. } | Surrogate::Dppo { .. });
            let logprob = if constant { What::LogprobAtConstantRatio } else { What::Logprob };
            for (what, slopes) in [
                (logprob, &want.dlogprobs),
                (What::Entropy, &want.dentropies),
                (What::Value, &want.dvalues),
            ] {
                for ((i, t), slope) in positions.iter().zip(slopes) {
                    if !batch.rows.mask[*i][*t] {
                        continue;
                    }
                    let (left, right) = batch.numeric(what, (*i, *t), &differentiated(&spec));
                    if kinked(left, right) {
                        skipped += 1;
                        continue;
                    }
                    let off = (0.5 * (left + right) - slope).abs();
                    assert!(off < 1e-6 * slope.abs().max(1.0), "{spec_name}: {left} {slope}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 2000 && skipped * 50 < checked, "{checked} {skipped}");
}

/// On policy, the policy gradient has one form.
#[test]
fn all_are_the_policy_gradient_on_policy() {
    let (logprobs, mask) = ([-0.3, -1.2, -0.7], [true, true, true]);
    for a in [0.8, -1.5] {
        let advantage = Advantage::Whole(a);
        let row = Row::new(&logprobs, &mask, &advantage);
        let dual = Surrogate::PpoClip { low: 0.2, high: 0.28, cap: 3.0 };
        let cispo = Surrogate::Cispo { min: 0.0, max: 5.0 };
        let sapo = Surrogate::Sapo { positive: 1.0, negative: 1.05 };
        let dppo = Surrogate::Dppo { low: 0.2, high: 0.2, cap: 20.0 };
        for surrogate in [Surrogate::Reinforce, dual, cispo, sapo, dppo] {
            for ratio in [Ratio::Token, Ratio::Sequence, Ratio::SequenceToken] {
                let plain = Objective::new(surrogate, Aggregation::TokenMean);
                let got = value(&[row], &Objective { ratio, ..plain });
                close(&got.dlogprobs, &[-a / 3.0; 3], &format!("{surrogate:?} {ratio:?}"));
            }
        }
    }
}

/// By hand: one token of a given ratio.
#[test]
fn clips_by_hand() {
    let clip = Surrogate::PpoClip { low: 0.2, high: 0.2, cap: 3.0 };
    let cispo = Surrogate::Cispo { min: 0.0, max: 5.0 };
    for (surrogate, ratio, a, loss, slope) in [
        (clip, 1.5, 1.0, -1.2, 0.0),
        (clip, 1.5, -1.0, 1.5, 1.5),
        (clip, 0.5, -1.0, 0.8, 0.0),
        (clip, 0.5, 1.0, -0.5, -0.5),
        (clip, 5.0, -1.0, 3.0, 0.0),
        (cispo, 6.0, 1.0, -5.0 * 6.0_f64.ln(), -5.0),
    ] {
        let (logprobs, old, advantage) = ([f64::ln(ratio)], [0.0], Advantage::Whole(a));
        let row = Row { old: &old, ..Row::new(&logprobs, &[true], &advantage) };
        let got = value(&[row], &Objective::new(surrogate, Aggregation::TokenMean));
        close(&[got.loss, got.dlogprobs[0]], &[loss, slope], &format!("{surrogate:?}"));
    }
}

#[test]
fn aggregations_by_hand() {
    let (short, long) = (Advantage::Whole(1.0), Advantage::Whole(-1.0));
    let rows = [Row::new(&[0.0], &[true], &short), Row::new(&[0.0; 3], &[true; 3], &long)];
    let clip = Surrogate::PpoClip { low: 0.2, high: 0.2, cap: f64::INFINITY };
    for (aggregation, loss) in [
        (Aggregation::SequenceMean, 0.0),
        (Aggregation::TokenMean, 0.5),
        (Aggregation::ConstantLength(4.0), 0.25),
        (Aggregation::SequenceSum, 1.0),
    ] {
        let got = value(&rows, &Objective::new(clip, aggregation));
        close(&[got.loss], &[loss], &format!("{aggregation:?}"));
    }
}

#[test]
fn sequence_ratios_by_hand() {
    let (logprobs, old, one) = ([0.1, 0.3], [0.0, 0.0], Advantage::Whole(1.0));
    let row = Row { old: &old, ..Row::new(&logprobs, &[true; 2], &one) };
    let wide = Surrogate::PpoClip { low: 0.5, high: 0.5, cap: f64::INFINITY };
    let plain = Objective::new(wide, Aggregation::SequenceMean);
    let s = 0.2_f64.exp();
    let got = value(&[row], &Objective { ratio: Ratio::Sequence, ..plain });
    close(&[got.loss], &[-s], "loss");
    close(&got.dlogprobs, &[-s / 2.0; 2], "slopes");
    close(&[got.tally.ratio, got.tally.ratio_max], &[2.0 * s, s], "ratios");
}

#[test]
fn corrections_by_hand() {
    let (logprobs, sampling, one) = ([-0.5, -0.5], [-1.5, -0.7], Advantage::Whole(1.0));
    let row = Row { sampling: &sampling, ..Row::new(&logprobs, &[true; 2], &one) };
    let plain = Objective::new(Surrogate::Reinforce, Aggregation::SequenceSum);
    let with = |correction| value(&[row], &Objective { correction: Some(correction), ..plain });
    let got = with(Correction::truncate_tokens(2.0));
    close(&got.dlogprobs, &[-2.0, -0.2_f64.exp()], "tokens truncated");
    // The weight of the sequence is exp(1.2) = 3.32, above 3.
    let got = with(Correction::mask_sequences(3.0));
    close(&got.dlogprobs, &[0.0; 2], "sequence masked");
    assert_eq!(got.tally.dropped, 2.0);
    let got = with(Correction::mask_sequences(4.0));
    close(&got.dlogprobs, &[-1.2_f64.exp(); 2], "sequence kept");
}

/// Ratios that would overflow are held and push nowhere.
#[test]
fn far_ratios_stay_finite() {
    let (logprobs, old, a) = ([-0.1, -900.0], [-900.0, -0.1], Advantage::Whole(-1.0));
    let row = Row { old: &old, ..Row::new(&logprobs, &[true; 2], &a) };
    let no_cap = Surrogate::PpoClip { low: 0.2, high: 0.2, cap: f64::INFINITY };
    for ratio in [Ratio::Token, Ratio::Sequence, Ratio::Product] {
        let spec = Objective { ratio, ..Objective::new(no_cap, Aggregation::TokenMean) };
        let got = value(&[row], &spec);
        assert!(got.loss.is_finite() && got.dlogprobs.iter().all(|x| x.is_finite()), "{ratio:?}");
    }
}
