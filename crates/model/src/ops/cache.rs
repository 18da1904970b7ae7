//! Keys and values on the CPU: those of prompts, each in panels that all its rows share, and
//! those of sequences being decoded, a place of fixed size for each.

use std::ops::Range;

use super::{
    NR, Panels, Rhs, View, gemm,
    parts::rows_each,
    round_up,
    seam::{CacheShape, Heads, Seat},
    softmax,
};
use crate::team::each;

/// Keys and values of a prompt, one entry for each layer and key-value head.
#[derive(Debug, Default)]
struct Prompt {
    len: usize,
    keys_t: Vec<Panels>,
    values: Vec<Panels>,
}

/// A cache of keys and values.
#[derive(Debug)]
pub struct Cache {
    layers: usize,
    heads: Heads,
    /// Tokens that a sequence's place can hold, a multiple of [`NR`].
    capacity: usize,
    prompts: Vec<Prompt>,
    seats: Vec<Seat>,
    keys_t: Vec<f32>,
    values: Vec<f32>,
    /// The score of a row's head `h` at key `j` is `probs[(row, h, j)]`.
    probs: Vec<f32>,
}

impl Cache {
    pub(super) fn new(shape: CacheShape) -> Self {
        let CacheShape { layers, heads, slots, new_tokens } = shape;
        let capacity = round_up(new_tokens, NR);
        let places = slots * layers * heads.kv;
        Self {
            layers,
            heads,
            capacity,
            prompts: Vec::new(),
            seats: Vec::with_capacity(slots),
            keys_t: vec![0.0; places * heads.dim * capacity],
            values: vec![0.0; places * capacity * round_up(heads.dim, NR)],
            probs: Vec::new(),
        }
    }

    /// Keeps rows `rows` of a layer's keys and values; layers come in order.
    pub(super) fn hold_prompt(&mut self, prompt: usize, [k, v]: [&[f32]; 2], rows: Range<usize>) {
        if self.prompts.len() <= prompt {
            self.prompts.resize_with(prompt + 1, Prompt::default);
        }
        let prompt = &mut self.prompts[prompt];
        let (d, ld) = (self.heads.dim, self.heads.kv * self.heads.dim);
        prompt.len = rows.len();
        for head in 0..self.heads.kv {
            let at = rows.start * ld + head * d;
            let (mut keys_t, mut values) = (Panels::default(), Panels::default());
            keys_t.pack(View::transposed(&k[at..], ld), d, prompt.len);
            values.pack(View::rows(&v[at..], ld), prompt.len, d);
            prompt.keys_t.push(keys_t);
            prompt.values.push(values);
        }
    }

    pub(super) fn drop_prompt(&mut self, prompt: usize) {
        if let Some(held) = self.prompts.get_mut(prompt) {
            *held = Prompt::default();
        }
    }

    /// Copies a sequence's own keys and values to the place `to`.
    pub(super) fn fork(&mut self, from: Seat, to: usize) {
        let d = self.heads.dim;
        for layer in 0..self.layers {
            for head in 0..self.heads.kv {
                let (keys, values) = self.own(from.slot, layer, head);
                let (keys_to, values_to) = self.own(to, layer, head);
                for row in (0..d * self.capacity).step_by(self.capacity) {
                    let own = keys + row..keys + row + from.len;
                    self.keys_t.copy_within(own, keys_to + row);
                }
                let own = values..values + from.len * round_up(d, NR);
                self.values.copy_within(own, values_to);
            }
        }
    }

    pub(super) fn seat(&mut self, seats: &[Seat]) {
        self.seats.clear();
        self.seats.extend_from_slice(seats);
    }

    /// Where the own keys (transposed) and values of a head of the sequence at a place begin.
    fn own(&self, slot: usize, layer: usize, head: usize) -> (usize, usize) {
        let (kv, d) = (self.heads.kv, self.heads.dim);
        let index = (slot * self.layers + layer) * kv + head;
        (index * d * self.capacity, index * self.capacity * round_up(d, NR))
    }

