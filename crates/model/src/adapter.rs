//! Low-rank adapters (LoRA, Hu et al. 2021) in the layout of PEFT.
//!
//! An adapter is what learns while the model stays as it is: its A and B matrices are the flat
//! vector that the optimizer sees. Dropout of A's inputs differs from PEFT's in what it draws from:
//! where an input stands, not the order of work.

use serde_json::{Value, json};

use crate::{
    Layout, Model, ModelError,
    checkpoint::read_layout,
    fields::Fields,
    layout::{LINEAR_NAMES, Places},
    linear::{Linear, LowRankPlace},
    ops::{Frozen, Precision},
    tensors::{Tensors, write_tensors},
};

/// What an adapter is: the fields of `adapter_config.json` that decide the computation.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterSpec {
    /// Rank of the update of a layer.
    pub r: usize,
    /// The update is multiplied by `lora_alpha / r`.
    pub lora_alpha: f64,
    /// The share of A's inputs that is dropped while the adapter learns, never when it samples
    /// or scores. Those that are kept are scaled up.
    pub lora_dropout: f64,
    /// Whether it is multiplied by `lora_alpha / sqrt(r)` instead (Kalajdzievski 2023).
    pub use_rslora: bool,
    /// The layers it is laid on: their names from `q_proj` to `down_proj`, or as much of the
    /// whole name as tells them apart, such as `model.layers.0.self_attn.q_proj`.
    pub target_modules: Vec<String>,
}

/// What of an adapter is laid on the linear layers of a block.
pub(crate) type BlockUpdates = [Option<LowRankPlace>; 7];

/// An adapter in a model.
#[derive(Debug, Clone)]
pub(crate) struct Adapter<B> {
    pub(crate) spec: AdapterSpec,
    /// By block of the model.
    pub(crate) places: Vec<BlockUpdates>,
    pub(crate) params: B,
}

impl<B> Adapter<B> {
    /// The same with its parameters elsewhere.
    pub(crate) fn with<C>(&self, params: C) -> Adapter<C> {
        Adapter { spec: self.spec.clone(), places: self.places.clone(), params }
    }
}

/// The name of a linear layer within its part of a block.
fn leaf(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

impl AdapterSpec {
    /// The names that `target_modules` may hold.
    pub fn all_linear() -> Vec<String> {
        LINEAR_NAMES.iter().map(|name| leaf(name).to_string()).collect()
    }

    /// What B A is multiplied by.
    pub fn scale(&self) -> f64 {
        let r = self.r as f64;
        self.lora_alpha / if self.use_rslora { r.sqrt() } else { r }
    }

    /// Reads `adapter_config.json`.
    ///
    /// # Errors
    /// If it is not JSON or says anything that this engine does not do; the message names the
    /// key.
    pub fn parse(json: &str) -> Result<Self, ModelError> {
        let value = serde_json::from_str(json).map_err(|e| ModelError::Adapter(e.to_string()))?;
        let spec = parse(value).map_err(ModelError::Adapter)?;
        spec.check()?;
        Ok(spec)
    }

    /// Says what an adapter cannot be.
    ///
    /// # Errors
    /// If a field is out of range or names no layer of a model.
    pub fn check(&self) -> Result<(), ModelError> {
        let bad = |what: String| Err(ModelError::Adapter(what));
        if self.r == 0 || self.r > 1 << 16 {
            return bad(format!("`r` is {}; it must be 1 to 65536", self.r));
        }
        if !self.lora_alpha.is_finite() || self.lora_alpha <= 0.0 {
            return bad(format!("`lora_alpha` is {}; it must be positive", self.lora_alpha));
        }
        if !(0.0..1.0).contains(&self.lora_dropout) {
            let what = format!("`lora_dropout` is {}", self.lora_dropout);
            return bad(format!("{what}; it must be at least 0 and below 1"));
        }
        let known = Self::all_linear();
        let unknown = |name: &&String| !known.iter().any(|k| k == leaf(name));
        if let Some(name) = self.target_modules.iter().find(unknown) {
            let known = known.join(", ");
            return bad(format!("`target_modules` has {name}; these are supported: {known}"));
        }
        if self.target_modules.is_empty() {
            return bad("`target_modules` is empty".to_string());
        }
        Ok(())
    }

    fn to_value(&self, base: &str) -> Value {
        json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "revision": null,
            "inference_mode": true,
            "r": self.r,
            "lora_alpha": self.lora_alpha,
            "lora_dropout": self.lora_dropout,
            "use_rslora": self.use_rslora,
            "use_dora": false,
            "target_modules": self.target_modules,
            "modules_to_save": null,
            "bias": "none",
            "fan_in_fan_out": false,
            "init_lora_weights": true,
            "layers_to_transform": null,
            "layers_pattern": null,
            "rank_pattern": {},
            "alpha_pattern": {},
        })
    }
}

