//! Numbers rounded to bfloat16, in pairs, as the units take them.

#[cfg(target_arch = "x86_64")]
use super::units::Unit;
use super::{
    View,
    gemm::copy,
    turn::transpose,
    units::{BLOCK, SIDE},
};

/// Copies a square of a `k` x `n` matrix, with zeros beyond its edges.
pub(super) fn cut(
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

/// Writes a square of a `k` x `n` matrix as a block of a right-hand matrix, in as many pieces as
/// there is room for.
pub(super) fn pair_square(
    b: View<'_>,
    (i0, j0): (usize, usize),
    (k, n): (usize, usize),
    out: &mut [u32],
) {
    if b.cs == 1 && i0 + SIDE <= k && j0 + SIDE <= n {
        return pair_rows(&b.data[i0 * b.rs + j0..], b.rs, out);
    }
    let mut square = [0.0; SIDE * SIDE];
    cut(b, (i0, j0), (k, n), &mut square);
    pair_rows(&square, SIDE, out);
}

/// The same for a square whose rows are `ld` apart.
pub(super) fn pair_rows(square: &[f32], ld: usize, out: &mut [u32]) {
    assert!(square.len() >= (SIDE - 1) * ld + SIDE && ld >= SIDE, "all rows of the square");
    assert!(out.len() == BLOCK || out.len() == 2 * BLOCK, "one piece or two");
    #[cfg(target_arch = "x86_64")]
    if Unit::detect().is_some() {
        // SAFETY: every machine with a unit has AVX512_BF16, and the lengths were checked.
        return unsafe { x86::pair_rows(square, ld, out) };
    }
    plainly::pair_rows(square, ld, out);
}

/// Writes `m` rows of `k` inputs, `ld` apart, as the block rows of a left-hand matrix, whose last
/// block of inputs they may not fill.
pub(super) fn pack_left(
    (x, ld): (&[f32], usize),
    (m, k): (usize, usize),
    pieces: usize,
    out: &mut [u32],
) {
    let blocks = m.div_ceil(SIDE) * k.div_ceil(SIDE);
    assert!(m > 0 && x.len() >= (m - 1) * ld + k && ld >= k, "all rows of inputs");
    assert!(out.len() >= blocks * pieces * BLOCK, "room for all blocks");
    #[cfg(target_arch = "x86_64")]
    if Unit::detect().is_some() {
        // SAFETY: every machine with a unit has AVX512_BF16, and the lengths were checked.
        return unsafe { x86::pack_left((x, ld), (m, k), pieces, out) };
    }
    plainly::pack_left((x, ld), (m, k), pieces, out);
}

/// The same for the transpose of rows: a left-hand matrix of `m` rows whose columns are `x`'s rows.
pub(super) fn pack_left_turned(
    x: View<'_>,
    (m, k): (usize, usize),
    pieces: usize,
    out: &mut [u32],
) {
    let (high, deep, size) = (m.div_ceil(SIDE), k.div_ceil(SIDE), pieces * BLOCK);
    let mut paired = [0; 2 * BLOCK];
    let rows = View { rs: x.cs, cs: x.rs, ..x };
    // A row is read from its beginning to its end, as it lies in memory.
    for block in 0..deep {
        for i in 0..high {
            pair_square(rows, (block * SIDE, i * SIDE), (k, m), &mut paired[..size]);
            let out = out[(i * deep + block) * size..][..size].chunks_exact_mut(BLOCK);
            for (paired, out) in paired.chunks_exact(BLOCK).zip(out) {
                transpose(paired, SIDE, out);
            }
        }
    }
}

/// The nearest bfloat16, ties to even, in the upper half.
pub(super) fn upper(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000;
    if x.is_nan() { bits & 0xFFFF_0000 | 0x0040_0000 } else { rounded }
}

/// What the processor's instructions do, but for numbers below 2^-126, which they take for zero as
/// the units do.
mod plainly {
    use super::{BLOCK, SIDE, upper};

    /// Two numbers as pairs: what bfloat16 keeps of them, and what it keeps of the rest.
    fn pairs(x: f32, y: f32) -> [u32; 2] {
        let (a, b) = (upper(x), upper(y));
        let rest = |x: f32, bits: u32| upper(x - f32::from_bits(bits));
        [a >> 16 | b, rest(x, a) >> 16 | rest(y, b)]
    }

    pub(super) fn pair_rows(square: &[f32], ld: usize, out: &mut [u32]) {
        for (piece, out) in out.chunks_exact_mut(BLOCK).enumerate() {
            for (rows, out) in square.chunks(2 * ld).zip(out.chunks_exact_mut(SIDE)) {
                for (j, out) in out.iter_mut().enumerate() {
                    *out = pairs(rows[j], rows[ld + j])[piece];
                }
            }
        }
    }

    pub(super) fn pack_left(
        (x, ld): (&[f32], usize),
        (m, k): (usize, usize),
        pieces: usize,
        out: &mut [u32],
    ) {
        let deep = k.div_ceil(SIDE);
        for (i, row) in x.chunks(ld).take(m).enumerate() {
            for (block, x) in row[..k].chunks(SIDE).enumerate() {
                let input = |at: usize| x.get(at).copied().unwrap_or_default();
                let at = (i / SIDE * deep + block) * pieces * BLOCK + i % SIDE * (SIDE / 2);
                for (p, piece) in (0..SIDE / 2).flat_map(|p| (0..pieces).map(move |q| (p, q))) {
                    out[at + piece * BLOCK + p] = pairs(input(2 * p), input(2 * p + 1))[piece];
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512, __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_castsi512_ps, _mm512_castsi512_si256,
        _mm512_cvtepu16_epi32, _mm512_cvtne2ps_pbh, _mm512_extracti64x4_epi64, _mm512_loadu_ps,
        _mm512_loadu_si512, _mm512_maskz_loadu_ps, _mm512_permutexvar_epi16, _mm512_slli_epi32,
        _mm512_storeu_si512, _mm512_sub_ps,
    };

    use super::{BLOCK, SIDE};

    /// Floats of a register.
    const WIDE: usize = SIDE / 2;

    /// Numbers of two registers, rounded, in order.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn rounded([low, high]: [__m512; 2]) -> __m512i {
        // SAFETY: registers of one size are read as one another.
        unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(high, low)) }
    }

    /// What rounding took off them.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn rest([low, high]: [__m512; 2], kept: __m512i) -> [__m512; 2] {
        let float = |half| _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
        let (a, b) = (_mm512_castsi512_si256(kept), _mm512_extracti64x4_epi64::<1>(kept));
        [_mm512_sub_ps(low, float(a)), _mm512_sub_ps(high, float(b))]
    }

    /// # Safety
    /// The machine must have AVX512_BF16; the square has 32 rows, `out` one block or two.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn pair_rows(square: &[f32], ld: usize, out: &mut [u32]) {
        // The lower half's numbers in turn with the upper half's.
        let turns: [u16; SIDE] = std::array::from_fn(|i| (i / 2 + i % 2 * WIDE) as u16);
        let two = out.len() > BLOCK;
        // SAFETY: the caller's promise.
        unsafe {
            let turns = _mm512_loadu_si512(turns.as_ptr().cast());
            for p in 0..WIDE {
                for half in [0, WIDE] {
                    let x = square.as_ptr().add(2 * p * ld + half);
                    let both = [_mm512_loadu_ps(x), _mm512_loadu_ps(x.add(ld))];
                    let to = out.as_mut_ptr().add(p * SIDE + half);
                    let kept = rounded(both);
                    _mm512_storeu_si512(to.cast(), _mm512_permutexvar_epi16(turns, kept));
                    if two {
                        let kept = rounded(rest(both, kept));
                        let to = to.add(BLOCK).cast();
                        _mm512_storeu_si512(to, _mm512_permutexvar_epi16(turns, kept));
                    }
                }
            }
        }
    }

    /// # Safety
    /// The machine must have AVX512_BF16; `x` has all rows, and `out` room for all blocks.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn pack_left(
        (x, ld): (&[f32], usize),
        (m, k): (usize, usize),
        pieces: usize,
        out: &mut [u32],
    ) {
        let deep = k.div_ceil(SIDE);
        for i in 0..m {
            for block in 0..deep {
                let at = (i / SIDE * deep + block) * pieces * BLOCK + i % SIDE * WIDE;
                let n = SIDE.min(k - block * SIDE);
                // SAFETY: the caller's promise; a prefetch reads nothing that the program could see.
                unsafe {
                    let x = x.as_ptr().add(i * ld + block * SIDE);
                    let ahead = x.wrapping_add(2 * ld);
                    _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                    _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(WIDE).cast());
                    let numbers = match n {
                        SIDE => [_mm512_loadu_ps(x), _mm512_loadu_ps(x.add(WIDE))],
                        _ => [first(x, n), first(x.wrapping_add(WIDE), n.saturating_sub(WIDE))],
                    };
                    let to = out.as_mut_ptr().add(at);
                    let kept = rounded(numbers);
                    _mm512_storeu_si512(to.cast(), kept);
                    if pieces == 2 {
                        _mm512_storeu_si512(to.add(BLOCK).cast(), rounded(rest(numbers, kept)));
                    }
                }
            }
        }
    }

    /// The first `n` numbers at `x`, at most a register of them, and zeros.
    ///
    /// # Safety
    /// So many can be read.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn first(x: *const f32, n: usize) -> __m512 {
        let mask = ((1u32 << n.min(WIDE)) - 1) as u16;
        // SAFETY: the caller's promise; what is masked is not read.
        unsafe { _mm512_maskz_loadu_ps(mask, x) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of every size that bfloat16 has, and what is none.
    fn numbers(n: usize) -> Vec<f32> {
        let number = |i: usize| match i % 97 {
            13 => f32::INFINITY,
            29 => -0.0,
            41 => f32::MAX,
            71 => f32::NAN,
            _ => {
                let bits = (i as u32).wrapping_mul(0x9E37_79B9);
                // Large enough that what rounding takes off them is not below 2^-126.
                f32::from_bits(bits & 0x8FFF_FFFF | 0x2000_0000)
            }
        };
        (0..n).map(number).collect()
    }

    #[test]
    fn rounding_is_that_of_the_plain_code() {
        for (m, k, ld) in
            [(1_usize, 1_usize, 1), (32, 32, 32), (33, 70, 75), (5, 49, 49), (64, 128, 160)]
        {
            for pieces in [1, 2] {
                let x = numbers(m * ld);
                let blocks = m.div_ceil(SIDE) * k.div_ceil(SIDE) * pieces * BLOCK;
                let (mut found, mut expected) = (vec![7; blocks], vec![7; blocks]);
                pack_left((&x, ld), (m, k), pieces, &mut found);
                plainly::pack_left((&x, ld), (m, k), pieces, &mut expected);
                assert!(found == expected, "{m} x {k}, {pieces}");
            }
        }
        for (ld, pieces) in [(32, 1), (32, 2), (45, 1), (128, 2)] {
            let x = numbers(SIDE * ld);
            let (mut found, mut expected) = (vec![7; pieces * BLOCK], vec![7; pieces * BLOCK]);
            pair_rows(&x, ld, &mut found);
            plainly::pair_rows(&x, ld, &mut expected);
            assert!(found == expected, "{ld}, {pieces}");
        }
    }
}
