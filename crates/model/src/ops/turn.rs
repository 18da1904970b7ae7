//! Transposes.

use super::units::{BLOCK, SIDE};

/// Transposes rows of `width` elements.
#[inline]
pub(super) fn transpose<T: Copy>(from: &[T], width: usize, to: &mut [T]) {
    let height = from.len() / width;
    for (j, to) in to.chunks_exact_mut(height).enumerate() {
        for (i, x) in to.iter_mut().enumerate() {
            *x = from[i * width + j];
        }
    }
}

/// Pairs of inputs of each of 32 outputs, as pairs of outputs of each of 32 inputs: what makes of
/// `x W^T`'s blocks those of `dy W`.
///
/// Two neighbouring pairs `(a0, a1), (b0, b1)` of a row become `(a0, b0), (a1, b1)`, and with the
/// two as one element of 64 bits the block is transposed.
pub(super) fn turn_pairs(from: &[u32; BLOCK], to: &mut [u32; BLOCK]) {
    #[cfg(target_arch = "x86_64")]
    if super::Isa::detect() == super::Isa::Avx512 {
        // SAFETY: the instruction set was found on this machine.
        return unsafe { x86::turn_pairs(from, to) };
    }
    plainly(from, to);
}

fn plainly(from: &[u32; BLOCK], to: &mut [u32; BLOCK]) {
    let half = SIDE / 2;
    for p in 0..half {
        for q in 0..half {
            let (a, b) = (from[p * SIDE + 2 * q], from[p * SIDE + 2 * q + 1]);
            to[q * SIDE + 2 * p] = a & 0xFFFF | b << 16;
            to[q * SIDE + 2 * p + 1] = a >> 16 | b & 0xFFFF_0000;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512i, _mm_setr_epi8, _mm512_broadcast_i32x4, _mm512_loadu_si512, _mm512_shuffle_epi8,
        _mm512_shuffle_i64x2, _mm512_storeu_si512, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
    };

    use super::{BLOCK, SIDE};

    /// Rows and columns of what is transposed in registers.
    const PART: usize = 8;

    /// # Safety
    /// The machine must have AVX-512 F and BW.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) unsafe fn turn_pairs(from: &[u32; BLOCK], to: &mut [u32; BLOCK]) {
        let swap = _mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
        let swap = _mm512_broadcast_i32x4(swap);
        for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let at = |row: usize, column: usize| row * PART * SIDE + column * 2 * PART;
            let read = |r: usize| {
                // SAFETY: row `i * PART + r` of 16, half `j` of it.
                let row =
                    unsafe { _mm512_loadu_si512(from.as_ptr().add(at(i, j) + r * SIDE).cast()) };
                _mm512_shuffle_epi8(row, swap)
            };
            let rows: [__m512i; PART] =
                [read(0), read(1), read(2), read(3), read(4), read(5), read(6), read(7)];
            for (r, row) in transpose(rows).into_iter().enumerate() {
                // SAFETY: row `j * PART + r` of 16, half `i` of it.
                unsafe {
                    _mm512_storeu_si512(to.as_mut_ptr().add(at(j, i) + r * SIDE).cast(), row);
                }
            }
        }
    }

    /// The transpose of 8 x 8 elements of 64 bits: pairs of rows first, then quarters of rows.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn transpose(r: [__m512i; PART]) -> [__m512i; PART] {
        let low = [0, 2, 4, 6].map(|i| _mm512_unpacklo_epi64(r[i], r[i + 1]));
        let high = [0, 2, 4, 6].map(|i| _mm512_unpackhi_epi64(r[i], r[i + 1]));
        let [[a, b, c, d], [e, f, g, h]] = [low, high].map(|t: [__m512i; 4]| {
            let front = [
                _mm512_shuffle_i64x2::<0x44>(t[0], t[1]),
                _mm512_shuffle_i64x2::<0x44>(t[2], t[3]),
            ];
            let back = [
                _mm512_shuffle_i64x2::<0xEE>(t[0], t[1]),
                _mm512_shuffle_i64x2::<0xEE>(t[2], t[3]),
            ];
            [
                _mm512_shuffle_i64x2::<0x88>(front[0], front[1]),
                _mm512_shuffle_i64x2::<0xDD>(front[0], front[1]),
                _mm512_shuffle_i64x2::<0x88>(back[0], back[1]),
                _mm512_shuffle_i64x2::<0xDD>(back[0], back[1]),
            ]
        });
        [a, e, b, f, c, g, d, h]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_plain_transpose_and_its_own_inverse() {
        let from: [u32; BLOCK] =
            std::array::from_fn(|i| ((2 * i as u32 + 1) << 16) | (2 * i as u32));
        let (mut to, mut plain, mut back) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
        turn_pairs(&from, &mut to);
        plainly(&from, &mut plain);
        assert_eq!(to, plain);
        turn_pairs(&to, &mut back);
        assert_eq!(back, from);
    }
}
