//! One token at a time, for many rows at once, from a cache of keys and values.
//!
//! Rows that sample from the same prompt share its cache and attend to it together. A row that
//! is finished leaves, and another prompt can be admitted in its place while the others go on.

use crate::{
    Chunk, Config, Model, ModelError, Tape,
    linear::LowRankScratch,
    ops::{NR, Panels, Rhs, View, gemm, log_softmax_stats, rms_norm, round_up, softmax, swiglu},
};

/// Most prompt tokens that are read at once, but for a longer prompt: their activations stay near the caches.
pub(crate) const PREFILL_TOKENS: usize = 1024;

/// Keys and values of a prompt, one entry for each layer and key-value head; of length 0 where no
/// row needs it any more.
#[derive(Debug, Default)]
struct Prompt {
    len: usize,
    keys_t: Vec<Panels>,
    values: Vec<Panels>,
}

impl Prompt {
    /// Adds a layer's keys and values, which begin at row `start` of those of a chunk.
    fn add_layer(&mut self, (k, v): (&[f32], &[f32]), start: usize, c: &Config) {
        let (d, ld) = (c.head_dim, c.kv_size());
        for head in 0..c.num_key_value_heads {
            let at = start * ld + head * d;
            let (mut keys_t, mut values) = (Panels::default(), Panels::default());
            keys_t.pack(View::transposed(&k[at..], ld), d, self.len);
            values.pack(View::rows(&v[at..], ld), self.len, d);
            self.keys_t.push(keys_t);
            self.values.push(values);
        }
    }
}

/// One sequence being decoded.
#[derive(Debug, Clone, Copy)]
struct Row {
    prompt: usize,
    /// Where its cache lies.
    slot: usize,
    /// Tokens decoded and fed so far.
    len: usize,
}

/// Decodes rows in lockstep.
#[derive(Debug)]
pub struct Decoder<'m> {
    model: &'m Model,
    prompts: Vec<Prompt>,
    rows: Vec<Row>,
    /// Places of caches that no row has.
    free: Vec<usize>,
    /// Most new tokens of a row.
    max_tokens: usize,
    /// Tokens a row's cache can hold, a multiple of [`NR`].
    capacity: usize,
    keys_t: Vec<f32>,
    values: Vec<f32>,
    logits: Vec<f32>,
    s: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    x: Vec<f32>,
    normed: Vec<f32>,
    rstd: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attended: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    hidden: Vec<f32>,
    probs: Vec<f32>,
    /// Queries or keys before their norm, and the norm's factors.
    raw: Vec<f32>,
    rstd_heads: Vec<f32>,
    low: LowRankScratch,
}

impl Scratch {
    fn resize(&mut self, n: usize, c: &Config) {
        let (d, f) = (c.hidden_size, c.intermediate_size);
        for (buffer, width) in [
            (&mut self.x, d),
            (&mut self.normed, d),
            (&mut self.rstd, 1),
            (&mut self.q, c.q_size()),
            (&mut self.k, c.kv_size()),
            (&mut self.v, c.kv_size()),
            (&mut self.attended, c.q_size()),
            (&mut self.gate, f),
            (&mut self.up, f),
            (&mut self.hidden, f),
        ] {
            buffer.resize(n * width, 0.0);
        }
    }
}

impl<'m> Decoder<'m> {
    /// Reads each prompt once and opens `n` rows on it, for at most `max_tokens` new tokens.
    ///
    /// # Errors
    /// If a prompt is empty, too long, or holds a token out of range.
    pub fn start(
        model: &'m Model,
        groups: &[(&[u32], usize)],
        max_tokens: usize,
        tape: &mut Tape,
    ) -> Result<Self, ModelError> {
        let mut decoder = Self::new(model, groups.iter().map(|g| g.1).sum(), max_tokens);
        decoder.admit(groups, tape)?;
        Ok(decoder)
    }

    /// A decoder for at most `rows_max` rows at a time, of at most `max_tokens` new tokens each.
    pub fn new(model: &'m Model, rows_max: usize, max_tokens: usize) -> Self {
        let c = &model.config;
        let capacity = round_up(max_tokens, NR);
        let heads = c.num_hidden_layers * c.num_key_value_heads;
        let d = c.head_dim;
        Self {
            model,
            prompts: Vec::new(),
            rows: Vec::with_capacity(rows_max),
            free: (0..rows_max).rev().collect(),
            max_tokens,
            capacity,
            keys_t: vec![0.0; rows_max * heads * d * capacity],
            values: vec![0.0; rows_max * heads * capacity * round_up(d, NR)],
            logits: Vec::with_capacity(rows_max * c.vocab_size),
            s: Scratch::default(),
        }
    }

