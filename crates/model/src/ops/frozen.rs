//! Matrices that do not learn: held once, in few bits, and widened panel by panel.
//!
//! What is widened is exact, so a product with a matrix held as float16 or bfloat16 has the bits
//! of the product with the same numbers held as float32.

use std::ops::Range;

use super::{
    Aligned,
    blocks::RightBlocks,
    gemm::{NR, Right, round_up},
    pairs::{pack_left, pair_rows},
    turn::{transpose, turn_pairs},
    units::{self, SIDE},
};

/// How the numbers of a matrix that does not learn are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Four bytes.
    Float32,
    /// Two bytes, eight bits of them for the fraction.
    Bfloat16,
    /// Two bytes, eleven bits of them for the fraction.
    Float16,
    /// One byte, and a scale for each 64 inputs of an output: the largest of them is 127.
    Int8,
    /// Half a byte, and such a scale: the sixteen numbers that a normal distribution falls
    /// between equally often (Dettmers et al. 2023, "QLoRA", appendix E).
    Nf4,
}

impl Precision {
    /// Bytes that a matrix of `output` rows of `input` takes.
    pub fn bytes(self, output: usize, input: usize) -> usize {
        let n = round_up(output, NR) * input;
        let scales = round_up(output, NR) * input.div_ceil(BLOCK) * 4;
        match self {
            Self::Float32 => 4 * n,
            Self::Bfloat16 => 2 * round_up(output, NR) * round_up(input, SIDE),
            Self::Float16 => 2 * n,
            Self::Int8 => n + scales,
            Self::Nf4 => n / 2 + scales,
        }
    }
}

/// Inputs that share a scale.
const BLOCK: usize = 64;

/// The numbers of NF4, ascending.
const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// A matrix of `output` rows of `input`, in panels of [`NR`] rows: the numbers of a panel lie
/// input by input, the [`NR`] rows side by side. Rows beyond the last are zero.
#[derive(Debug, Clone)]
pub(crate) struct Frozen {
    output: usize,
    input: usize,
    numbers: Numbers,
}

#[derive(Debug, Clone)]
enum Numbers {
    Float32(Aligned<f32>),
    /// As the units for bfloat16 read them: see [`units::Run`]. Inputs beyond the last are zero.
    Bfloat16(Aligned<u32>),
    Float16(Vec<half::f16>),
    /// Scales: for each panel and block of inputs, one a row.
    Int8(Vec<i8>, Vec<f32>),
    /// A byte holds rows `r` (low half) and `r + 16` of a panel.
    Nf4(Vec<u8>, Vec<f32>),
}

impl Frozen {
    /// A matrix of zeros, to be filled panel by panel.
    pub(crate) fn zeros(precision: Precision, output: usize, input: usize) -> Self {
        let n = round_up(output, NR) * input;
        let scales = || vec![0.0; round_up(output, NR) * input.div_ceil(BLOCK)];
        let numbers = match precision {
            Precision::Float32 => Numbers::Float32(Aligned::zeros(n)),
            Precision::Bfloat16 => {
                let pairs = round_up(output, NR) * round_up(input, SIDE) / 2;
                Numbers::Bfloat16(Aligned::zeros(pairs))
            }
            Precision::Float16 => Numbers::Float16(vec![half::f16::ZERO; n]),
            Precision::Int8 => Numbers::Int8(vec![0; n], scales()),
            Precision::Nf4 => Numbers::Nf4(vec![0; n / 2], scales()),
        };
        Self { output, input, numbers }
    }

    /// A matrix of these rows.
    pub(crate) fn of(precision: Precision, rows: &[f32], output: usize, input: usize) -> Self {
        let mut matrix = Self::zeros(precision, output, input);
        for (p, rows) in rows.chunks(NR * input).enumerate() {
            matrix.fill(p, rows);
        }
        matrix
    }

    pub(crate) fn precision(&self) -> Precision {
        match self.numbers {
            Numbers::Float32(_) => Precision::Float32,
            Numbers::Bfloat16(_) => Precision::Bfloat16,
            Numbers::Float16(_) => Precision::Float16,
            Numbers::Int8(..) => Precision::Int8,
            Numbers::Nf4(..) => Precision::Nf4,
        }
    }

    pub(crate) fn output(&self) -> usize {
        self.output
    }

    pub(crate) fn input(&self) -> usize {
        self.input
    }

