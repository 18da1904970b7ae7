//! Numbers written by `scripts/golden_objective.py`: TRL's loss where TRL has the objective,
//! PyTorch autograd elsewhere.

use learn::{
    advantage::Advantage,
    objective::{Aggregation, Norm, Objective, Row, Surrogate, objective},
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
    Objective {
        surrogate: match value["surrogate"].as_str().unwrap() {
            "ppo_clip" => Surrogate::PpoClip { low: number("eps_low"), high: number("eps_high") },
            "reinforce" => Surrogate::Reinforce,
            "nll" => Surrogate::Nll,
            other => panic!("surrogate {other}"),
        },
        aggregation: match value["aggregation"].as_str().unwrap() {
            "token_mean" => Aggregation::TokenMean,
            "seq_mean_token_mean" => Aggregation::SequenceMean,
            "token_sum_norm" => Aggregation::ConstantLength(number("l_max")),
            other => panic!("aggregation {other}"),
        },
        kl_beta: value["kl"]["beta"].as_f64().unwrap_or(0.0),
    }
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
        let inputs: Vec<Row<'_>> = (0..rows.len())
            .map(|i| Row {
                logprobs: &logp[i],
                old: &old[i],
                reference: if spec.kl_beta > 0.0 { &reference[i] } else { &[] },
                mask: &mask[i],
                advantage: rows[i]["advantage"].as_f64().unwrap(),
                count: 1,
            })
            .collect();
        let tokens = mask.iter().flatten().filter(|m| **m).count();
        let norm = Norm { tokens, sequences: rows.len() };
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
            let row = Row {
                logprobs: logp,
                old: &old,
                reference: if spec.kl_beta > 0.0 { &reference } else { &[] },
                mask: &mask,
                advantage: row["advantage"].as_f64().unwrap(),
                count: 1,
            };
            objective(&[row], &spec, Norm { tokens: logp.len(), sequences: 1 })
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
            "grpo" => Advantage::GroupNorm,
            "dr_grpo" => Advantage::GroupMean,
            "rloo" => Advantage::LeaveOneOut,
            other => panic!("method {other}"),
        };
        let groups = case["groups"].as_array().unwrap().iter();
        for (group, want) in groups.zip(case["advantages"].as_array().unwrap()) {
            let got = method.of_group(&numbers(group));
            for (g, w) in got.iter().zip(numbers(want)) {
                assert!((g - w).abs() < 1e-9, "{method:?} {got:?} {want}");
            }
        }
    }
}
