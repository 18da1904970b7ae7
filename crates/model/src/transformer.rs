//! The transformer: one explicit forward and one explicit backward over a chunk of tokens.
//!
//! A chunk packs sequences of any length with no padding. Sequences that share a prompt hold
//! it once: a segment may name an earlier segment as its prefix.

use crate::{
    Config, Model, ModelError,
    ops::{
        AttentionScratch, HeadScratch, Heads, Panels, Span, Stats, TargetSlopes, View, attend,
        attend_backward, gemm, rms_norm, rms_norm_backward, swiglu, swiglu_backward,
    },
};

/// A run of consecutive tokens of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its first row in the chunk.
    pub start: usize,
    /// How many rows.
    pub len: usize,
    /// The index of the segment whose tokens come before; that one has no prefix itself.
    pub prefix: Option<usize>,
}

/// Tokens to run through the model, and the predictions that matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chunk {
    /// All tokens, segment after segment.
    pub tokens: Vec<u32>,
    /// How they hang together.
    pub segments: Vec<Segment>,
    /// `(row, token)`: the log-prob of `token` given everything up to and including `row`.
    pub targets: Vec<(usize, u32)>,
}

impl Chunk {
    /// Appends a segment and returns its index.
    pub fn push(&mut self, tokens: &[u32], prefix: Option<usize>) -> usize {
        self.segments.push(Segment { start: self.tokens.len(), len: tokens.len(), prefix });
        self.tokens.extend_from_slice(tokens);
        self.segments.len() - 1
    }

    /// Appends a prompt with its completions and targets every completion token. Completions
    /// must not be empty.
    pub fn push_group(&mut self, prompt: &[u32], completions: &[&[u32]]) {
        let root = self.push(prompt, None);
        let last = self.segments[root].start + prompt.len() - 1;
        for completion in completions {
            let start = self.tokens.len();
            // The last token of a completion is predicted, never read.
            self.push(&completion[..completion.len() - 1], Some(root));
            for (i, token) in completion.iter().enumerate() {
                let row = if i == 0 { last } else { start + i - 1 };
                self.targets.push((row, *token));
            }
        }
    }

    fn spans(&self) -> Vec<Span> {
        let prefix = |s: &Segment| match s.prefix {
            Some(i) => (self.segments[i].start, self.segments[i].len),
            None => (s.start, 0),
        };
        self.segments
            .iter()
            .map(|s| Span { start: s.start, len: s.len, prefix: prefix(s) })
            .collect()
    }

    fn check(&self, config: &Config) -> Result<(), ModelError> {
        let bad = |what: String| Err(ModelError::Input(what));
        if let Some(t) = self.tokens.iter().find(|t| **t as usize >= config.vocab_size) {
            return bad(format!("token {t} is not below vocab_size {}", config.vocab_size));
        }
        for span in self.spans() {
            let n = span.prefix.1 + span.len;
            if n > config.max_position_embeddings {
                let max = config.max_position_embeddings;
                return bad(format!("a sequence of {n} tokens exceeds the limit of {max}"));
            }
        }
        Ok(())
    }
}

/// The derivatives of a loss by what a forward pass found, one a target of the chunk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slopes<'a> {
    /// By the log-probs.
    pub log_probs: &'a [f32],
    /// By the entropies; empty for none.
    pub entropies: &'a [f32],
    /// By a linear function of [`Tape::hidden`], and its weights; empty for none.
    pub hidden: (&'a [f32], &'a [f32]),
}

/// What one block keeps for its backward pass; rows are tokens.
#[derive(Debug, Default)]
struct LayerTape {
    input: Vec<f32>,
    norm1: Vec<f32>,
    rstd1: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attended: Vec<f32>,
    middle: Vec<f32>,
    norm2: Vec<f32>,
    rstd2: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    hidden: Vec<f32>,
}

