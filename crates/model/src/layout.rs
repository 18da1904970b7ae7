//! Where each weight lies in the one flat vector that holds them all.
//!
//! Gradients and optimizer moments have the same layout, so the optimizer, the gradient norm
//! and the checkpoint are loops over one slice.

use std::ops::Range;

use crate::Config;

/// One named tensor, stored row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in a Hugging Face checkpoint.
    pub name: String,
    /// `[rows, columns]` or `[n]`.
    pub shape: Vec<usize>,
    /// Its place in the flat vector.
    pub range: Range<usize>,
}

impl Entry {
    /// Whether weight decay applies: to matrices, not to norms and biases.
    pub fn decays(&self) -> bool {
        self.shape.len() >= 2
    }
}

/// Tensors one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// The tensors.
    pub entries: Vec<Entry>,
}

impl Layout {
    /// Appends a tensor and returns its place.
    pub(crate) fn add(&mut self, name: String, shape: &[usize]) -> Range<usize> {
        self.place(name, shape, shape.iter().product())
    }

    /// Appends a tensor of which `len` numbers lie in the flat vector.
    fn place(&mut self, name: String, shape: &[usize], len: usize) -> Range<usize> {
        let start = self.len();
        let range = start..start + len;
        self.entries.push(Entry { name, shape: shape.to_vec(), range: range.clone() });
        range
    }

    /// Length of the flat vector.
    pub fn len(&self) -> usize {
        self.entries.last().map_or(0, |e| e.range.end)
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The places of a model's weights, by what they are for.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) embed: Range<usize>,
    pub(crate) layers: Vec<LayerPlaces>,
    pub(crate) norm: Range<usize>,
    /// The output layer; the embedding itself where they are tied.
    pub(crate) head: Range<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct LayerPlaces {
    pub(crate) norm1: Range<usize>,
    pub(crate) q: LinearPlace,
    pub(crate) k: LinearPlace,
    pub(crate) v: LinearPlace,
    /// The norms of each head's queries and keys, where there are any.
    pub(crate) qk_norm: Option<(Range<usize>, Range<usize>)>,
    pub(crate) o: LinearPlace,
    pub(crate) norm2: Range<usize>,
    pub(crate) gate: LinearPlace,
    pub(crate) up: LinearPlace,
    pub(crate) down: LinearPlace,
}

impl LayerPlaces {
    /// The linear layers, in the order of [`LINEAR_NAMES`].
    pub(crate) fn linears(&self) -> [&LinearPlace; 7] {
        let Self { q, k, v, o, gate, up, down, .. } = self;
        [q, k, v, o, gate, up, down]
    }
}

/// What the linear layers of a block are called in a checkpoint.
pub(crate) const LINEAR_NAMES: [&str; 7] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
];

/// A linear layer: a matrix of `output` rows of `input`, and perhaps a bias.
#[derive(Debug, Clone)]
pub(crate) struct LinearPlace {
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Option<Range<usize>>,
    pub(crate) input: usize,
    pub(crate) output: usize,
}

/// Which weights lie in the flat vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flat {
    /// All.
    All,
    /// Norms and biases; matrices have empty places, they are held elsewhere.
    Vectors,
}

/// A layout while it is made.
struct Builder {
    layout: Layout,
    flat: Flat,
}

impl Builder {
    fn add(&mut self, name: String, shape: &[usize]) -> Range<usize> {
        let held = self.flat == Flat::All || shape.len() < 2;
        let len = if held { shape.iter().product() } else { 0 };
        self.layout.place(name, shape, len)
    }

    fn linear(&mut self, name: &str, (output, input): (usize, usize), bias: bool) -> LinearPlace {
        let weight = self.add(format!("{name}.weight"), &[output, input]);
        let bias = bias.then(|| self.add(format!("{name}.bias"), &[output]));
        LinearPlace { weight, bias, input, output }
    }

    fn layer(&mut self, config: &Config, i: usize) -> LayerPlaces {
        let (d, q, kv, f) =
            (config.hidden_size, config.q_size(), config.kv_size(), config.intermediate_size);
        let at = |name: &str| format!("model.layers.{i}.{name}");
        let [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj] = LINEAR_NAMES.map(at);
        let biases = config.biases;
        LayerPlaces {
            norm1: self.add(at("input_layernorm.weight"), &[d]),
            q: self.linear(&q_proj, (q, d), biases.qkv),
            k: self.linear(&k_proj, (kv, d), biases.qkv),
            v: self.linear(&v_proj, (kv, d), biases.qkv),
            qk_norm: config.has_qk_norm().then(|| {
                let mut norm = |name: &str| self.add(at(name), &[config.head_dim]);
                (norm("self_attn.q_norm.weight"), norm("self_attn.k_norm.weight"))
            }),
            o: self.linear(&o_proj, (d, q), biases.o),
            norm2: self.add(at("post_attention_layernorm.weight"), &[d]),
            gate: self.linear(&gate_proj, (f, d), biases.mlp),
            up: self.linear(&up_proj, (f, d), biases.mlp),
            down: self.linear(&down_proj, (d, f), biases.mlp),
        }
    }
}

/// The name of a linear layer's weight in a checkpoint; `linear` counts [`LINEAR_NAMES`].
pub(crate) fn linear_weight(layer: usize, linear: usize) -> String {
    format!("model.layers.{layer}.{}.weight", LINEAR_NAMES[linear])
}

/// The names of the embedding and of the output layer.
pub(crate) const EMBED: &str = "model.embed_tokens.weight";
pub(crate) const HEAD: &str = "lm_head.weight";

impl Places {
    /// The places of all weights of a model, and the layout that they make up.
    pub(crate) fn new(config: &Config, flat: Flat) -> (Self, Layout) {
        let mut b = Builder { layout: Layout::default(), flat };
        let d = config.hidden_size;
        let embed = b.add(EMBED.into(), &[config.vocab_size, d]);
        let layers = (0..config.num_hidden_layers).map(|i| b.layer(config, i)).collect();
        let norm = b.add("model.norm.weight".into(), &[d]);
        let head = if config.tie_word_embeddings {
            embed.clone()
        } else {
            b.add(HEAD.into(), &[config.vocab_size, d])
        };
        (Self { embed, layers, norm, head }, b.layout)
    }
}
