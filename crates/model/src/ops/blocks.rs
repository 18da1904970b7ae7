//! Matrices as the units for bfloat16 take them, and their products.

use std::{cell::Cell, ops::Range};

use super::{
    Aligned, NR, View,
    gemm::{Right, copy},
    kernel,
    turn::transpose,
    units::{BLOCK, Plan, Run, SIDE, Unit, with_unit},
};

/// Blocks of inputs of all rows that are taken at a time: they stay in the second-level cache.
const DEPTH: usize = 32;
/// Blocks of inputs of a panel that are taken at a time: they stay in the first-level cache, where a
/// block of rows passes through (what feeds the unit is the time that it waits for).
const SHALLOW: usize = 16;

/// Rows that are multiplied by a panel while it is there: with [`DEPTH`] inputs they leave room in
/// the second-level cache.
const ROWS: usize = 512;

/// A right-hand matrix, read in panels of [`SIDE`] columns.
pub(crate) trait RightBlocks {
    /// Pieces in bfloat16 of which a number is the sum: 1 or 2.
    fn pieces(&self) -> usize;

    /// Blocks of inputs that are taken at a time of all columns.
    fn depth(&self) -> usize {
        DEPTH
    }

    /// Some blocks of inputs of a panel. What has to be written is written into `room`.
    fn panel<'r>(
        &'r self,
        panel: usize,
        blocks: Range<usize>,
        room: &'r mut Aligned<u32>,
    ) -> &'r [u32];
}

/// A right-hand matrix copied into blocks, padded with zeros.
#[derive(Debug, Clone, Default)]
pub struct Blocks {
    data: Aligned<u32>,
    /// Blocks of inputs.
    deep: usize,
    pieces: usize,
}

impl Blocks {
    /// Copies a `k` x `n` matrix.
    pub(crate) fn pack(&mut self, b: View<'_>, (k, n): (usize, usize), pieces: usize) {
        (self.deep, self.pieces) = (k.div_ceil(SIDE), pieces);
        self.data.resize(n.div_ceil(SIDE) * self.deep * pieces * BLOCK);
        let mut square = [0.0; SIDE * SIDE];
        for (i, out) in self.data.chunks_exact_mut(pieces * BLOCK).enumerate() {
            let (panel, deep) = (i / self.deep, i % self.deep);
            cut(b, (deep * SIDE, panel * SIDE), (k, n), &mut square);
            pair_rows(&square, out);
        }
    }
}

impl RightBlocks for &Blocks {
    fn pieces(&self) -> usize {
        self.pieces
    }

    fn panel<'r>(
        &'r self,
        panel: usize,
        blocks: Range<usize>,
        _: &'r mut Aligned<u32>,
    ) -> &'r [u32] {
        &self.data[(panel * self.deep + blocks.start) * self.pieces * BLOCK..]
    }
}

/// Rows of float32 that lie as activations do, rounded where they are read: cheaper than [`Blocks`]
/// where few rows of a left-hand matrix are multiplied by them.
#[derive(Clone, Copy)]
pub(crate) struct Loose<'a> {
    pub(crate) x: View<'a>,
    /// Rows and columns.
    pub(crate) size: (usize, usize),
    pub(crate) pieces: usize,
}

impl RightBlocks for Loose<'_> {
    fn pieces(&self) -> usize {
        self.pieces
    }

    /// A few rows at a time pass by in the order in which they lie in memory.
    fn depth(&self) -> usize {
        1
    }

    fn panel<'r>(
        &'r self,
        panel: usize,
        blocks: Range<usize>,
        room: &'r mut Aligned<u32>,
    ) -> &'r [u32] {
        let out = room.grown(blocks.len() * self.pieces * BLOCK);
        let mut square = [0.0; SIDE * SIDE];
        for (block, out) in blocks.zip(out.chunks_exact_mut(self.pieces * BLOCK)) {
            cut(self.x, (block * SIDE, panel * SIDE), self.size, &mut square);
            pair_rows(&square, out);
        }
        out
    }
}

impl Right for Loose<'_> {
    const ROWS: usize = 1024;

    fn panel<'r>(
        &'r self,
        j0: usize,
        k: Range<usize>,
        room: &'r mut Aligned<f32>,
    ) -> (&'r [f32], usize) {
        let out = room.grown(k.len().next_multiple_of(SIDE) * NR);
        for (i, out) in k.step_by(SIDE).zip(out.as_chunks_mut().0) {
            cut(self.x, (i, j0), self.size, out);
        }
        (out, NR)
    }
}