/// Keys that say how an adapter was made or how others load it, not what it computes.
const HARMLESS: &[&str] = &[
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
];

/// Keys of features that this engine does not have; PEFT writes them empty.
const ABSENT: &[&str] = &[
    "alora_invocation_tokens",
    "alpha_pattern",
    "arrow_config",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "fan_in_fan_out",
    "kasa_config",
    "layer_replication",
    "layers_to_transform",
    "loftq_config",
    "lora_bias",
    "lora_ga_config",
    "megatron_config",
    "modules_to_save",
    "monteclora_config",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "velora_config",
];

fn parse(value: Value) -> Result<AdapterSpec, String> {
    let mut f = Fields::new("", value)?;
    f.only("peft_type", &json!("LORA"))?;
    f.only("bias", &json!("none"))?;
    let targets: Value = f.require("target_modules")?;
    let target_modules = match targets {
        Value::String(all) if all == "all-linear" => AdapterSpec::all_linear(),
        Value::Array(names) => {
            names.iter().map(|n| n.as_str().unwrap_or_default().to_string()).collect()
        }
        other => return Err(format!("`target_modules` is {other}; give a list of names")),
    };
    let spec = AdapterSpec {
        r: f.require("r")?,
        lora_alpha: f.require("lora_alpha")?,
        lora_dropout: f.get("lora_dropout")?.unwrap_or(0.0),
        use_rslora: f.get("use_rslora")?.unwrap_or(false),
        target_modules,
    };
    for key in ABSENT {
        f.empty(key)?;
    }
    f.ignore(HARMLESS);
    f.finish()?;
    Ok(spec)
}

/// Where the matrices of an adapter lie, and what each is laid on.
pub(crate) fn updates(
    model: &Places,
    spec: &AdapterSpec,
) -> Result<(Layout, Vec<BlockUpdates>), ModelError> {
    let mut used = vec![false; spec.target_modules.len()];
    let mut layout = Layout::default();
    let mut places = Vec::new();
    for (i, layer) in model.layers.iter().enumerate() {
        let mut own = BlockUpdates::default();
        let linears = layer.linears().into_iter().zip(LINEAR_NAMES);
        for (j, (own, (linear, name))) in own.iter_mut().zip(linears).enumerate() {
            let whole = format!("model.layers.{i}.{name}");
            let mut wanted = false;
            for (target, used) in spec.target_modules.iter().zip(&mut used) {
                let here = whole == *target || whole.ends_with(&format!(".{target}"));
                (wanted, *used) = (wanted || here, *used || here);
            }
            if !wanted {
                continue;
            }
            let at = format!("base_model.model.{whole}");
            *own = Some(LowRankPlace {
                a: layout.add(format!("{at}.lora_A.weight"), &[spec.r, linear.input]),
                b: layout.add(format!("{at}.lora_B.weight"), &[linear.output, spec.r]),
                input: linear.input,
                output: linear.output,
                rank: spec.r,
                scale: spec.scale() as f32,
                layer: (i * LINEAR_NAMES.len() + j) as u64,
                dropout: spec.lora_dropout as f32,
            });
        }
        places.push(own);
    }
    match spec.target_modules.iter().zip(used).find(|(_, used)| !used) {
        Some((target, _)) => {
            let what = format!("`target_modules` has {target}; the model has no such layer");
            Err(ModelError::Adapter(what))
        }
        None => Ok((layout, places)),
    }
}

impl Model {
    /// The adapter that learns, if there is one.
    pub fn adapter(&self) -> Option<&AdapterSpec> {
        self.adapter.as_ref().map(|a| &a.spec)
    }

    /// Lays a new adapter on the model, which changes nothing yet: B is zero. A is uniform
    /// within one over the root of the layer's inputs, as PEFT draws it; `uniform` gives
    /// numbers from 0 to 1.
    ///
    /// # Errors
    /// If the adapter is not one this engine can have, or the model has one.
    pub fn attach(
        &mut self,
        spec: AdapterSpec,
        mut uniform: impl FnMut() -> f32,
    ) -> Result<(), ModelError> {
        spec.check()?;
        let (layout, _) = updates(&self.places, &spec)?;
        let mut params = vec![0.0; layout.len()];
        for entry in layout.entries.iter().filter(|e| e.name.ends_with(".lora_A.weight")) {
            let bound = 1.0 / (entry.shape[1] as f32).sqrt();
            let a = &mut params[entry.range.clone()];
            a.iter_mut().for_each(|x| *x = bound * (2.0 * uniform() - 1.0));
        }
        self.put_on(spec, params)
    }

