//! How much memory a model takes, before there is one: the same sums that allocate it.

use std::path::Path;

use crate::{
    AdapterSpec, Config, Hold, ModelError, Precision,
    adapter::updates,
    layout::{Flat, LinearPlace, Places},
    ops::{HEAD_ROWS, NR, round_up},
    tensors::Tensors,
};

/// Bytes of a float.
const F: usize = 4;

/// A model that is to be held and perhaps learn.
#[derive(Debug, Clone)]
pub struct Memory<'a> {
    config: &'a Config,
    hold: Hold,
    /// How its checkpoint stores it.
    stored: Precision,
    places: Places,
    /// Rank of the adapter of each linear layer, block by block; 0 for none.
    ranks: Vec<[usize; 7]>,
    /// Whether inputs of adapters are dropped.
    drops: bool,
}

/// Tokens that go through a model at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// All of them.
    pub tokens: usize,
    /// Those whose next token is scored.
    pub targets: usize,
    /// Those of the longest sequence.
    pub sequence: usize,
}

/// What is decoded at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoding {
    /// Completions.
    pub rows: usize,
    /// Prompts, and the tokens of the longest.
    pub prompts: usize,
    /// Tokens of the longest prompt.
    pub prompt_tokens: usize,
    /// Most new tokens.
    pub new_tokens: usize,
}

/// Bytes of panels that hold `k` rows of `n` columns.
fn panels(k: usize, n: usize) -> usize {
    F * k * round_up(n, NR)
}

/// How the checkpoint in `dir` stores its embedding.
///
/// # Errors
/// If there is none, or it is stored in a type that this engine does not read.
pub fn stored_precision(dir: &Path) -> Result<Precision, ModelError> {
    let name = crate::layout::EMBED;
    let tensors = Tensors::open_model(dir)?;
    let missing = || ModelError::Tensors(format!("no tensor `{name}`"));
    tensors.get(name).ok_or_else(missing)?.precision(name)
}

impl<'a> Memory<'a> {
    /// What a model of this shape will take, its checkpoint being stored like this.
    ///
    /// # Errors
    /// If the adapter is not one that it can have.
    pub fn of(
        config: &'a Config,
        hold: Hold,
        stored: Precision,
        adapter: Option<&AdapterSpec>,
    ) -> Result<Self, ModelError> {
        let (places, _) = Places::new(config, Flat::All);
        let ranks = match adapter {
            None => Vec::new(),
            Some(spec) => {
                let (_, updates) = updates(&places, spec)?;
                let rank = |update: &Option<crate::linear::LowRankPlace>| {
                    update.as_ref().map_or(0, |place| place.rank)
                };
                updates.iter().map(|block| block.each_ref().map(rank)).collect()
            }
        };
        let drops = adapter.is_some_and(|spec| spec.lora_dropout > 0.0);
        Ok(Self { config, hold, stored, places, ranks, drops })
    }

    /// The linear layers, and the ranks of what is laid on them.
    fn linears(&self) -> impl Iterator<Item = (&LinearPlace, usize)> {
        let linears = self.places.layers.iter().flat_map(|layer| layer.linears());
        linears.zip(self.ranks.iter().flatten().copied().chain(std::iter::repeat(0)))
    }

    /// How many numbers lie in the flat vector.
    fn floats(&self, flat: Flat) -> usize {
        Places::new(self.config, flat).1.len()
    }

    /// The weights, in the forms in which they are held.
    pub fn weights(&self) -> usize {
        let c = self.config;
        let (vocab, d) = (c.vocab_size, c.hidden_size);
        match self.hold {
            Hold::Learning => {
                let both = |output, input| panels(input, output) + panels(output, input);
                let linears: usize = self.linears().map(|(at, _)| both(at.output, at.input)).sum();
                F * self.floats(Flat::All) + linears + both(vocab, d)
            }
            Hold::Frozen(asked) => {
                let precision = asked.unwrap_or(self.stored);
                let of_tokens = match precision {
                    Precision::Int8 | Precision::Nf4 => self.stored,
                    precision => precision,
                };
                let linears = self.linears();
                let linears: usize =
                    linears.map(|(at, _)| precision.bytes(at.output, at.input)).sum();
                let copies = if c.tie_word_embeddings { 1 } else { 2 };
                F * self.floats(Flat::Vectors) + linears + copies * of_tokens.bytes(vocab, d)
            }
        }
    }

