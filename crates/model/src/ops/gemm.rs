//! Matrix products.
//!
//! `C = A B` or `C += A B` on one thread. Every element of C is one chain of multiply-adds
//! over k in ascending order, so its bits do not depend on m, n or blocking.

use std::{
    cell::{Cell, RefCell},
    ops::Range,
};

use super::{
    Aligned,
    tile::{MR_MAX, Tile, kernel},
};

/// Columns of a panel of B: two AVX-512 registers.
pub(crate) const NR: usize = 32;
/// Depth of a block: a panel of this depth stays in the first-level cache.
const KC: usize = 256;

/// A strided matrix: element (i, j) is `data[i * rs + j * cs]`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rs: usize,
    pub(crate) cs: usize,
}

impl<'a> View<'a> {
    /// Rows of `ld` floats.
    pub(crate) fn rows(data: &'a [f32], ld: usize) -> Self {
        Self { data, rs: ld, cs: 1 }
    }

    /// The transpose of rows of `ld` floats.
    pub(crate) fn transposed(data: &'a [f32], ld: usize) -> Self {
        Self { data, rs: 1, cs: ld }
    }
}

/// A right-hand matrix (k x n), read in panels of [`NR`] columns.
pub(crate) trait Right {
    /// Rows of A that are multiplied by a panel while it is there: as many as stay in the
    /// second-level cache, or more where panels are costly.
    const ROWS: usize;

    /// Rows `k` of the panel at column `j0`, a multiple of [`NR`], and how far apart they are.
    /// `k` starts at a multiple of [`KC`]. What has to be written is written into `room`.
    fn panel<'r>(
        &'r self,
        j0: usize,
        k: Range<usize>,
        room: &'r mut Aligned<f32>,
    ) -> (&'r [f32], usize);
}

/// A right-hand matrix in f32, read where it lies.
#[derive(Clone, Copy)]
pub(crate) struct Rhs<'a> {
    data: &'a [f32],
    /// Distance between the starts of two panels.
    panel: usize,
    /// Distance between two rows of a panel.
    row: usize,
}

impl<'a> Rhs<'a> {
    /// Rows of `ld` floats, read in place: `ld` must be a multiple of [`NR`].
    pub(crate) fn in_place(data: &'a [f32], ld: usize) -> Self {
        debug_assert!(ld.is_multiple_of(NR));
        Self { data, panel: NR, row: ld }
    }
}

impl Right for Rhs<'_> {
    const ROWS: usize = 256;

    fn panel<'r>(
        &'r self,
        j0: usize,
        k: Range<usize>,
        _: &'r mut Aligned<f32>,
    ) -> (&'r [f32], usize) {
        (&self.data[j0 / NR * self.panel + k.start * self.row..], self.row)
    }
}

/// A right-hand matrix copied into panels, padded with zeros.
#[derive(Debug, Clone, Default)]
pub struct Panels {
    data: Aligned<f32>,
    k: usize,
    k_max: usize,
}

pub(crate) fn round_up(n: usize, to: usize) -> usize {
    n.div_ceil(to) * to
}

impl Panels {
    /// Empties the panels and makes room for `k_max` rows of `n` columns.
    pub(crate) fn reset(&mut self, k_max: usize, n: usize) {
        let len = k_max * round_up(n, NR);
        self.data.grown(len);
        self.k = 0;
        self.k_max = k_max;
    }

    /// Appends `k` rows of `n` columns.
    pub(crate) fn push(&mut self, b: View<'_>, k: usize, n: usize) {
        assert!(self.k + k <= self.k_max, "the panels have room");
        let (k0, k_max) = (self.k, self.k_max);
        for (p, j0) in (0..n).step_by(NR).enumerate() {
            let width = NR.min(n - j0);
            let panel = &mut self.data[p * k_max * NR..(p + 1) * k_max * NR];
            let rows = panel[k0 * NR..(k0 + k) * NR].chunks_exact_mut(NR);
            for (i, row) in rows.enumerate() {
                let at = i * b.rs + j0 * b.cs;
                if b.cs == 1 {
                    copy(&mut row[..width], &b.data[at..at + width]);
                } else {
                    for (j, x) in row[..width].iter_mut().enumerate() {
                        *x = b.data[at + j * b.cs];
                    }
                }
                row[width..].fill(0.0);
            }
        }
        self.k += k;
    }

    /// Copies all of a k x n matrix.
    pub(crate) fn pack(&mut self, b: View<'_>, k: usize, n: usize) {
        self.reset(k, n);
        self.push(b, k, n);
    }

    /// The rows that are there of a panel, [`NR`] columns each.
    fn panel(&self, panel: usize) -> &[f32] {
        &self.data[panel * self.k_max * NR..][..self.k * NR]
    }

    /// A column of what was packed.
    pub(crate) fn column(&self, column: usize) -> impl Iterator<Item = f32> + '_ {
        self.panel(column / NR).iter().skip(column % NR).step_by(NR).copied()
    }

    pub(crate) fn rhs(&self) -> Rhs<'_> {
        Rhs { data: &self.data, panel: self.k_max * NR, row: NR }
    }
}