    /// Rounds rows `NR * panel` and on, at most [`NR`], to what is held.
    pub(crate) fn fill(&mut self, panel: usize, rows: &[f32]) {
        let d = self.input;
        let at = |r: usize, i: usize| panel * NR * d + i * NR + r;
        let rows = rows.chunks_exact(d).enumerate();
        match &mut self.numbers {
            Numbers::Float32(to) => {
                rows.for_each(|(r, row)| place(row, |i, x| to[at(r, i)] = x));
            }
            Numbers::Bfloat16(to) => {
                let to = &mut to[panel * NR * round_up(d, SIDE) / 2..];
                let bits = |x| u32::from(half::bf16::from_f32(x).to_bits());
                rows.for_each(|(r, row)| {
                    place(row, |i, x| to[i / 2 * NR + r] |= bits(x) << (i % 2 * 16));
                });
            }
            Numbers::Float16(to) => {
                let half = half::f16::from_f32;
                rows.for_each(|(r, row)| place(row, |i, x| to[at(r, i)] = half(x)));
            }
            Numbers::Int8(to, scales) => {
                let scales = &mut scales[panel * NR * d.div_ceil(BLOCK)..];
                for (r, row) in rows {
                    scale_blocks(row, r, 127.0, scales);
                    place(row, |i, x| to[at(r, i)] = code_int8(x, scales[i / BLOCK * NR + r]));
                }
            }
            Numbers::Nf4(to, scales) => {
                let scales = &mut scales[panel * NR * d.div_ceil(BLOCK)..];
                for (r, row) in rows {
                    scale_blocks(row, r, 1.0, scales);
                    place(row, |i, x| {
                        let code = code_nf4(x, scales[i / BLOCK * NR + r]);
                        let byte = &mut to[(panel * d + i) * (NR / 2) + r % (NR / 2)];
                        *byte |= code << (r / (NR / 2) * 4);
                    });
                }
            }
        }
    }

    /// Writes inputs `inputs` of a panel, [`NR`] rows side by side.
    fn widen(&self, panel: usize, inputs: Range<usize>, out: &mut [f32]) {
        let from = panel * NR * self.input + inputs.start * NR;
        let span = from..from + inputs.len() * NR;
        let scales_from = panel * NR * self.input.div_ceil(BLOCK);
        match &self.numbers {
            Numbers::Float32(x) => out.copy_from_slice(&x[span]),
            Numbers::Bfloat16(x) => {
                let x = &x[panel * NR * round_up(self.input, SIDE) / 2..];
                widen_bf16(&x[inputs.start / 2 * NR..], inputs.start % 2, out);
            }
            Numbers::Float16(x) => {
                use half::slice::HalfFloatSliceExt as _;
                x[span].convert_to_f32_slice(out);
            }
            Numbers::Int8(x, scales) => {
                widen_int8(&x[span], &scales[scales_from..], inputs.start, out);
            }
            Numbers::Nf4(x, scales) => {
                let bytes = &x[span.start / 2..span.end / 2];
                widen_nf4(bytes, &scales[scales_from..], inputs.start, out);
            }
        }
    }

    /// Copies a row.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        let mut wide = [0.0; NR];
        for (i, x) in out.iter_mut().enumerate() {
            self.widen(row / NR, i..i + 1, &mut wide);
            *x = wide[row % NR];
        }
    }

    /// All rows.
    pub(crate) fn rows(&self) -> Vec<f32> {
        let mut rows = vec![0.0; self.output * self.input];
        let mut wide = vec![0.0; NR * self.input];
        for (p, rows) in rows.chunks_mut(NR * self.input).enumerate() {
            self.widen(p, 0..self.input, &mut wide);
            for (r, row) in rows.chunks_exact_mut(self.input).enumerate() {
                row.iter_mut().zip(wide[r..].iter().step_by(NR)).for_each(|(x, y)| *x = *y);
            }
        }
        rows
    }
}

fn place(row: &[f32], mut to: impl FnMut(usize, f32)) {
    row.iter().enumerate().for_each(|(i, x)| to(i, *x));
}

/// Writes the scale of each block of row `r`: its largest magnitude has code `largest`.
fn scale_blocks(row: &[f32], r: usize, largest: f32, scales: &mut [f32]) {
    for (block, scale) in row.chunks(BLOCK).zip(scales[r..].iter_mut().step_by(NR)) {
        *scale = block.iter().fold(0.0, |m, x| f32::max(m, x.abs())) / largest;
    }
}

