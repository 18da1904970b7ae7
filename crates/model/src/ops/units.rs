//! The units of the processor that multiply matrices in bfloat16 and add up in float32.
//!
//! Two of them: AMX, which takes tiles of 16 rows of 64 bytes, and AVX512_BF16. Both compute
//! blocks of 32 x 32; what they add in which order differs, so their bits do too.

use std::sync::OnceLock;

use super::Isa;

/// Rows, columns and inputs of a block.
pub(crate) const SIDE: usize = 32;
/// Pairs of numbers in a block.
pub(crate) const BLOCK: usize = SIDE * SIDE / 2;

/// How exactly float32 matrices are multiplied, in PyTorch's words
/// (`set_float32_matmul_precision`). What is added up is added up in float32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MatmulPrecision {
    /// In float32.
    #[default]
    Highest,
    /// Each number as the sum of two in bfloat16: 16 bits of the fraction. In float32 where the
    /// processor has no unit that is faster so.
    High,
    /// Each number rounded to bfloat16. In float32 where the processor has no unit for it.
    Medium,
}

/// A unit for products in bfloat16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Tiles: 16 times the products of AVX-512 in a cycle.
    Amx,
    /// Pairs in vector registers: twice the products.
    Avx512Bf16,
}

impl Unit {
    /// The best one this machine has.
    pub fn detect() -> Option<Self> {
        static FOUND: OnceLock<Option<Unit>> = OnceLock::new();
        *FOUND.get_or_init(Self::probe)
    }

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amx => "AMX",
            Self::Avx512Bf16 => "AVX512_BF16",
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn probe() -> Option<Self> {
        if super::LIMIT.get().is_some()
            || Isa::detect() != Isa::Avx512
            || !is_x86_feature_detected!("avx512bf16")
        {
            return None;
        }
        Some(if amx::admitted() { Self::Amx } else { Self::Avx512Bf16 })
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn probe() -> Option<Self> {
        None
    }
}

/// A unit, and of how many pieces in bfloat16 a number is the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) unit: Unit,
    pub(crate) pieces: usize,
}

impl MatmulPrecision {
    /// What it means on this machine; none for float32.
    pub(crate) fn plan(self) -> Option<Plan> {
        let unit = Unit::detect()?;
        match (self, unit) {
            (Self::Highest, _) | (Self::High, Unit::Avx512Bf16) => None,
            (Self::High, Unit::Amx) => Some(Plan { unit, pieces: 2 }),
            (Self::Medium, _) => Some(Plan { unit, pieces: 1 }),
        }
    }

    /// What multiplies at this precision on this machine, for people.
    pub fn arithmetic(self) -> String {
        match self.plan() {
            None => format!("float32 ({})", Isa::detect().name()),
            Some(Plan { unit, pieces: 1 }) => format!("bfloat16 ({})", unit.name()),
            Some(Plan { unit, .. }) => format!("bfloat16x3 ({})", unit.name()),
        }
    }
}

/// One call of a unit: `n` blocks of a block row of A by those of a panel of B.
///
/// Numbers come in pairs, two inputs of a row of A or of a column of B, the earlier in the lower
/// half. A block of A holds row after row of 16 pairs, one of B 16 rows of a pair for each column.
/// The pieces of a block lie one after the other.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "no unit reads it"))]
pub(crate) struct Run<'a> {
    pub(crate) blocks: usize,
    pub(crate) a: &'a [u32],
    pub(crate) b: &'a [u32],
    /// Pieces of a number of A and of B, 1 or 2; those of B are at most those of A.
    pub(crate) pieces: (usize, usize),
    /// Rows of A that count.
    pub(crate) rows: usize,
    /// Whether to add to what is in C.
    pub(crate) load: bool,
    /// Where in C the next run will write: it is fetched meanwhile.
    pub(crate) next: usize,
}