/// Everything a forward and a backward pass write, reused from chunk to chunk.
#[derive(Debug, Default)]
pub struct Tape {
    layers: Vec<LayerTape>,
    spans: Vec<Span>,
    positions: Vec<usize>,
    x: Vec<f32>,
    normed: Vec<f32>,
    rstd: Vec<f32>,
    /// Rows of the final norm that have targets, and which they are.
    selected: Vec<f32>,
    rows: Vec<usize>,
    targets: Vec<(usize, u32)>,
    order: Vec<usize>,
    /// Where in `selected` the row of each target is, in the order of the chunk.
    places: Vec<usize>,
    sorted: Vec<f32>,
    stats: Vec<Stats>,
    log_probs: Vec<f32>,
    entropies: Vec<f32>,
    attention: AttentionScratch,
    head: HeadScratch,
    dx: Vec<f32>,
    dmid: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
    packed: Panels,
}

impl Tape {
    /// The log-prob of each target of the last forward pass, in the order of the chunk.
    pub fn log_probs(&self) -> &[f32] {
        &self.log_probs
    }

    /// The normalised rows that have targets, in ascending order, after a forward pass.
    pub(crate) fn selected(&self) -> &[f32] {
        &self.selected
    }

    /// The normalised last state from which a target was predicted, after a forward pass.
    pub fn hidden(&self, target: usize) -> &[f32] {
        let width = self.selected.len() / self.rows.len();
        &self.selected[self.places[target] * width..][..width]
    }

    /// The keys (rotated) and values of a layer after a forward pass.
    pub(crate) fn keys_values(&self, layer: usize) -> (&[f32], &[f32]) {
        (&self.layers[layer].k, &self.layers[layer].v)
    }

    /// The entropy, in nats, of the distribution at each target.
    pub fn entropies(&self) -> &[f32] {
        &self.entropies
    }
}

/// A linear layer packed for both directions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Linear {
    pub(crate) forward: Panels,
    backward: Panels,
    pub(crate) input: usize,
    pub(crate) output: usize,
}

impl Linear {
    /// `weight` has `output` rows of `input` floats.
    pub(crate) fn pack(&mut self, weight: &[f32], input: usize, output: usize) {
        (self.input, self.output) = (input, output);
        self.forward.pack(View::transposed(weight, input), input, output);
        self.backward.pack(View::rows(weight, input), output, input);
    }

    /// `y (+)= x W^T` for `rows` rows.
    pub(crate) fn apply(&self, x: &[f32], y: &mut [f32], rows: usize, accumulate: bool) {
        let shape = (rows, self.output, self.input);
        let x = View::rows(x, self.input);
        gemm(y, self.output, shape, x, self.forward.rhs(), accumulate);
    }

    /// `y = x W^T + bias`.
    pub(crate) fn apply_biased(&self, x: &[f32], bias: &[f32], y: &mut [f32], rows: usize) {
        for row in y.chunks_exact_mut(self.output).take(rows) {
            row.copy_from_slice(bias);
        }
        self.apply(x, y, rows, true);
    }

    /// `dx (+)= dy W`.
    fn pull(&self, dy: &[f32], dx: &mut [f32], rows: usize, accumulate: bool) {
        let shape = (rows, self.input, self.output);
        let dy = View::rows(dy, self.output);
        gemm(dx, self.input, shape, dy, self.backward.rhs(), accumulate);
    }

    /// `dW += dy^T x`, for `x` already packed.
    fn weigh(&self, dy: &[f32], x: &Panels, dweight: &mut [f32], rows: usize) {
        let shape = (self.output, self.input, rows);
        gemm(dweight, self.input, shape, View::transposed(dy, self.output), x.rhs(), true);
    }
}

fn add_columns(dy: &[f32], dbias: &mut [f32]) {
    for row in dy.chunks_exact(dbias.len()) {
        for (b, y) in dbias.iter_mut().zip(row) {
            *b += y;
        }
    }
}

fn sized(buffer: &mut Vec<f32>, len: usize) {
    buffer.resize(len, 0.0);
}