fn code_int8(x: f32, scale: f32) -> i8 {
    if scale == 0.0 { 0 } else { (x / scale).round_ties_even() as i8 }
}

/// The nearest of the sixteen.
fn code_nf4(x: f32, scale: f32) -> u8 {
    let x = if scale == 0.0 { 0.0 } else { x / scale };
    NF4.windows(2).take_while(|pair| x > (pair[0] + pair[1]) / 2.0).count() as u8
}

super::kernel! {
    /// Widens pairs of inputs, from the lower (`odd` is 0) or the upper of the first pair on.
    fn widen_bf16 / widen_bf16_body (from: &[u32], odd: usize, out: &mut [f32])
}

#[inline(always)]
fn widen_bf16_body<const F: bool>(from: &[u32], odd: usize, out: &mut [f32]) {
    let from = from.as_chunks::<NR>().0;
    for (i, out) in out.as_chunks_mut::<NR>().0.iter_mut().enumerate() {
        let pairs = &from[(i + odd) / 2];
        if (i + odd).is_multiple_of(2) {
            out.iter_mut().zip(pairs).for_each(|(x, pair)| *x = f32::from_bits(pair << 16));
        } else {
            let upper = |pair: &u32| f32::from_bits(pair & 0xFFFF_0000);
            out.iter_mut().zip(pairs).for_each(|(x, pair)| *x = upper(pair));
        }
    }
}

super::kernel! {
    /// `scales` are those of the panel, `first` the first input.
    fn widen_int8 / widen_int8_body (from: &[i8], scales: &[f32], first: usize, out: &mut [f32])
}

#[inline(always)]
fn widen_int8_body<const F: bool>(from: &[i8], scales: &[f32], first: usize, out: &mut [f32]) {
    let (out, from) = (out.as_chunks_mut::<NR>().0, from.as_chunks::<NR>().0);
    for (i, (out, from)) in out.iter_mut().zip(from).enumerate() {
        let scales = &scales.as_chunks::<NR>().0[(first + i) / BLOCK];
        for ((x, code), scale) in out.iter_mut().zip(from).zip(scales) {
            *x = f32::from(*code) * scale;
        }
    }
}

super::kernel! {
    /// As [`widen_int8`].
    fn widen_nf4 / widen_nf4_body (from: &[u8], scales: &[f32], first: usize, out: &mut [f32])
}

#[inline(always)]
fn widen_nf4_body<const F: bool>(from: &[u8], scales: &[f32], first: usize, out: &mut [f32]) {
    let (out, from) = (out.as_chunks_mut::<NR>().0, from.as_chunks::<{ NR / 2 }>().0);
    for (i, (out, from)) in out.iter_mut().zip(from).enumerate() {
        let scales = &scales.as_chunks::<NR>().0[(first + i) / BLOCK];
        let (low, high) = out.split_at_mut(NR / 2);
        for (x, code) in low.iter_mut().zip(from) {
            *x = NF4[usize::from(code & 15)];
        }
        for (x, code) in high.iter_mut().zip(from) {
            *x = NF4[usize::from(code >> 4)];
        }
        out.iter_mut().zip(scales).for_each(|(x, scale)| *x *= scale);
    }
}

/// A frozen matrix as the right-hand side of `x W^T`: the panels that it is made of.
#[derive(Clone, Copy)]
pub(crate) struct Transposed<'a>(pub(crate) &'a Frozen);

impl Right for Transposed<'_> {
    const ROWS: usize = 1024;

    fn panel<'r>(
        &'r self,
        j0: usize,
        k: Range<usize>,
        room: &'r mut Aligned<f32>,
    ) -> (&'r [f32], usize) {
        if let Numbers::Float32(x) = &self.0.numbers {
            return (&x[j0 * self.0.input + k.start * NR..], NR);
        }
        let out = room.grown(k.len() * NR);
        self.0.widen(j0 / NR, k, out);
        (out, NR)
    }
}

/// A frozen matrix as the right-hand side of `dy W`: its panels turned, a square at a time.
#[derive(Clone, Copy)]
pub(crate) struct Plain<'a>(pub(crate) &'a Frozen);

