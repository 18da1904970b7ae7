//! A policy over three tokens, all of whose groups can be enumerated: is the mean of the
//! estimator the gradient of the mean reward?

use learn::{
    Advantage, Preset,
    advantage::{Outcome, advantages},
    objective::{Row, Survey, objective},
};

const LOGITS: [f64; 3] = [0.2, -0.4, 0.9];
const REWARDS: [f64; 3] = [1.0, 0.3, -0.5];

fn probs() -> [f64; 3] {
    let sum: f64 = LOGITS.iter().map(|l| l.exp()).sum();
    LOGITS.map(|l| l.exp() / sum)
}

/// The gradient of the mean reward by the logits.
fn exact() -> [f64; 3] {
    let p = probs();
    let mean: f64 = p.iter().zip(REWARDS).map(|(p, r)| p * r).sum();
    [0, 1, 2].map(|j| p[j] * (REWARDS[j] - mean))
}

/// The mean of a preset's descent direction over all groups of `size`.
fn mean_direction(preset: Preset, size: u32) -> [f64; 3] {
    let (p, method) = (probs(), preset.method(1));
    let mut mean = [0.0; 3];
    for index in 0..3_usize.pow(size) {
        let tokens: Vec<usize> = (0..size).map(|i| index / 3_usize.pow(i) % 3).collect();
        let chance: f64 = tokens.iter().map(|t| p[*t]).product();
        let outcome = |t: &usize| Outcome { reward: REWARDS[*t], tokens: 1, ..Outcome::default() };
        let outcomes: Vec<Outcome> = tokens.iter().map(outcome).collect();
        let found: Vec<Advantage> = advantages(&outcomes, &method.advantage);
        let logprobs: Vec<[f64; 1]> = tokens.iter().map(|t| [p[*t].ln()]).collect();
        let rows: Vec<Row<'_>> =
            logprobs.iter().zip(&found).map(|(l, a)| Row::new(l, &[true], a)).collect();
        let spec = learn::objective::Objective { kl: None, ..method.objective };
        let value = objective(&rows, &spec, &Survey::of(&rows, &spec));
        for (token, slope) in tokens.iter().zip(&value.dlogprobs) {
            for j in 0..3 {
                let by_logit = f64::from(u8::from(*token == j)) - p[j];
                mean[j] -= chance * slope * by_logit;
            }
        }
    }
    mean
}

fn close(got: [f64; 3], want: [f64; 3], name: &str) {
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() < 1e-12, "{name}: {got:?} {want:?}");
    }
}

#[test]
fn unbiased_methods() {
    for size in [2, 3, 5] {
        close(mean_direction(Preset::Reinforce, size), exact(), "reinforce");
        close(mean_direction(Preset::Rloo, size), exact(), "rloo");
    }
}

/// The group's mean contains the completion itself: short by (n - 1) / n, in the right
/// direction.
#[test]
fn the_group_mean_shortens() {
    for size in [2, 4] {
        let factor = f64::from(size - 1) / f64::from(size);
        let want = exact().map(|g| g * factor);
        close(mean_direction(Preset::DrGrpo, size), want, "dr_grpo");
    }
}

/// Dividing by the group's deviation, or whitening, also turns the gradient: no factor makes
/// it the exact one.
#[test]
fn the_group_deviation_turns() {
    let dot = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for preset in [Preset::Grpo, Preset::ReinforcePp] {
        let (got, want) = (mean_direction(preset, 4), exact());
        let cosine = dot(got, want) / (dot(got, got) * dot(want, want)).sqrt();
        assert!(cosine > 0.9 && cosine < 1.0 - 1e-4, "{} {cosine}", preset.name());
    }
}