#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "no unit asks"))]
impl Run<'_> {
    /// The blocks of A and of B whose products are added, as places among their pieces. The
    /// product of two second pieces is too small to count.
    fn products(&self) -> &'static [(usize, usize)] {
        match self.pieces {
            (1, _) => &[(0, 0)],
            (_, 1) => &[(0, 0), (1, 0)],
            _ => &[(0, 1), (0, 0), (1, 0)],
        }
    }

    /// Computes the block of C at `at`, whose rows are `ldc` apart: 16 or 32 of them, as `rows`
    /// needs.
    pub(crate) fn into(&self, unit: Unit, c: &mut [f32], (at, ldc): (usize, usize)) {
        let c = &mut c[at..];
        let (a, b) = (self.blocks * self.pieces.0, self.blocks * self.pieces.1);
        assert!(self.a.len() >= a * BLOCK && self.b.len() >= b * BLOCK, "A and B are covered");
        let rows = if self.rows > SIDE / 2 { SIDE } else { SIDE / 2 };
        assert!(c.len() >= (rows - 1) * ldc + SIDE && ldc >= SIDE, "C has room");
        #[cfg(target_arch = "x86_64")]
        match unit {
            Unit::Amx => {
                let next = c.as_ptr().wrapping_sub(at).wrapping_add(self.next);
                // SAFETY: the unit was found on this machine and the operands cover the blocks.
                unsafe { amx::run(self, c.as_mut_ptr(), ldc, next) }
            }
            // SAFETY: as above.
            Unit::Avx512Bf16 => unsafe { vectors::run(self, c.as_mut_ptr(), ldc) },
        }
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("{unit:?} is not on this machine");
    }
}

/// Readies a unit for the runs of `work` on this thread.
pub(crate) fn with_unit<R>(unit: Unit, work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if unit == Unit::Amx {
        // SAFETY: the unit was found on this machine.
        unsafe { amx::configure() };
        let done = work();
        // SAFETY: as above.
        unsafe { amx::release() };
        return done;
    }
    let _ = unit;
    work()
}

#[cfg(target_arch = "x86_64")]
mod amx {
    use std::arch::{asm, x86_64::__cpuid_count};

    use super::{BLOCK, Run, SIDE};

    /// Whether the processor has the tiles and the system lets this process use them.
    pub(super) fn admitted() -> bool {
        let (bf16, tile) = (1 << 22, 1 << 24);
        let found = __cpuid_count(7, 0).edx;
        found & bf16 != 0 && found & tile != 0 && ask()
    }

    /// Asks Linux for the registers, which are too large to be given to every process.
    #[cfg(target_os = "linux")]
    fn ask() -> bool {
        const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;
        const XTILEDATA: libc::c_ulong = 18;
        // SAFETY: the call takes two numbers and gives a permission.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0 }
    }

    #[cfg(not(target_os = "linux"))]
    fn ask() -> bool {
        false
    }

    /// The shapes of the eight tiles: 16 rows of 64 bytes.
    #[repr(C, align(64))]
    struct Shapes {
        palette: u8,
        unused: [u8; 15],
        row_bytes: [u16; 16],
        rows: [u8; 16],
    }

    static SHAPES: Shapes = Shapes {
        palette: 1,
        unused: [0; 15],
        row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };

    /// # Safety
    /// The machine must have AMX.
    pub(super) unsafe fn configure() {
        // SAFETY: the caller's promise; the compiler uses no tiles.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &SHAPES, options(nostack, readonly)) }
    }

    /// Gives the registers back, which a switch to another thread would have to save.
    ///
    /// # Safety
    /// The machine must have AMX.
    pub(super) unsafe fn release() {
        // SAFETY: the caller's promise.
        unsafe { asm!("tilerelease", options(nostack, nomem)) }
    }

