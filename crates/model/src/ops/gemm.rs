//! Matrix products.
//!
//! `C = A B` or `C += A B` on one thread. Every element of C is one chain of multiply-adds
//! over k in ascending order, so its bits do not depend on m, n or blocking.

use std::{
    cell::{Cell, RefCell},
    ops::Range,
};

use super::{Aligned, Isa};

/// Columns of a panel of B: two AVX-512 registers.
pub(crate) const NR: usize = 32;
/// Most rows of A that a kernel takes at once.
const MR_MAX: usize = 8;
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
                        run_tile(kernel, &tile, &mut block_c[i * ldc + j0..], ldc);
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

/// One call of a kernel: a few rows of A against one panel of B.
#[derive(Clone, Copy)]
struct Tile {
    rows: usize,
    cols: usize,
    k: usize,
    a: *const f32,
    rs: usize,
    cs: usize,
    b: *const f32,
    ldb: usize,
    load: bool,
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

/// Computes a tile into C, `ldc` apart. A and B must cover the tile and C must have room for
/// all [`NR`] columns of its rows.
type Kernel = unsafe fn(&Tile, *mut f32, usize);

fn run_tile(kernel: Kernel, tile: &Tile, c: &mut [f32], ldc: usize) {
    if tile.cols == NR {
        // SAFETY: `gemm` checked that A, B and C cover the tile.
        unsafe { kernel(tile, c.as_mut_ptr(), ldc) };
        return;
    }
    let mut edge = [0.0f32; MR_MAX * NR];
    if tile.load {
        for r in 0..tile.rows {
            edge[r * NR..][..tile.cols].copy_from_slice(&c[r * ldc..][..tile.cols]);
        }
    }
    // SAFETY: `gemm` checked A and B, whose panels are padded to NR; `edge` has room for all.
    unsafe { kernel(tile, edge.as_mut_ptr(), NR) };
    for r in 0..tile.rows {
        c[r * ldc..][..tile.cols].copy_from_slice(&edge[r * NR..][..tile.cols]);
    }
}

fn kernel() -> (Kernel, usize) {
    match Isa::detect() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => (x86::avx512, 8),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => (x86::avx2, 6),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => (arm::neon, 6),
        _ => (portable::<false>, 2),
    }
}

