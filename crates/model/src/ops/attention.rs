//! Causal attention with grouped queries, over sequences that may share a prefix.
//!
//! Scores of a tile of queries are a matrix product with the keys, and so are the outputs
//! with the values; the probabilities are recomputed in the backward pass instead of kept.

use std::cell::Cell;

use super::{
    LANES, NR, Panels, View, fma, gemm,
    gemm::copy,
    grown, kernel, lane_sum,
    parts::is_alone,
    round_up,
    seam::{Heads, Span},
    softmax,
};
use crate::team::each;

/// Queries that are scored together.
const TILE: usize = 32;
/// Queries of a span that a thread of a team takes at a time.
const PART: usize = 2 * TILE;

/// Buffers that grow to the largest span and are then reused.
#[derive(Debug, Default)]
pub(super) struct AttentionScratch {
    keys: Vec<f32>,
    values: Vec<f32>,
    keys_t: Panels,
    values_p: Panels,
    values_t: Panels,
    keys_p: Panels,
    tile_p: Panels,
    probs: Vec<f32>,
    dprobs: Vec<f32>,
    dkeys: Vec<f32>,
    dvalues: Vec<f32>,
}

/// Copies one head's columns of the rows that span `at` attends to.
fn gather(x: &[f32], (spans, at): (&[Span], usize), kv: usize, heads: Heads, out: &mut Vec<f32>) {
    let (d, ld) = (heads.dim, heads.kv * heads.dim);
    let out = grown(out, spans[at].total() * d);
    for (first, positions) in Span::runs(spans, at) {
        let out = &mut out[positions.start * d..positions.end * d];
        for (x, out) in x[first * ld..].chunks(ld).zip(out.chunks_exact_mut(d)) {
            copy(out, &x[kv * d..][..d]);
        }
    }
}

/// Probabilities of a tile of queries into `probs`, rows `ld` apart, and zeros up to a whole panel.
fn probabilities(
    probs: &mut [f32],
    ld: usize,
    queries: View<'_>,
    keys_t: &Panels,
    (rows, first, dim): (usize, usize, usize),
    scale: f32,
) {
    let n = round_up(first + rows, NR);
    gemm(probs, ld, (rows, n, dim), queries, keys_t.rhs(), false);
    for (r, row) in probs.chunks_mut(ld).take(rows).enumerate() {
        softmax(row, first + r + 1, scale);
        let done = (first + r + 1).next_multiple_of(LANES);
        row[done.min(n)..n].fill(0.0);
    }
}

/// `o = softmax(q k^T / sqrt(dim)) v` for each span and head; rows of `q` and `o` hold the
/// query heads side by side, rows of `k` and `v` the key-value heads.
pub(super) fn attend(
    (q, k, v): (&[f32], &[f32], &[f32]),
    o: &mut [f32],
    heads: Heads,
    spans: &[Span],
    s: &mut AttentionScratch,
) {
    thread_local!(static OWN: Cell<AttentionScratch> = Cell::default());
    let ldq = heads.query * heads.dim;
    if is_alone() {
        for (at, span) in spans.iter().enumerate().filter(|(_, span)| span.len > 0) {
            let o = &mut o[span.start * ldq..][..span.len * ldq];
            attend_rows((q, k, v), o, heads, (spans, at, 0), s);
        }
        return;
    }
    let (mut o, mut row) = (o, 0);
    let parts = (0..spans.len())
        .flat_map(|at| (0..spans[at].len).step_by(PART).map(move |r0| (at, r0)))
        .map(move |(at, r0)| {
            let (first, n) = (spans[at].start + r0, PART.min(spans[at].len - r0));
            let mine = o.split_off_mut(..(first + n - row) * ldq).expect("room for each row");
            let skipped = (first - row) * ldq;
            row = first + n;
            (at, r0, &mut mine[skipped..])
        });
    each(parts, |(at, r0, o)| {
        let mut s = OWN.take();
        attend_rows((q, k, v), o, heads, (spans, at, r0), &mut s);
        OWN.set(s);
    });
}