    /// Tiles 0 to 3 are the quarters of the block of C, 4 and 5 the halves of one of A, 6 and 7
    /// those of one of B.
    ///
    /// # Safety
    /// The machine must have AMX, configured; A, B and C must cover the blocks.
    pub(super) unsafe fn run(run: &Run<'_>, c: *mut f32, ldc: usize, next: *const f32) {
        let both = run.rows > SIDE / 2;
        let (bytes, low) = (4 * ldc, c.wrapping_add(SIDE / 2 * ldc));
        // SAFETY: the caller's promise; `low` is read and written where there are so many rows.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                options(nostack, nomem)
            );
            if run.load {
                asm!("tileloadd tmm0, [{c} + {s}]", "tileloadd tmm1, [{c} + {s} + 64]",
                    c = in(reg) c, s = in(reg) bytes, options(nostack, readonly));
            }
            if run.load && both {
                asm!("tileloadd tmm2, [{c} + {s}]", "tileloadd tmm3, [{c} + {s} + 64]",
                    c = in(reg) low, s = in(reg) bytes, options(nostack, readonly));
            }
            match both {
                true => both_halves(run, (next, bytes)),
                false => upper_half(run),
            }
            asm!("tilestored [{c} + {s}], tmm0", "tilestored [{c} + {s} + 64], tmm1",
                c = in(reg) c, s = in(reg) bytes, options(nostack));
            if both {
                asm!("tilestored [{c} + {s}], tmm2", "tilestored [{c} + {s} + 64], tmm3",
                    c = in(reg) low, s = in(reg) bytes, options(nostack));
            }
        }
    }

    /// Loads the halves of piece `$i` of A, or those of B.
    macro_rules! load {
        (a $from:literal) => {
            concat!(
                "tileloaddt1 tmm4, [{a} + {sa} + ",
                $from,
                "]\n",
                "tileloaddt1 tmm5, [{a} + {sa} + ",
                $from,
                " + 1024]"
            )
        };
        (b $from:literal) => {
            concat!(
                "tileloadd tmm6, [{b} + {sb} + ",
                $from,
                "]\n",
                "tileloadd tmm7, [{b} + {sb} + ",
                $from,
                " + 64]"
            )
        };
    }

    /// Multiplies what is loaded.
    macro_rules! multiply {
        () => {
            "tdpbf16ps tmm0, tmm4, tmm6\n\
             tdpbf16ps tmm1, tmm4, tmm7\n\
             tdpbf16ps tmm2, tmm5, tmm6\n\
             tdpbf16ps tmm3, tmm5, tmm7"
        };
    }

    /// Runs these lines for each block, then goes on by so many bytes in A and in B. Fetches two
    /// rows of the next block of C.
    macro_rules! each_block {
        (($run:ident, $next:ident, $bytes:ident), $a:literal, $b:literal, $($line:expr),*) => {
            asm!(
                "2:",
                $($line,)*
                "prefetchw [{p}]",
                "prefetchw [{p} + 64]",
                "prefetchw [{p} + {s}]",
                "prefetchw [{p} + {s} + 64]",
                "lea {p}, [{p} + 2 * {s}]",
                concat!("add {a}, ", $a),
                concat!("add {b}, ", $b),
                "dec {n}",
                "jnz 2b",
                a = inout(reg) $run.a.as_ptr() => _,
                b = inout(reg) $run.b.as_ptr() => _,
                n = inout(reg) $run.blocks => _,
                p = inout(reg) $next => _,
                s = in(reg) $bytes,
                sa = in(reg) 64usize,
                sb = in(reg) 128usize,
                options(nostack, readonly)
            )
        };
    }

    /// Both halves of A. Pieces are taken in an order that loads each of them once.
    ///
    /// # Safety
    /// As [`run`]; at least one block.
    unsafe fn both_halves(run: &Run<'_>, (next, bytes): (*const f32, usize)) {
        // SAFETY: the caller's promise.
        unsafe {
            match run.pieces {
                (1, _) => {
                    each_block!((run, next, bytes), 2048, 2048, load!(b 0), load!(a 0), multiply!())
                }
                (_, 1) => each_block!(
                    (run, next, bytes),
                    4096,
                    2048,
                    load!(b 0),
                    load!(a 0),
                    multiply!(),
                    load!(a 2048),
                    multiply!()
                ),
                _ => each_block!(
                    (run, next, bytes),
                    4096,
                    4096,
                    load!(b 2048),
                    load!(a 0),
                    multiply!(),
                    load!(b 0),
                    multiply!(),
                    load!(a 2048),
                    multiply!()
                ),
            }
        }
    }

    /// The upper half of A alone, in any number of pieces.
    ///
    /// # Safety
    /// As [`run`].
    unsafe fn upper_half(run: &Run<'_>) {
        let (mut a, mut b) = (run.a.as_ptr(), run.b.as_ptr());
        for _ in 0..run.blocks {
            for (of_a, of_b) in run.products() {
                // SAFETY: the caller's promise.
                unsafe {
                    asm!(
                        "tileloadd tmm4, [{a} + {sa}]",
                        "tileloadd tmm6, [{b} + {sb}]",
                        "tileloadd tmm7, [{b} + {sb} + 64]",
                        "tdpbf16ps tmm0, tmm4, tmm6",
                        "tdpbf16ps tmm1, tmm4, tmm7",
                        a = in(reg) a.wrapping_add(of_a * BLOCK),
                        b = in(reg) b.wrapping_add(of_b * BLOCK),
                        sa = in(reg) 64usize,
                        sb = in(reg) 128usize,
                        options(nostack, readonly)
                    );
                }
            }
            a = a.wrapping_add(run.pieces.0 * BLOCK);
            b = b.wrapping_add(run.pieces.1 * BLOCK);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod vectors {
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512,
        _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    use super::{BLOCK, Run, SIDE};

    /// Rows of C that are computed together.
    const ROWS: usize = 8;

    /// # Safety
    /// The machine must have AVX512_BF16; A, B and C must cover the blocks.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn run(run: &Run<'_>, c: *mut f32, ldc: usize) {
        for r in (0..run.rows).step_by(ROWS) {
            // SAFETY: the caller's promise, for the rows from `r` on.
            unsafe { rows(run, r, c.add(r * ldc), ldc) };
        }
    }

    /// # Safety
    /// As [`run`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn rows(run: &Run<'_>, first: usize, c: *mut f32, ldc: usize) {
        // SAFETY: the caller's promise; registers of one size are read as one another.
        unsafe {
            let as_bf16 = |x: __m512i| std::mem::transmute::<__m512i, __m512bh>(x);
            let mut acc: [[__m512; 2]; ROWS] = [[_mm512_setzero_ps(); 2]; ROWS];
            if run.load {
                for (r, acc) in acc.iter_mut().enumerate() {
                    acc[0] = _mm512_loadu_ps(c.add(r * ldc));
                    acc[1] = _mm512_loadu_ps(c.add(r * ldc + 16));
                }
            }
            for block in 0..run.blocks {
                for (of_a, of_b) in run.products() {
                    let a = run.a.as_ptr().add((block * run.pieces.0 + of_a) * BLOCK);
                    let a = a.add(first * SIDE / 2);
                    let b = run.b.as_ptr().add((block * run.pieces.1 + of_b) * BLOCK);
                    for pair in 0..SIDE / 2 {
                        let b0 = as_bf16(_mm512_loadu_si512(b.add(pair * SIDE).cast()));
                        let b1 = as_bf16(_mm512_loadu_si512(b.add(pair * SIDE + 16).cast()));
                        for (r, acc) in acc.iter_mut().enumerate() {
                            let x = *a.add(r * SIDE / 2 + pair);
                            let x = as_bf16(_mm512_set1_epi32(x.cast_signed()));
                            acc[0] = _mm512_dpbf16_ps(acc[0], x, b0);
                            acc[1] = _mm512_dpbf16_ps(acc[1], x, b1);
                        }
                    }
                }
            }
            for (r, acc) in acc.iter().enumerate() {
                _mm512_storeu_ps(c.add(r * ldc), acc[0]);
                _mm512_storeu_ps(c.add(r * ldc + 16), acc[1]);
            }
        }
    }
}