/// Copies a square of a `k` x `n` matrix, with zeros beyond its edges.
fn cut(
    b: View<'_>,
    (i0, j0): (usize, usize),
    (k, n): (usize, usize),
    square: &mut [f32; SIDE * SIDE],
) {
    let (deep, wide) = (SIDE.min(k - i0), SIDE.min(n - j0));
    if deep < SIDE || wide < SIDE {
        square.fill(0.0);
    }
    for (i, row) in square.chunks_exact_mut(SIDE).take(deep).enumerate() {
        let from = &b.data[(i0 + i) * b.rs + j0 * b.cs..];
        match b.cs {
            1 => copy(&mut row[..wide], &from[..wide]),
            cs => row[..wide].iter_mut().zip(from.iter().step_by(cs)).for_each(|(x, y)| *x = *y),
        }
    }
}

/// The nearest bfloat16, ties to even, in the upper half.
#[inline(always)]
fn upper(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000;
    if x.is_nan() { bits | 0x0040_0000 } else { rounded }
}

/// Two numbers as pairs: what bfloat16 keeps of them, and what it keeps of the rest.
#[inline(always)]
fn pairs(x: f32, y: f32) -> (u32, u32) {
    let (a, b) = (upper(x), upper(y));
    let rest = |x: f32, bits: u32| upper(x - f32::from_bits(bits));
    (a >> 16 | b & 0xFFFF_0000, rest(x, a) >> 16 | rest(y, b) & 0xFFFF_0000)
}

kernel! {
    /// Writes a square as a block of a right-hand matrix, in as many pieces as there is room for.
    fn pair_rows / pair_rows_body (square: &[f32; SIDE * SIDE], out: &mut [u32])
}

#[inline(always)]
fn pair_rows_body<const F: bool>(square: &[f32; SIDE * SIDE], out: &mut [u32]) {
    let (first, second) = out.split_at_mut(BLOCK);
    let (first, second) = (first.as_chunks_mut::<SIDE>().0, second.as_chunks_mut::<SIDE>().0);
    let rows = square.as_chunks::<{ 2 * SIDE }>().0;
    for (p, (rows, out)) in rows.iter().zip(first).enumerate() {
        let (x, y) = rows.split_at(SIDE);
        for (j, out) in out.iter_mut().enumerate() {
            *out = pairs(x[j], y[j]).0;
        }
        if let Some(out) = second.get_mut(p) {
            for (j, out) in out.iter_mut().enumerate() {
                *out = pairs(x[j], y[j]).1;
            }
        }
    }
}

/// Fetches two lines that will be read soon.
#[inline(always)]
fn fetch(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which reads nothing that the program could see.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(at.cast());
            _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(16).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

kernel! {
    /// Writes rows of inputs as the block rows of a left-hand matrix: rows of `deep` blocks,
    /// which the last may not fill.
    fn pack_left / pack_left_body (
        x: &[f32], ld: usize, m: usize, k: usize, pieces: usize, out: &mut [u32]
    )
}

#[inline(always)]
fn pack_left_body<const F: bool>(
    x: &[f32],
    ld: usize,
    m: usize,
    k: usize,
    pieces: usize,
    out: &mut [u32],
) {
    let deep = k.div_ceil(SIDE);
    for (i, row) in x.chunks(ld).take(m).enumerate() {
        for (block, x) in row[..k].chunks(SIDE).enumerate() {
            let mut padded = [0.0; SIDE];
            let x = x.first_chunk::<SIDE>().unwrap_or_else(|| {
                padded[..x.len()].copy_from_slice(x);
                &padded
            });
            fetch(x.as_ptr().wrapping_add(2 * ld));
            let at = (i / SIDE * deep + block) * pieces * BLOCK + i % SIDE * (SIDE / 2);
            let out = &mut out[at..];
            let (first, second) = out.split_at_mut(BLOCK.min(out.len()));
            for (p, out) in first[..SIDE / 2].iter_mut().enumerate() {
                *out = pairs(x[2 * p], x[2 * p + 1]).0;
            }
            if pieces == 2 {
                for (p, out) in second[..SIDE / 2].iter_mut().enumerate() {
                    *out = pairs(x[2 * p], x[2 * p + 1]).1;
                }
            }
        }
    }
}

/// The same for the transpose of rows: a left-hand matrix of `m` rows whose columns are `x`'s rows.
fn pack_left_turned(x: View<'_>, (m, k): (usize, usize), pieces: usize, out: &mut [u32]) {
    let deep = k.div_ceil(SIDE);
    let mut square = [0.0; SIDE * SIDE];
    let mut paired = [0; 2 * BLOCK];
    let rows = View { rs: x.cs, cs: x.rs, ..x };
    for (at, out) in out.chunks_exact_mut(pieces * BLOCK).enumerate() {
        let (i, block) = (at / deep * SIDE, at % deep * SIDE);
        cut(rows, (block, i), (k, m), &mut square);
        pair_rows(&square, &mut paired[..pieces * BLOCK]);
        for (paired, out) in paired.chunks_exact(BLOCK).zip(out.chunks_exact_mut(BLOCK)) {
            transpose(paired, SIDE, out);
        }
    }
}

thread_local! {
    /// Where the left-hand matrix is written, and panels that have to be.
    static ROOM: Cell<[Aligned<u32>; 2]> = const { Cell::new([Aligned::new(), Aligned::new()]) };
}

/// Where a product goes.
pub(crate) struct Target<'a, B> {
    pub(crate) b: B,
    pub(crate) c: &'a mut [f32],
    /// Columns of C.
    pub(crate) n: usize,
    /// Whether it is added to what is in C.
    pub(crate) accumulate: bool,
}

