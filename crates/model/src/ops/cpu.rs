//! The operations on the CPU, each on the thread that asks for it: a buffer is a vector, and the
//! host reads it where it lies.

use std::{borrow::Cow, ops::Range};

use super::{
    Frozen, MatmulPrecision, Matrix, PackedRows, Precision,
    attention::{self, AttentionScratch},
    cache::Cache,
    dropout, grown,
    head::{self, HeadScratch},
    norm,
    parts::rows_each,
    rope::Rope,
    seam::{
        CacheShape, Follows, Found, Heads, Mask, Ops, Out, Part, PartMut, Product, RowsOf, Seat,
        Span, Stats, Table, TargetSlopes,
    },
    swiglu,
};
use crate::team::each;

/// The processor that this program runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    /// How exactly it multiplies the matrices of linear layers and the output layer.
    pub precision: MatmulPrecision,
}

impl Cpu {
    /// A matrix that does not learn, as it is held.
    pub(crate) fn hold(self, frozen: Frozen) -> Matrix {
        let mut matrix = Matrix::from(frozen);
        matrix.set_plan(self.precision.plan());
        matrix
    }
}

/// Where the rows of a pass stand and what they attend to.
#[derive(Debug, Default)]
pub struct Rows {
    positions: Vec<usize>,
    spans: Vec<Span>,
}

impl Rows {
    /// Calls `change` on each row of `x` with its position.
    fn each(&self, x: &mut [f32], change: impl Fn(&mut [f32], usize) + Sync) {
        let width = (x.len() / self.positions.len().max(1)).max(1);
        let part = rows_each(self.positions.len(), width);
        each(x.chunks_mut(part * width).zip(self.positions.chunks(part)), |(x, positions)| {
            x.chunks_exact_mut(width).zip(positions).for_each(|(x, position)| change(x, *position));
        });
    }
}

/// What the kernels need besides.
#[derive(Debug, Default)]
pub struct Scratch {
    attention: AttentionScratch,
    head: HeadScratch,
    /// Gradients that nobody wants: those of a frozen norm.
    spare: Vec<f32>,
    /// The gradient of a narrow matrix, transposed.
    turned: Vec<f32>,
}

fn part((of, at): Part<'_, Cpu>) -> &[f32] {
    &of[at.clone()]
}

fn part_mut((of, at): PartMut<'_, Cpu>) -> &mut [f32] {
    &mut of[at.clone()]
}

/// Adds the rows of `x`.
fn add_rows(x: &[f32], sum: &mut [f32]) {
    for row in x.chunks_exact(sum.len()) {
        sum.iter_mut().zip(row).for_each(|(s, x)| *s += x);
    }
}

/// Makes room for the bias of a product: it is what the product is added to.
fn add_bias(bias: &[f32], y: &mut [f32], rows: usize, out: Out) {
    let (width, part) = (bias.len(), rows_each(rows, bias.len()));
    each(y[..rows * width].chunks_mut(part * width), |y| {
        for row in y.chunks_exact_mut(width) {
            match out {
                Out::Write => row.copy_from_slice(bias),
                Out::Add => row.iter_mut().zip(bias).for_each(|(y, b)| *y += b),
            }
        }
    });
}

/// Products of rows with several matrices: with `W^T`, or with W where it is `plain`.
fn multiply((x, rows): RowsOf<'_, Cpu>, plain: bool, products: &mut [Product<'_, Cpu>]) {
    for Product { bias, y, out, .. } in &mut *products {
        if let Some(bias) = bias.take() {
            add_bias(part(bias), y, rows, *out);
            *out = Out::Add;
        }
    }
    if let [one, other] = products {
        let [one, other] = [one, other].map(|p| (p.w, &mut p.y[..], p.out == Out::Add));
        return Matrix::multiply_both(plain, (x, rows), one, other);
    }
    for Product { w, y, out, .. } in products {
        w.multiply(plain, (x, rows), y, *out == Out::Add);
    }
}

impl Ops for Cpu {
    type Buffer = Vec<f32>;
    type Matrix = Matrix;
    type Packed = PackedRows;
    type Angles = Rope;
    type Rows = Rows;
    type Cache = Cache;
    type Scratch = Scratch;

    fn resize(&self, x: &mut Vec<f32>, len: usize) {
        x.resize(len, 0.0);
    }

    fn zero(&self, x: &mut Vec<f32>, len: usize) {
        x.clear();
        x.resize(len, 0.0);
    }

    fn copy(&self, from: &Vec<f32>, to: &mut Vec<f32>) {
        to.clone_from(from);
    }

    fn scale(&self, x: &mut Vec<f32>, by: f32) {
        x.iter_mut().for_each(|x| *x *= by);
    }

