//! The operations written down as their formulas: plain loops in f64, nothing packed, nothing
//! fused. The second implementation of the seam, and a reference for the kernels of the first.

use std::{borrow::Cow, ops::Range};

use model::{
    Ops, Precision,
    seam::{
        CacheShape, Follows, Found, Heads, Mask, Out, Part, PartMut, Product, RowsOf, Seat, Span,
        Stats, Table, TargetSlopes,
    },
};

#[derive(Debug, Clone)]
pub(crate) struct Naive;

/// Floats that only this file can look into.
#[derive(Debug, Clone, Default)]
pub(crate) struct Floats(Box<[f64]>);

#[derive(Debug, Clone, Default)]
pub(crate) struct Matrix {
    output: usize,
    input: usize,
    w: Vec<f64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Angles {
    frequencies: Vec<f32>,
    factor: f64,
}

#[derive(Debug, Default)]
pub(crate) struct Rows {
    positions: Vec<usize>,
    spans: Vec<Span>,
}

/// Keys and values, `[layer][place]`, of prompts and of sequences.
#[derive(Debug)]
pub(crate) struct Cache {
    shape: CacheShape,
    prompts: Vec<Vec<[Vec<f64>; 2]>>,
    own: Vec<Vec<[Vec<f64>; 2]>>,
    seats: Vec<Seat>,
}

fn part<'a>((of, at): Part<'a, Naive>) -> &'a [f64] {
    &of.0[at.clone()]
}