impl Model {
    /// Runs a chunk and leaves the log-prob and entropy of each target in the tape, at
    /// `temperature` (logits are divided by it).
    ///
    /// # Errors
    /// If a token or a length is out of range.
    pub fn forward(
        &self,
        chunk: &Chunk,
        temperature: f32,
        tape: &mut Tape,
    ) -> Result<(), ModelError> {
        chunk.check(&self.config)?;
        self.prepare(chunk, tape);
        for layer in 0..self.config.num_hidden_layers {
            self.block(layer, chunk.tokens.len(), tape);
        }
        self.finish(chunk, 1.0 / temperature, tape);
        Ok(())
    }

    /// Adds to `grads` (in the model's layout) the gradient of a loss whose derivative by the
    /// log-prob of each target is `dlog_probs`, for the chunk of the last forward pass.
    pub fn backward(
        &self,
        chunk: &Chunk,
        temperature: f32,
        dlog_probs: &[f32],
        grads: &mut [f32],
        tape: &mut Tape,
    ) {
        let slopes = Slopes { log_probs: dlog_probs, ..Slopes::default() };
        self.backward_from(chunk, temperature, slopes, grads, tape);
    }

    /// As [`Model::backward`], for a loss that also depends on entropies or last states.
    ///
    /// # Panics
    /// If there is not one derivative a target.
    pub fn backward_from(
        &self,
        chunk: &Chunk,
        temperature: f32,
        slopes: Slopes<'_>,
        grads: &mut [f32],
        tape: &mut Tape,
    ) {
        let n = chunk.targets.len();
        assert_eq!(slopes.log_probs.len(), n, "one derivative a target");
        for others in [slopes.entropies, slopes.hidden.0] {
            assert!([0, n].contains(&others.len()), "one derivative a target");
        }
        self.finish_backward(chunk, 1.0 / temperature, slopes, grads, tape);
        for layer in (0..self.config.num_hidden_layers).rev() {
            self.block_backward(layer, chunk.tokens.len(), grads, tape);
        }
        let d = self.config.hidden_size;
        let dembed = &mut grads[self.layout.embed.clone()];
        for (token, dx) in chunk.tokens.iter().zip(tape.dx.chunks_exact(d)) {
            add_columns(dx, &mut dembed[*token as usize * d..][..d]);
        }
    }

    fn heads(&self) -> Heads {
        Heads {
            query: self.config.num_attention_heads,
            kv: self.config.num_key_value_heads,
            dim: self.config.head_dim(),
        }
    }

    fn prepare(&self, chunk: &Chunk, tape: &mut Tape) {
        let d = self.config.hidden_size;
        tape.spans = chunk.spans();
        tape.positions.clear();
        for span in &tape.spans {
            tape.positions.extend(span.prefix.1..span.prefix.1 + span.len);
        }
        tape.layers.resize_with(self.config.num_hidden_layers, LayerTape::default);
        let embed = &self.params[self.layout.embed.clone()];
        tape.x.clear();
        for token in &chunk.tokens {
            tape.x.extend_from_slice(&embed[*token as usize * d..][..d]);
        }
    }

    fn block(&self, layer: usize, n: usize, tape: &mut Tape) {
        let c = &self.config;
        let (d, kv, f) = (c.hidden_size, c.kv_size(), c.intermediate_size);
        let (at, w) = (&self.layout.layers[layer], &self.linears[layer]);
        let p = |r: &std::ops::Range<usize>| &self.params[r.clone()];
        let eps = c.rms_norm_eps as f32;
        let t = &mut tape.layers[layer];
        for (buffer, width) in [
            (&mut t.norm1, d),
            (&mut t.rstd1, 1),
            (&mut t.q, d),
            (&mut t.k, kv),
            (&mut t.v, kv),
            (&mut t.attended, d),
            (&mut t.norm2, d),
            (&mut t.rstd2, 1),
            (&mut t.gate, f),
            (&mut t.up, f),
            (&mut t.hidden, f),
        ] {
            sized(buffer, n * width);
        }
        t.input.clone_from(&tape.x);
        rms_norm(&t.input, p(&at.norm1), eps, &mut t.norm1, &mut t.rstd1);
        w.q.apply_biased(&t.norm1, p(&at.q_bias), &mut t.q, n);
        w.k.apply_biased(&t.norm1, p(&at.k_bias), &mut t.k, n);
        w.v.apply_biased(&t.norm1, p(&at.v_bias), &mut t.v, n);
        for (i, position) in tape.positions.iter().enumerate() {
            self.rope.apply(&mut t.q[i * d..][..d], *position);
            self.rope.apply(&mut t.k[i * kv..][..kv], *position);
        }
        let qkv = (&t.q[..], &t.k[..], &t.v[..]);
        attend(qkv, &mut t.attended, self.heads(), &tape.spans, &mut tape.attention);
        t.middle.clone_from(&t.input);
        w.o.apply(&t.attended, &mut t.middle, n, true);
        rms_norm(&t.middle, p(&at.norm2), eps, &mut t.norm2, &mut t.rstd2);
        w.gate.apply(&t.norm2, &mut t.gate, n, false);
        w.up.apply(&t.norm2, &mut t.up, n, false);
        swiglu(&t.gate, &t.up, &mut t.hidden);
        tape.x.clone_from(&t.middle);
        w.down.apply(&t.hidden, &mut tape.x, n, true);
    }

