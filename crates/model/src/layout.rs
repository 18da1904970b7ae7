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

/// Every tensor of a model, in order, and handles to them.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The tensors.
    pub entries: Vec<Entry>,
    pub(crate) embed: Range<usize>,
    pub(crate) layers: Vec<LayerLayout>,
    pub(crate) norm: Range<usize>,
    /// The output layer; the embedding itself where they are tied.
    pub(crate) head: Range<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct LayerLayout {
    pub(crate) norm1: Range<usize>,
    pub(crate) q: Range<usize>,
    pub(crate) q_bias: Range<usize>,
    pub(crate) k: Range<usize>,
    pub(crate) k_bias: Range<usize>,
    pub(crate) v: Range<usize>,
    pub(crate) v_bias: Range<usize>,
    pub(crate) o: Range<usize>,
    pub(crate) norm2: Range<usize>,
    pub(crate) gate: Range<usize>,
    pub(crate) up: Range<usize>,
    pub(crate) down: Range<usize>,
}

impl Layout {
    pub(crate) fn new(config: &Config) -> Self {
        let mut entries = Vec::new();
        let mut end = 0;
        let mut add = |name: String, shape: &[usize]| {
            let range = end..end + shape.iter().product::<usize>();
            end = range.end;
            entries.push(Entry { name, shape: shape.to_vec(), range: range.clone() });
            range
        };
        let (d, kv, f) = (config.hidden_size, config.kv_size(), config.intermediate_size);
        let embed = add("model.embed_tokens.weight".into(), &[config.vocab_size, d]);
        let layers = (0..config.num_hidden_layers)
            .map(|i| {
                let at = |name: &str| format!("model.layers.{i}.{name}");
                LayerLayout {
                    norm1: add(at("input_layernorm.weight"), &[d]),
                    q: add(at("self_attn.q_proj.weight"), &[d, d]),
                    q_bias: add(at("self_attn.q_proj.bias"), &[d]),
                    k: add(at("self_attn.k_proj.weight"), &[kv, d]),
                    k_bias: add(at("self_attn.k_proj.bias"), &[kv]),
                    v: add(at("self_attn.v_proj.weight"), &[kv, d]),
                    v_bias: add(at("self_attn.v_proj.bias"), &[kv]),
                    o: add(at("self_attn.o_proj.weight"), &[d, d]),
                    norm2: add(at("post_attention_layernorm.weight"), &[d]),
                    gate: add(at("mlp.gate_proj.weight"), &[f, d]),
                    up: add(at("mlp.up_proj.weight"), &[f, d]),
                    down: add(at("mlp.down_proj.weight"), &[d, f]),
                }
            })
            .collect();
        let norm = add("model.norm.weight".into(), &[d]);
        let head = if config.tie_word_embeddings {
            embed.clone()
        } else {
            add("lm_head.weight".into(), &[config.vocab_size, d])
        };
        Self { entries, embed, layers, norm, head }
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
