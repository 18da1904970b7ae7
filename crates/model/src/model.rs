//! A model: its shape, its weights, and the packed copies that the kernels read.

use crate::{
    Config, Layout,
    ops::{Head, Rope},
    share,
    transformer::Linear,
};

/// The packed linear layers of one block.
#[derive(Debug, Clone, Default)]
pub(crate) struct LayerLinears {
    pub(crate) q: Linear,
    pub(crate) k: Linear,
    pub(crate) v: Linear,
    pub(crate) o: Linear,
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

/// A decoder-only transformer of the Qwen2 shape, in f32.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its shape.
    pub config: Config,
    /// Where each weight lies.
    pub layout: Layout,
    pub(crate) params: Vec<f32>,
    pub(crate) rope: Rope,
    pub(crate) linears: Vec<LayerLinears>,
    pub(crate) head: Head,
}

impl Model {
    /// A model with these weights, which must have the length of the layout.
    pub fn new(config: Config, params: Vec<f32>) -> Self {
        let layout = Layout::new(&config);
        assert_eq!(params.len(), layout.len(), "the weights fill the layout");
        let positions = config.max_position_embeddings;
        let mut model = Self {
            rope: Rope::new(config.head_dim(), positions, config.rope_theta),
            linears: vec![LayerLinears::default(); config.num_hidden_layers],
            head: Head::default(),
            config,
            layout,
            params,
        };
        model.repack(1);
        model
    }

    /// A model with random weights: normal with the config's standard deviation, residual
    /// outputs scaled down by the root of twice the depth, norms one, biases zero. `normal`
    /// gives standard normal numbers.
    pub fn random(config: Config, mut normal: impl FnMut() -> f32) -> Self {
        let layout = Layout::new(&config);
        let mut params = vec![0.0; layout.len()];
        let std = config.initializer_range as f32;
        let residual = std / (2.0 * config.num_hidden_layers as f32).sqrt();
        for entry in &layout.entries {
            let weights = &mut params[entry.range.clone()];
            if entry.name.ends_with("norm.weight") {
                weights.fill(1.0);
            } else if entry.decays() {
                let out = ["o_proj.weight", "down_proj.weight"];
                let std = if out.iter().any(|o| entry.name.ends_with(o)) { residual } else { std };
                weights.iter_mut().for_each(|w| *w = std * normal());
            }
        }
        Self::new(config, params)
    }

    /// All weights, in the order of the layout.
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// Changes the weights, then refreshes what the kernels read, on up to `threads` threads.
    pub fn update(&mut self, threads: usize, change: impl FnOnce(&mut [f32])) {
        change(&mut self.params);
        self.repack(threads);
    }

    fn repack(&mut self, threads: usize) {
        let c = &self.config;
        let (d, kv, f) = (c.hidden_size, c.kv_size(), c.intermediate_size);
        let p = |r: &std::ops::Range<usize>| &self.params[r.clone()];
        share(threads, self.linears.iter_mut().zip(&self.layout.layers), |(w, at)| {
            w.q.pack(p(&at.q), d, d);
            w.k.pack(p(&at.k), d, kv);
            w.v.pack(p(&at.v), d, kv);
            w.o.pack(p(&at.o), d, d);
            w.gate.pack(p(&at.gate), d, f);
            w.up.pack(p(&at.up), d, f);
            w.down.pack(p(&at.down), f, d);
        });
        self.head.pack(&self.params[self.layout.head.clone()], c.vocab_size, d);
    }
}