/// The same for rows of span `at` from its row `from` on, as many as `o` has room for.
fn attend_rows(
    (q, k, v): (&[f32], &[f32], &[f32]),
    o: &mut [f32],
    heads: Heads,
    (spans, at, from): (&[Span], usize, usize),
    s: &mut AttentionScratch,
) {
    let (d, ldq) = (heads.dim, heads.query * heads.dim);
    let (n, group) = (o.len() / ldq, heads.query / heads.kv);
    let span = spans[at];
    let total = span.before + from + n;
    let ld = round_up(total, NR);
    for kv in 0..heads.kv {
        gather(k, (spans, at), kv, heads, &mut s.keys);
        gather(v, (spans, at), kv, heads, &mut s.values);
        s.keys_t.pack(View::transposed(&s.keys, d), d, total);
        s.values_p.pack(View::rows(&s.values, d), total, d);
        let probs = grown(&mut s.probs, TILE * ld);
        for h in kv * group..(kv + 1) * group {
            for r0 in (0..n).step_by(TILE) {
                let rows = TILE.min(n - r0);
                let first = span.before + from + r0;
                let shape = (rows, first, d);
                let queries = View::rows(&q[(span.start + from + r0) * ldq + h * d..], ldq);
                probabilities(probs, ld, queries, &s.keys_t, shape, heads.scale());
                let shape = (rows, d, first + rows);
                let tile = View::rows(probs, ld);
                gemm(&mut o[r0 * ldq + h * d..], ldq, shape, tile, s.values_p.rhs(), false);
            }
        }
    }
}

/// Writes `dq` and adds to `dk` and `dv`, given `d_o`.
pub(super) fn attend_backward(
    (q, k, v): (&[f32], &[f32], &[f32]),
    d_o: &[f32],
    (dq, dk, dv): (&mut [f32], &mut [f32], &mut [f32]),
    heads: Heads,
    spans: &[Span],
    s: &mut AttentionScratch,
) {
    let (d, ldq, ldk) = (heads.dim, heads.query * heads.dim, heads.kv * heads.dim);
    let group = heads.query / heads.kv;
    for (at, &span) in spans.iter().enumerate().filter(|(_, span)| span.len > 0) {
        let total = span.total();
        for kv in 0..heads.kv {
            gather(k, (spans, at), kv, heads, &mut s.keys);
            gather(v, (spans, at), kv, heads, &mut s.values);
            s.keys_t.pack(View::transposed(&s.keys, d), d, total);
            s.keys_p.pack(View::rows(&s.keys, d), total, d);
            s.values_t.pack(View::transposed(&s.values, d), d, total);
            grown(&mut s.dkeys, total * d).fill(0.0);
            grown(&mut s.dvalues, total * d).fill(0.0);
            for h in kv * group..(kv + 1) * group {
                for r0 in (0..span.len).step_by(TILE) {
                    tile_backward((q, d_o), dq, heads, span, (h, r0), s);
                }
            }
            for (first, positions) in Span::runs(spans, at) {
                for (row, i) in (first..).zip(positions) {
                    let at = row * ldk + kv * d;
                    add(&mut dk[at..at + d], &s.dkeys[i * d..][..d]);
                    add(&mut dv[at..at + d], &s.dvalues[i * d..][..d]);
                }
            }
        }
    }
    debug_assert!(dq.len() >= ldq);
}

fn tile_backward(
    (q, d_o): (&[f32], &[f32]),
    dq: &mut [f32],
    heads: Heads,
    span: Span,
    (h, r0): (usize, usize),
    s: &mut AttentionScratch,
) {
    let (d, ldq) = (heads.dim, heads.query * heads.dim);
    let ld = round_up(span.total(), NR);
    let rows = TILE.min(span.len - r0);
    let first = span.before + r0;
    let n = first + rows;
    let at = (span.start + r0) * ldq + h * d;
    let (queries, outs) = (View::rows(&q[at..], ldq), View::rows(&d_o[at..], ldq));

    let probs = grown(&mut s.probs, TILE * ld);
    probabilities(probs, ld, queries, &s.keys_t, (rows, first, d), heads.scale());
    s.tile_p.pack(outs, rows, d);
    let p_t = View::transposed(probs, ld);
    gemm(&mut s.dvalues, d, (n, d, rows), p_t, s.tile_p.rhs(), true);

    let dprobs = grown(&mut s.dprobs, TILE * ld);
    let wide = round_up(n, NR);
    gemm(dprobs, ld, (rows, wide, d), outs, s.values_t.rhs(), false);
    for (p, dp) in probs.chunks(ld).zip(dprobs.chunks_mut(ld)).take(rows) {
        softmax_backward(&p[..wide], &mut dp[..wide], heads.scale());
    }
    let ds = View::rows(dprobs, ld);
    gemm(&mut dq[at..], ldq, (rows, d, n), ds, s.keys_p.rhs(), false);
    s.tile_p.pack(queries, rows, d);
    let ds_t = View::transposed(dprobs, ld);
    gemm(&mut s.dkeys, d, (n, d, rows), ds_t, s.tile_p.rhs(), true);
}

