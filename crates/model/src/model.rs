//! A model: its shape, its weights, and the packed copies that the kernels read.

use std::ops::Range;

use crate::{
    Config, Cpu, Layout, Ops,
    adapter::Adapter,
    layout::{Flat, LinearPlace, Places},
    linear::Linear,
    ops::{Frozen, MatmulPrecision, Matrix, Precision},
    seam::{Part, Table},
    share,
};

/// The linear layers of one block.
#[derive(Debug, Clone, Default)]
pub(crate) struct LayerLinears<M> {
    pub(crate) q: Linear<M>,
    pub(crate) k: Linear<M>,
    pub(crate) v: Linear<M>,
    pub(crate) o: Linear<M>,
    pub(crate) gate: Linear<M>,
    pub(crate) up: Linear<M>,
    pub(crate) down: Linear<M>,
}

impl<M> LayerLinears<M> {
    pub(crate) fn all(&self) -> [&Linear<M>; 7] {
        let Self { q, k, v, o, gate, up, down } = self;
        [q, k, v, o, gate, up, down]
    }

    pub(crate) fn all_mut(&mut self) -> [&mut Linear<M>; 7] {
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
/// held in fewer bits ([`Hold`]). Models are read, made and written on the CPU; `O` is what
/// computes them ([`Model::to`]).
#[derive(Debug, Clone)]
pub struct Model<O: Ops = Cpu> {
    /// Its shape.
    pub config: Config,
    /// What learns, and where each tensor of it lies in [`Model::params`].
    pub layout: Layout,
    pub(crate) ops: O,
    pub(crate) base: Layout,
    pub(crate) places: Places,
    /// All weights, or where the matrices are frozen the others.
    pub(crate) weights: O::Buffer,
    /// The embedding, where it is frozen and not the output layer too.
    pub(crate) embed: Option<O::Matrix>,
    pub(crate) adapter: Option<Adapter<O::Buffer>>,
    pub(crate) angles: O::Angles,
    pub(crate) linears: Vec<LayerLinears<O::Matrix>>,
    /// The output layer: a row for each token of the vocabulary.
    pub(crate) head: O::Matrix,
}

impl Model {
    /// A model with these weights, which must have the length of its layout. All of them learn.
    pub fn new(config: Config, weights: Vec<f32>) -> Self {
        let (places, base) = Places::new(&config, Flat::All);
        assert_eq!(weights.len(), base.len(), "the weights fill the layout");
        let mut model = Self::of(Cpu::default(), config, (places, base), weights);
        model.repack(1);
        model
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

    /// How exactly the matrices of linear layers and the output layer are multiplied from now on,
    /// by the adapter's too. Attention always computes in float32.
    pub fn set_matmul_precision(&mut self, precision: MatmulPrecision) {
        if precision == self.ops.precision {
            return;
        }
        self.ops.precision = precision;
        let plan = precision.plan();
        self.head.set_plan(plan);
        for linears in &mut self.linears {
            linears.all_mut().into_iter().for_each(|linear| linear.matrix.set_plan(plan));
        }
        if !self.is_frozen() {
            self.repack(1);
        }
        self.repack_adapter();
    }

    /// How exactly they are multiplied.
    pub fn matmul_precision(&self) -> MatmulPrecision {
        self.ops.precision
    }

    /// How the matrices of linear layers are held, if they do not learn.
    pub fn held(&self) -> Option<Precision> {
        self.linears.first()?.q.matrix.frozen().map(Frozen::precision)
    }

    /// The same model where `ops` computes it, one matrix after the other.
    pub fn to<O: Ops>(&self, ops: O) -> Model<O> {
        let moved = |from: &[f32]| {
            let mut to = O::Buffer::default();
            ops.resize(&mut to, from.len());
            ops.edit(&mut to, |to| to.copy_from_slice(from));
            to
        };
        // Those that learn are packed from the weights below.
        let frozen = |matrix: &Matrix| match matrix.frozen() {
            Some(f) => ops.freeze(&f.rows(), (f.output(), f.input()), f.precision()),
            None => O::Matrix::default(),
        };
        let parts = (self.places.clone(), self.base.clone());
        let mut model =
            Model::of(ops.clone(), self.config.clone(), parts, moved(&self.weights[..]));
        model.layout = self.layout.clone();
        model.embed = self.embed.as_ref().map(&frozen);
        model.head = frozen(&self.head);
        for (to, from) in model.linears.iter_mut().zip(&self.linears) {
            to.all_mut()
                .into_iter()
                .zip(from.all())
                .for_each(|(t, f)| t.matrix = frozen(&f.matrix));
        }
        model.adapter = self.adapter.as_ref().map(|a| a.with(moved(&a.params)));
        if !self.is_frozen() {
            model.repack(1);
        }
        model.repack_adapter();
        model
    }
}

impl<O: Ops> Model<O> {
    /// A model whose matrices are still missing.
    pub(crate) fn of(
        ops: O,
        config: Config,
        (places, base): (Places, Layout),
        weights: O::Buffer,
    ) -> Self {
        let (frequencies, factor) = config.frequencies();
        Self {
            angles: ops.angles(frequencies, factor, config.max_position_embeddings),
            linears: vec![LayerLinears::default(); config.num_hidden_layers],
            head: O::Matrix::default(),
            layout: base.clone(),
            embed: None,
            adapter: None,
            ops,
            config,
            base,
            places,
            weights,
        }
    }

    /// How many weights the model has, those of its adapter not among them.
    pub fn n_weights(&self) -> usize {
        self.base.entries.iter().map(|e| e.shape.iter().product::<usize>()).sum()
    }

    /// Whether it has weights that no cache holds: to read them is what a token costs, so that
    /// threads do better to share products ([`crate::team()`]) than to take few rows each.
    pub fn is_large(&self) -> bool {
        self.n_weights() >= 32 << 20
    }

    /// Whether no weight learns but those of an adapter.
    pub fn is_frozen(&self) -> bool {
        self.places.head.is_empty()
    }

    /// Where the embeddings of tokens are.
    pub(crate) fn table(&self) -> Table<'_, O> {
        match &self.embed {
            Some(embed) => Table::Matrix(embed),
            None if self.is_frozen() => Table::Matrix(&self.head),
            None => Table::Weights(self.weight(&self.places.embed)),
        }
    }

    /// Changes what learns, then refreshes what the kernels read, on up to `threads` threads.
    pub fn update(&mut self, threads: usize, change: impl FnOnce(&mut [f32])) {
        match &mut self.adapter {
            Some(adapter) => {
                self.ops.edit(&mut adapter.params, change);
                self.repack_adapter();
            }
            None => {
                self.ops.edit(&mut self.weights, change);
                self.repack(threads);
            }
        }
    }

    pub(crate) fn weight<'a>(&'a self, at: &'a Range<usize>) -> Part<'a, O> {
        (&self.weights, at)
    }

    pub(crate) fn bias<'a>(&'a self, at: &'a LinearPlace) -> Option<Part<'a, O>> {
        at.bias.as_ref().map(|at| self.weight(at))
    }

    pub(crate) fn repack(&mut self, threads: usize) {
        let (ops, weights) = (&self.ops, &self.weights);
        share(threads, self.linears.iter_mut().zip(&self.places.layers), |(linears, at)| {
            for (linear, at) in linears.all_mut().into_iter().zip(at.linears()) {
                ops.pack(&mut linear.matrix, (weights, &at.weight), (at.output, at.input), 1.0);
            }
        });
        let shape = (self.config.vocab_size, self.config.hidden_size);
        ops.pack(&mut self.head, (weights, &self.places.head), shape, 1.0);
    }

    pub(crate) fn repack_adapter(&mut self) {
        let Some(adapter) = &self.adapter else { return };
        for (linears, places) in self.linears.iter_mut().zip(&adapter.places) {
            for (linear, place) in linears.all_mut().into_iter().zip(places) {
                if let Some(place) = place {
                    linear.pack_update(&self.ops, place, &adapter.params);
                }
            }
        }
    }
}
