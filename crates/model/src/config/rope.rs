//! How the rotary embedding's frequencies follow from `config.json`.
//!
//! Checkpoints spell it in two ways: `rope_theta` and `rope_scaling` at the top level, and,
//! since transformers 5, both in `rope_parameters`. It differs from transformers in computing
//! the frequencies in f64.

use serde_json::{Value, json};

use crate::fields::Fields;

/// Base and scaling of the rotary embedding.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RopeSpec {
    pub(crate) theta: f64,
    pub(crate) scaling: Scaling,
}

/// How a model trained on short sequences was made to read longer ones.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scaling {
    /// Not at all. `dynamic` is this too: it changes frequencies only beyond
    /// `max_position_embeddings`, which is the longest sequence here.
    None,
    /// Every frequency divided by a factor (Chen et al. 2023).
    Linear { factor: f64 },
    /// Low frequencies divided, high ones kept, a smooth passage between (Llama 3.1).
    Llama3 { factor: f64, low: f64, high: f64, original: f64 },
    /// NTK by parts, with a factor on cosines and sines (Peng et al. 2023).
    Yarn(Yarn),
}

/// The settings of YaRN.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Yarn {
    factor: f64,
    original: f64,
    beta_fast: f64,
    beta_slow: f64,
    /// Whether the bounds of the ramp are rounded to whole dimensions.
    truncate: bool,
    attention_factor: f64,
}

impl RopeSpec {
    pub(super) fn parse(f: &mut Fields, positions: usize) -> Result<Self, String> {
        let theta: Option<f64> = f.get("rope_theta")?;
        let old: Option<Value> = f.get("rope_scaling")?;
        let new: Option<Value> = f.get("rope_parameters")?;
        let (prefix, value) = match (old, new) {
            (Some(_), Some(_)) => {
                return Err("both `rope_scaling` and `rope_parameters` are set".to_string());
            }
            (Some(old), None) => ("rope_scaling.", old),
            (None, new) => ("rope_parameters.", new.unwrap_or_else(|| json!({}))),
        };
        let mut r = Fields::new(prefix, value)?;
        let theta = r.get("rope_theta")?.or(theta).unwrap_or(10_000.0);
        let kind: Option<String> = r.get("type")?;
        let kind = r.get("rope_type")?.or(kind).unwrap_or_else(|| "default".to_string());
        r.only("partial_rotary_factor", &json!(1.0))?;
        let scaling = match kind.as_str() {
            "default" => Scaling::None,
            "linear" => Scaling::Linear { factor: r.require("factor")? },
            "dynamic" => {
                r.require::<f64>("factor")?;
                r.ignore(&["original_max_position_embeddings"]);
                Scaling::None
            }
            "llama3" => Scaling::Llama3 {
                factor: r.require("factor")?,
                low: r.require("low_freq_factor")?,
                high: r.require("high_freq_factor")?,
                original: original(&mut r, positions)?,
            },
            "yarn" => Scaling::Yarn(Yarn::parse(&mut r, positions)?),
            other => {
                return Err(format!(
                    "`{prefix}rope_type` is {other}; default, linear, dynamic, llama3 and yarn \
                     are supported"
                ));
            }
        };
        r.finish()?;
        let spec = Self { theta, scaling };
        if spec.frequencies(64).0.iter().any(|x| !x.is_finite() || *x <= 0.0) {
            return Err(format!("`{}` gives no usable frequencies", prefix.trim_end_matches('.')));
        }
        Ok(spec)
    }

    /// The angle by which each pair of a head's dimensions turns from one position to the
    /// next, and the factor on cosines and sines.
    pub(crate) fn frequencies(&self, head_dim: usize) -> (Vec<f32>, f64) {
        let plain = |i: usize| 1.0 / self.theta.powf(2.0 * i as f64 / head_dim as f64);
        let half = head_dim / 2;
        let each =
            |f: &dyn Fn(usize, f64) -> f64| (0..half).map(|i| f(i, plain(i)) as f32).collect();
        match &self.scaling {
            Scaling::None => (each(&|_, x| x), 1.0),
            Scaling::Linear { factor } => (each(&|_, x| x / factor), 1.0),
            Scaling::Llama3 { factor, low, high, original } => {
                let smooth = |x: f64| {
                    let turns = original * x / std::f64::consts::TAU;
                    ((turns - low) / (high - low)).clamp(0.0, 1.0)
                };
                (each(&|_, x| x / factor + smooth(x) * (x - x / factor)), 1.0)
            }
            Scaling::Yarn(yarn) => {
                let (low, high) = yarn.ramp(self.theta, head_dim);
                let kept = |i: usize| 1.0 - ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                let scaled = |i, x: f64| x / yarn.factor + kept(i) * (x - x / yarn.factor);
                (each(&scaled), yarn.attention_factor)
            }
        }
    }
}

fn original(r: &mut Fields, positions: usize) -> Result<f64, String> {
    Ok(r.get("original_max_position_embeddings")?.unwrap_or(positions as f64))
}

impl Yarn {
    fn parse(r: &mut Fields, positions: usize) -> Result<Self, String> {
        let original = original(r, positions)?;
        let factor = r.get("factor")?.unwrap_or(positions as f64 / original);
        let stated: Option<f64> = r.get("attention_factor")?;
        let mscale: Option<f64> = r.get("mscale")?;
        let mscale_all: Option<f64> = r.get("mscale_all_dim")?;
        let grown = |by: f64| if factor <= 1.0 { 1.0 } else { 0.1 * by * factor.ln() + 1.0 };
        let inferred = match (mscale, mscale_all) {
            (Some(m), Some(all)) if m != 0.0 && all != 0.0 => grown(m) / grown(all),
            _ => grown(1.0),
        };
        Ok(Self {
            factor,
            original,
            beta_fast: r.get("beta_fast")?.unwrap_or(32.0),
            beta_slow: r.get("beta_slow")?.unwrap_or(1.0),
            truncate: r.get("truncate")?.unwrap_or(true),
            attention_factor: stated.unwrap_or(inferred),
        })
    }

    /// The dimensions between which the passage from kept to divided frequencies lies.
    fn ramp(&self, theta: f64, head_dim: usize) -> (f64, f64) {
        let dim = head_dim as f64;
        let at = |turns: f64| {
            dim * (self.original / (turns * std::f64::consts::TAU)).ln() / (2.0 * theta.ln())
        };
        let (mut low, mut high) = (at(self.beta_fast), at(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, high) = (low.max(0.0), high.min(dim - 1.0));
        (low, if low == high { high + 0.001 } else { high })
    }
}