    fn read<'a>(&self, x: &'a Vec<f32>) -> Cow<'a, [f32]> {
        Cow::Borrowed(x)
    }

    fn edit(&self, x: &mut Vec<f32>, change: impl FnOnce(&mut [f32])) {
        change(x);
    }

    fn embed(&self, table: Table<'_, Self>, tokens: &[u32], x: &mut Vec<f32>) {
        let width = (x.len() / tokens.len().max(1)).max(1);
        for (token, x) in tokens.iter().zip(x.chunks_exact_mut(width)) {
            let token = *token as usize;
            match table {
                Table::Matrix(matrix) => {
                    matrix.row(token, x);
                }
                Table::Weights(weights) => {
                    x.copy_from_slice(&part(weights)[token * width..][..width]);
                }
            }
        }
    }

    fn embed_backward(&self, dx: &Vec<f32>, tokens: &[u32], dtable: PartMut<'_, Self>) {
        let width = (dx.len() / tokens.len().max(1)).max(1);
        let dtable = part_mut(dtable);
        for (token, dx) in tokens.iter().zip(dx.chunks_exact(width)) {
            add_rows(dx, &mut dtable[*token as usize * width..][..width]);
        }
    }

    fn gather(&self, from: &Vec<f32>, rows: &[usize], to: &mut Vec<f32>) {
        let width = (to.len() / rows.len().max(1)).max(1);
        for (row, to) in rows.iter().zip(to.chunks_exact_mut(width)) {
            to.copy_from_slice(&from[row * width..][..width]);
        }
    }

    fn scatter(&self, from: &Vec<f32>, rows: &[usize], to: &mut Vec<f32>) {
        let width = (from.len() / rows.len().max(1)).max(1);
        for (row, from) in rows.iter().zip(from.chunks_exact(width)) {
            to[row * width..][..width].copy_from_slice(from);
        }
    }

    fn add_rows(&self, dy: &Vec<f32>, dbias: PartMut<'_, Self>) {
        add_rows(dy, part_mut(dbias));
    }

    fn add_multiples(&self, dx: &mut Vec<f32>, rows: &[usize], by: &[f32], direction: &[f32]) {
        for (row, by) in rows.iter().zip(by) {
            let dx = &mut dx[row * direction.len()..][..direction.len()];
            dx.iter_mut().zip(direction).for_each(|(dx, w)| *dx += by * w);
        }
    }

    fn drop_out(&self, (x, rows): RowsOf<'_, Self>, mask: Mask<'_>, to: &mut Vec<f32>, out: Out) {
        dropout::drop_out(x, rows, mask, to, out);
    }

    fn pack(&self, to: &mut Matrix, from: Part<'_, Self>, shape: (usize, usize), scale: f32) {
        to.set_plan(self.precision.plan());
        if scale == 1.0 {
            return to.pack(part(from), shape.1, shape.0);
        }
        let scaled: Vec<f32> = part(from).iter().map(|x| scale * x).collect();
        to.pack(&scaled, shape.1, shape.0);
    }

    fn freeze(&self, rows: &[f32], shape: (usize, usize), precision: Precision) -> Matrix {
        self.hold(Frozen::of(precision, rows, shape.0, shape.1))
    }

    fn apply(&self, x: RowsOf<'_, Self>, products: &mut [Product<'_, Self>]) {
        multiply(x, false, products);
    }

    fn pull(&self, dy: RowsOf<'_, Self>, products: &mut [Product<'_, Self>]) {
        multiply(dy, true, products);
    }

    fn pack_rows(&self, (x, rows): RowsOf<'_, Self>, packed: &mut PackedRows) {
        packed.pack(x, (rows, x.len() / rows.max(1)), self.precision.plan());
    }

    fn weigh(
        &self,
        w: &Matrix,
        (dy, rows): RowsOf<'_, Self>,
        (x, packed): (&Vec<f32>, Option<&PackedRows>),
        dw: PartMut<'_, Self>,
        scratch: &mut Scratch,
    ) {
        match packed {
            Some(packed) => w.weigh(dy, packed, part_mut(dw), rows),
            None => w.weigh_thin((dy, x), part_mut(dw), rows, &mut scratch.turned),
        }
    }

    fn rms_norm(
        &self,
        x: &Vec<f32>,
        weight: Part<'_, Self>,
        eps: f32,
        y: &mut Vec<f32>,
        rstd: &mut Vec<f32>,
    ) {
        let weight = part(weight);
        let d = weight.len();
        let part = rows_each(x.len() / d, d);
        let rows = x.chunks(part * d).zip(y.chunks_mut(part * d)).zip(rstd.chunks_mut(part));
        each(rows, |((x, y), rstd)| norm::rms_norm(x, weight, eps, y, rstd));
    }

    fn rms_norm_backward(
        &self,
        (x, weight, rstd): (&Vec<f32>, Part<'_, Self>, &Vec<f32>),
        dy: &Vec<f32>,
        dx: &mut Vec<f32>,
        dweight: Option<PartMut<'_, Self>>,
        scratch: &mut Scratch,
    ) {
        let weight = part(weight);
        let dweight = match dweight {
            Some(wanted) => part_mut(wanted),
            None => grown(&mut scratch.spare, weight.len()),
        };
        norm::rms_norm_backward(x, weight, rstd, dy, dx, dweight);
    }

    fn swiglu(&self, gate: &Vec<f32>, up: &Vec<f32>, h: &mut Vec<f32>) {
        let part = rows_each(h.len(), 1);
        let parts = gate.chunks(part).zip(up.chunks(part)).zip(h.chunks_mut(part));
        each(parts, |((gate, up), h)| swiglu::swiglu(gate, up, h));
    }

    fn swiglu_backward(&self, gate: &mut Vec<f32>, up: &mut Vec<f32>, dh: &Vec<f32>) {
        swiglu::swiglu_backward(gate, up, dh);
    }

    fn angles(&self, frequencies: Vec<f32>, factor: f64, positions: usize) -> Rope {
        Rope::new(frequencies, factor, positions)
    }

    fn place(&self, rows: &mut Rows, positions: &[usize], spans: &[Span]) {
        rows.positions.clear();
        rows.positions.extend_from_slice(positions);
        rows.spans.clear();
        rows.spans.extend_from_slice(spans);
    }

    fn rotate(&self, angles: &Rope, rows: &Rows, x: &mut Vec<f32>) {
        rows.each(x, |x, position| angles.apply(x, position));
    }

    fn rotate_back(&self, angles: &Rope, rows: &Rows, x: &mut Vec<f32>) {
        rows.each(x, |x, position| angles.apply_backward(x, position));
    }

    fn attend(
        &self,
        [q, k, v]: [&Vec<f32>; 3],
        o: &mut Vec<f32>,
        heads: Heads,
        rows: &Rows,
        scratch: &mut Scratch,
    ) {
        attention::attend((q, k, v), o, heads, &rows.spans, &mut scratch.attention);
    }

    fn attend_backward(
        &self,
        [q, k, v]: [&Vec<f32>; 3],
        d_o: &Vec<f32>,
        [dq, dk, dv]: [&mut Vec<f32>; 3],
        (heads, rows): (Heads, &Rows),
        scratch: &mut Scratch,
    ) {
        let s = &mut scratch.attention;
        attention::attend_backward((q, k, v), d_o, (dq, dk, dv), heads, &rows.spans, s);
    }

    fn cache(&self, shape: CacheShape) -> Cache {
        Cache::new(shape)
    }

    fn hold_prompt(
        &self,
        cache: &mut Cache,
        (prompt, _): (usize, usize),
        [k, v]: [&Vec<f32>; 2],
        rows: Range<usize>,
    ) {
        cache.hold_prompt(prompt, [k, v], rows);
    }

    fn drop_prompt(&self, cache: &mut Cache, prompt: usize) {
        cache.drop_prompt(prompt);
    }

    fn fork(&self, cache: &mut Cache, from: Seat, to: usize) {
        cache.fork(from, to);
    }

    fn seat(&self, cache: &mut Cache, seats: &[Seat]) {
        cache.seat(seats);
    }

    fn append(&self, cache: &mut Cache, layer: usize, [k, v]: [&Vec<f32>; 2]) {
        cache.append(layer, [k, v]);
    }

    fn attend_cached(&self, cache: &mut Cache, layer: usize, q: &Vec<f32>, o: &mut Vec<f32>) {
        cache.attend(layer, q, o);
    }

    fn logits(
        &self,
        head: &Matrix,
        (x, rows): RowsOf<'_, Self>,
        logits: &mut Vec<f32>,
        _: &mut Scratch,
    ) {
        logits.resize(rows * head.output(), 0.0);
        head.apply(x, logits, rows, false);
    }

    fn log_probs(
        &self,
        (head, x): (&Matrix, &Vec<f32>),
        targets: &[(usize, u32)],
        at: (f32, Follows),
        found: &mut Found,
        scratch: &mut Scratch,
    ) {
        head::log_probs((head, x), targets, at, found, &mut scratch.head);
    }

    fn log_probs_backward(
        &self,
        (head, x): (&Matrix, &Vec<f32>),
        targets: &[TargetSlopes],
        at: (f32, &[Stats]),
        (dx, dhead): (&mut Vec<f32>, Option<PartMut<'_, Self>>),
        scratch: &mut Scratch,
    ) {
        let dx = (&mut dx[..], dhead.map(part_mut));
        head::log_probs_backward((head, x), targets, at, dx, &mut scratch.head);
    }
}