fn part_mut<'a>((of, at): PartMut<'a, Naive>) -> &'a mut [f64] {
    &mut of.0[at.clone()]
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn softmax(mut x: Vec<f64>) -> Vec<f64> {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    x.iter_mut().for_each(|x| *x = (*x - max).exp());
    let sum: f64 = x.iter().sum();
    x.iter().map(|x| x / sum).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Width of the rows of `x`, if it has so many.
fn width(x: &Floats, rows: usize) -> usize {
    assert!(x.0.len().is_multiple_of(rows));
    x.0.len() / rows
}

/// One head of a row.
fn head(x: &[f64], row: usize, heads: usize, h: usize, dim: usize) -> &[f64] {
    &x[(row * heads + h) * dim..][..dim]
}

/// The rows that a span attends to, in the order of positions.
fn seen(spans: &[Span], at: usize) -> Vec<usize> {
    let span = spans[at];
    let mut rows = if span.before > 0 { seen(spans, span.after) } else { Vec::new() };
    rows.truncate(span.before);
    rows.extend(span.start..span.start + span.len);
    rows
}

/// Attention of one head of one query to keys and values; also its probabilities.
fn attend_one(q: &[f64], keys: &[&[f64]], values: &[&[f64]], scale: f64) -> (Vec<f64>, Vec<f64>) {
    let p = softmax(keys.iter().map(|k| scale * dot(q, k)).collect());
    let out = (0..q.len()).map(|i| p.iter().zip(values).map(|(p, v)| p * v[i]).sum()).collect();
    (out, p)
}

fn rotate(angles: &Angles, rows: &Rows, x: &mut Floats, sign: f64) {
    let width = width(x, rows.positions.len());
    let half = angles.frequencies.len();
    for (x, position) in x.0.chunks_mut(width).zip(&rows.positions) {
        for head in x.chunks_mut(2 * half) {
            for i in 0..half {
                // The angle is a product in f32, as checkpoints were trained with.
                let angle = f64::from(*position as f32 * angles.frequencies[i]);
                let (sin, cos) = (sign * angles.factor * angle.sin(), angles.factor * angle.cos());
                let (a, b) = (head[i], head[half + i]);
                (head[i], head[half + i]) = (a * cos - b * sin, b * cos + a * sin);
            }
        }
    }
}

/// `(input, output)`-wise products of the rows of `x` with a matrix.
fn product(w: &Matrix, x: &[f64], rows: usize) -> Vec<f64> {
    assert_eq!(x.len(), rows * w.input);
    let rows = x.chunks(w.input);
    rows.flat_map(|x| w.w.chunks(w.input).map(move |w| dot(x, w))).collect()
}

fn put(from: impl IntoIterator<Item = f64>, to: &mut [f64], out: Out) {
    for (from, to) in from.into_iter().zip(to) {
        *to = if out == Out::Write { from } else { *to + from };
    }
}

impl Ops for Naive {
    type Buffer = Floats;
    type Matrix = Matrix;
    type Packed = ();
    type Angles = Angles;
    type Rows = Rows;
    type Cache = Cache;
    type Scratch = ();

    /// What nobody wrote shows.
    fn resize(&self, x: &mut Floats, len: usize) {
        x.0 = vec![f64::NAN; len].into();
    }

    fn zero(&self, x: &mut Floats, len: usize) {
        x.0 = vec![0.0; len].into();
    }

    fn copy(&self, from: &Floats, to: &mut Floats) {
        to.0 = from.0.clone();
    }

    fn scale(&self, x: &mut Floats, by: f32) {
        x.0.iter_mut().for_each(|x| *x *= f64::from(by));
    }

    fn read<'a>(&self, x: &'a Floats) -> Cow<'a, [f32]> {
        x.0.iter().map(|x| *x as f32).collect()
    }

    fn edit(&self, x: &mut Floats, change: impl FnOnce(&mut [f32])) {
        let mut host = self.read(x).into_owned();
        change(&mut host);
        x.0 = host.into_iter().map(f64::from).collect();
    }

    fn embed(&self, table: Table<'_, Self>, tokens: &[u32], x: &mut Floats) {
        let width = width(x, tokens.len());
        let table = match table {
            Table::Weights(weights) => part(weights),
            Table::Matrix(matrix) => &matrix.w,
        };
        for (token, x) in tokens.iter().zip(x.0.chunks_mut(width)) {
            x.copy_from_slice(&table[*token as usize * width..][..width]);
        }
    }

    fn embed_backward(&self, dx: &Floats, tokens: &[u32], dtable: PartMut<'_, Self>) {
        let width = width(dx, tokens.len());
        let dtable = part_mut(dtable);
        for (i, token) in tokens.iter().enumerate() {
            for j in 0..width {
                dtable[*token as usize * width + j] += dx.0[i * width + j];
            }
        }
    }

    fn gather(&self, from: &Floats, rows: &[usize], to: &mut Floats) {
        let width = width(to, rows.len());
        to.0 = rows.iter().flat_map(|r| from.0[r * width..][..width].to_vec()).collect();
    }

    fn scatter(&self, from: &Floats, rows: &[usize], to: &mut Floats) {
        let width = width(from, rows.len());
        for (row, from) in rows.iter().zip(from.0.chunks(width)) {
            to.0[row * width..][..width].copy_from_slice(from);
        }
    }

    fn add_rows(&self, dy: &Floats, dbias: PartMut<'_, Self>) {
        let dbias = part_mut(dbias);
        for (i, dy) in dy.0.iter().enumerate() {
            dbias[i % dbias.len()] += dy;
        }
    }

    fn add_multiples(&self, dx: &mut Floats, rows: &[usize], by: &[f32], direction: &[f32]) {
        for (row, by) in rows.iter().zip(by) {
            for (j, w) in direction.iter().enumerate() {
                dx.0[row * direction.len() + j] += f64::from(*by) * f64::from(*w);
            }
        }
    }

    fn drop_out(&self, (x, rows): RowsOf<'_, Self>, mask: Mask<'_>, to: &mut Floats, out: Out) {
        let width = width(x, rows);
        let kept = x.0.iter().enumerate().map(|(i, x)| {
            let keeps = Mask::keeps(mask.key(i / width), i % width, mask.rate);
            if keeps { x * f64::from(mask.scale()) } else { 0.0 }
        });
        put(kept, &mut to.0, out);
    }

    fn pack(&self, to: &mut Matrix, from: Part<'_, Self>, shape: (usize, usize), scale: f32) {
        let w: Vec<f64> = part(from).iter().map(|x| x * f64::from(scale)).collect();
        assert_eq!(w.len(), shape.0 * shape.1);
        *to = Matrix { output: shape.0, input: shape.1, w };
    }

    /// The rows are already rounded to what the CPU holds.
    fn freeze(&self, rows: &[f32], shape: (usize, usize), _: Precision) -> Matrix {
        let w = rows.iter().copied().map(f64::from).collect();
        Matrix { output: shape.0, input: shape.1, w }
    }

    fn apply(&self, (x, rows): RowsOf<'_, Self>, products: &mut [Product<'_, Self>]) {
        for Product { w, bias, y, out } in products {
            let mut found = product(w, &x.0, rows);
            if let Some(bias) = bias {
                found.iter_mut().zip(part(*bias).iter().cycle()).for_each(|(y, b)| *y += b);
            }
            put(found, &mut y.0, *out);
        }
    }

    fn pull(&self, dy: RowsOf<'_, Self>, products: &mut [Product<'_, Self>]) {
        for Product { w, bias, y, out } in products {
            let column =
                |j: usize| w.w.iter().skip(j).step_by(w.input).copied().collect::<Vec<f64>>();
            let turned = (0..w.input).flat_map(column).collect();
            let turned = Matrix { output: w.input, input: w.output, w: turned };
            self.apply(dy, &mut [Product { w: &turned, bias: *bias, y, out: *out }]);
        }
    }

    fn pack_rows(&self, _: RowsOf<'_, Self>, (): &mut ()) {}

    fn weigh(
        &self,
        w: &Matrix,
        (dy, rows): RowsOf<'_, Self>,
        (x, _): (&Floats, Option<&()>),
        dw: PartMut<'_, Self>,
        (): &mut (),
    ) {
        let dw = part_mut(dw);
        for r in 0..rows {
            for o in 0..w.output {
                for i in 0..w.input {
                    dw[o * w.input + i] += dy.0[r * w.output + o] * x.0[r * w.input + i];
                }
            }
        }
    }

    fn rms_norm(
        &self,
        x: &Floats,
        weight: Part<'_, Self>,
        eps: f32,
        y: &mut Floats,
        rstd: &mut Floats,
    ) {
        let w = part(weight);
        for (r, x) in x.0.chunks(w.len()).enumerate() {
            rstd.0[r] = 1.0 / (dot(x, x) / w.len() as f64 + f64::from(eps)).sqrt();
            let of = x.iter().zip(w).map(|(x, w)| x * rstd.0[r] * w);
            put(of, &mut y.0[r * w.len()..], Out::Write);
        }
    }

    fn rms_norm_backward(
        &self,
        (x, weight, rstd): (&Floats, Part<'_, Self>, &Floats),
        dy: &Floats,
        dx: &mut Floats,
        dweight: Option<PartMut<'_, Self>>,
        (): &mut (),
    ) {
        let w = part(weight);
        let d = w.len();
        let mut dw = vec![0.0; d];
        for (r, rstd) in rstd.0.iter().enumerate() {
            let (x, dy) = (&x.0[r * d..][..d], &dy.0[r * d..][..d]);
            let inner: f64 = (0..d).map(|i| dy[i] * w[i] * x[i]).sum();
            for i in 0..d {
                dx.0[r * d + i] += dy[i] * w[i] * rstd - x[i] * rstd.powi(3) * inner / d as f64;
                dw[i] += dy[i] * x[i] * rstd;
            }
        }
        if let Some(wanted) = dweight {
            put(dw, part_mut(wanted), Out::Add);
        }
    }

    fn swiglu(&self, gate: &Floats, up: &Floats, h: &mut Floats) {
        let of = gate.0.iter().zip(&up.0).map(|(g, u)| g * sigmoid(*g) * u);
        put(of, &mut h.0, Out::Write);
    }

    fn swiglu_backward(&self, gate: &mut Floats, up: &mut Floats, dh: &Floats) {
        for i in 0..dh.0.len() {
            let (g, u) = (gate.0[i], up.0[i]);
            let s = sigmoid(g);
            gate.0[i] = dh.0[i] * u * (s + g * s * (1.0 - s));
            up.0[i] = dh.0[i] * g * s;
        }
    }

    fn angles(&self, frequencies: Vec<f32>, factor: f64, _: usize) -> Angles {
        Angles { frequencies, factor }
    }

    fn place(&self, rows: &mut Rows, positions: &[usize], spans: &[Span]) {
        *rows = Rows { positions: positions.to_vec(), spans: spans.to_vec() };
    }

    fn rotate(&self, angles: &Angles, rows: &Rows, x: &mut Floats) {
        rotate(angles, rows, x, 1.0);
    }

    fn rotate_back(&self, angles: &Angles, rows: &Rows, x: &mut Floats) {
        rotate(angles, rows, x, -1.0);
    }

    fn attend(
        &self,
        [q, k, v]: [&Floats; 3],
        o: &mut Floats,
        heads: Heads,
        rows: &Rows,
        (): &mut (),
    ) {
        let (n, n_kv, d) = (heads.query, heads.kv, heads.dim);
        for (at, span) in rows.spans.iter().enumerate() {
            for i in 0..span.len {
                let row = span.start + i;
                let seen = &seen(&rows.spans, at)[..=span.before + i];
                for h in 0..n {
                    let of = |x: &'_ Floats| -> Vec<Vec<f64>> {
                        let kv = h * n_kv / n;
                        seen.iter().map(|s| head(&x.0, *s, n_kv, kv, d).to_vec()).collect()
                    };
                    let (keys, values) = (of(k), of(v));
                    let keys: Vec<&[f64]> = keys.iter().map(|x| &x[..]).collect();
                    let values: Vec<&[f64]> = values.iter().map(|x| &x[..]).collect();
                    let q = head(&q.0, row, n, h, d);
                    let (out, _) = attend_one(q, &keys, &values, f64::from(heads.scale()));
                    put(out, &mut o.0[(row * n + h) * d..], Out::Write);
                }
            }
        }
    }

    fn attend_backward(
        &self,
        [q, k, v]: [&Floats; 3],
        d_o: &Floats,
        [dq, dk, dv]: [&mut Floats; 3],
        (heads, rows): (Heads, &Rows),
        (): &mut (),
    ) {
        let (n, n_kv, d) = (heads.query, heads.kv, heads.dim);
        let scale = f64::from(heads.scale());
        dq.0.fill(0.0);
        let spans = rows.spans.iter().enumerate();
        for (at, span, i) in spans.flat_map(|(at, s)| (0..s.len).map(move |i| (at, s, i))) {
            let row = span.start + i;
            let seen = &seen(&rows.spans, at)[..=span.before + i];
            for h in 0..n {
                let kv = h * n_kv / n;
                let keys: Vec<&[f64]> = seen.iter().map(|s| head(&k.0, *s, n_kv, kv, d)).collect();
                let values: Vec<&[f64]> =
                    seen.iter().map(|s| head(&v.0, *s, n_kv, kv, d)).collect();
                let (q, d_o) = (head(&q.0, row, n, h, d), head(&d_o.0, row, n, h, d));
                let (_, p) = attend_one(q, &keys, &values, scale);
                let dp: Vec<f64> = values.iter().map(|v| dot(d_o, v)).collect();
                let mean = dot(&p, &dp);
                for (j, s) in seen.iter().enumerate() {
                    let ds = p[j] * (dp[j] - mean) * scale;
                    let at = (s * n_kv + kv) * d;
                    for c in 0..d {
                        dq.0[(row * n + h) * d + c] += ds * keys[j][c];
                        dk.0[at + c] += ds * q[c];
                        dv.0[at + c] += p[j] * d_o[c];
                    }
                }
            }
        }
    }

    fn cache(&self, shape: CacheShape) -> Cache {
        let own = vec![vec![[Vec::new(), Vec::new()]; shape.layers]; shape.slots];
        Cache { shape, prompts: Vec::new(), own, seats: Vec::new() }
    }

    fn hold_prompt(
        &self,
        cache: &mut Cache,
        (prompt, layer): (usize, usize),
        kv: [&Floats; 2],
        rows: Range<usize>,
    ) {
        let width = cache.shape.heads.kv * cache.shape.heads.dim;
        let layers = vec![[Vec::new(), Vec::new()]; cache.shape.layers];
        cache.prompts.resize(cache.prompts.len().max(prompt + 1), layers);
        cache.prompts[prompt][layer] =
            kv.map(|x| x.0[rows.start * width..rows.end * width].to_vec());
    }

    fn drop_prompt(&self, cache: &mut Cache, prompt: usize) {
        cache.prompts[prompt].fill([Vec::new(), Vec::new()]);
    }

    fn fork(&self, cache: &mut Cache, from: Seat, to: usize) {
        cache.own[to] = cache.own[from.slot].clone();
    }

    fn seat(&self, cache: &mut Cache, seats: &[Seat]) {
        cache.seats = seats.to_vec();
    }

    fn append(&self, cache: &mut Cache, layer: usize, kv: [&Floats; 2]) {
        let width = cache.shape.heads.kv * cache.shape.heads.dim;
        for (i, seat) in cache.seats.iter().enumerate() {
            assert!(seat.len < cache.shape.new_tokens);
            for (own, x) in cache.own[seat.slot][layer].iter_mut().zip(kv) {
                // A place that another sequence had begins anew.
                own.truncate(seat.len * width);
                own.extend_from_slice(&x.0[i * width..][..width]);
            }
        }
    }

    fn attend_cached(&self, cache: &mut Cache, layer: usize, q: &Floats, o: &mut Floats) {
        let Heads { query: n, kv: n_kv, dim: d } = cache.shape.heads;
        for (i, seat) in cache.seats.iter().enumerate() {
            let (prompt, own) = (&cache.prompts[seat.prompt][layer], &cache.own[seat.slot][layer]);
            let [keys, values] = [0, 1].map(|at| [&prompt[at][..], &own[at][..]].concat());
            for h in 0..n {
                let of = |x: &'_ [f64]| -> Vec<Vec<f64>> {
                    let rows = 0..x.len() / (n_kv * d);
                    rows.map(|row| head(x, row, n_kv, h * n_kv / n, d).to_vec()).collect()
                };
                let (keys, values) = (of(&keys), of(&values));
                let keys: Vec<&[f64]> = keys.iter().map(|x| &x[..]).collect();
                let values: Vec<&[f64]> = values.iter().map(|x| &x[..]).collect();
                let scale = f64::from(cache.shape.heads.scale());
                let (out, _) = attend_one(head(&q.0, i, n, h, d), &keys, &values, scale);
                put(out, &mut o.0[(i * n + h) * d..], Out::Write);
            }
        }
    }

    fn logits(
        &self,
        head: &Matrix,
        (x, rows): RowsOf<'_, Self>,
        logits: &mut Vec<f32>,
        (): &mut (),
    ) {
        *logits = product(head, &x.0, rows).into_iter().map(|x| x as f32).collect();
    }

    fn log_probs(
        &self,
        (head, x): (&Matrix, &Floats),
        targets: &[(usize, u32)],
        (inverse_temperature, _): (f32, Follows),
        found: &mut Found,
        (): &mut (),
    ) {
        let rows: Vec<Vec<f64>> =
            x.0.chunks(head.input).map(|x| log_softmax(head, x, inverse_temperature)).collect();
        found.stats.clear();
        found.stats.extend(rows.iter().map(|row| Stats {
            // Nobody reads it.
            log_sum_exp: f32::NAN,
            entropy: -row.iter().map(|l| l.exp() * l).sum::<f64>() as f32,
        }));
        found.log_probs.clear();
        found.log_probs.extend(targets.iter().map(|(row, t)| rows[*row][*t as usize] as f32));
    }

    fn log_probs_backward(
        &self,
        (head, x): (&Matrix, &Floats),
        targets: &[TargetSlopes],
        (inverse_temperature, _): (f32, &[Stats]),
        (dx, dhead): (&mut Floats, Option<PartMut<'_, Self>>),
        (): &mut (),
    ) {
        let rows = width(x, 1) / head.input;
        let mut dlogits = Floats(vec![0.0; rows * head.output].into());
        let each = x.0.chunks(head.input).zip(dlogits.0.chunks_mut(head.output));
        for (r, (x, dlogits)) in each.enumerate() {
            let log_p = log_softmax(head, x, inverse_temperature);
            let entropy = -log_p.iter().map(|l| l.exp() * l).sum::<f64>();
            for ((_, token), (g, h)) in targets.iter().filter(|t| t.0.0 == r) {
                for (j, l) in log_p.iter().enumerate() {
                    let hit = f64::from(u8::from(j == *token as usize));
                    let by_log_prob = f64::from(*g) * (hit - l.exp());
                    let by_entropy = -f64::from(*h) * l.exp() * (l + entropy);
                    dlogits[j] += (by_log_prob + by_entropy) * f64::from(inverse_temperature);
                }
            }
        }
        self.pull((&dlogits, rows), &mut [Product::plain(head, dx, Out::Write)]);
        if let Some(dhead) = dhead {
            self.weigh(head, (&dlogits, rows), (x, None), dhead, &mut ());
        }
    }
}

/// The log-softmax of the logits of a row.
fn log_softmax(head: &Matrix, x: &[f64], inverse_temperature: f32) -> Vec<f64> {
    let logits = product(head, x, 1);
    softmax(logits.iter().map(|l| l * f64::from(inverse_temperature)).collect())
        .into_iter()
        .map(f64::ln)
        .collect()
}