    /// Says what of a prompt with `max_tokens` new tokens a model cannot read.
    ///
    /// # Errors
    /// If it is empty, too long, or holds a token out of range.
    pub fn check(model: &Model, prompt: &[u32], max_tokens: usize) -> Result<(), ModelError> {
        let max = model.config.max_position_embeddings;
        if prompt.is_empty() || prompt.len() + max_tokens > max {
            let what = format!(
                "a prompt of {} tokens and {max_tokens} new ones do not fit 1 to {max}",
                prompt.len()
            );
            return Err(ModelError::Input(what));
        }
        let mut chunk = Chunk::default();
        chunk.push(prompt, None);
        chunk.check(&model.config)
    }

    /// Opens `n` rows on each prompt, after those that are there.
    ///
    /// # Errors
    /// As [`Decoder::start`].
    ///
    /// # Panics
    /// If there are more rows than announced.
    pub fn admit(&mut self, groups: &[(&[u32], usize)], tape: &mut Tape) -> Result<(), ModelError> {
        for (prompt, _) in groups {
            Self::check(self.model, prompt, self.max_tokens)?;
        }
        let mut used = groups.first().map_or(0, |(prompt, _)| prompt.len());
        let parts = groups.chunk_by(|_, (prompt, _)| {
            let fits = used + prompt.len() <= PREFILL_TOKENS;
            used = if fits { used + prompt.len() } else { prompt.len() };
            fits
        });
        for part in parts {
            self.read(part, tape)?;
        }
        Ok(())
    }

    /// Reads some prompts and opens their rows.
    fn read(&mut self, groups: &[(&[u32], usize)], tape: &mut Tape) -> Result<(), ModelError> {
        let vocab = self.model.config.vocab_size;
        let mut chunk = Chunk::default();
        for (prompt, _) in groups {
            chunk.push(prompt, None);
            chunk.targets.push((chunk.tokens.len() - 1, 0));
        }
        let mut read: Vec<Prompt> =
            groups.iter().map(|(p, _)| Prompt { len: p.len(), ..Prompt::default() }).collect();
        let model = self.model;
        model.read(&chunk, 1.0, tape, |_, k, v| {
            for (prompt, segment) in read.iter_mut().zip(&chunk.segments) {
                prompt.add_layer((k, v), segment.start, &model.config);
            }
        })?;
        let mut logits = vec![0.0; groups.len() * vocab];
        self.model.head.logits(tape.selected(), groups.len(), &mut logits);
        let rows = logits.chunks_exact(vocab);
        for ((prompt, (_, n)), logits) in read.into_iter().zip(groups).zip(rows) {
            let prompt = self.keep(prompt);
            for _ in 0..*n {
                let slot = self.free.pop().expect("no more rows than announced");
                self.rows.push(Row { prompt, slot, len: 0 });
                self.logits.extend_from_slice(logits);
            }
        }
        Ok(())
    }

    /// Puts a prompt where none is, and says where.
    fn keep(&mut self, prompt: Prompt) -> usize {
        let unused = self.prompts.iter().position(|p| p.len == 0);
        let at = unused.unwrap_or(self.prompts.len());
        match self.prompts.get_mut(at) {
            Some(place) => *place = prompt,
            None => self.prompts.push(prompt),
        }
        at
    }

    /// Rows still being decoded, in the order in which they were opened.
    pub fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// The logits for the next token of a row.
    pub fn logits(&self, row: usize) -> &[f32] {
        let vocab = self.model.config.vocab_size;
        &self.logits[row * vocab..][..vocab]
    }

    /// The log-prob of `token` as the next of a row, with the bits of [`Model::forward`].
    pub fn log_prob(&self, row: usize, token: u32, temperature: f32) -> f32 {
        let inverse = 1.0 / temperature;
        let logits = self.logits(row);
        logits[token as usize] * inverse - log_softmax_stats(logits, inverse).log_sum_exp
    }