/// The kernel for any machine, one row at a time.
///
/// # Safety
/// See [`Kernel`].
unsafe fn portable<const F: bool>(t: &Tile, c: *mut f32, ldc: usize) {
    for r in 0..t.rows {
        // SAFETY: the caller gives pointers that cover the tile.
        unsafe {
            let row: &mut [f32; NR] = &mut *c.add(r * ldc).cast();
            let mut acc = if t.load { *row } else { [0.0; NR] };
            for p in 0..t.k {
                let x = *t.a.add(r * t.rs + p * t.cs);
                let b: &[f32; NR] = &*t.b.add(p * t.ldb).cast();
                for (s, y) in acc.iter_mut().zip(b) {
                    *s = super::fma::<F>(x, *y, *s);
                }
            }
            *row = acc;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;
    use std::arch::x86_64::{
        __m256, __m512, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps,
        _mm256_storeu_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
        _mm512_storeu_ps,
    };

    use super::{MR_MAX, NR, Tile};

    /// Steps that share additions to pointers.
    const TOGETHER: usize = 4;

    /// Hides where a number comes from. Left to itself the compiler walks from row to row of A
    /// with one addition after the other, a chain as long as the multiplications beside it.
    fn opaque(mut x: usize) -> usize {
        // SAFETY: no instruction is added.
        unsafe { asm!("/* {} */", inout(reg) x, options(pure, nomem, nostack, preserves_flags)) };
        x
    }

    /// # Safety
    /// See [`super::Kernel`]; the machine must have AVX-512F.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn avx512(t: &Tile, c: *mut f32, ldc: usize) {
        // SAFETY: the caller's promise is passed on.
        unsafe {
            match t.rows {
                1 => rows512::<1>(t, c, ldc),
                2 => rows512::<2>(t, c, ldc),
                3 => rows512::<3>(t, c, ldc),
                4 => rows512::<4>(t, c, ldc),
                5 => rows512::<5>(t, c, ldc),
                6 => rows512::<6>(t, c, ldc),
                7 => rows512::<7>(t, c, ldc),
                _ => rows512::<8>(t, c, ldc),
            }
        }
    }

    /// # Safety
    /// See [`super::Kernel`]; the machine must have AVX-512F.
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn rows512<const M: usize>(t: &Tile, c: *mut f32, ldc: usize) {
        // SAFETY: the caller gives pointers that cover the tile.
        unsafe {
            let mut acc: [[__m512; 2]; M] = [[_mm512_setzero_ps(); 2]; M];
            if t.load {
                for (r, acc) in acc.iter_mut().enumerate() {
                    acc[0] = _mm512_loadu_ps(c.add(r * ldc));
                    acc[1] = _mm512_loadu_ps(c.add(r * ldc + 16));
                }
            }
            match (t.ldb, t.cs) {
                (NR, 1) => steps512(t, &mut acc, NR, 1),
                (NR, MR_MAX) => steps512(t, &mut acc, NR, MR_MAX),
                (ldb, cs) => steps512(t, &mut acc, ldb, cs),
            }
            for (r, acc) in acc.iter().enumerate() {
                _mm512_storeu_ps(c.add(r * ldc), acc[0]);
                _mm512_storeu_ps(c.add(r * ldc + 16), acc[1]);
            }
        }
    }

    /// Adds up the products of a tile. Where the strides are constants, several steps share the
    /// additions to pointers, which else take turns with multiplications.
    ///
    /// # Safety
    /// As [`rows512`].
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn steps512<const M: usize>(
        t: &Tile,
        acc: &mut [[__m512; 2]; M],
        ldb: usize,
        cs: usize,
    ) {
        let (rs, rs3) = (t.rs, opaque(3 * t.rs));
        let (mut a, mut b) = (t.a, t.b);
        let mut a4 = a.wrapping_add(opaque(4 * rs));
        let mut left = t.k;
        while left > 0 {
            let together = if left < TOGETHER { 1 } else { TOGETHER };
            for _ in 0..together {
                // SAFETY: the caller gives pointers that cover the tile.
                unsafe {
                    let b0 = _mm512_loadu_ps(b);
                    let b1 = _mm512_loadu_ps(b.add(16));
                    for (r, acc) in acc.iter_mut().enumerate() {
                        let base = if r < 4 { a } else { a4 };
                        let x = _mm512_set1_ps(*base.add([0, rs, 2 * rs, rs3][r % 4]));
                        acc[0] = _mm512_fmadd_ps(x, b0, acc[0]);
                        acc[1] = _mm512_fmadd_ps(x, b1, acc[1]);
                    }
                }
                a = a.wrapping_add(cs);
                a4 = a4.wrapping_add(cs);
                b = b.wrapping_add(ldb);
            }
            left -= together;
        }
    }

    /// # Safety
    /// See [`super::Kernel`]; the machine must have AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2(t: &Tile, c: *mut f32, ldc: usize) {
        // Half a panel at a time: two registers of B stay beside twelve of C.
        for half in [0, 16] {
            let t = &Tile { b: t.b.wrapping_add(half), ..*t };
            // SAFETY: the caller's promise is passed on.
            unsafe {
                match t.rows {
                    1 => rows256::<1>(t, c.add(half), ldc),
                    2 => rows256::<2>(t, c.add(half), ldc),
                    3 => rows256::<3>(t, c.add(half), ldc),
                    4 => rows256::<4>(t, c.add(half), ldc),
                    5 => rows256::<5>(t, c.add(half), ldc),
                    _ => rows256::<6>(t, c.add(half), ldc),
                }
            }
        }
    }

    /// # Safety
    /// See [`super::Kernel`], for 16 columns; the machine must have AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn rows256<const M: usize>(t: &Tile, c: *mut f32, ldc: usize) {
        // SAFETY: the caller gives pointers that cover the tile.
        unsafe {
            let mut acc: [[__m256; 2]; M] = [[_mm256_setzero_ps(); 2]; M];
            if t.load {
                for (r, acc) in acc.iter_mut().enumerate() {
                    acc[0] = _mm256_loadu_ps(c.add(r * ldc));
                    acc[1] = _mm256_loadu_ps(c.add(r * ldc + 8));
                }
            }
            let (mut a, mut b) = (t.a, t.b);
            let mut a3 = a.wrapping_add(opaque(3 * t.rs));
            for _ in 0..t.k {
                let b0 = _mm256_loadu_ps(b);
                let b1 = _mm256_loadu_ps(b.add(8));
                for (r, acc) in acc.iter_mut().enumerate() {
                    let base = if r < 3 { a } else { a3 };
                    let x = _mm256_set1_ps(*base.add(r % 3 * t.rs));
                    acc[0] = _mm256_fmadd_ps(x, b0, acc[0]);
                    acc[1] = _mm256_fmadd_ps(x, b1, acc[1]);
                }
                a = a.wrapping_add(t.cs);
                a3 = a3.wrapping_add(t.cs);
                b = b.wrapping_add(t.ldb);
            }
            for (r, acc) in acc.iter().enumerate() {
                _mm256_storeu_ps(c.add(r * ldc), acc[0]);
                _mm256_storeu_ps(c.add(r * ldc + 8), acc[1]);
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::{float32x4_t, vdupq_n_f32, vfmaq_n_f32, vld1q_f32, vst1q_f32};

    use super::Tile;

    /// # Safety
    /// See [`super::Kernel`].
    pub(super) unsafe fn neon(t: &Tile, c: *mut f32, ldc: usize) {
        // Half a panel at a time: four registers of B stay beside twenty-four of C.
        for half in [0, 16] {
            let t = &Tile { b: t.b.wrapping_add(half), ..*t };
            // SAFETY: the caller's promise is passed on.
            unsafe {
                match t.rows {
                    1 => rows::<1>(t, c.add(half), ldc),
                    2 => rows::<2>(t, c.add(half), ldc),
                    3 => rows::<3>(t, c.add(half), ldc),
                    4 => rows::<4>(t, c.add(half), ldc),
                    5 => rows::<5>(t, c.add(half), ldc),
                    _ => rows::<6>(t, c.add(half), ldc),
                }
            }
        }
    }

    /// # Safety
    /// See [`super::Kernel`], for 16 columns.
    #[inline]
    unsafe fn rows<const M: usize>(t: &Tile, c: *mut f32, ldc: usize) {
        // SAFETY: the caller gives pointers that cover the tile.
        unsafe {
            let mut acc: [[float32x4_t; 4]; M] = [[vdupq_n_f32(0.0); 4]; M];
            if t.load {
                for (r, acc) in acc.iter_mut().enumerate() {
                    *acc = quarters(c.add(r * ldc));
                }
            }
            let (mut a, mut b) = (t.a, t.b);
            for _ in 0..t.k {
                let columns = quarters(b);
                for (r, acc) in acc.iter_mut().enumerate() {
                    let x = *a.add(r * t.rs);
                    for (sum, column) in acc.iter_mut().zip(columns) {
                        *sum = vfmaq_n_f32(*sum, column, x);
                    }
                }
                a = a.wrapping_add(t.cs);
                b = b.wrapping_add(t.ldb);
            }
            for (r, acc) in acc.iter().enumerate() {
                for (quarter, sum) in acc.iter().enumerate() {
                    vst1q_f32(c.add(r * ldc + 4 * quarter), *sum);
                }
            }
        }
    }

    /// # Safety
    /// 16 numbers must lie there.
    #[inline]
    unsafe fn quarters(from: *const f32) -> [float32x4_t; 4] {
        // SAFETY: as the caller promises.
        [0, 4, 8, 12].map(|at| unsafe { vld1q_f32(from.add(at)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
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

    /// Every kernel this machine runs, against the plain triple loop, on odd shapes.
    #[test]
    fn kernels_agree_with_the_triple_loop() {
        let mut kernels: Vec<(Kernel, usize)> = vec![(portable::<false>, 2), kernel()];
        #[cfg(target_arch = "x86_64")]
        if Isa::detect() != Isa::Portable {
            kernels.push((x86::avx2, 6));
        }
        for (m, n, k) in [(1, 1, 1), (7, 33, 5), (8, 32, 16), (13, 70, 9), (3, 64, 40)] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let mut panels = Panels::default();
            panels.pack(View::rows(&b, n), k, n);
            let rhs = panels.rhs();
            for &(kernel, mr) in &kernels {
                let mut c = vec![0.5f32; m * n];
                for i in (0..m).step_by(mr) {
                    for j in (0..n).step_by(NR) {
                        let tile = Tile {
                            rows: mr.min(m - i),
                            cols: NR.min(n - j),
                            k,
                            a: a[i * k..].as_ptr(),
                            rs: k,
                            cs: 1,
                            b: rhs.data[j / NR * rhs.panel..].as_ptr(),
                            ldb: rhs.row,
                            load: true,
                        };
                        run_tile(kernel, &tile, &mut c[i * n + j..], n);
                    }
                }
                for i in 0..m {
                    for j in 0..n {
                        let exact: f32 = (0..k).map(|p| a[i * k + p] * b[p * n + j]).sum();
                        assert!((c[i * n + j] - 0.5 - exact).abs() < 1e-4, "{m}x{n}x{k}");
                    }
                }
            }
        }
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
