//! The operations of the transformer, forward and backward: the seam that says what they are
//! ([`seam`]), and their kernels on the CPU ([`Cpu`]).
//!
//! Each kernel is written once in plain Rust and compiled for several instruction sets; which
//! one runs is decided when the process starts ([`Isa::detect`]). Matrix products have
//! hand-written inner loops. Every sum runs in an order that depends only on the row it
//! belongs to, never on its neighbours in the batch or on the number of threads: this is what
//! makes a decoded log-prob bit-equal to the one that training computes.

use std::sync::OnceLock;

use crate::ModelError;

mod aligned;
mod attention;
mod blocks;
mod cache;
mod cpu;
mod dropout;
mod frozen;
mod gemm;
mod head;
mod matrix;
mod norm;
mod optimizer;
mod pairs;
mod parts;
mod rope;
pub mod seam;
mod softmax;
mod swiglu;
mod tile;
mod turn;
mod units;

use aligned::Aligned;
pub use aligned::CacheLines;
pub use cpu::Cpu;
pub(crate) use frozen::Frozen;
pub use frozen::Precision;
pub(crate) use gemm::{NR, round_up};
use gemm::{Panels, Rhs, View, gemm};
pub(crate) use head::{HEAD_ROWS, log_softmax_stats, token_at};
pub(crate) use matrix::{Matrix, PackedRows};
pub use optimizer::{AdamW, adamw, sum_of_squares};
use softmax::softmax;
pub use units::{MatmulPrecision, Unit};

static FOUND: OnceLock<Isa> = OnceLock::new();
static LIMIT: OnceLock<Isa> = OnceLock::new();

/// An instruction set for which the kernels are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// x86-64 with AVX-512 (F, BW, DQ, VL).
    Avx512,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// 64-bit Arm, whose NEON is always there.
    Neon,
    /// Anything else.
    Portable,
}

impl Isa {
    /// The best one this machine runs.
    pub fn detect() -> Self {
        *FOUND.get_or_init(Self::probe)
    }

    /// Says not to use more than this, so that a machine can be measured as a lesser one; with
    /// [`Isa::Avx512`], no unit for bfloat16. To be called before anything is computed.
    ///
    /// # Errors
    /// If something was.
    pub fn limit(self) -> Result<(), ModelError> {
        let late = || ModelError::Input("the instruction set is chosen already".to_string());
        LIMIT.set(self).ok().filter(|()| FOUND.get().is_none()).ok_or_else(late)
    }

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "AVX-512",
            Self::Avx2 => "AVX2+FMA",
            Self::Neon => "NEON",
            Self::Portable => "portable",
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn probe() -> Self {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        match LIMIT.get().copied().unwrap_or(Self::Avx512) {
            Self::Avx512 if avx2 && avx512 => Self::Avx512,
            Self::Avx512 | Self::Avx2 if avx2 => Self::Avx2,
            _ => Self::Portable,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn probe() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Neon } else { Self::Portable }
    }
}

/// `a * b + c`, fused where the instruction set has it (`F`); elsewhere a call to a library
/// function would be a hundred times slower than two roundings.
#[inline(always)]
pub(crate) fn fma<const F: bool>(a: f32, b: f32, c: f32) -> f32 {
    if F { a.mul_add(b, c) } else { a * b + c }
}

/// Compiles a kernel for each instruction set and dispatches between them.
///
/// `kernel!(fn name / body (x: T, ...) -> R)` defines `name`, which calls the generic
/// `#[inline(always)] fn body<const F: bool>(x: T, ...) -> R`.
macro_rules! kernel {
    ($(#[$doc:meta])* fn $name:ident / $body:ident ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)?) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "a kernel takes its arrays apart")]
        pub(crate) fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "a kernel takes its arrays apart")]
                fn avx512($($arg: $ty),*) $(-> $ret)? { $body::<true>($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "a kernel takes its arrays apart")]
                fn avx2($($arg: $ty),*) $(-> $ret)? { $body::<true>($($arg),*) }
                match $crate::ops::Isa::detect() {
                    // SAFETY: the features were detected on this machine.
                    $crate::ops::Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: the features were detected on this machine.
                    $crate::ops::Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    _ => {}
                }
            }
            $body::<{ cfg!(target_arch = "aarch64") }>($($arg),*)
        }
    };
}
pub(crate) use kernel;

/// The first `len` floats of a buffer that grows and never shrinks.
fn grown(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// Lanes of the blocked sums: one AVX-512 register.
pub(crate) const LANES: usize = 16;

/// Terms of a sum that are found before they are added.
const TERMS: usize = 128;

/// The sum of `f` over the elements of rows of equal length, in sixteen interleaved partial sums
/// that are then added in a fixed order. An `f` of many operations is better off in [`lane_sums`].
#[inline(always)]
pub(crate) fn lane_sum<const N: usize>(rows: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = rows.map(|row| row.as_chunks::<LANES>().0);
    for i in 0..whole[0].len() {
        let x = whole.map(|chunks| &chunks[i]);
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += f(x.map(|x| x[l]));
        }
    }
    let rest = rows.map(|row| row.as_chunks::<LANES>().1);
    for (l, lane) in lanes.iter_mut().enumerate().take(rest[0].len()) {
        *lane += f(rest.map(|x| x[l]));
    }
    lane_total(lanes)
}

/// Several such sums in one pass, each with the bits that [`lane_sum`] gives it. Terms are found
/// before they are added.
#[inline(always)]
pub(crate) fn lane_sums<const N: usize, const K: usize>(
    rows: [&[f32]; N],
    f: impl Fn([f32; N]) -> [f32; K],
) -> [f32; K] {
    let n = rows[0].len();
    let (mut lanes, mut terms) = ([[0.0f32; LANES]; K], [[0.0f32; TERMS]; K]);
    for start in (0..n).step_by(TERMS) {
        let len = TERMS.min(n - start);
        let x = rows.map(|row| &row[start..start + len]);
        // A loop of its own, which the compiler turns into vectors; one over lanes it unrolls.
        for i in 0..len {
            let each = f(x.map(|x| x[i]));
            for (terms, term) in terms.iter_mut().zip(each) {
                terms[i] = term;
            }
        }
        for (lanes, terms) in lanes.iter_mut().zip(&terms) {
            for terms in terms[..len].chunks(LANES) {
                lanes.iter_mut().zip(terms).for_each(|(lane, term)| *lane += term);
            }
        }
    }
    lanes.map(lane_total)
}

/// Adds the partial sums up.
#[inline(always)]
fn lane_total(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for l in 0..width {
            lanes[l] += lanes[l + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_have_the_same_bits_one_by_one_and_in_one_pass() {
        let x: Vec<f32> = (0..300).map(|i| (i as f32 * 0.37).sin() * 9.0).collect();
        for n in [0, 1, 15, 16, 17, 127, 128, 129, 300] {
            let (x, y) = (&x[..n], &x[300 - n..]);
            let [sum, product] = lane_sums([x, y], |[x, y]| [x, x * y]);
            assert_eq!(lane_sum([x], |[x]| x).to_bits(), sum.to_bits(), "{n}");
            assert_eq!(lane_sum([x, y], |[x, y]| x * y).to_bits(), product.to_bits(), "{n}");
        }
    }
}
