//! One token at a time, for many rows at once, from a cache of keys and values.
//!
//! Rows that sample from the same prompt share its cache and attend to it together. What several
//! samples have in common can be one row until they differ, when it goes on as several. A row that
//! is finished leaves, and another prompt can be admitted in its place while the others go on.

use crate::{
    Chunk, Cpu, Model, ModelError, Ops, Tape,
    linear::{LowScratch, Lows},
    ops::{log_softmax_stats, token_at},
    seam::{CacheShape, Out, Seat},
};

/// Most prompt tokens that are read at once, but for a longer prompt: their activations stay near the caches.
pub(crate) const PREFILL_TOKENS: usize = 1024;

/// Decodes rows in lockstep.
#[derive(Debug)]
pub struct Decoder<'m, O: Ops = Cpu> {
    model: &'m Model<O>,
    /// Tokens of each prompt; 0 where no row needs it any more.
    prompts: Vec<usize>,
    /// The rows, and how many tokens were decoded and fed so far.
    rows: Vec<Seat>,
    /// The rows of the step before.
    before: Vec<Seat>,
    /// Places of caches that no row has.
    free: Vec<usize>,
    /// Most new tokens of a row.
    max_tokens: usize,
    cache: O::Cache,
    logits: Vec<f32>,
    positions: Vec<usize>,
    /// Where the rows of this step stand.
    at: O::Rows,
    s: Step<O::Buffer>,
    low: LowScratch<O>,
    lows: Lows<O::Buffer>,
    scratch: O::Scratch,
}

/// The activations of a step.
#[derive(Debug, Default)]
struct Step<B> {
    x: B,
    normed: B,
    rstd: B,
    q: B,
    k: B,
    v: B,
    attended: B,
    gate: B,
    up: B,
    hidden: B,
    /// Queries or keys before their norm, and the norm's factors.
    raw: B,
    rstd_heads: B,
}

/// The distribution of the next token of a row, at some temperature.
#[derive(Debug, Clone, Copy)]
pub struct Next<'d> {
    /// One a token, not divided by the temperature.
    pub logits: &'d [f32],
    inverse: f32,
    log_sum_exp: f32,
}

impl Next<'_> {
    /// The log-prob of `token`, with the bits of [`Model::forward`].
    pub fn log_prob(&self, token: u32) -> f32 {
        self.logits[token as usize] * self.inverse - self.log_sum_exp
    }

    /// The token that the number `at`, evenly drawn between 0 and 1, chooses.
    pub fn draw(&self, at: f64) -> u32 {
        token_at(self.logits, self.inverse, self.log_sum_exp, at) as u32
    }
}

impl<'m, O: Ops> Decoder<'m, O> {
    /// Reads each prompt once and opens `n` rows on it, for at most `max_tokens` new tokens.
    ///
    /// # Errors
    /// If a prompt is empty, too long, or holds a token out of range.
    pub fn start(
        model: &'m Model<O>,
        groups: &[(&[u32], usize)],
        max_tokens: usize,
        tape: &mut Tape<O>,
    ) -> Result<Self, ModelError> {
        let mut decoder = Self::new(model, groups.iter().map(|g| g.1).sum(), max_tokens);
        decoder.admit(groups, tape)?;
        Ok(decoder)
    }

    /// A decoder for at most `rows_max` rows at a time, of at most `max_tokens` new tokens each.
    pub fn new(model: &'m Model<O>, rows_max: usize, max_tokens: usize) -> Self {
        let (layers, heads) = (model.config.num_hidden_layers, model.heads());
        let shape = CacheShape { layers, heads, slots: rows_max, new_tokens: max_tokens };
        Self {
            model,
            prompts: Vec::new(),
            rows: Vec::with_capacity(rows_max),
            before: Vec::with_capacity(rows_max),
            free: (0..rows_max).rev().collect(),
            max_tokens,
            cache: model.ops.cache(shape),
            logits: Vec::with_capacity(rows_max * model.config.vocab_size),
            positions: Vec::with_capacity(rows_max),
            at: O::Rows::default(),
            s: Step::default(),
            low: LowScratch::<O>::default(),
            lows: Lows::<O::Buffer>::default(),
            scratch: O::Scratch::default(),
        }
    }