impl Right for Plain<'_> {
    const ROWS: usize = 1024;

    fn panel<'r>(
        &'r self,
        j0: usize,
        k: Range<usize>,
        room: &'r mut Aligned<f32>,
    ) -> (&'r [f32], usize) {
        let inputs = j0..self.0.input.min(j0 + NR);
        let mut square = [0.0f32; NR * NR];
        let turned = room.grown(round_up(k.len(), NR) * NR);
        for (p, out) in (k.start / NR..).zip(turned.chunks_exact_mut(NR * NR)) {
            self.0.widen(p, inputs.clone(), &mut square[..inputs.len() * NR]);
            turn_square(&square, out);
        }
        (&turned[..k.len() * NR], NR)
    }
}

super::kernel! {
    /// Transposes a square of [`NR`].
    fn turn_square / turn_square_body (from: &[f32], to: &mut [f32])
}

#[inline(always)]
fn turn_square_body<const F: bool>(from: &[f32], to: &mut [f32]) {
    for (j, to) in to.chunks_exact_mut(NR).take(NR).enumerate() {
        for (i, x) in to.iter_mut().enumerate() {
            *x = from[i * NR + j];
        }
    }
}

/// A frozen matrix as a right-hand side for the units: numbers held in bfloat16 as they are, others
/// rounded to `pieces`.
#[derive(Clone, Copy)]
pub(crate) struct Rounded<'a> {
    pub(crate) matrix: &'a Frozen,
    pub(crate) pieces: usize,
    /// Whether it is that of `dy W`, not that of `x W^T`.
    pub(crate) plain: bool,
}

impl Rounded<'_> {
    /// The panels, where they are held as they are read.
    fn in_place(&self) -> Option<&[u32]> {
        match &self.matrix.numbers {
            Numbers::Bfloat16(x) if !self.plain => Some(x),
            _ => None,
        }
    }

    /// Writes 32 inputs of a panel of outputs: pairs of inputs of an output.
    fn block(&self, panel: usize, inputs: usize, out: &mut [u32]) {
        let square = self.square(panel, inputs);
        pair_rows(&square, SIDE, out);
    }

    /// Writes the same: pairs of outputs of an input.
    fn turned(&self, panel: usize, inputs: usize, out: &mut [u32]) {
        if let Numbers::Bfloat16(x) = &self.matrix.numbers {
            let deep = self.matrix.input.div_ceil(SIDE);
            let (blocks, _) = x.as_chunks();
            let (out, _) = out.as_chunks_mut();
            return turn_pairs(&blocks[panel * deep + inputs], &mut out[0]);
        }
        let square = self.square(panel, inputs);
        let mut paired = [0; 2 * units::BLOCK];
        let paired = &mut paired[..out.len()];
        pack_left((&square, NR), (SIDE, NR), self.pieces, paired);
        for (from, to) in paired.chunks(units::BLOCK).zip(out.chunks_mut(units::BLOCK)) {
            transpose(from, NR / 2, to);
        }
    }

    fn square(&self, panel: usize, inputs: usize) -> [f32; NR * SIDE] {
        let mut square = [0.0; NR * SIDE];
        let inputs = inputs * SIDE..self.matrix.input.min((inputs + 1) * SIDE);
        let n = inputs.len();
        self.matrix.widen(panel, inputs, &mut square[..n * NR]);
        square
    }
}