    /// Appends a layer's keys and values, a row for each seat.
    pub(super) fn append(&mut self, layer: usize, [k, v]: [&[f32]; 2]) {
        let (d, ld) = (self.heads.dim, self.heads.kv * self.heads.dim);
        for i in 0..self.seats.len() {
            let seat = self.seats[i];
            assert!(seat.len < self.capacity, "a row stays within its tokens");
            for head in 0..self.heads.kv {
                let (keys, values) = self.own(seat.slot, layer, head);
                let at = i * ld + head * d;
                for (j, x) in k[at..at + d].iter().enumerate() {
                    self.keys_t[keys + j * self.capacity + seat.len] = *x;
                }
                let values = values + seat.len * round_up(d, NR);
                self.values[values..values + d].copy_from_slice(&v[at..at + d]);
            }
        }
    }

    /// Attention of every row: to its prompt together with the rows that share it, to its own
    /// tokens alone.
    pub(super) fn attend(&mut self, layer: usize, q: &[f32], o: &mut [f32]) {
        let longest = self.prompts.iter().map(|p| p.len).max().unwrap_or(0);
        let ld = round_up(longest, NR) + self.capacity + NR;
        let mut probs = std::mem::take(&mut self.probs);
        probs.resize(self.seats.len() * self.heads.query * ld, 0.0);
        let Heads { query: heads, dim, .. } = self.heads;
        let part = rows_each(self.seats.len(), heads * dim * (longest + self.capacity));
        let runs =
            self.seats.chunk_by(|a, b| a.prompt == b.prompt).flat_map(|run| run.chunks(part));
        let (mut rest, mut q, mut o) = (&mut probs[..], q, o);
        let parts = runs.map(|run| {
            let n = run.len() * heads;
            let mine = rest.split_off_mut(..n * ld).expect("a place for each score");
            let q = q.split_off(..n * dim).expect("queries of each row");
            let o = o.split_off_mut(..n * dim).expect("room for each row");
            (run, q, mine, o)
        });
        each(parts, |(run, q, probs, o)| {
            self.score(layer, run, q, (probs, ld));
            self.mix(layer, run, (probs, ld), o);
        });
        self.probs = probs;
    }

    /// The probabilities of a run of rows that share a prompt.
    fn score(&self, layer: usize, run: &[Seat], q: &[f32], (probs, ld): (&mut [f32], usize)) {
        let Heads { query: heads, kv, dim: d } = self.heads;
        let (ldq, group) = (heads * d, heads / kv);
        let prompt = &self.prompts[run[0].prompt];
        for h in 0..heads {
            let queries = View::rows(&q[h * d..], ldq);
            let keys = prompt.keys_t[layer * kv + h / group].rhs();
            let shape = (run.len(), prompt.len, d);
            gemm(&mut probs[h * ld..], heads * ld, shape, queries, keys, false);
        }
        for (r, seat) in run.iter().enumerate() {
            for head in 0..kv {
                let queries = View::rows(&q[r * ldq + head * group * d..], d);
                let at = (r * heads + head * group) * ld + prompt.len;
                let (keys, _) = self.own(seat.slot, layer, head);
                let keys = &self.keys_t[keys..keys + d * self.capacity];
                let n = round_up(seat.len + 1, NR);
                let keys = Rhs::in_place(keys, self.capacity);
                gemm(&mut probs[at..], ld, (group, n, d), queries, keys, false);
            }
            for probs in probs[r * heads * ld..][..heads * ld].chunks_exact_mut(ld) {
                softmax(probs, prompt.len + seat.len + 1, self.heads.scale());
            }
        }
    }

    /// The values of a run of rows, mixed by their probabilities.
    fn mix(&self, layer: usize, run: &[Seat], (probs, ld): (&[f32], usize), o: &mut [f32]) {
        let Heads { query: heads, kv, dim: d } = self.heads;
        let (ldq, group) = (heads * d, heads / kv);
        let prompt = &self.prompts[run[0].prompt];
        for h in 0..heads {
            let probs = View::rows(&probs[h * ld..], heads * ld);
            let values = prompt.values[layer * kv + h / group].rhs();
            gemm(&mut o[h * d..], ldq, (run.len(), d, prompt.len), probs, values, false);
        }
        for (r, seat) in run.iter().enumerate() {
            for head in 0..kv {
                let at = (r * heads + head * group) * ld + prompt.len;
                let probs = View::rows(&probs[at..], ld);
                let (_, values) = self.own(seat.slot, layer, head);
                let wide = round_up(d, NR);
                let values = &self.values[values..values + self.capacity * wide];
                let values = Rhs::in_place(values, wide);
                let out = &mut o[r * ldq + head * group * d..];
                gemm(out, d, (group, d, seat.len + 1), probs, values, true);
            }
        }
    }
}
