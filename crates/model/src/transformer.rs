//! The transformer: one explicit forward and one explicit backward over a chunk of tokens.
//!
//! A chunk packs sequences of any length with no padding. Sequences that share a prompt hold
//! it once: a segment may name an earlier segment as its prefix.

use std::ops::Range;

use crate::{
    Chunk, Model, ModelError, Slopes, Tape,
    layout::LinearPlace,
    linear::{Linear, LowRankScratch},
    ops::{
        Heads, Panels, TargetSlopes, View, attend, attend_backward, rms_norm, rms_norm_backward,
        swiglu, swiglu_backward,
    },
    tape::{Keep, LayerTape},
};

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
        tape.low.off = false;
        let keep = if tape.recompute { Keep::Inputs } else { Keep::All };
        self.run(chunk, temperature, keep, tape, |_, _, _| {})
    }

    /// The same for when no backward pass follows: nothing is kept for one.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn score(
        &self,
        chunk: &Chunk,
        temperature: f32,
        tape: &mut Tape,
    ) -> Result<(), ModelError> {
        self.read(chunk, temperature, tape, |_, _, _| {})
    }

    /// As [`Model::score`], and shows each layer's keys (rotated) and values.
    pub(crate) fn read(
        &self,
        chunk: &Chunk,
        temperature: f32,
        tape: &mut Tape,
        see: impl FnMut(usize, &[f32], &[f32]),
    ) -> Result<(), ModelError> {
        tape.low.off = false;
        self.run(chunk, temperature, Keep::Nothing, tape, see)
    }

    /// The same with the adapter left out: the reference policy of a model that learns by one.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn forward_reference(
        &self,
        chunk: &Chunk,
        temperature: f32,
        tape: &mut Tape,
    ) -> Result<(), ModelError> {
        tape.low.off = true;
        self.run(chunk, temperature, Keep::Nothing, tape, |_, _, _| {})
    }

    fn run(
        &self,
        chunk: &Chunk,
        temperature: f32,
        keep: Keep,
        tape: &mut Tape,
        mut see: impl FnMut(usize, &[f32], &[f32]),
    ) -> Result<(), ModelError> {
        chunk.check(&self.config)?;
        let layers = self.config.num_hidden_layers;
        self.prepare(chunk, keep, tape);
        for layer in 0..layers {
            if keep == Keep::Inputs {
                tape.inputs[layer].clone_from(&tape.x);
            }
            let place = if keep == Keep::All { layer } else { 0 };
            self.block(layer, place, chunk.tokens.len(), tape);
            see(layer, &tape.layers[place].k, &tape.layers[place].v);
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
        assert!(tape.kept, "a forward pass comes before, one that keeps what this one needs");
        assert!(self.adapter.is_some() || !self.is_frozen(), "a frozen model learns by an adapter");
        self.finish_backward(chunk, 1.0 / temperature, slopes, grads, tape);
        let n = chunk.tokens.len();
        for layer in (0..self.config.num_hidden_layers).rev() {
            let place = if tape.recompute { 0 } else { layer };
            if tape.recompute {
                std::mem::swap(&mut tape.x, &mut tape.inputs[layer]);
                self.block(layer, place, n, tape);
            }
            self.block_backward(layer, place, grads, tape);
        }
        if self.adapter.is_some() {
            return;
        }
        let d = self.config.hidden_size;
        let dembed = &mut grads[self.places.embed.clone()];
        for (token, dx) in chunk.tokens.iter().zip(tape.dx.chunks_exact(d)) {
            add_columns(dx, &mut dembed[*token as usize * d..][..d]);
        }
    }

    fn heads(&self) -> Heads {
        Heads {
            query: self.config.num_attention_heads,
            kv: self.config.num_key_value_heads,
            dim: self.config.head_dim,
        }
    }

    fn prepare(&self, chunk: &Chunk, keep: Keep, tape: &mut Tape) {
        let d = self.config.hidden_size;
        let layers = self.config.num_hidden_layers;
        let (held, inputs) = match keep {
            Keep::All => (layers, 0),
            Keep::Inputs => (1, layers),
            Keep::Nothing => (1, 0),
        };
        tape.kept = keep != Keep::Nothing;
        tape.layers.resize_with(held.max(tape.layers.len()), LayerTape::default);
        tape.inputs.resize_with(inputs.max(tape.inputs.len()), Vec::new);
        tape.spans = chunk.spans();
        tape.positions.clear();
        for span in &tape.spans {
            tape.positions.extend(span.prefix.1..span.prefix.1 + span.len);
        }
        sized(&mut tape.x, chunk.tokens.len() * d);
        for (token, x) in chunk.tokens.iter().zip(tape.x.chunks_exact_mut(d)) {
            self.embed(*token, x);
        }
    }

    /// Runs a block, whose activations go to `place` of the tape.
    fn block(&self, layer: usize, place: usize, n: usize, tape: &mut Tape) {
        let c = &self.config;
        let (d, f) = (c.hidden_size, c.intermediate_size);
        let (at, w) = (&self.places.layers[layer], &self.linears[layer]);
        let t = &mut tape.layers[place];
        for (buffer, width) in [
            (&mut t.norm1, d),
            (&mut t.rstd1, 1),
            (&mut t.attended, c.q_size()),
            (&mut t.norm2, d),
            (&mut t.rstd2, 1),
            (&mut t.gate, f),
            (&mut t.up, f),
            (&mut t.hidden, f),
        ] {
            sized(buffer, n * width);
        }
        let (eps, low) = (c.rms_norm_eps as f32, &mut tape.low);
        t.input.clone_from(&tape.x);
        rms_norm(&t.input, self.weight(&at.norm1), eps, &mut t.norm1, &mut t.rstd1);
        self.queries_keys_values(layer, &tape.positions, t, low);
        let qkv = (&t.q[..], &t.k[..], &t.v[..]);
        attend(qkv, &mut t.attended, self.heads(), &tape.spans, &mut tape.attention);
        t.middle.clone_from(&t.input);
        w.o.add(&t.attended, self.bias(&at.o), &mut t.middle, n, low);
        rms_norm(&t.middle, self.weight(&at.norm2), eps, &mut t.norm2, &mut t.rstd2);
        w.gate.write(&t.norm2, self.bias(&at.gate), &mut t.gate, n, low);
        w.up.write(&t.norm2, self.bias(&at.up), &mut t.up, n, low);
        swiglu(&t.gate, &t.up, &mut t.hidden);
        tape.x.clone_from(&t.middle);
        w.down.add(&t.hidden, self.bias(&at.down), &mut tape.x, n, low);
    }

    /// Queries, keys and values of a block: normalised head by head where the family does
    /// that, rotated to their positions.
    fn queries_keys_values(
        &self,
        layer: usize,
        positions: &[usize],
        t: &mut LayerTape,
        low: &mut LowRankScratch,
    ) {
        let c = &self.config;
        let (n, dq, dk) = (positions.len(), c.q_size(), c.kv_size());
        let (at, w) = (&self.places.layers[layer], &self.linears[layer]);
        for (buffer, width) in [(&mut t.q, dq), (&mut t.k, dk), (&mut t.v, dk)] {
            sized(buffer, n * width);
        }
        w.q.write(&t.norm1, self.bias(&at.q), &mut t.q, n, low);
        w.k.write(&t.norm1, self.bias(&at.k), &mut t.k, n, low);
        w.v.write(&t.norm1, self.bias(&at.v), &mut t.v, n, low);
        if let Some((q_norm, k_norm)) = &at.qk_norm {
            let eps = c.rms_norm_eps as f32;
            for (x, raw, rstd, norm) in [
                (&mut t.q, &mut t.raw_q, &mut t.rstd_q, q_norm),
                (&mut t.k, &mut t.raw_k, &mut t.rstd_k, k_norm),
            ] {
                raw.clone_from(x);
                sized(rstd, x.len() / c.head_dim);
                rms_norm(raw, self.weight(norm), eps, x, rstd);
            }
        }
        for (i, position) in positions.iter().enumerate() {
            self.rope.apply(&mut t.q[i * dq..][..dq], *position);
            self.rope.apply(&mut t.k[i * dk..][..dk], *position);
        }
    }

    fn block_backward(&self, layer: usize, place: usize, grads: &mut [f32], tape: &mut Tape) {
        let n = tape.positions.len();
        let (at, w) = (&self.places.layers[layer], &self.linears[layer]);
        let (d, dq, f) =
            (self.config.hidden_size, self.config.q_size(), self.config.intermediate_size);
        let t = &mut tape.layers[place];
        let (packed, low) = (&mut tape.packed, &mut tape.low);

        // Feed-forward: dx is the gradient of the block's output and, through the residual,
        // of its middle.
        packed.pack(View::rows(&t.hidden, f), n, f);
        self.learn((&w.down, &at.down), &tape.dx, (&t.hidden, packed), grads, low);
        w.down.pull(&tape.dx, &mut t.hidden, (n, false), low);
        swiglu_backward(&mut t.gate, &mut t.up, &t.hidden);
        packed.pack(View::rows(&t.norm2, d), n, d);
        self.learn((&w.gate, &at.gate), &t.gate, (&t.norm2, packed), grads, low);
        self.learn((&w.up, &at.up), &t.up, (&t.norm2, packed), grads, low);
        sized(&mut tape.dmid, n * d.max(dq));
        w.gate.pull(&t.gate, &mut tape.dmid, (n, false), low);
        w.up.pull(&t.up, &mut tape.dmid, (n, true), low);
        let dw = self.norm_grads(&at.norm2, grads, &mut tape.spare);
        let norm2 = self.weight(&at.norm2);
        rms_norm_backward(&t.middle, norm2, &t.rstd2, &tape.dmid, &mut tape.dx, dw);

        // Attention.
        packed.pack(View::rows(&t.attended, dq), n, dq);
        self.learn((&w.o, &at.o), &tape.dx, (&t.attended, packed), grads, low);
        w.o.pull(&tape.dx, &mut tape.dmid, (n, false), low);
        sized(&mut tape.dq, t.q.len());
        for (buffer, like) in [(&mut tape.dk, &t.k), (&mut tape.dv, &t.v)] {
            buffer.clear();
            buffer.resize(like.len(), 0.0);
        }
        let qkv = (&t.q[..], &t.k[..], &t.v[..]);
        let dqkv = (&mut tape.dq[..], &mut tape.dk[..], &mut tape.dv[..]);
        let scratch = &mut tape.attention;
        attend_backward(qkv, &tape.dmid, dqkv, self.heads(), &tape.spans, scratch);
        self.queries_keys_backward(layer, place, grads, tape);
        let t = &mut tape.layers[place];
        let (packed, low) = (&mut tape.packed, &mut tape.low);
        packed.pack(View::rows(&t.norm1, d), n, d);
        let parts = [(&w.q, &at.q, &tape.dq), (&w.k, &at.k, &tape.dk), (&w.v, &at.v, &tape.dv)];
        for (i, (linear, place, dy)) in parts.into_iter().enumerate() {
            self.learn((linear, place), dy, (&t.norm1, packed), grads, low);
            linear.pull(dy, &mut tape.dmid, (n, i > 0), low);
        }
        let dw = self.norm_grads(&at.norm1, grads, &mut tape.spare);
        let norm1 = self.weight(&at.norm1);
        rms_norm_backward(&t.input, norm1, &t.rstd1, &tape.dmid, &mut tape.dx, dw);
    }

    /// Takes the gradients of queries and keys back through rotation and norms.
    fn queries_keys_backward(
        &self,
        layer: usize,
        place: usize,
        grads: &mut [f32],
        tape: &mut Tape,
    ) {
        let (dq, dk) = (self.config.q_size(), self.config.kv_size());
        for (i, position) in tape.positions.iter().enumerate() {
            self.rope.apply_backward(&mut tape.dq[i * dq..][..dq], *position);
            self.rope.apply_backward(&mut tape.dk[i * dk..][..dk], *position);
        }
        let Some((q_norm, k_norm)) = &self.places.layers[layer].qk_norm else { return };
        // The rotated queries and keys are not needed any more: their memory takes the result.
        let t = &mut tape.layers[place];
        for (dy, dx, raw, rstd, norm) in [
            (&mut tape.dq, &mut t.q, &t.raw_q, &t.rstd_q, q_norm),
            (&mut tape.dk, &mut t.k, &t.raw_k, &t.rstd_k, k_norm),
        ] {
            dx.fill(0.0);
            let dw = self.norm_grads(norm, grads, &mut tape.spare);
            rms_norm_backward(raw, self.weight(norm), rstd, dy, dx, dw);
            std::mem::swap(dy, dx);
        }
    }

    /// Adds to `grads` what `dy`, the gradient of a linear layer's output, says about its
    /// weights, or about the adapter's where the model learns by one.
    fn learn(
        &self,
        (linear, at): (&Linear, &LinearPlace),
        dy: &[f32],
        (x, packed): (&[f32], &Panels),
        grads: &mut [f32],
        low: &mut LowRankScratch,
    ) {
        let n = dy.len() / at.output;
        if self.adapter.is_some() {
            linear.weigh_update(dy, (x, packed), grads, n, low);
            return;
        }
        linear.weigh(dy, packed, &mut grads[at.weight.clone()], n);
        if let Some(bias) = &at.bias {
            add_columns(dy, &mut grads[bias.clone()]);
        }
    }

    /// Where the gradient of a norm goes: nowhere, where the model learns by an adapter.
    fn norm_grads<'g>(
        &self,
        at: &Range<usize>,
        grads: &'g mut [f32],
        spare: &'g mut Vec<f32>,
    ) -> &'g mut [f32] {
        if self.adapter.is_none() {
            return &mut grads[at.clone()];
        }
        sized(spare, at.len());
        spare
    }

    /// The final norm and the output layer, on the rows that have targets.
    fn finish(&self, chunk: &Chunk, inverse_temperature: f32, tape: &mut Tape) {
        let d = self.config.hidden_size;
        let n = chunk.tokens.len();
        sized(&mut tape.normed, n * d);
        sized(&mut tape.rstd, n);
        let eps = self.config.rms_norm_eps as f32;
        let weight = self.weight(&self.places.norm);
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
        let dhead = self.adapter.is_none().then(|| &mut grads[self.places.head.clone()]);
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
        let weight = self.weight(&self.places.norm);
        let dweight = self.norm_grads(&self.places.norm, grads, &mut tape.spare);
        rms_norm_backward(&tape.x, weight, &tape.rstd, &dnormed, &mut tape.dx, dweight);
        tape.dmid = dselected;
        tape.dq = dnormed;
    }
}