    fn block_backward(&self, layer: usize, n: usize, grads: &mut [f32], tape: &mut Tape) {
        let (at, w) = (&self.layout.layers[layer], &self.linears[layer]);
        let t = &mut tape.layers[layer];
        let p = |r: &std::ops::Range<usize>| &self.params[r.clone()];

        // Feed-forward: dx is the gradient of the block's output and, through the residual,
        // of its middle.
        tape.packed.pack(View::rows(&t.hidden, w.down.input), n, w.down.input);
        w.down.weigh(&tape.dx, &tape.packed, &mut grads[at.down.clone()], n);
        w.down.pull(&tape.dx, &mut t.hidden, n, false);
        swiglu_backward(&mut t.gate, &mut t.up, &t.hidden);
        tape.packed.pack(View::rows(&t.norm2, w.gate.input), n, w.gate.input);
        w.gate.weigh(&t.gate, &tape.packed, &mut grads[at.gate.clone()], n);
        w.up.weigh(&t.up, &tape.packed, &mut grads[at.up.clone()], n);
        sized(&mut tape.dmid, n * w.gate.input);
        w.gate.pull(&t.gate, &mut tape.dmid, n, false);
        w.up.pull(&t.up, &mut tape.dmid, n, true);
        let dw = &mut grads[at.norm2.clone()];
        rms_norm_backward(&t.middle, p(&at.norm2), &t.rstd2, &tape.dmid, &mut tape.dx, dw);

        // Attention.
        tape.packed.pack(View::rows(&t.attended, w.o.input), n, w.o.input);
        w.o.weigh(&tape.dx, &tape.packed, &mut grads[at.o.clone()], n);
        w.o.pull(&tape.dx, &mut tape.dmid, n, false);
        sized(&mut tape.dq, t.q.len());
        for (buffer, like) in [(&mut tape.dk, &t.k), (&mut tape.dv, &t.v)] {
            buffer.clear();
            buffer.resize(like.len(), 0.0);
        }
        let qkv = (&t.q[..], &t.k[..], &t.v[..]);
        let dqkv = (&mut tape.dq[..], &mut tape.dk[..], &mut tape.dv[..]);
        let scratch = &mut tape.attention;
        attend_backward(qkv, &tape.dmid, dqkv, self.heads(), &tape.spans, scratch);
        for (i, position) in tape.positions.iter().enumerate() {
            self.rope.apply_backward(&mut tape.dq[i * w.q.output..][..w.q.output], *position);
            self.rope.apply_backward(&mut tape.dk[i * w.k.output..][..w.k.output], *position);
        }
        tape.packed.pack(View::rows(&t.norm1, w.q.input), n, w.q.input);
        let parts = [
            (&w.q, &tape.dq, &at.q, &at.q_bias),
            (&w.k, &tape.dk, &at.k, &at.k_bias),
            (&w.v, &tape.dv, &at.v, &at.v_bias),
        ];
        for (i, (linear, dy, weight, bias)) in parts.into_iter().enumerate() {
            linear.weigh(dy, &tape.packed, &mut grads[weight.clone()], n);
            add_columns(dy, &mut grads[bias.clone()]);
            linear.pull(dy, &mut tape.dmid, n, i > 0);
        }
        let dw = &mut grads[at.norm1.clone()];
        rms_norm_backward(&t.input, p(&at.norm1), &t.rstd1, &tape.dmid, &mut tape.dx, dw);
    }