    /// The log of the softmax's denominator for a row at `temperature`.
    pub fn log_sum_exp(&self, row: usize, temperature: f32) -> f32 {
        log_softmax_stats(self.logits(row), 1.0 / temperature).log_sum_exp
    }

    /// Drops the rows for which `keep` is false. Call before [`Decoder::step`], whose tokens
    /// are those of the rows that stay.
    pub fn retain(&mut self, keep: &[bool]) {
        let mut keep = keep.iter();
        let free = &mut self.free;
        self.rows.retain(|row| {
            let stays = keep.next().copied().unwrap_or(false);
            if !stays {
                free.push(row.slot);
            }
            stays
        });
        for (i, prompt) in self.prompts.iter_mut().enumerate() {
            if !self.rows.iter().any(|row| row.prompt == i) {
                *prompt = Prompt::default();
            }
        }
    }

    /// Feeds one token to each row and computes the logits of the next.
    ///
    /// # Panics
    /// If there is not one token a row, or a row is fed more tokens than announced.
    pub fn step(&mut self, tokens: &[u32]) {
        assert_eq!(tokens.len(), self.rows.len(), "one token a row");
        let model = self.model;
        let c = &model.config;
        let (n, d) = (tokens.len(), c.hidden_size);
        self.s.resize(n, c);
        for (x, token) in self.s.x.chunks_exact_mut(d).zip(tokens) {
            model.embed(*token, x);
        }
        for layer in 0..c.num_hidden_layers {
            self.block(layer, n);
        }
        for row in &mut self.rows {
            row.len += 1;
        }
        let s = &mut self.s;
        let norm = model.weight(&model.places.norm);
        rms_norm(&s.x, norm, c.rms_norm_eps as f32, &mut s.normed, &mut s.rstd);
        self.logits.resize(n * c.vocab_size, 0.0);
        model.head.logits(&s.normed, n, &mut self.logits);
    }

    fn block(&mut self, layer: usize, n: usize) {
        let model = self.model;
        let (at, w) = (&model.places.layers[layer], &model.linears[layer]);
        let eps = model.config.rms_norm_eps as f32;
        let s = &mut self.s;
        rms_norm(&s.x, model.weight(&at.norm1), eps, &mut s.normed, &mut s.rstd);
        w.q.write(&s.normed, model.bias(&at.q), &mut s.q, n, &mut s.low);
        w.k.write(&s.normed, model.bias(&at.k), &mut s.k, n, &mut s.low);
        w.v.write(&s.normed, model.bias(&at.v), &mut s.v, n, &mut s.low);
        self.normalise_and_rotate(layer);
        self.remember(layer);
        self.attend(layer);
        let s = &mut self.s;
        w.o.add(&s.attended, model.bias(&at.o), &mut s.x, n, &mut s.low);
        rms_norm(&s.x, model.weight(&at.norm2), eps, &mut s.normed, &mut s.rstd);
        w.gate.write(&s.normed, model.bias(&at.gate), &mut s.gate, n, &mut s.low);
        w.up.write(&s.normed, model.bias(&at.up), &mut s.up, n, &mut s.low);
        swiglu(&s.gate, &s.up, &mut s.hidden);
        w.down.add(&s.hidden, model.bias(&at.down), &mut s.x, n, &mut s.low);
    }

    /// The norms of queries and keys, where the family has them, and their rotation.
    fn normalise_and_rotate(&mut self, layer: usize) {
        let (model, s) = (self.model, &mut self.s);
        let c = &model.config;
        if let Some((q_norm, k_norm)) = &model.places.layers[layer].qk_norm {
            for (x, norm) in [(&mut s.q, q_norm), (&mut s.k, k_norm)] {
                s.raw.clone_from(x);
                s.rstd_heads.resize(x.len() / c.head_dim, 0.0);
                let eps = c.rms_norm_eps as f32;
                rms_norm(&s.raw, model.weight(norm), eps, x, &mut s.rstd_heads);
            }
        }
        let (dq, dk) = (c.q_size(), c.kv_size());
        for (i, row) in self.rows.iter().enumerate() {
            let position = self.prompts[row.prompt].len + row.len;
            model.rope.apply(&mut s.q[i * dq..][..dq], position);
            model.rope.apply(&mut s.k[i * dk..][..dk], position);
        }
    }

