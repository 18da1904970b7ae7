//! Numbers written by `scripts/golden_objective.py`: TRL's and verl's losses and advantages,
//! PyTorch's autograd for their gradients.

use learn::{
    Advantage,
    advantage::{self, AdvantageSpec, Baseline, Outcome, Over, Returns, Scale, advantages},
    kl::{Estimator, KlLoss},
    objective::{
        Act, Aggregation, ClipCov, Correction, Keep, KlCov, Level, Objective, Ratio, Row,
        Surrogate, Survey, objective,
    },
    preference::{Length, Preference, Side},
    presets::Preset,
    value::{Gae, ValueLoss},
};
use serde_json::Value;

pub(crate) fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/objective.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn estimator(name: &Value) -> Estimator {
    match name.as_str().unwrap() {
        "k1" => Estimator::K1,
        "k2" => Estimator::K2,
        "k3" => Estimator::K3,
        other => panic!("estimator {other}"),
    }
}

fn surrogate(value: &Value) -> Surrogate {
    let number = |key: &str| value[key].as_f64().unwrap();
    let cap = value["cap"].as_f64().unwrap_or(f64::INFINITY);
    match value["surrogate"].as_str().unwrap() {
        "ppo_clip" => Surrogate::PpoClip { low: number("low"), high: number("high"), cap },
        "cispo" => Surrogate::Cispo { min: number("min"), max: number("max") },
        "sapo" => Surrogate::Sapo { positive: number("positive"), negative: number("negative") },
        "dppo" => Surrogate::Dppo { low: number("low"), high: number("high"), cap },
        "reinforce" => Surrogate::Reinforce,
        "nll" => Surrogate::Nll,
        other => panic!("surrogate {other}"),
    }
}

fn correction(value: &Value) -> Option<Correction> {
    let level = match value["level"].as_str()? {
        "token" => Level::Token,
        "sequence" => Level::Sequence,
        other => panic!("level {other}"),
    };
    let act = match value["act"].as_str().unwrap() {
        "truncate" => Act::Truncate,
        "mask" => Act::Mask,
        other => panic!("act {other}"),
    };
    let bound = |key: &str| value[key].as_f64().unwrap();
    Some(Correction { level, act, min: bound("min"), max: bound("max") })
}

pub(crate) fn spec(value: &Value) -> Objective {
    let ratio = match value["ratio"].as_str().unwrap() {
        "token" => Ratio::Token,
        "sequence" => Ratio::Sequence,
        "sequence_token" => Ratio::SequenceToken,
        "product" => Ratio::Product,
        other => panic!("ratio {other}"),
    };
    let aggregation = match value["aggregation"].as_str().unwrap() {
        "token_mean" => Aggregation::TokenMean,
        "seq_mean_token_mean" => Aggregation::SequenceMean,
        "seq_mean_token_sum" => Aggregation::SequenceSum,
        "token_sum_norm" => Aggregation::ConstantLength(value["l_max"].as_f64().unwrap()),
        other => panic!("aggregation {other}"),
    };
    let kl = value["kl"].as_object().map(|kl| KlLoss {
        beta: kl["beta"].as_f64().unwrap(),
        estimator: estimator(&kl["estimator"]),
        gradient: estimator(&kl["gradient"]),
        corrected: kl["corrected"].as_bool().unwrap(),
    });
    let number = |value: &Value, key: &str| value[key].as_f64().unwrap();
    let cov = &value["keep"]["clip_cov"];
    let clip_cov = cov.is_object().then(|| ClipCov {
        share: number(cov, "share"),
        low: number(cov, "low"),
        high: number(cov, "high"),
    });
    let cov = &value["kl_cov"];
    let kl_cov =
        cov.is_object().then(|| KlCov { share: number(cov, "share"), coef: number(cov, "coef") });
    let keep = Keep {
        off_policy_max: value["keep"]["off_policy_max"].as_f64(),
        top_entropy: value["keep"]["top_entropy"].as_f64(),
        clip_cov,
    };
    Objective {
        ratio,
        correction: correction(&value["correction"]),
        keep,
        kl,
        kl_cov,
        entropy_coef: number(value, "entropy_coef"),
        ..Objective::new(surrogate(value), aggregation)
    }
}