    /// Lays the adapter of `adapter_config.json` and `adapter_model.safetensors` on the model.
    ///
    /// # Errors
    /// If they are malformed, ask for what this engine does not do, or do not fit the model.
    pub fn attach_peft(&mut self, config: &str, weights: &[u8]) -> Result<(), ModelError> {
        let spec = AdapterSpec::parse(config)?;
        let (layout, _) = updates(&self.places, &spec)?;
        let tensors = Tensors::from_bytes(weights)?;
        let params = read_layout(&layout, &tensors)?;
        let known = |name: &String| layout.entries.iter().any(|e| e.name == *name);
        if let Some(name) = tensors.names().iter().find(|name| !known(name)) {
            let what = format!("adapter_config.json says nothing of a tensor `{name}`");
            return Err(ModelError::Adapter(what));
        }
        self.put_on(spec, params)
    }

    fn put_on(&mut self, spec: AdapterSpec, params: Vec<f32>) -> Result<(), ModelError> {
        if self.adapter.is_some() {
            return Err(ModelError::Adapter("the model has one; merge it first".to_string()));
        }
        let (layout, places) = updates(&self.places, &spec)?;
        self.layout = layout;
        self.adapter = Some(Adapter { spec, places, params });
        self.repack_adapter();
        Ok(())
    }

    /// `adapter_config.json` and `adapter_model.safetensors`, for a base model of this name.
    /// They have been read back and compared.
    ///
    /// # Errors
    /// If there is no adapter, or what was written does not give it back.
    pub fn adapter_to_bytes(&self, base: &str) -> Result<(Vec<u8>, Vec<u8>), ModelError> {
        let missing = || ModelError::Adapter("the model has none".to_string());
        let adapter = self.adapter.as_ref().ok_or_else(missing)?;
        let parts: Vec<(&str, &[usize], &[f32])> = self
            .layout
            .entries
            .iter()
            .map(|e| (e.name.as_str(), &e.shape[..], &adapter.params[e.range.clone()]))
            .collect();
        let weights = write_tensors(&parts)?;
        let config = serde_json::to_string_pretty(&adapter.spec.to_value(base))
            .map_err(|e| ModelError::Adapter(e.to_string()))?;
        let read = read_layout(&self.layout, &Tensors::from_bytes(&weights)?)?;
        if AdapterSpec::parse(&config)? != adapter.spec || read != adapter.params {
            return Err(ModelError::Adapter("what was written cannot be read back".to_string()));
        }
        Ok((config.into_bytes(), weights))
    }

    /// Adds the adapter into the weights and takes it off. Matrices that were frozen stay so, in
    /// float32 where something was added to them.
    pub fn merge_adapter(&mut self) {
        let Some(adapter) = self.adapter.take() else { return };
        for (layer, places) in adapter.places.iter().enumerate() {
            let linears = self.places.layers[layer].linears();
            let held = self.linears[layer].all_mut();
            for ((linear, held), place) in linears.into_iter().zip(held).zip(places) {
                let Some(place) = place else { continue };
                let (a, b) = (&adapter.params[place.a.clone()], &adapter.params[place.b.clone()]);
                let scale = (place.rank, place.scale);
                if let Some(frozen) = held.matrix.frozen() {
                    let mut weight = frozen.rows();
                    add_product(&mut weight, b, a, scale);
                    let (output, input) = (linear.output, linear.input);
                    let sum = Frozen::of(Precision::Float32, &weight, output, input);
                    held.matrix = self.ops.hold(sum);
                } else {
                    add_product(&mut self.weights[linear.weight.clone()], b, a, scale);
                }
            }
        }
        self.take_off();
        if !self.is_frozen() {
            self.repack(1);
        }
    }

    /// Takes the adapter off, and what it learnt with it.
    pub fn drop_adapter(&mut self) {
        self.adapter = None;
        self.take_off();
    }

    fn take_off(&mut self) {
        for linears in &mut self.linears {
            linears.all_mut().into_iter().for_each(Linear::drop_update);
        }
        self.layout = self.base.clone();
    }
}

/// `W += scale B A`, summed in f64.
fn add_product(weight: &mut [f32], b: &[f32], a: &[f32], (rank, scale): (usize, f32)) {
    let input = a.len() / rank;
    let mut sum = vec![0.0f64; input];
    for (row, b) in weight.chunks_exact_mut(input).zip(b.chunks_exact(rank)) {
        sum.fill(0.0);
        for (a, b) in a.chunks_exact(input).zip(b) {
            sum.iter_mut().zip(a).for_each(|(s, a)| *s += f64::from(*a) * f64::from(*b));
        }
        row.iter_mut().zip(&sum).for_each(|(w, s)| *w += (s * f64::from(scale)) as f32);
    }
}