    /// The adapter, and the copies that the kernels read.
    pub fn adapter(&self) -> usize {
        self.linears()
            .filter(|(_, rank)| *rank > 0)
            .map(|(at, r)| {
                let (i, o) = (at.input, at.output);
                F * r * (i + o) + panels(i, r) + panels(r, i) + panels(r, o) + panels(o, r)
            })
            .sum()
    }

    /// How many numbers learn.
    pub fn learned(&self) -> usize {
        match (self.hold, self.ranks.is_empty()) {
            (_, false) => self.linears().map(|(at, rank)| rank * (at.input + at.output)).sum(),
            (Hold::Learning, true) => self.floats(Flat::All),
            (Hold::Frozen(_), true) => 0,
        }
    }

    /// Floats that a block keeps of each token.
    fn block(&self) -> usize {
        let c = self.config;
        let (d, dq, dk, f) = (c.hidden_size, c.q_size(), c.kv_size(), c.intermediate_size);
        let heads = c.num_attention_heads + c.num_key_value_heads;
        let normed = if c.has_qk_norm() { dq + dk + heads } else { 0 };
        4 * d + 2 + 2 * dq + 2 * dk + 3 * f + normed
    }

    /// Activations that one thread holds to read or score tokens.
    pub fn reading(&self, load: Load) -> usize {
        let d = self.config.hidden_size;
        let Load { tokens, targets, sequence } = load;
        // Keys and values of a head, plain and in panels.
        let attention = 4 * sequence * self.config.head_dim;
        let rows = tokens * (self.block() + 2 * d + 1) + targets.min(tokens) * d;
        F * (rows + attention + targets.min(HEAD_ROWS) * self.config.vocab_size)
    }

    /// Activations that one thread holds for a forward and a backward pass.
    pub fn learning(&self, load: Load, recompute: bool) -> usize {
        let c = self.config;
        let (d, dq, dk, f) = (c.hidden_size, c.q_size(), c.kv_size(), c.intermediate_size);
        let n = load.tokens;
        let layers = c.num_hidden_layers;
        let kept = if recompute { layers * d } else { (layers - 1) * self.block() };
        // The gradients of the stream, of the queries (first of the normed rows), keys, values, and
        // of what the last linear layer of a block reads.
        let slopes = d + d.max(dq) + d.max(dq) + 2 * dk + f;
        // Keys and values the other way round, and their gradients.
        let attention = 4 * load.sequence * c.head_dim;
        let widest = f.max(d).max(dq);
        let learns = if self.ranks.is_empty() {
            // The widest input of a linear layer in panels.
            panels(n, widest)
        } else {
            // What updates make of their inputs, twice of one, and what dropout leaves of one.
            let blocks = self.ranks.iter().map(|ranks| ranks.iter().sum::<usize>());
            let lows = if recompute { blocks.max().unwrap_or(0) } else { blocks.sum() };
            let rank = self.ranks.iter().flatten().max().copied().unwrap_or(0);
            F * n * (lows + 2 * rank + if self.drops { widest } else { 0 })
        };
        // A vector for each target, where the head does not learn.
        let head = if self.hold == Hold::Learning { 0 } else { load.targets * d };
        self.reading(load) + F * (n * (kept + slopes) + attention + head) + learns
    }

    /// Caches and activations of one thread that decodes, the reading of the prompts included.
    pub fn decoding(&self, decoding: Decoding) -> usize {
        let c = self.config;
        let (d, dq, dk, f) = (c.hidden_size, c.q_size(), c.kv_size(), c.intermediate_size);
        let Decoding { rows, prompts, prompt_tokens, new_tokens } = decoding;
        let heads = c.num_hidden_layers * c.num_key_value_heads;
        let capacity = round_up(new_tokens, NR);
        let own = F * rows * heads * capacity * (c.head_dim + round_up(c.head_dim, NR));
        let head = panels(c.head_dim, prompt_tokens) + panels(prompt_tokens, c.head_dim);
        let shared = prompts * heads * head;
        let probs = rows * c.num_attention_heads * (round_up(prompt_tokens, NR) + capacity + NR);
        let stream = rows * (2 * d + 1 + 2 * dq + 2 * dk + 3 * f);
        let logits = (rows + prompts) * c.vocab_size;
        let tokens =
            (prompts * prompt_tokens).min(crate::decoder::PREFILL_TOKENS.max(prompt_tokens));
        let reading = self.reading(Load { tokens, targets: prompts, sequence: prompt_tokens });
        own + shared + F * (probs + stream + logits) + reading
    }
}