    /// The final norm and the output layer, on the rows that have targets.
    fn finish(&self, chunk: &Chunk, inverse_temperature: f32, tape: &mut Tape) {
        let d = self.config.hidden_size;
        let n = chunk.tokens.len();
        sized(&mut tape.normed, n * d);
        sized(&mut tape.rstd, n);
        let eps = self.config.rms_norm_eps as f32;
        let weight = &self.params[self.layout.norm.clone()];
        rms_norm(&tape.x, weight, eps, &mut tape.normed, &mut tape.rstd);

        tape.order.clear();
        tape.order.extend(0..chunk.targets.len());
        tape.order.sort_by_key(|i| chunk.targets[*i].0);
        tape.rows.clear();
        tape.selected.clear();
        tape.targets.clear();
        for i in &tape.order {
            let (row, token) = chunk.targets[*i];
            if tape.rows.last() != Some(&row) {
                tape.rows.push(row);
                tape.selected.extend_from_slice(&tape.normed[row * d..][..d]);
            }
            tape.targets.push((tape.rows.len() - 1, token));
        }
        let out = (&mut tape.stats, &mut tape.sorted);
        let (x, head) = (&tape.selected, &mut tape.head);
        self.head.log_probs(x, &tape.targets, inverse_temperature, out, head);
        tape.log_probs.resize(chunk.targets.len(), 0.0);
        tape.entropies.resize(chunk.targets.len(), 0.0);
        tape.places.resize(chunk.targets.len(), 0);
        for (at, i) in tape.order.iter().enumerate() {
            tape.log_probs[*i] = tape.sorted[at];
            tape.places[*i] = tape.targets[at].0;
            tape.entropies[*i] = tape.stats[tape.places[*i]].entropy;
        }
    }

    fn finish_backward(
        &self,
        chunk: &Chunk,
        inverse_temperature: f32,
        slopes: Slopes<'_>,
        grads: &mut [f32],
        tape: &mut Tape,
    ) {
        let d = self.config.hidden_size;
        let n = chunk.tokens.len();
        let entropy = |i: usize| slopes.entropies.get(i).copied().unwrap_or(0.0);
        let order = tape.order.iter().map(|i| (slopes.log_probs[*i], entropy(*i)));
        let weighted: Vec<TargetSlopes> = tape.targets.iter().copied().zip(order).collect();
        let mut dselected = std::mem::take(&mut tape.dmid);
        sized(&mut dselected, tape.selected.len());
        let at = (inverse_temperature, &tape.stats[..]);
        let dhead = &mut grads[self.layout.head.clone()];
        let to = (&mut dselected[..], dhead);
        self.head.backward(&tape.selected, &weighted, at, to, &mut tape.head);
        let (dvalues, direction) = slopes.hidden;
        for (place, dv) in tape.places.iter().zip(dvalues) {
            for (dx, w) in dselected[place * d..][..d].iter_mut().zip(direction) {
                *dx += dv * w;
            }
        }

        let mut dnormed = std::mem::take(&mut tape.dq);
        dnormed.clear();
        dnormed.resize(n * d, 0.0);
        for (row, dy) in tape.rows.iter().zip(dselected.chunks_exact(d)) {
            dnormed[row * d..][..d].copy_from_slice(dy);
        }
        tape.dx.clear();
        tape.dx.resize(n * d, 0.0);
        let weight = &self.params[self.layout.norm.clone()];
        let dweight = &mut grads[self.layout.norm.clone()];
        rms_norm_backward(&tape.x, weight, &tape.rstd, &dnormed, &mut tape.dx, dweight);
        tape.dmid = dselected;
        tape.dq = dnormed;
    }
}