/// `C (+)= A B` for C of `m` rows of `n` columns, `ldc` apart; A is m x k, B is k x n.
pub(crate) fn gemm<B: Right>(
    c: &mut [f32],
    ldc: usize,
    (m, n, k): (usize, usize, usize),
    a: View<'_>,
    b: B,
    accumulate: bool,
) {
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if !accumulate {
            for row in c.chunks_mut(ldc).take(m) {
                row[..n].fill(0.0);
            }
        }
        return;
    }
    assert!(c.len() >= (m - 1) * ldc + n && ldc >= n, "C is large enough");
    assert!(a.data.len() > (m - 1) * a.rs + (k - 1) * a.cs, "A is large enough");
    let (kernel, mr) = kernel();
    let mut room = ROOM.take();
    for k0 in (0..k).step_by(KC) {
        let kc = KC.min(k - k0);
        let load = accumulate || k0 > 0;
        for i0 in (0..m).step_by(B::ROWS) {
            let mc = B::ROWS.min(m - i0);
            let block = View { data: &a.data[i0 * a.rs + k0 * a.cs..], ..a };
            let block_c = &mut c[i0 * ldc..];
            let mut multiply = |a: Strips<'_>| {
                for j0 in (0..n).step_by(NR) {
                    let (panel, ldb) = b.panel(j0, k0..k0 + kc, &mut room);
                    assert!(panel.len() >= (kc - 1) * ldb + NR, "B is large enough");
                    for i in (0..mc).step_by(mr) {
                        let tile = Tile {
                            rows: mr.min(mc - i),
                            cols: NR.min(n - j0),
                            k: kc,
                            a: a.data[i / mr * a.strip..].as_ptr(),
                            rs: a.rs,
                            cs: a.cs,
                            b: panel.as_ptr(),
                            ldb,
                            load,
                        };
                        // SAFETY: it was checked that A, B and C are large enough.
                        unsafe { tile.run(kernel, &mut block_c[i * ldc + j0..], ldc) };
                    }
                }
            };
            if a.rs == 1 && n > NR {
                packed(block, (mc, kc), mr, multiply);
            } else {
                multiply(Strips { data: block.data, strip: mr * a.rs, rs: a.rs, cs: a.cs });
            }
        }
    }
    ROOM.set(room);
}

// Where panels that have to be written are written.
thread_local!(static ROOM: Cell<Aligned<f32>> = const { Cell::new(Aligned::new()) });

/// A block of the left-hand matrix as strips of a few rows, `strip` floats apart.
struct Strips<'a> {
    data: &'a [f32],
    strip: usize,
    rs: usize,
    cs: usize,
}

/// Columns of a block that are copied into all strips before the next.
const COLUMNS: usize = 8;

/// Copies a block whose columns are contiguous into strips, for as long as `multiply` runs:
/// the strides of a transposed matrix would push its lines out of the first-level cache.
fn packed(block: View<'_>, (mc, kc): (usize, usize), mr: usize, multiply: impl FnOnce(Strips<'_>)) {
    thread_local!(static STRIPS: RefCell<Aligned<f32>> = const { RefCell::new(Aligned::new()) });
    STRIPS.with_borrow_mut(|strips| {
        let strip = mr * kc;
        let strips = strips.grown(mc.div_ceil(mr) * strip);
        // A few columns at a time: each lies on pages of its own.
        for p0 in (0..kc).step_by(COLUMNS) {
            for (s, out) in strips.chunks_exact_mut(strip).enumerate() {
                let (i, rows) = (s * mr, mr.min(mc - s * mr));
                let columns = out[p0 * mr..].chunks_exact_mut(mr).take(COLUMNS);
                for (p, out) in (p0..).zip(columns) {
                    let from = &block.data[p * block.cs + i..];
                    match (out.first_chunk_mut::<MR_MAX>(), from.first_chunk()) {
                        // A copy of known length is one instruction instead of a call.
                        (Some(out), Some(from)) if rows == MR_MAX => *out = *from,
                        _ => out[..rows].copy_from_slice(&from[..rows]),
                    }
                }
            }
        }
        multiply(Strips { data: strips, strip, rs: 1, cs: mr });
    });
}

/// Copies floats of equal number. A copy of known length, a panel's width, is several instructions
/// instead of a call.
#[inline(always)]
pub(super) fn copy(to: &mut [f32], from: &[f32]) {
    match (<&mut [f32; NR]>::try_from(&mut *to), <&[f32; NR]>::try_from(from)) {
        (Ok(to), Ok(from)) => *to = *from,
        _ => to.copy_from_slice(from),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::ops) fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).max(1);
        (0..n)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (state % 2001) as f32 / 1000.0 - 1.0
            })
            .collect()
    }

    /// The bits of a row do not depend on the rows beside it, nor on how B is laid out.
    #[test]
    fn rows_are_independent() {
        let (m, n, k) = (37, 96, 300);
        let (a, b) = (numbers(m * k, 3), numbers(k * n, 4));
        let mut panels = Panels::default();
        panels.pack(View::rows(&b, n), k, n);
        let mut all = vec![0.0; m * n];
        gemm(&mut all, n, (m, n, k), View::rows(&a, k), panels.rhs(), false);
        for i in 0..m {
            let mut row = vec![0.0; n];
            let one = View::rows(&a[i * k..], k);
            gemm(&mut row, n, (1, n, k), one, Rhs::in_place(&b, n), false);
            assert_eq!(row, all[i * n..][..n]);
        }
    }

    #[test]
    fn transposed_operands() {
        let (m, n, k) = (5, 40, 11);
        let (at, bt) = (numbers(k * m, 5), numbers(n * k, 6));
        let mut panels = Panels::default();
        panels.pack(View::transposed(&bt, k), k, n);
        let mut c = vec![0.0; m * n];
        gemm(&mut c, n, (m, n, k), View::transposed(&at, m), panels.rhs(), false);
        for i in 0..m {
            for j in 0..n {
                let exact: f32 = (0..k).map(|p| at[p * m + i] * bt[j * k + p]).sum();
                assert!((c[i * n + j] - exact).abs() < 1e-4);
            }
        }
    }
}