kernel! {
    /// Replaces the gradient of the probabilities by the gradient of the unscaled scores.
    fn softmax_backward / softmax_backward_body (p: &[f32], dp: &mut [f32], scale: f32)
}

#[inline(always)]
fn softmax_backward_body<const F: bool>(p: &[f32], dp: &mut [f32], scale: f32) {
    let dot = lane_sum([p, dp], |[p, dp]| p * dp);
    for (p, dp) in p.iter().zip(dp) {
        *dp = (*dp - dot) * p * scale;
    }
}

kernel! {
    fn add / add_body (x: &mut [f32], y: &[f32])
}

#[inline(always)]
fn add_body<const F: bool>(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x = fma::<F>(1.0, *y, *x);
    }
}

const _: () = assert!(TILE.is_multiple_of(LANES));

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, by: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * by).sin()).collect()
    }

    #[test]
    fn gradient_by_finite_differences() {
        let heads = Heads { query: 4, kv: 2, dim: 6 };
        let spans = [
            Span { start: 0, len: 3, before: 0, after: 0 },
            Span { start: 3, len: 2, before: 3, after: 0 },
            Span { start: 5, len: 40, before: 3, after: 0 },
            // After a part of that one, and after a part of this one, which lies in the first.
            Span { start: 45, len: 6, before: 20, after: 2 },
            Span { start: 51, len: 0, before: 2, after: 3 },
            Span { start: 51, len: 5, before: 2, after: 4 },
        ];
        let n = 56;
        let (q, k, v) = (numbers(n * 24, 0.37), numbers(n * 12, 0.53), numbers(n * 12, 0.71));
        let g = numbers(n * 24, 0.91);
        let mut s = AttentionScratch::default();
        let mut loss = |q: &[f32], k: &[f32], v: &[f32]| -> f64 {
            let mut o = vec![0.0; n * 24];
            attend((q, k, v), &mut o, heads, &spans, &mut s);
            o.iter().zip(&g).map(|(o, g)| f64::from(*o) * f64::from(*g)).sum()
        };
        let (mut dq, mut dk, mut dv) = (vec![0.0; n * 24], vec![0.0; n * 12], vec![0.0; n * 12]);
        let grads = (&mut dq[..], &mut dk[..], &mut dv[..]);
        let mut s2 = AttentionScratch::default();
        attend_backward((&q, &k, &v), &g, grads, heads, &spans, &mut s2);
        let h = 1e-2f32;
        let moved = |x: &[f32], i: usize, by: f32| {
            let mut x = x.to_vec();
            x[i] += by;
            x
        };
        for i in (0..n * 12).step_by(17) {
            let slope = |up: f64, down: f64| (up - down) / (2.0 * f64::from(h));
            let nq = slope(loss(&moved(&q, i, h), &k, &v), loss(&moved(&q, i, -h), &k, &v));
            let nk = slope(loss(&q, &moved(&k, i, h), &v), loss(&q, &moved(&k, i, -h), &v));
            let nv = slope(loss(&q, &k, &moved(&v, i, h)), loss(&q, &k, &moved(&v, i, -h)));
            assert!((nq - f64::from(dq[i])).abs() < 2e-3, "dq[{i}] {nq} {}", dq[i]);
            assert!((nk - f64::from(dk[i])).abs() < 2e-3, "dk[{i}] {nk} {}", dk[i]);
            assert!((nv - f64::from(dv[i])).abs() < 2e-3, "dv[{i}] {nv} {}", dv[i]);
        }
    }
}