    /// Says what of a prompt with `max_tokens` new tokens a model cannot read.
    ///
    /// # Errors
    /// If it is empty, too long, or holds a token out of range.
    pub fn check(model: &Model<O>, prompt: &[u32], max_tokens: usize) -> Result<(), ModelError> {
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
    pub fn admit(
        &mut self,
        groups: &[(&[u32], usize)],
        tape: &mut Tape<O>,
    ) -> Result<(), ModelError> {
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
    fn read(&mut self, groups: &[(&[u32], usize)], tape: &mut Tape<O>) -> Result<(), ModelError> {
        let mut chunk = Chunk::default();
        for (prompt, _) in groups {
            chunk.push(prompt, None);
            chunk.targets.push((chunk.tokens.len() - 1, 0));
        }
        let places: Vec<usize> = groups.iter().map(|(prompt, _)| self.keep(prompt.len())).collect();
        let (model, cache) = (self.model, &mut self.cache);
        model.read(&chunk, 1.0, tape, |layer, k, v| {
            for (prompt, segment) in places.iter().zip(&chunk.segments) {
                let rows = segment.start..segment.start + segment.len;
                model.ops.hold_prompt(cache, (*prompt, layer), [k, v], rows);
            }
        })?;
        let mut logits = Vec::new();
        let selected = (&tape.stream.selected, groups.len());
        model.ops.logits(&model.head, selected, &mut logits, &mut self.scratch);
        let rows = logits.chunks_exact(model.config.vocab_size);
        for ((prompt, (_, n)), logits) in places.into_iter().zip(groups).zip(rows) {
            for _ in 0..*n {
                let slot = self.free.pop().expect("no more rows than announced");
                self.rows.push(Seat { prompt, slot, len: 0 });
                self.logits.extend_from_slice(logits);
            }
        }
        Ok(())
    }

    /// Puts a prompt of `len` tokens where none is, and says where.
    fn keep(&mut self, len: usize) -> usize {
        let unused = self.prompts.iter().position(|len| *len == 0);
        let at = unused.unwrap_or(self.prompts.len());
        self.prompts.resize(self.prompts.len().max(at + 1), 0);
        self.prompts[at] = len;
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

    /// What may come next in a row, at `temperature`.
    pub fn next(&self, row: usize, temperature: f32) -> Next<'_> {
        let (logits, inverse) = (self.logits(row), 1.0 / temperature);
        Next { logits, inverse, log_sum_exp: log_softmax_stats(logits, inverse).log_sum_exp }
    }

    /// Says how many rows go on from each: none from one that has ended, several from one whose
    /// samples differ from here on. They come in the order of the rows that they are from. Call before
    /// [`Decoder::step`], which feeds each its own token.
    ///
    /// # Panics
    /// If there is not one number a row, or there are more rows than announced.
    pub fn branch(&mut self, into: &[usize]) {
        assert_eq!(into.len(), self.rows.len(), "one number a row");
        let ended = self.rows.iter().zip(into).filter(|(_, n)| **n == 0);
        self.free.extend(ended.map(|(row, _)| row.slot));
        self.before.clear();
        std::mem::swap(&mut self.before, &mut self.rows);
        for (row, n) in self.before.iter().zip(into) {
            for twin in 0..*n {
                let mut seat = *row;
                if twin > 0 {
                    seat.slot = self.free.pop().expect("no more rows than announced");
                    self.model.ops.fork(&mut self.cache, *row, seat.slot);
                }
                self.rows.push(seat);
            }
        }
        for (i, len) in self.prompts.iter_mut().enumerate() {
            if *len > 0 && !self.rows.iter().any(|row| row.prompt == i) {
                *len = 0;
                self.model.ops.drop_prompt(&mut self.cache, i);
            }
        }
    }

    /// Feeds one token to each row and computes the logits of the next.
    ///
    /// # Panics
    /// If there is not one token a row, or a row is fed more tokens than announced.
    pub fn step(&mut self, tokens: &[u32]) {
        assert_eq!(tokens.len(), self.rows.len(), "one token a row");
        let (model, n) = (self.model, tokens.len());
        let (c, ops) = (&model.config, &model.ops);
        self.positions.clear();
        self.positions.extend(self.rows.iter().map(|row| self.prompts[row.prompt] + row.len));
        ops.place(&mut self.at, &self.positions, &[]);
        ops.seat(&mut self.cache, &self.rows);
        self.resize(n);
        ops.embed(model.table(), tokens, &mut self.s.x);
        for layer in 0..c.num_hidden_layers {
            self.block(layer, n);
        }
        for row in &mut self.rows {
            row.len += 1;
        }
        let s = &mut self.s;
        let norm = model.weight(&model.places.norm);
        ops.rms_norm(&s.x, norm, model.eps(), &mut s.normed, &mut s.rstd);
        ops.logits(&model.head, (&s.normed, n), &mut self.logits, &mut self.scratch);
    }

    /// Makes room for the activations of `n` rows.
    fn resize(&mut self, n: usize) {
        let (c, s) = (&self.model.config, &mut self.s);
        let (d, f) = (c.hidden_size, c.intermediate_size);
        for (buffer, width) in [
            (&mut s.x, d),
            (&mut s.normed, d),
            (&mut s.rstd, 1),
            (&mut s.q, c.q_size()),
            (&mut s.k, c.kv_size()),
            (&mut s.v, c.kv_size()),
            (&mut s.attended, c.q_size()),
            (&mut s.gate, f),
            (&mut s.up, f),
            (&mut s.hidden, f),
        ] {
            self.model.ops.resize(buffer, n * width);
        }
    }

    fn block(&mut self, layer: usize, n: usize) {
        let model = self.model;
        let (at, w, ops) = (&model.places.layers[layer], &model.linears[layer], &model.ops);
        let (s, eps) = (&mut self.s, model.eps());
        ops.rms_norm(&s.x, model.weight(&at.norm1), eps, &mut s.normed, &mut s.rstd);
        let parts = [(&w.q, &at.q, &mut s.q), (&w.k, &at.k, &mut s.k), (&w.v, &at.v, &mut s.v)];
        for (linear, at, y) in parts {
            let low = (&mut self.lows, &mut self.low);
            linear.apply(ops, model.bias(at), (&s.normed, n), (y, Out::Write), low);
        }
        self.normalise_and_rotate(layer, n);
        let (s, cache) = (&mut self.s, &mut self.cache);
        ops.append(cache, layer, [&s.k, &s.v]);
        ops.attend_cached(cache, layer, &s.q, &mut s.attended);
        let low = (&mut self.lows, &mut self.low);
        w.o.apply(ops, model.bias(&at.o), (&s.attended, n), (&mut s.x, Out::Add), low);
        ops.rms_norm(&s.x, model.weight(&at.norm2), eps, &mut s.normed, &mut s.rstd);
        for (linear, at, y) in [(&w.gate, &at.gate, &mut s.gate), (&w.up, &at.up, &mut s.up)] {
            let low = (&mut self.lows, &mut self.low);
            linear.apply(ops, model.bias(at), (&s.normed, n), (y, Out::Write), low);
        }
        ops.swiglu(&s.gate, &s.up, &mut s.hidden);
        let low = (&mut self.lows, &mut self.low);
        w.down.apply(ops, model.bias(&at.down), (&s.hidden, n), (&mut s.x, Out::Add), low);
    }

    /// The norms of queries and keys, where the family has them, and their rotation.
    fn normalise_and_rotate(&mut self, layer: usize, n: usize) {
        let (model, s) = (self.model, &mut self.s);
        let (c, ops) = (&model.config, &model.ops);
        if let Some((q_norm, k_norm)) = &model.places.layers[layer].qk_norm {
            for (x, norm, width) in
                [(&mut s.q, q_norm, c.q_size()), (&mut s.k, k_norm, c.kv_size())]
            {
                ops.copy(x, &mut s.raw);
                ops.resize(&mut s.rstd_heads, n * width / c.head_dim);
                ops.rms_norm(&s.raw, model.weight(norm), model.eps(), x, &mut s.rstd_heads);
            }
        }
        ops.rotate(&model.angles, &self.at, &mut s.q);
        ops.rotate(&model.angles, &self.at, &mut s.k);
    }
}
