//! Matrices as the units for bfloat16 take them, and their products.

use std::{
    cell::{Cell, RefCell},
    ops::Range,
};

use super::{
    Aligned, NR, View,
    gemm::{Right, copy},
    pairs::{cut, pack_left, pack_left_turned, pair_square},
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
        let (panels, size) = (n.div_ceil(SIDE), pieces * BLOCK);
        self.data.resize(panels * self.deep * size);
        // A row is read from its beginning to its end, as it lies in memory.
        for deep in 0..self.deep {
            for panel in 0..panels {
                let out = &mut self.data[(panel * self.deep + deep) * size..][..size];
                pair_square(b, (deep * SIDE, panel * SIDE), (k, n), out);
            }
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
        for (block, out) in blocks.zip(out.chunks_exact_mut(self.pieces * BLOCK)) {
            pair_square(self.x, (block * SIDE, panel * SIDE), self.size, out);
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
        (ld, 1) => pack_left((a.data, ld), (m, k), pieces, out),
        _ => pack_left_turned(a, (m, k), pieces, out),
    }
    out
}

/// A block that begins at a cache line.
#[repr(align(64))]
struct Edge([f32; SIDE * SIDE]);

/// Runs into C from `at` on, through a block of its own at the edges.
fn place(unit: Unit, run: &Run<'_>, c: &mut [f32], (at, ldc): (usize, usize), columns: usize) {
    thread_local!(static EDGE: RefCell<Edge> = const { RefCell::new(Edge([0.0; SIDE * SIDE])) });
    if columns == SIDE && (run.rows == SIDE || run.rows == SIDE / 2) {
        return run.into(unit, c, (at, ldc));
    }
    EDGE.with_borrow_mut(|Edge(edge)| {
        let c = &mut c[at..];
        if run.load {
            let rows = edge.as_chunks_mut::<SIDE>().0.iter_mut().zip(c.chunks(ldc)).take(run.rows);
            rows.for_each(|(edge, row)| copy(&mut edge[..columns], &row[..columns]));
        }
        run.into(unit, edge, (0, SIDE));
        let rows = edge.as_chunks::<SIDE>().0.iter().zip(c.chunks_mut(ldc)).take(run.rows);
        rows.for_each(|(edge, row)| copy(&mut row[..columns], &edge[..columns]));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::pairs::upper;

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