impl RightBlocks for Rounded<'_> {
    fn pieces(&self) -> usize {
        match self.matrix.numbers {
            Numbers::Bfloat16(_) => 1,
            _ => self.pieces,
        }
    }

    fn panel<'r>(
        &'r self,
        panel: usize,
        blocks: Range<usize>,
        room: &'r mut Aligned<u32>,
    ) -> &'r [u32] {
        if let Some(x) = self.in_place() {
            let deep = self.matrix.input.div_ceil(SIDE);
            return &x[(panel * deep + blocks.start) * units::BLOCK..];
        }
        let size = self.pieces() * units::BLOCK;
        let out = room.grown(blocks.len() * size);
        for (block, out) in blocks.zip(out.chunks_exact_mut(size)) {
            match self.plain {
                false => self.block(panel, block, out),
                true => self.turned(block, panel, out),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{
        Panels, View,
        blocks::{Blocks, Target, multiply},
        gemm,
        units::{Plan, Unit},
    };

    fn numbers(n: usize, by: u32) -> Vec<f32> {
        (0..n as u32).map(|i| (i.wrapping_mul(by) % 1999) as f32 / 1000.0 - 1.0).collect()
    }

    const ALL: [Precision; 5] = [
        Precision::Float32,
        Precision::Bfloat16,
        Precision::Float16,
        Precision::Int8,
        Precision::Nf4,
    ];

    /// Products with what is held have the bits of products with the same numbers in float32.
    #[test]
    fn products_have_the_bits_of_float32() {
        for (output, input, m) in [(33, 70, 3), (64, 300, 9), (300, 32, 40), (5, 1, 1)] {
            let weight = numbers(output * input, 7919);
            for precision in ALL {
                let frozen = Frozen::of(precision, &weight, output, input);
                let rows = frozen.rows();
                let mut row = vec![0.0; input];
                frozen.row(output - 1, &mut row);
                assert_eq!(row, rows[(output - 1) * input..]);
                let (x, dy) = (numbers(m * input, 31), numbers(m * output, 37));
                let mut panels = Panels::default();
                let (mut y, mut same) = (vec![0.0; m * output], vec![0.0; m * output]);
                panels.pack(View::transposed(&rows, input), input, output);
                let shape = (m, output, input);
                gemm(&mut same, output, shape, View::rows(&x, input), panels.rhs(), false);
                gemm(&mut y, output, shape, View::rows(&x, input), Transposed(&frozen), false);
                assert_eq!(y, same, "{precision:?} {shape:?}");
                let (mut dx, mut same) = (vec![0.5; m * input], vec![0.5; m * input]);
                panels.pack(View::rows(&rows, input), output, input);
                let shape = (m, input, output);
                gemm(&mut same, input, shape, View::rows(&dy, output), panels.rhs(), true);
                gemm(&mut dx, input, shape, View::rows(&dy, output), Plain(&frozen), true);
                assert_eq!(dx, same, "{precision:?} {shape:?}");
            }
        }
    }

    /// Products on the units are those of the same numbers copied into blocks.
    #[test]
    fn products_on_the_units_agree() {
        let Some(unit) = Unit::detect() else { return };
        for (output, input, m) in [(33, 70, 3), (64, 300, 40), (300, 32, 20), (5, 1, 1)] {
            let weight = numbers(output * input, 7919);
            for (precision, pieces) in ALL.into_iter().flat_map(|p| [(p, 1), (p, 2)]) {
                let frozen = Frozen::of(precision, &weight, output, input);
                let rows = frozen.rows();
                let plan = Plan { unit, pieces };
                for (plain, k, n) in [(false, input, output), (true, output, input)] {
                    let right = Rounded { matrix: &frozen, pieces, plain };
                    let view =
                        if plain { View::rows(&rows, n) } else { View::transposed(&rows, k) };
                    let mut packed = Blocks::default();
                    packed.pack(view, (k, n), right.pieces());
                    let x = numbers(m * k, 31);
                    let (mut y, mut same) = (vec![0.0; m * n], vec![0.0; m * n]);
                    let mut to = [Target { b: right, c: &mut y, n, accumulate: false }];
                    multiply(plan, (m, k), View::rows(&x, k), &mut to);
                    let mut to = [Target { b: &packed, c: &mut same, n, accumulate: false }];
                    multiply(plan, (m, k), View::rows(&x, k), &mut to);
                    assert_eq!(y, same, "{precision:?} {pieces} {plain} {output} {input}");
                }
            }
        }
    }

    /// How far what is held may be from what was given, as a share of the block's largest.
    #[test]
    fn rounding_is_as_small_as_the_bits_allow() {
        let (output, input) = (40, 130);
        let weight = numbers(output * input, 104_729);
        for (precision, share) in [
            (Precision::Float32, 0.0),
            (Precision::Bfloat16, 1.0 / 256.0),
            (Precision::Float16, 1.0 / 2048.0),
            (Precision::Int8, 0.5 / 127.0 + 1e-6),
            (Precision::Nf4, (1.0 - 0.696_192_8) / 2.0 + 1e-6),
        ] {
            let held = Frozen::of(precision, &weight, output, input).rows();
            for (row, held) in weight.chunks(input).zip(held.chunks(input)) {
                for (block, held) in row.chunks(BLOCK).zip(held.chunks(BLOCK)) {
                    let largest = block.iter().fold(0.0f32, |m, x| m.max(x.abs()));
                    for (x, y) in block.iter().zip(held) {
                        assert!((x - y).abs() <= share * largest, "{precision:?}: {x} {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_code_of_nf4_is_its_own_number() {
        for (code, x) in NF4.iter().enumerate() {
            assert_eq!(usize::from(code_nf4(3.0 * x, 3.0)), code);
        }
        assert_eq!(NF4[usize::from(code_nf4(0.0, 0.0))], 0.0);
    }
}
