//! The innermost loops of matrix products: a few rows of A by one panel of B, for each
//! instruction set.

use super::{Isa, NR};

/// Most rows of A that a kernel takes at once.
pub(super) const MR_MAX: usize = 8;

/// One call of a kernel: a few rows of A against one panel of B.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) k: usize,
    pub(super) a: *const f32,
    pub(super) rs: usize,
    pub(super) cs: usize,
    pub(super) b: *const f32,
    pub(super) ldb: usize,
    pub(super) load: bool,
}

/// Computes a tile into C, `ldc` apart. A and B must cover the tile and C must have room for
/// all [`NR`] columns of its rows.
pub(super) type Kernel = unsafe fn(&Tile, *mut f32, usize);

impl Tile {
    /// Runs the kernel, and lets nothing of what it writes beyond the tile be seen.
    ///
    /// # Safety
    /// A and B must cover the tile, B with all [`NR`] columns, and C as many as there are.
    pub(super) unsafe fn run(&self, kernel: Kernel, c: &mut [f32], ldc: usize) {
        if self.cols == NR {
            // SAFETY: the caller's promise is passed on.
            unsafe { kernel(self, c.as_mut_ptr(), ldc) };
            return;
        }
        let mut edge = [0.0f32; MR_MAX * NR];
        if self.load {
            for r in 0..self.rows {
                edge[r * NR..][..self.cols].copy_from_slice(&c[r * ldc..][..self.cols]);
            }
        }
        // SAFETY: the caller answers for A and B, and `edge` has room for all columns.
        unsafe { kernel(self, edge.as_mut_ptr(), NR) };
        for r in 0..self.rows {
            c[r * ldc..][..self.cols].copy_from_slice(&edge[r * NR..][..self.cols]);
        }
    }
}

/// The kernel of this machine, and how many rows it takes.
pub(super) fn kernel() -> (Kernel, usize) {
    match Isa::detect() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => (x86::avx512, 8),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => (x86::avx2, 6),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => (arm::neon, 6),
        _ => (portable, 2),
    }
}

/// The kernel for any machine, one row at a time.
///
/// # Safety
/// See [`Kernel`].
unsafe fn portable(t: &Tile, c: *mut f32, ldc: usize) {
    for r in 0..t.rows {
        // SAFETY: the caller gives pointers that cover the tile.
        unsafe {
            let row: &mut [f32; NR] = &mut *c.add(r * ldc).cast();
            let mut acc = if t.load { *row } else { [0.0; NR] };
            for p in 0..t.k {
                let x = *t.a.add(r * t.rs + p * t.cs);
                let b: &[f32; NR] = &*t.b.add(p * t.ldb).cast();
                for (s, y) in acc.iter_mut().zip(b) {
                    *s = super::fma::<false>(x, *y, *s);
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
    use super::{
        super::{
            Aligned,
            gemm::{Panels, Right as _, View, tests::numbers},
        },
        *,
    };

    /// Every kernel this machine runs, against the plain triple loop, on odd shapes.
    #[test]
    fn kernels_agree_with_the_triple_loop() {
        let mut kernels: Vec<(Kernel, usize)> = vec![(portable, 2)];
        kernels.push(kernel());
        #[cfg(target_arch = "x86_64")]
        if Isa::detect() != Isa::Portable {
            kernels.push((x86::avx2, 6));
        }
        for (m, n, k) in [(1, 1, 1), (7, 33, 5), (8, 32, 16), (13, 70, 9), (3, 64, 40)] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let mut panels = Panels::default();
            panels.pack(View::rows(&b, n), k, n);
            let (rhs, mut room) = (panels.rhs(), Aligned::default());
            for &(kernel, mr) in &kernels {
                let mut c = vec![0.5f32; m * n];
                for i in (0..m).step_by(mr) {
                    for j in (0..n).step_by(NR) {
                        let (panel, ldb) = rhs.panel(j, 0..k, &mut room);
                        let tile = Tile {
                            rows: mr.min(m - i),
                            cols: NR.min(n - j),
                            k,
                            a: a[i * k..].as_ptr(),
                            rs: k,
                            cs: 1,
                            b: panel.as_ptr(),
                            ldb,
                            load: true,
                        };
                        // SAFETY: A has these rows, B is padded, and C has room for the tile.
                        unsafe { tile.run(kernel, &mut c[i * n + j..], n) };
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
}