/// The rows of a batch, owned.
#[derive(Clone)]
pub(crate) struct Rows {
    pub(crate) logprobs: Vec<Vec<f64>>,
    pub(crate) old: Vec<Vec<f64>>,
    pub(crate) sampling: Vec<Vec<f64>>,
    pub(crate) reference: Vec<Vec<f64>>,
    pub(crate) entropies: Vec<Vec<f64>>,
    pub(crate) mask: Vec<Vec<bool>>,
    pub(crate) advantage: Vec<Advantage>,
}

impl Rows {
    /// The batch of this name.
    pub(crate) fn named(golden: &Value, name: &str) -> Self {
        let rows = golden["batches"][name].as_array().unwrap();
        let get = |key: &str| -> Vec<Vec<f64>> { rows.iter().map(|r| numbers(&r[key])).collect() };
        let mask = get("mask").iter().map(|m| m.iter().map(|x| *x == 1.0).collect()).collect();
        Self {
            logprobs: get("logp"),
            old: get("old"),
            sampling: get("sampling"),
            reference: get("ref"),
            entropies: get("entropy"),
            mask,
            advantage: rows.iter().map(|r| r["advantage"].as_f64().unwrap().into()).collect(),
        }
    }

    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        let row = |i: usize| Row {
            old: &self.old[i],
            sampling: &self.sampling[i],
            reference: &self.reference[i],
            entropies: &self.entropies[i],
            ..Row::new(&self.logprobs[i], &self.mask[i], &self.advantage[i])
        };
        (0..self.logprobs.len()).map(row).collect()
    }
}

fn close(got: &[f64], want: &[f64], tolerance: f64, name: &str) {
    assert_eq!(got.len(), want.len(), "{name}");
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= tolerance * w.abs().max(1.0), "{name}: {g} {w}");
    }
}

#[test]
fn loss_and_gradient() {
    let golden = golden();
    let cases = golden["cases"].as_array().unwrap();
    for source in ["trl", "verl"] {
        assert!(cases.iter().filter(|c| c["source"] == source).count() >= 50);
    }
    for case in cases {
        let (spec, rows) =
            (spec(&case["spec"]), Rows::named(&golden, case["batch"].as_str().unwrap()));
        let rows = rows.rows();
        let value = objective(&rows, &spec, &Survey::of(&rows, &spec));
        let name = case["name"].as_str().unwrap();
        // verl adds 1e-8 to its denominators.
        let tolerance = if case["source"] == "verl" { 1e-6 } else { 1e-9 };
        let grad = |key: &str| -> Vec<f64> {
            case[key].as_array().unwrap().iter().flat_map(numbers).collect()
        };
        close(&[value.loss], &[case["loss"].as_f64().unwrap()], tolerance, name);
        close(&value.dlogprobs, &grad("grad"), tolerance, name);
        if spec.entropy_coef != 0.0 {
            close(&value.dentropies, &grad("grad_entropy"), tolerance, name);
        }
    }
}

