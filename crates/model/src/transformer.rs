//! The transformer: one explicit forward and one explicit backward over a chunk of tokens.
//!
//! A chunk packs sequences of any length with no padding. Sequences that share a prompt hold
//! it once: a segment may name an earlier segment as its prefix. All arithmetic is that of
//! [`Ops`]; nothing here looks into a buffer.

use std::ops::Range;

use crate::{
    Chunk, Model, ModelError, Ops, Slopes, Tape,
    layout::LinearPlace,
    linear::{Linear, LowScratch, Lows, Work},
    seam::{Follows, Heads, Out, PartMut, Product, RowsOf},
    tape::{Hidden, Keep, LayerTape},
};

/// A linear layer, where its weights are, and the gradient of its output.
type Pulled<'a, O> = (&'a Linear<<O as Ops>::Matrix>, &'a LinearPlace, &'a <O as Ops>::Buffer);

impl<O: Ops> Model<O> {
    /// Runs a chunk and leaves the log-prob and entropy of each target in the tape, at
    /// `temperature` (logits are divided by it).
    ///
    /// # Errors
    /// If a token or a length is out of range.
    pub fn forward(
        &self,
        chunk: &Chunk,
        temperature: f32,
        tape: &mut Tape<O>,
    ) -> Result<(), ModelError> {
        self.forward_dropping(chunk, temperature, &[], tape)
    }

    /// As [`Model::forward`], with the dropout of the adapter, if it has any. What it drops
    /// depends on `keys` (one a segment; empty for no dropout) and on positions in sequences.
    ///
    /// # Errors
    /// As [`Model::forward`].
    ///
    /// # Panics
    /// If there is neither none nor one key a segment.
    pub fn forward_dropping(
        &self,
        chunk: &Chunk,
        temperature: f32,
        keys: &[u64],
        tape: &mut Tape<O>,
    ) -> Result<(), ModelError> {
        tape.draw_from(chunk, keys);
        tape.work.low.off = false;
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
        tape: &mut Tape<O>,
    ) -> Result<(), ModelError> {
        self.read(chunk, temperature, tape, |_, _, _| {})
    }

    /// As [`Model::score`], and shows each layer's keys (rotated) and values.
    pub(crate) fn read(
        &self,
        chunk: &Chunk,
        temperature: f32,
        tape: &mut Tape<O>,
        see: impl FnMut(usize, &O::Buffer, &O::Buffer),
    ) -> Result<(), ModelError> {
        tape.draw_from(chunk, &[]);
        tape.work.low.off = false;
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
        tape: &mut Tape<O>,
    ) -> Result<(), ModelError> {
        tape.work.low.off = true;
        self.run(chunk, temperature, Keep::Nothing, tape, |_, _, _| {})
    }