/// `C (+)= A B` for each target; A is m x k. The numbers of A are taken in as many pieces as the
/// plan says.
///
/// The bits of a row of C depend on that row of A and on B alone: each sum runs over the blocks of
/// inputs in ascending order, within a block as the unit has it.
pub(crate) fn multiply<B: RightBlocks>(
    plan: Plan,
    (m, k): (usize, usize),
    a: View<'_>,
    targets: &mut [Target<'_, B>],
) {
    assert!(k > 0, "there is something to add up");
    let [mut left, mut room] = ROOM.take();
    let depth = targets.iter().map(|to| to.b.depth()).max().unwrap_or(DEPTH);
    with_unit(plan.unit, || {
        for k0 in (0..k).step_by(depth * SIDE) {
            let k1 = k.min(k0 + depth * SIDE);
            for i0 in (0..m).step_by(ROWS) {
                let mc = ROWS.min(m - i0);
                let part = View { data: &a.data[i0 * a.rs + k0 * a.cs..], ..a };
                let left = packed(part, (mc, k1 - k0), plan.pieces, &mut left);
                for to in &mut *targets {
                    panels(plan, (left, mc), (k0..k1, i0), to, &mut room);
                }
            }
        }
    });
    ROOM.set([left, room]);
}

/// Multiplies `mc` rows from `i0` on, inputs `k` of them in blocks, by all panels.
fn panels<B: RightBlocks>(
    plan: Plan,
    (left, mc): (&[u32], usize),
    (k, i0): (Range<usize>, usize),
    to: &mut Target<'_, B>,
    room: &mut Aligned<u32>,
) {
    let n = to.n;
    let c = &mut to.c[i0 * n..];
    let (first, deep) = (k.start / SIDE, k.len().div_ceil(SIDE));
    let shallow = if mc > SIDE { SHALLOW } else { deep };
    let steps = |j| (0..deep).step_by(shallow).map(move |step| (j, step));
    for (j, step) in (0..n).step_by(SIDE).flat_map(steps) {
        let (at, blocks) = (first + step, shallow.min(deep - step));
        let panel = to.b.panel(j / SIDE, at..at + blocks, room);
        let run = |i: usize| Run {
            blocks,
            a: &left[(i / SIDE * deep + step) * plan.pieces * BLOCK..],
            b: panel,
            pieces: (plan.pieces, to.b.pieces()),
            rows: SIDE.min(mc - i),
            load: to.accumulate || at > 0,
            next: match i + SIDE < mc {
                true => (i + SIDE) * n + j,
                false => j + SIDE,
            },
        };
        for i in (0..mc).step_by(SIDE) {
            place(plan.unit, &run(i), c, (i * n + j, n), SIDE.min(n - j));
        }
    }
}

/// A left-hand matrix in blocks.
fn packed<'o>(
    a: View<'_>,
    (m, k): (usize, usize),
    pieces: usize,
    out: &'o mut Aligned<u32>,
) -> &'o [u32] {
    let out = out.grown(m.div_ceil(SIDE) * k.div_ceil(SIDE) * pieces * BLOCK);
    match (a.rs, a.cs) {
        (ld, 1) => pack_left(a.data, ld, m, k, pieces, out),
        _ => pack_left_turned(a, (m, k), pieces, out),
    }
    out
}

/// A block that begins at a cache line.
#[repr(align(64))]
struct Edge([f32; SIDE * SIDE]);