#[test]
fn advantages_of_a_batch() {
    let golden = golden();
    let given = &golden["advantages"];
    let (rewards, lengths) = (numbers(&given["rewards"]), numbers(&given["lengths"]));
    let (groups, kinds) = (numbers(&given["groups"]), numbers(&given["kinds"]));
    let outcome = |i: usize, paid: bool| Outcome {
        reward: rewards[i],
        group: groups[i] as usize,
        kind: kinds[i] as usize,
        tokens: lengths[i] as usize,
        penalties: if paid { numbers(&given["penalties"][i]) } else { Vec::new() },
    };
    let of = |preset: Preset| preset.method(16).advantage;
    let group = of(Preset::Grpo);
    let verl = Scale::Deviation { over: Over::Group, ddof: 1, eps: 1e-6 };
    let opo = AdvantageSpec::centred(Baseline::LengthWeighted(Over::Group));
    let pp = of(Preset::ReinforcePp);
    let cases = [
        ("grpo", AdvantageSpec { scale: verl, ..group }),
        ("dr_grpo", of(Preset::DrGrpo)),
        ("rloo", of(Preset::Rloo)),
        ("opo", opo),
        ("reinforce_pp", pp),
        ("reinforce_pp_discounted", AdvantageSpec { returns: Returns::ToGo { gamma: 0.9 }, ..pp }),
        ("reinforce_pp_baseline", of(Preset::ReinforcePpBaseline)),
        ("trr_pp_code", of(Preset::TrrPpCode)),
        ("trl_group", group),
        ("trl_batch", of(Preset::LitePpo)),
    ];
    assert_eq!(cases.len(), given["advantages"].as_object().unwrap().len());
    for (name, spec) in cases {
        let paid = name == "reinforce_pp" || name == "reinforce_pp_discounted";
        let outcomes: Vec<Outcome> = (0..rewards.len()).map(|i| outcome(i, paid)).collect();
        for (i, got) in advantages(&outcomes, &spec).iter().enumerate() {
            let got: Vec<f64> = (0..outcomes[i].tokens).map(|t| got.at(t)).collect();
            close(&got, &numbers(&given["advantages"][name][i]), 1e-6, name);
        }
    }
}

#[test]
fn generalized_advantages() {
    for case in golden()["gae"].as_array().unwrap() {
        let number = |key: &str| case[key].as_f64().unwrap();
        let gae = Gae { gamma: number("gamma"), lambda: number("lambda") };
        let (found, returns) = gae.estimate(&numbers(&case["rewards"]), &numbers(&case["values"]));
        let mut rows = [found];
        advantage::whiten(&mut rows);
        close(&rows[0], &numbers(&case["whitened"]), 1e-6, "whitened");
        close(&returns, &numbers(&case["returns"]), 1e-9, "returns");
    }
}

#[test]
fn value_losses() {
    let golden = golden();
    let case = &golden["value_loss"];
    let get = |key: &str| numbers(&case[key]);
    let (predicted, old, returns) = (get("predicted"), get("old"), get("returns"));
    let loss = ValueLoss { coef: 1.0, clip: case["clip"].as_f64().unwrap() };
    let n = predicted.len() as f64;
    let each = (0..predicted.len()).map(|i| loss.of(predicted[i], old[i], returns[i]));
    let each: Vec<(f64, f64, bool)> = each.collect();
    let total = each.iter().map(|e| e.0).sum::<f64>() / n;
    close(&[total], &[case["loss"].as_f64().unwrap()], 1e-6, "loss");
    let slopes: Vec<f64> = each.iter().map(|e| e.1 / n).collect();
    close(&slopes, &get("grad"), 1e-6, "slopes");
    let clipped = each.iter().filter(|e| e.2).count() as f64 / n;
    close(&[clipped], &[case["clipped"].as_f64().unwrap()], 1e-6, "clipped");
    assert!(clipped > 0.0);
}

/// Two pairs: rows 0 and 1 are chosen over rows 2 and 3.
#[test]
fn pairs() {
    for case in golden()["pairs"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let beta = case["beta"].as_f64().unwrap();
        let spec = match name {
            "ipo" => Preference::Ipo { beta, length: Length::Mean },
            _ => Preference::Dpo { beta, smoothing: 0.0 },
        };
        let row = |key: &str, i: usize| numbers(&case[key][i]);
        let side = |i: usize| Side {
            logprob: row("logp", i).iter().sum(),
            reference: row("ref", i).iter().sum(),
            tokens: row("logp", i).len(),
        };
        let mut loss = 0.0;
        for i in 0..2 {
            let value = spec.pair(side(i), side(i + 2));
            loss += value.loss / 2.0;
            for (row_at, slope) in [(i, value.dchosen), (i + 2, value.drejected)] {
                for want in row("grad", row_at) {
                    close(&[slope / 2.0], &[want], 1e-9, name);
                }
            }
        }
        close(&[loss], &[case["loss"].as_f64().unwrap()], 1e-9, name);
    }
}