    /// The last states of the last forward pass, brought to the host.
    pub fn hidden<'t>(&self, tape: &'t Tape<O>) -> Hidden<'t> {
        Hidden {
            states: self.ops.read(&tape.stream.selected),
            places: &tape.ends.places,
            width: self.config.hidden_size,
        }
    }

    fn run(
        &self,
        chunk: &Chunk,
        temperature: f32,
        keep: Keep,
        tape: &mut Tape<O>,
        mut see: impl FnMut(usize, &O::Buffer, &O::Buffer),
    ) -> Result<(), ModelError> {
        chunk.check(&self.config)?;
        let layers = self.config.num_hidden_layers;
        self.prepare(chunk, keep, tape);
        for layer in 0..layers {
            if keep == Keep::Inputs {
                self.ops.copy(&tape.stream.x, &mut tape.inputs[layer]);
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
        grads: &mut O::Buffer,
        tape: &mut Tape<O>,
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
        grads: &mut O::Buffer,
        tape: &mut Tape<O>,
    ) {
        let n = chunk.targets.len();
        assert_eq!(slopes.log_probs.len(), n, "one derivative a target");
        for others in [slopes.entropies, slopes.hidden.0] {
            assert!([0, n].contains(&others.len()), "one derivative a target");
        }
        assert!(tape.kept, "a forward pass comes before, one that keeps what this one needs");
        assert!(self.adapter.is_some() || !self.is_frozen(), "a frozen model learns by an adapter");
        self.finish_backward(chunk.tokens.len(), 1.0 / temperature, slopes, grads, tape);
        let n = chunk.tokens.len();
        for layer in (0..self.config.num_hidden_layers).rev() {
            let place = if tape.recompute { 0 } else { layer };
            if tape.recompute {
                std::mem::swap(&mut tape.stream.x, &mut tape.inputs[layer]);
                self.block(layer, place, n, tape);
            }
            self.feed_forward_backward(layer, place, grads, tape);
            self.attention_backward(layer, place, grads, tape);
        }
        if self.adapter.is_none() {
            self.ops.embed_backward(&tape.stream.dx, &chunk.tokens, (grads, &self.places.embed));
        }
    }

    pub(crate) fn heads(&self) -> Heads {
        Heads {
            query: self.config.num_attention_heads,
            kv: self.config.num_key_value_heads,
            dim: self.config.head_dim,
        }
    }

    pub(crate) fn eps(&self) -> f32 {
        self.config.rms_norm_eps as f32
    }

    fn prepare(&self, chunk: &Chunk, keep: Keep, tape: &mut Tape<O>) {
        let layers = self.config.num_hidden_layers;
        let (held, inputs) = match keep {
            Keep::All => (layers, 0),
            Keep::Inputs => (1, layers),
            Keep::Nothing => (1, 0),
        };
        tape.kept = keep != Keep::Nothing;
        tape.layers.resize_with(held.max(tape.layers.len()), LayerTape::default);
        tape.inputs.resize_with(inputs.max(tape.inputs.len()), O::Buffer::default);
        let (positions, spans) = tape.ends.place(chunk);
        self.ops.place(&mut tape.rows, positions, spans);
        let x = &mut tape.stream.x;
        self.ops.resize(x, chunk.tokens.len() * self.config.hidden_size);
        self.ops.embed(self.table(), &chunk.tokens, x);
    }

    /// Runs a block on `n` tokens. Its activations go to `place` of the tape.
    fn block(&self, layer: usize, place: usize, n: usize, tape: &mut Tape<O>) {
        let (c, ops, eps) = (&self.config, &self.ops, self.eps());
        let (d, f) = (c.hidden_size, c.intermediate_size);
        let (at, w) = (&self.places.layers[layer], &self.linears[layer]);
        let (t, x, low) = (&mut tape.layers[place], &mut tape.stream.x, &mut tape.work.low);
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
            ops.resize(buffer, n * width);
        }
        // The next copy writes all of `x` again.
        std::mem::swap(x, &mut t.input);
        ops.rms_norm(&t.input, self.weight(&at.norm1), eps, &mut t.norm1, &mut t.rstd1);
        self.queries_keys_values(layer, n, &tape.rows, t, low);
        let (qkv, scratch) = ([&t.q, &t.k, &t.v], &mut tape.work.scratch);
        ops.attend(qkv, &mut t.attended, self.heads(), &tape.rows, scratch);
        ops.copy(&t.input, &mut t.middle);
        let to = (&mut t.middle, Out::Add);
        w.o.apply(ops, self.bias(&at.o), (&t.attended, n), to, (&mut t.lows, low));
        ops.rms_norm(&t.middle, self.weight(&at.norm2), eps, &mut t.norm2, &mut t.rstd2);
        for (linear, at, y) in [(&w.gate, &at.gate, &mut t.gate), (&w.up, &at.up, &mut t.up)] {
            let to = (y, Out::Write);
            linear.apply(ops, self.bias(at), (&t.norm2, n), to, (&mut t.lows, low));
        }
        ops.swiglu(&t.gate, &t.up, &mut t.hidden);
        ops.copy(&t.middle, x);
        let to = (x, Out::Add);
        w.down.apply(ops, self.bias(&at.down), (&t.hidden, n), to, (&mut t.lows, low));
    }

    /// Queries, keys and values of a block: normalised head by head where the family does
    /// that, rotated to their positions.
    fn queries_keys_values(
        &self,
        layer: usize,
        n: usize,
        rows: &O::Rows,
        t: &mut LayerTape<O::Buffer>,
        low: &mut LowScratch<O>,
    ) {
        let (c, ops) = (&self.config, &self.ops);
        let (dq, dk) = (c.q_size(), c.kv_size());
        let (at, w) = (&self.places.layers[layer], &self.linears[layer]);
        for (linear, at, y, width) in
            [(&w.q, &at.q, &mut t.q, dq), (&w.k, &at.k, &mut t.k, dk), (&w.v, &at.v, &mut t.v, dk)]
        {
            ops.resize(y, n * width);
            let to = (y, Out::Write);
            linear.apply(ops, self.bias(at), (&t.norm1, n), to, (&mut t.lows, low));
        }
        if let Some((q_norm, k_norm)) = &at.qk_norm {
            for (x, raw, rstd, norm, width) in [
                (&mut t.q, &mut t.raw_q, &mut t.rstd_q, q_norm, dq),
                (&mut t.k, &mut t.raw_k, &mut t.rstd_k, k_norm, dk),
            ] {
                ops.copy(x, raw);
                ops.resize(rstd, n * width / c.head_dim);
                ops.rms_norm(raw, self.weight(norm), self.eps(), x, rstd);
            }
        }
        ops.rotate(&self.angles, rows, &mut t.q);
        ops.rotate(&self.angles, rows, &mut t.k);
    }

    /// Takes the gradient of a block's output, which is also that of its middle through the
    /// residual, back to its middle.
    fn feed_forward_backward(
        &self,
        layer: usize,
        place: usize,
        grads: &mut O::Buffer,
        tape: &mut Tape<O>,
    ) {
        let (ops, n) = (&self.ops, tape.ends.n_rows());
        let (at, w) = (&self.places.layers[layer], &self.linears[layer]);
        let (t, s) = (&mut tape.layers[place], &mut tape.stream);
        ops.resize(&mut s.dhidden, n * self.config.intermediate_size);
        let parts = [(&w.down, &at.down, &s.dx)];
        let of = ((&t.hidden, n), &t.lows);
        self.linears_backward(&parts, of, &mut s.dhidden, grads, &mut tape.work);
        ops.swiglu_backward(&mut t.gate, &mut t.up, &s.dhidden);
        ops.resize(&mut s.dmid, n * self.config.hidden_size);
        let parts = [(&w.gate, &at.gate, &t.gate), (&w.up, &at.up, &t.up)];
        let of = ((&t.norm2, n), &t.lows);
        self.linears_backward(&parts, of, &mut s.dmid, grads, &mut tape.work);
        let norm = (&t.middle, self.weight(&at.norm2), &t.rstd2);
        let dw = self.norm_grads(&at.norm2, grads);
        ops.rms_norm_backward(norm, &s.dmid, &mut s.dx, dw, &mut tape.work.scratch);
    }

    /// Takes the gradient of a block's middle back to its input.
    fn attention_backward(
        &self,
        layer: usize,
        place: usize,
        grads: &mut O::Buffer,
        tape: &mut Tape<O>,
    ) {
        let (c, ops, n) = (&self.config, &self.ops, tape.ends.n_rows());
        let (dq, dk) = (n * c.q_size(), n * c.kv_size());
        let (at, w) = (&self.places.layers[layer], &self.linears[layer]);
        let (t, s) = (&mut tape.layers[place], &mut tape.stream);
        ops.resize(&mut s.dmid, dq);
        let parts = [(&w.o, &at.o, &s.dx)];
        let of = ((&t.attended, n), &t.lows);
        self.linears_backward(&parts, of, &mut s.dmid, grads, &mut tape.work);
        ops.resize(&mut s.dq, dq);
        ops.zero(&mut s.dk, dk);
        ops.zero(&mut s.dv, dk);
        let dqkv = [&mut s.dq, &mut s.dk, &mut s.dv];
        let rows = (self.heads(), &tape.rows);
        ops.attend_backward([&t.q, &t.k, &t.v], &s.dmid, dqkv, rows, &mut tape.work.scratch);
        self.queries_keys_backward(layer, place, grads, tape);
        let (t, s) = (&mut tape.layers[place], &mut tape.stream);
        ops.resize(&mut s.dmid, n * c.hidden_size);
        let parts = [(&w.q, &at.q, &s.dq), (&w.k, &at.k, &s.dk), (&w.v, &at.v, &s.dv)];
        let of = ((&t.norm1, n), &t.lows);
        self.linears_backward(&parts, of, &mut s.dmid, grads, &mut tape.work);
        let norm = (&t.input, self.weight(&at.norm1), &t.rstd1);
        let dw = self.norm_grads(&at.norm1, grads);
        ops.rms_norm_backward(norm, &s.dmid, &mut s.dx, dw, &mut tape.work.scratch);
    }

    /// Takes the gradients of queries and keys back through rotation and norms.
    fn queries_keys_backward(
        &self,
        layer: usize,
        place: usize,
        grads: &mut O::Buffer,
        tape: &mut Tape<O>,
    ) {
        let (c, ops, n) = (&self.config, &self.ops, tape.ends.n_rows());
        let (t, s) = (&mut tape.layers[place], &mut tape.stream);
        ops.rotate_back(&self.angles, &tape.rows, &mut s.dq);
        ops.rotate_back(&self.angles, &tape.rows, &mut s.dk);
        let Some((q_norm, k_norm)) = &self.places.layers[layer].qk_norm else { return };
        // The rotated queries and keys are not needed any more: their memory takes the result.
        for (dy, dx, raw, rstd, norm, width) in [
            (&mut s.dq, &mut t.q, &t.raw_q, &t.rstd_q, q_norm, c.q_size()),
            (&mut s.dk, &mut t.k, &t.raw_k, &t.rstd_k, k_norm, c.kv_size()),
        ] {
            ops.zero(dx, n * width);
            let dw = self.norm_grads(norm, grads);
            let of = (raw, self.weight(norm), rstd);
            ops.rms_norm_backward(of, dy, dx, dw, &mut tape.work.scratch);
            std::mem::swap(dy, dx);
        }
    }

    /// Takes the gradients of the outputs of linear layers back to the rows that all of them read
    /// (`of`, with what their updates made of them), and adds to `grads` what they say about the
    /// weights, or about the adapter's where the model learns by one.
    fn linears_backward(
        &self,
        parts: &[Pulled<'_, O>],
        ((x, n), lows): (RowsOf<'_, O>, &Lows<O::Buffer>),
        dx: &mut O::Buffer,
        grads: &mut O::Buffer,
        work: &mut Work<O>,
    ) {
        let ops = &self.ops;
        let learns = self.adapter.is_none();
        if learns {
            ops.pack_rows((x, n), &mut work.packed);
        }
        for (i, (linear, at, dy)) in parts.iter().enumerate() {
            let out = if i == 0 { Out::Write } else { Out::Add };
            if !learns {
                linear.backward(ops, (dy, n), (x, lows), ((dx, out), grads), work);
                continue;
            }
            let (x, dw) = ((x, Some(&work.packed)), (&mut *grads, &at.weight));
            ops.weigh(&linear.matrix, (dy, n), x, dw, &mut work.scratch);
            if let Some(bias) = &at.bias {
                ops.add_rows(dy, (grads, bias));
            }
            ops.pull((dy, n), &mut [Product::plain(&linear.matrix, dx, out)]);
        }
    }

    /// Where the gradient of a norm goes: nowhere, where the model learns by an adapter.
    fn norm_grads<'g>(
        &self,
        at: &'g Range<usize>,
        grads: &'g mut O::Buffer,
    ) -> Option<PartMut<'g, O>> {
        self.adapter.is_none().then_some((grads, at))
    }

    /// The final norm and the output layer, on the rows that have targets.
    fn finish(&self, chunk: &Chunk, inverse_temperature: f32, tape: &mut Tape<O>) {
        let (ops, d, n) = (&self.ops, self.config.hidden_size, chunk.tokens.len());
        let (s, ends) = (&mut tape.stream, &mut tape.ends);
        ops.resize(&mut s.normed, n * d);
        ops.resize(&mut s.rstd, n);
        let weight = self.weight(&self.places.norm);
        ops.rms_norm(&s.x, weight, self.eps(), &mut s.normed, &mut s.rstd);
        ends.sort(chunk);
        ops.resize(&mut s.selected, ends.rows.len() * d);
        ops.gather(&s.normed, &ends.rows, &mut s.selected);
        let of = (&self.head, &s.selected);
        let scratch = &mut tape.work.scratch;
        let follows = match (tape.kept, &self.adapter) {
            (false, _) => Follows::Nothing,
            (true, Some(_)) => Follows::Rows,
            (true, None) => Follows::RowsAndHead,
        };
        let at = (inverse_temperature, follows);
        ops.log_probs(of, &ends.targets, at, &mut ends.found, scratch);
        ends.unsort();
    }

    fn finish_backward(
        &self,
        n: usize,
        inverse_temperature: f32,
        slopes: Slopes<'_>,
        grads: &mut O::Buffer,
        tape: &mut Tape<O>,
    ) {
        let (ops, d) = (&self.ops, self.config.hidden_size);
        let (s, ends) = (&mut tape.stream, &mut tape.ends);
        ends.sort_slopes(slopes);
        ops.resize(&mut s.dmid, ends.rows.len() * d);
        let dhead = self.adapter.is_none().then_some((&mut *grads, &self.places.head));
        let (of, at) = ((&self.head, &s.selected), (inverse_temperature, &ends.found.stats[..]));
        let scratch = &mut tape.work.scratch;
        ops.log_probs_backward(of, &ends.slopes, at, (&mut s.dmid, dhead), scratch);
        let (dvalues, direction) = slopes.hidden;
        ops.add_multiples(&mut s.dmid, &ends.places, dvalues, direction);
        ops.zero(&mut s.dq, n * d);
        ops.scatter(&s.dmid, &ends.rows, &mut s.dq);
        ops.zero(&mut s.dx, n * d);
        let norm = (&s.x, self.weight(&self.places.norm), &s.rstd);
        let dw = self.norm_grads(&self.places.norm, grads);
        ops.rms_norm_backward(norm, &s.dq, &mut s.dx, dw, scratch);
    }
}
