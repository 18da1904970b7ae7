//! Numbers written by `scripts/golden_objective.py`: TRL's loss where TRL has the objective,
//! PyTorch autograd elsewhere.

use learn::{
    Advantage,
    advantage::{Outcome, advantages as advantages_of},
    kl::{Estimator, KlLoss},
    objective::{Aggregation, Objective, Row, Surrogate, Survey, objective},
    presets::Preset,
};
use serde_json::Value;

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/objective.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn spec(value: &Value) -> Objective {
    let number = |key: &str| value[key].as_f64().unwrap();
    let surrogate = match value["surrogate"].as_str().unwrap() {
        "ppo_clip" => Surrogate::PpoClip {
            low: number("eps_low"),
            high: number("eps_high"),
            cap: f64::INFINITY,
        },
        "reinforce" => Surrogate::Reinforce,
        "nll" => Surrogate::Nll,
        other => panic!("surrogate {other}"),
    };
    let aggregation = match value["aggregation"].as_str().unwrap() {
        "token_mean" => Aggregation::TokenMean,
        "seq_mean_token_mean" => Aggregation::SequenceMean,
        "token_sum_norm" => Aggregation::ConstantLength(number("l_max")),
        other => panic!("aggregation {other}"),
    };
    let kl = value["kl"]["beta"].as_f64().map(|beta| KlLoss::plain(Estimator::K3, beta));
    Objective { kl, ..Objective::new(surrogate, aggregation) }
}

#[test]
fn loss_and_gradient() {
    let golden = golden();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 30);
    for case in cases {
        let spec = spec(&case["spec"]);
        let rows = case["rows"].as_array().unwrap();
        let get = |key: &str| -> Vec<Vec<f64>> { rows.iter().map(|r| numbers(&r[key])).collect() };
        let (logp, old, reference) = (get("logp"), get("old"), get("ref"));
        let mask: Vec<Vec<bool>> =
            get("mask").iter().map(|m| m.iter().map(|x| *x == 1.0).collect()).collect();
        let advantage: Vec<Advantage> =
            rows.iter().map(|r| r["advantage"].as_f64().unwrap().into()).collect();
        let inputs: Vec<Row<'_>> = (0..rows.len())
            .map(|i| Row {
                old: &old[i],
                reference: &reference[i],
                ..Row::new(&logp[i], &mask[i], &advantage[i])
            })
            .collect();
        let norm = &Survey::of(&inputs, &spec);
        let value = objective(&inputs, &spec, norm);
        let name = &case["name"];
        assert!((value.loss - case["loss"].as_f64().unwrap()).abs() < 1e-9, "{name}");
        let grad: Vec<f64> = case["grad"].as_array().unwrap().iter().flat_map(numbers).collect();
        for (got, want) in value.dlogprobs.iter().zip(&grad) {
            assert!((got - want).abs() < 1e-9, "{name}: {got} {want}");
        }

        // Cutting the batch row by row changes nothing.
        let parts: Vec<_> = inputs.iter().map(|r| objective(&[*r], &spec, norm)).collect();
        let loss: f64 = parts.iter().map(|p| p.loss).sum();
        assert!((loss - value.loss).abs() < 1e-12);
        let slopes: Vec<f64> = parts.into_iter().flat_map(|p| p.dlogprobs).collect();
        assert_eq!(slopes, value.dlogprobs);
    }
}

/// The derivative is the slope of the loss, away from the clip's kinks.
#[test]
fn finite_differences() {
    for case in golden()["cases"].as_array().unwrap() {
        let spec = spec(&case["spec"]);
        let row = &case["rows"][0];
        let (logp, old, reference) =
            (numbers(&row["logp"]), numbers(&row["old"]), numbers(&row["ref"]));
        let mask = vec![true; logp.len()];
        let value = |logp: &[f64]| {
            let advantage = row["advantage"].as_f64().unwrap().into();
            let row = Row { old: &old, reference: &reference, ..Row::new(logp, &mask, &advantage) };
            objective(&[row], &spec, &Survey::of(&[row], &spec))
        };
        let slopes = value(&logp).dlogprobs;
        for i in 0..logp.len() {
            let ratio = (logp[i] - old[i]).exp();
            if [0.8, 1.2, 1.28].iter().any(|kink| (ratio - kink).abs() < 1e-3) {
                continue;
            }
            let moved = |by: f64| {
                let mut logp = logp.clone();
                logp[i] += by;
                value(&logp).loss
            };
            let numeric = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((numeric - slopes[i]).abs() < 1e-7, "{}", case["name"]);
        }
    }
}

#[test]
fn advantages() {
    for case in golden()["advantages"].as_array().unwrap() {
        let method = match case["method"].as_str().unwrap() {
            "grpo" => Preset::Grpo,
            "dr_grpo" => Preset::DrGrpo,
            "rloo" => Preset::Rloo,
            other => panic!("method {other}"),
        };
        let groups = case["groups"].as_array().unwrap().iter();
        for (group, want) in groups.zip(case["advantages"].as_array().unwrap()) {
            let outcome = |reward| Outcome { reward, tokens: 1, ..Outcome::default() };
            let outcomes: Vec<Outcome> = numbers(group).into_iter().map(outcome).collect();
            let got = advantages_of(&outcomes, &method.method(16).advantage);
            for (g, w) in got.iter().zip(numbers(want)) {
                assert!((g.mean() - w).abs() < 1e-9, "{method:?} {got:?} {want}");
            }
        }
    }
}