/// Runs into C from `at` on, through a block of its own at the edges.
fn place(unit: Unit, run: &Run<'_>, c: &mut [f32], (at, ldc): (usize, usize), columns: usize) {
    if columns == SIDE && (run.rows == SIDE || run.rows == SIDE / 2) {
        return run.into(unit, c, (at, ldc));
    }
    let c = &mut c[at..];
    let mut edge = Edge([0.0; SIDE * SIDE]);
    let Edge(edge) = &mut edge;
    let rows = |c: &mut [f32], copy: &mut dyn FnMut(&mut [f32], usize)| {
        for (r, row) in c.chunks_mut(ldc).take(run.rows).enumerate() {
            copy(&mut row[..columns], r * SIDE);
        }
    };
    if run.load {
        rows(c, &mut |row, at| edge[at..at + columns].copy_from_slice(row));
    }
    run.into(unit, edge, (0, SIDE));
    rows(c, &mut |row, at| row.copy_from_slice(&edge[at..at + columns]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, by: u32) -> Vec<f32> {
        (0..n as u32).map(|i| (i.wrapping_mul(by) % 1999) as f32 / 1000.0 - 1.0).collect()
    }

    fn to<B>(b: B, c: &mut [f32], n: usize, accumulate: bool) -> Target<'_, B> {
        Target { b, c, n, accumulate }
    }

    /// What this machine has: a plan for each unit and number of pieces.
    fn plans() -> Vec<Plan> {
        let plan = |unit, pieces| Plan { unit, pieces };
        match Unit::detect() {
            None => Vec::new(),
            Some(Unit::Avx512Bf16) => vec![plan(Unit::Avx512Bf16, 1)],
            Some(Unit::Amx) => [Unit::Amx, Unit::Avx512Bf16]
                .iter()
                .flat_map(|unit| [plan(*unit, 1), plan(*unit, 2)])
                .collect(),
        }
    }

    /// Rounds as a piece of a number does.
    fn rounded(x: f32, pieces: usize) -> f64 {
        let first = f32::from_bits(upper(x));
        let second = f32::from_bits(upper(x - first));
        f64::from(first) + if pieces == 2 { f64::from(second) } else { 0.0 }
    }

    /// Every unit and number of pieces against sums in float64 of the rounded numbers, from
    /// operands in either order, on odd shapes.
    #[test]
    fn products_are_those_of_the_rounded_numbers() {
        for (m, n, k) in [(1, 1, 1), (33, 70, 31), (16, 64, 700), (40, 33, 64), (1030, 5, 40)] {
            let (x, w) = (numbers(m * k, 7919), numbers(n * k, 104_729));
            for plan in plans() {
                let p = plan.pieces;
                let mut right = Blocks::default();
                right.pack(View::transposed(&w, k), (k, n), p);
                let mut c = vec![0.5f32; m * n];
                let a = View::rows(&x, k);
                multiply(plan, (m, k), a, &mut [to(&right, &mut c, n, true)]);
                let turned: Vec<f32> = (0..m * k).map(|i| x[i % m * k + i / m]).collect();
                let plain: Vec<f32> = (0..n * k).map(|i| w[i % n * k + i / n]).collect();
                let rows = Loose { x: View::rows(&plain, n), size: (k, n), pieces: p };
                let mut same = vec![0.5f32; m * n];
                let a = View::transposed(&turned, m);
                multiply(plan, (m, k), a, &mut [to(rows, &mut same, n, true)]);
                assert_eq!(c, same, "{plan:?} {m} {n} {k}");
                for (i, c) in c.iter().enumerate() {
                    let (x, w) = (&x[i / n * k..][..k], &w[i % n * k..][..k]);
                    let of = |p| x.iter().zip(w).map(move |(x, w)| rounded(*x, p) * rounded(*w, p));
                    let scale: f64 = of(p).map(f64::abs).sum();
                    let error = (f64::from(*c) - 0.5 - of(p).sum::<f64>()).abs();
                    assert!(error <= 2e-6 + 3e-5 * scale / 2f64.powi(p as i32), "{plan:?} {error}");
                }
            }
        }
    }

    /// Two pieces keep at least 16 bits of each number.
    #[test]
    fn two_pieces_are_nearly_the_number() {
        for x in numbers(2000, 31) {
            assert!((rounded(x, 2) - f64::from(x)).abs() <= f64::from(x.abs()) / 65536.0);
        }
        assert!(f32::from_bits(upper(f32::from_bits(0x7F80_0001))).is_nan());
        assert_eq!(f32::from_bits(upper(f32::INFINITY)), f32::INFINITY);
    }

    /// The bits of a row do not depend on the rows beside it.
    #[test]
    fn rows_are_independent() {
        let (m, n, k) = (75, 96, 900);
        let (x, w) = (numbers(m * k, 3), numbers(k * n, 5));
        for plan in plans() {
            let mut right = Blocks::default();
            right.pack(View::rows(&w, n), (k, n), plan.pieces);
            let mut all = vec![0.0; m * n];
            multiply(plan, (m, k), View::rows(&x, k), &mut [to(&right, &mut all, n, false)]);
            for i in 0..m {
                let mut row = vec![0.0; n];
                let one = View::rows(&x[i * k..], k);
                multiply(plan, (1, k), one, &mut [to(&right, &mut row, n, false)]);
                assert_eq!(row, all[i * n..][..n], "{plan:?}");
            }
        }
    }
}
