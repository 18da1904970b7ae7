//! A model: its shape, its weights, and the packed copies that the kernels read.

use std::ops::Range;

use crate::{
    Config, Layout,
    adapter::Adapter,
    layout::{Flat, LinearPlace, Places},
    linear::Linear,
    ops::{Frozen, Head, MatmulPrecision, Precision, Rope},
    share,
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

impl LayerLinears {
    pub(crate) fn all(&self) -> [&Linear; 7] {
        let Self { q, k, v, o, gate, up, down } = self;
        [q, k, v, o, gate, up, down]
    }

    pub(crate) fn all_mut(&mut self) -> [&mut Linear; 7] {
        let Self { q, k, v, o, gate, up, down } = self;
        [q, k, v, o, gate, up, down]
    }
}

/// What of a model may learn, and with it how its matrices are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// All weights: float32, and packed copies for both directions.
    Learning,
    /// An adapter, or nothing: each matrix is held once, as it is stored or in this precision.
    /// The embedding and the output layer stay as they are stored where that is int8 or NF4.
    Frozen(Option<Precision>),
}

/// A decoder-only transformer of the Qwen2, Qwen3 or Llama shape, computing in f32.
///
/// It learns either all of its weights or, where it has an adapter, those of the adapter
/// alone: [`Model::params`] is the flat vector that learns and [`Model::layout`] says what is
/// in it. The optimizer and the gradient know no difference. Matrices that do not learn can be
/// held in fewer bits ([`Hold`]).
#[derive(Debug, Clone)]
pub struct Model {
    /// Its shape.
    pub config: Config,
    /// What learns, and where each tensor of it lies in [`Model::params`].
    pub layout: Layout,
    pub(crate) base: Layout,
    pub(crate) places: Places,
    /// All weights, or where the matrices are frozen the others.
    pub(crate) weights: Vec<f32>,
    /// The embedding, where it is frozen and not the output layer too.
    pub(crate) embed: Option<Frozen>,
    pub(crate) adapter: Option<Adapter>,
    pub(crate) rope: Rope,
    pub(crate) linears: Vec<LayerLinears>,
    pub(crate) head: Head,
}

impl Model {
    /// A model with these weights, which must have the length of its layout. All of them learn.
    pub fn new(config: Config, weights: Vec<f32>) -> Self {
        let (places, base) = Places::new(&config, Flat::All);
        assert_eq!(weights.len(), base.len(), "the weights fill the layout");
        let mut model = Self::of(config, (places, base), weights);
        model.repack(1);
        model
    }

    /// A model whose matrices are still missing.
    pub(crate) fn of(config: Config, (places, base): (Places, Layout), weights: Vec<f32>) -> Self {
        Self {
            rope: Rope::new(config.frequencies(), config.max_position_embeddings),
            linears: vec![LayerLinears::default(); config.num_hidden_layers],
            head: Head::default(),
            layout: base.clone(),
            embed: None,
            adapter: None,
            config,
            base,
            places,
            weights,
        }
    }

    /// A model with random weights: normal with the config's standard deviation, residual
    /// outputs scaled down by the root of twice the depth, norms one, biases zero. `normal`
    /// gives standard normal numbers.
    pub fn random(config: Config, mut normal: impl FnMut() -> f32) -> Self {
        let (_, layout) = Places::new(&config, Flat::All);
        let mut weights = vec![0.0; layout.len()];
        let std = config.initializer_range as f32;
        let residual = std / (2.0 * config.num_hidden_layers as f32).sqrt();
        for entry in &layout.entries {
            let tensor = &mut weights[entry.range.clone()];
            if entry.name.ends_with("norm.weight") {
                tensor.fill(1.0);
            } else if entry.decays() {
                let out = ["o_proj.weight", "down_proj.weight"];
                let std = if out.iter().any(|o| entry.name.ends_with(o)) { residual } else { std };
                tensor.iter_mut().for_each(|w| *w = std * normal());
            }
        }
        Self::new(config, weights)
    }

    /// What learns, in the order of the layout.
    pub fn params(&self) -> &[f32] {
        self.adapter.as_ref().map_or(&self.weights, |a| &a.params)
    }

    /// How many weights the model has, those of its adapter not among them.
    pub fn n_weights(&self) -> usize {
        self.base.entries.iter().map(|e| e.shape.iter().product::<usize>()).sum()
    }

    /// Whether no weight learns but those of an adapter.
    pub fn is_frozen(&self) -> bool {
        self.head.0.frozen().is_some()
    }

    /// Copies the embedding of a token.
    pub(crate) fn embed(&self, token: u32, out: &mut [f32]) {
        let token = token as usize;
        match (&self.embed, self.head.0.frozen()) {
            (Some(embed), _) => embed.row(token, out),
            (None, Some(tied)) => tied.row(token, out),
            (None, None) => {
                let embed = self.weight(&self.places.embed);
                out.copy_from_slice(&embed[token * out.len()..][..out.len()]);
            }
        }
    }

    /// Changes what learns, then refreshes what the kernels read, on up to `threads` threads.
    pub fn update(&mut self, threads: usize, change: impl FnOnce(&mut [f32])) {
        match &mut self.adapter {
            Some(adapter) => {
                change(&mut adapter.params);
                self.repack_adapter();
            }
            None => {
                change(&mut self.weights);
                self.repack(threads);
            }
        }
    }

    /// How exactly the matrices of linear layers and the output layer are multiplied from now on,
    /// by the adapter's too. Attention always computes in float32.
    pub fn set_matmul_precision(&mut self, precision: MatmulPrecision) {
        let plan = precision.plan();
        self.head.0.set_plan(plan);
        for linears in &mut self.linears {
            linears.all_mut().into_iter().for_each(|linear| linear.set_plan(plan));
        }
        if !self.is_frozen() {
            self.repack(1);
        }
        self.repack_adapter();
    }

    pub(crate) fn weight(&self, at: &Range<usize>) -> &[f32] {
        &self.weights[at.clone()]
    }

    pub(crate) fn bias(&self, at: &LinearPlace) -> Option<&[f32]> {
        at.bias.as_ref().map(|at| self.weight(at))
    }

    pub(crate) fn repack(&mut self, threads: usize) {
        let weights = &self.weights;
        share(threads, self.linears.iter_mut().zip(&self.places.layers), |(linears, at)| {
            for (linear, at) in linears.all_mut().into_iter().zip(at.linears()) {
                linear.pack(&weights[at.weight.clone()], at.input, at.output);
            }
        });
        let (vocab, d) = (self.config.vocab_size, self.config.hidden_size);
        self.head.0.pack(&self.weights[self.places.head.clone()], d, vocab);
    }

    pub(crate) fn repack_adapter(&mut self) {
        let Some(adapter) = &self.adapter else { return };
        for (linears, places) in self.linears.iter_mut().zip(&adapter.places) {
            for (linear, place) in linears.all_mut().into_iter().zip(places) {
                if let Some(place) = place {
                    linear.pack_update(place, &adapter.params);
                }
            }
        }
    }
}