    /// Where the own keys (transposed) and values of a row's head begin.
    fn own(&self, row: Row, layer: usize, head: usize) -> (usize, usize) {
        let c = &self.model.config;
        let heads = c.num_hidden_layers * c.num_key_value_heads;
        let index = row.slot * heads + layer * c.num_key_value_heads + head;
        let d = c.head_dim;
        (index * d * self.capacity, index * self.capacity * round_up(d, NR))
    }

    /// Adds this step's keys and values to the rows' caches.
    fn remember(&mut self, layer: usize) {
        let c = &self.model.config;
        let (d, kv) = (c.head_dim, c.kv_size());
        for (i, row) in self.rows.iter().enumerate() {
            assert!(row.len < self.capacity, "a row stays within its tokens");
            for head in 0..c.num_key_value_heads {
                let (keys, values) = self.own(*row, layer, head);
                let at = i * kv + head * d;
                for (j, x) in self.s.k[at..at + d].iter().enumerate() {
                    self.keys_t[keys + j * self.capacity + row.len] = *x;
                }
                let values = values + row.len * round_up(d, NR);
                self.values[values..values + d].copy_from_slice(&self.s.v[at..at + d]);
            }
        }
    }

    /// Attention of every row: to its prompt together with the rows that share it, to its own
    /// tokens alone. The score of a row's head `h` at key `j` is `probs[(row, h, j)]`.
    fn attend(&mut self, layer: usize) {
        let c = &self.model.config;
        let (d, ldq) = (c.head_dim, c.q_size());
        let heads = c.num_attention_heads;
        let group = heads / c.num_key_value_heads;
        let scale = 1.0 / (d as f32).sqrt();
        let longest = self.prompts.iter().map(|p| p.len).max().unwrap_or(0);
        let ld = round_up(longest, NR) + self.capacity + NR;
        let mut s = std::mem::take(&mut self.s);
        s.probs.resize(self.rows.len() * heads * ld, 0.0);
        let mut r0 = 0;
        for run in self.rows.chunk_by(|a, b| a.prompt == b.prompt) {
            let prompt = &self.prompts[run[0].prompt];
            let shared = |h: usize| layer * c.num_key_value_heads + h / group;
            for h in 0..heads {
                let queries = View::rows(&s.q[r0 * ldq + h * d..], ldq);
                let probs = &mut s.probs[(r0 * heads + h) * ld..];
                let keys = prompt.keys_t[shared(h)].rhs();
                gemm(probs, heads * ld, (run.len(), prompt.len, d), queries, keys, false);
            }
            for (i, row) in run.iter().enumerate() {
                let r = r0 + i;
                for head in 0..c.num_key_value_heads {
                    let queries = View::rows(&s.q[r * ldq + head * group * d..], d);
                    let at = (r * heads + head * group) * ld + prompt.len;
                    let (keys, _) = self.own(*row, layer, head);
                    let keys = &self.keys_t[keys..keys + d * self.capacity];
                    let n = round_up(row.len + 1, NR);
                    let keys = Rhs::in_place(keys, self.capacity);
                    gemm(&mut s.probs[at..], ld, (group, n, d), queries, keys, false);
                }
                for probs in s.probs[r * heads * ld..][..heads * ld].chunks_exact_mut(ld) {
                    softmax(&mut probs[..prompt.len + row.len + 1], scale);
                }
            }
            for h in 0..heads {
                let probs = View::rows(&s.probs[(r0 * heads + h) * ld..], heads * ld);
                let out = &mut s.attended[r0 * ldq + h * d..];
                let values = prompt.values[shared(h)].rhs();
                gemm(out, ldq, (run.len(), d, prompt.len), probs, values, false);
            }
            for (i, row) in run.iter().enumerate() {
                let r = r0 + i;
                for head in 0..c.num_key_value_heads {
                    let at = (r * heads + head * group) * ld + prompt.len;
                    let probs = View::rows(&s.probs[at..], ld);
                    let (_, values) = self.own(*row, layer, head);
                    let wide = round_up(d, NR);
                    let values = &self.values[values..values + self.capacity * wide];
                    let values = Rhs::in_place(values, wide);
                    let out = &mut s.attended[r * ldq + head * group * d..];
                    gemm(out, d, (group, d, row.len + 1), probs, values, true);
                }
            }
            r0 += run.len();
        }
        self.s = s;
    }
}
