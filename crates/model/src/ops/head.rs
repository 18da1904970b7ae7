//! The output layer: log-probs of selected tokens, and their gradient.
//!
//! Works in chunks of rows, so that `[rows, vocabulary]` never exists at once.

use super::{
    LANES, Matrix, PackedRows, fma, grown, kernel, lane_sum, lane_sums,
    seam::{Follows, Found, Stats, TargetSlopes},
    softmax,
};

/// Most rows of logits that exist at once: the weights of a large vocabulary are read once for
/// each so many.
pub(crate) const HEAD_ROWS: usize = 512;

/// Buffers that grow once.
#[derive(Debug, Default)]
pub(super) struct HeadScratch {
    logits: Vec<f32>,
    /// For each row the mean of the head's rows under the softmax: the gradient of a log-prob is
    /// the head's row of its token less this.
    means: Vec<f32>,
    /// A row of the head.
    row: Vec<f32>,
    hidden: PackedRows,
    /// Whether `means` are those of the last forward pass.
    kept: bool,
}

kernel! {
    /// The statistics of `softmax(row * inverse_temperature)`.
    fn log_softmax_stats / stats_body (row: &[f32], inverse_temperature: f32) -> Stats
}

#[inline(always)]
fn stats_body<const F: bool>(row: &[f32], inverse_temperature: f32) -> Stats {
    let max = softmax::max(row) * inverse_temperature;
    let [sum, weighted] = lane_sums([row], |[x]| {
        let x = fma::<F>(x, inverse_temperature, -max);
        let p = softmax::exp::<F>(x);
        [p, x * p]
    });
    let log_sum = sum.ln();
    Stats { log_sum_exp: max + log_sum, entropy: log_sum - weighted / sum }
}

kernel! {
    /// Replaces logits by `scale * softmax(logits * inverse_temperature)`.
    fn scaled_probs / scaled_probs_body (
        row: &mut [f32], inverse_temperature: f32, log_sum_exp: f32, scale: f32
    )
}

#[inline(always)]
fn scaled_probs_body<const F: bool>(
    row: &mut [f32],
    inverse_temperature: f32,
    log_sum_exp: f32,
    scale: f32,
) {
    for x in row {
        *x = scale * softmax::exp::<F>(fma::<F>(*x, inverse_temperature, -log_sum_exp));
    }
}

kernel! {
    /// Replaces logits by the softmax times `scale - tilt (log softmax + entropy)`: the second
    /// part is the gradient of `tilt` times the entropy.
    fn tilted_probs / tilted_probs_body (
        row: &mut [f32], inverse_temperature: f32, stats: Stats, scale: f32, tilt: f32
    )
}

#[inline(always)]
fn tilted_probs_body<const F: bool>(
    row: &mut [f32],
    inverse_temperature: f32,
    stats: Stats,
    scale: f32,
    tilt: f32,
) {
    for x in row {
        let log_prob = fma::<F>(*x, inverse_temperature, -stats.log_sum_exp);
        *x = (scale - tilt * (log_prob + stats.entropy)) * softmax::exp::<F>(log_prob);
    }
}

/// Logits of which a draw looks at the sum first.
const DRAWN: usize = 8 * LANES;

kernel! {
    /// The token of `softmax(row * inverse_temperature)` within which a number between 0 and 1 falls.
    fn token_at / token_at_body (
        row: &[f32], inverse_temperature: f32, log_sum_exp: f32, at: f64
    ) -> usize
}

#[inline(always)]
fn token_at_body<const F: bool>(
    row: &[f32],
    inverse_temperature: f32,
    log_sum_exp: f32,
    at: f64,
) -> usize {
    let prob = |x| softmax::exp::<F>(fma::<F>(x, inverse_temperature, -log_sum_exp));
    let mut left = at;
    for (c, logits) in row.chunks(DRAWN).enumerate() {
        let mut probs = [0.0; DRAWN];
        probs.iter_mut().zip(logits).for_each(|(p, x)| *p = prob(*x));
        let sum = f64::from(lane_sum([&probs], |[p]| p));
        if left < sum {
            let mut token = 0;
            for (i, p) in probs.iter().enumerate().filter(|(_, p)| **p > 0.0) {
                token = i;
                left -= f64::from(*p);
                if left < 0.0 {
                    break;
                }
            }
            return c * DRAWN + token;
        }
        left -= sum;
    }
    // Rounding left a little at the end.
    row.iter().rposition(|x| prob(*x) > 0.0).unwrap_or(0)
}

/// Statistics of every row of `x`, and the log-prob of each `(row, token)` of `targets`, which
/// come in ascending order of rows. Where the head does not learn, it also finds what spares the
/// backward pass to compute all logits again.
pub(super) fn log_probs(
    (head, x): (&Matrix, &[f32]),
    targets: &[(usize, u32)],
    (inverse_temperature, follows): (f32, Follows),
    found: &mut Found,
    s: &mut HeadScratch,
) {
    let (vocab, width) = (head.output(), head.input());
    s.kept = follows == Follows::Rows && head.has_rows();
    let means = grown(&mut s.means, if s.kept { x.len() } else { 0 });
    found.stats.clear();
    found.log_probs.clear();
    let mut next = targets.iter().peekable();
    for (c, x) in x.chunks(HEAD_ROWS * width).enumerate() {
        let (first, rows) = (c * HEAD_ROWS, x.len() / width);
        let logits = grown(&mut s.logits, rows * vocab);
        head.apply(x, logits, rows, false);
        for (r, row) in logits.chunks_mut(vocab).enumerate() {
            let stats = log_softmax_stats(row, inverse_temperature);
            found.stats.push(stats);
            while let Some((_, token)) = next.next_if(|t| t.0 == first + r) {
                let logit = row[*token as usize] * inverse_temperature;
                found.log_probs.push(logit - stats.log_sum_exp);
            }
            if s.kept {
                scaled_probs(row, inverse_temperature, stats.log_sum_exp, 1.0);
            }
        }
        if s.kept {
            head.pull(logits, &mut means[first * width..][..x.len()], rows, false);
        }
    }
}

/// Writes `dx` and adds to `dweight`, where that is wanted, what the gradients of the log-probs
/// and entropies (`targets` has them in this order) give.
pub(super) fn log_probs_backward(
    (head, x): (&Matrix, &[f32]),
    targets: &[TargetSlopes],
    (inverse_temperature, stats): (f32, &[Stats]),
    (dx, mut dweight): (&mut [f32], Option<&mut [f32]>),
    s: &mut HeadScratch,
) {
    let of_entropies = targets.iter().any(|(_, (_, h))| *h != 0.0);
    if s.kept && dweight.is_none() && !of_entropies {
        return from_means(head, targets, inverse_temperature, dx, s);
    }
    let (vocab, width) = (head.output(), head.input());
    let mut next = targets.iter().peekable();
    let chunk = HEAD_ROWS * width;
    for (c, (x, dx)) in x.chunks(chunk).zip(dx.chunks_mut(chunk)).enumerate() {
        let rows = x.len() / width;
        let logits = grown(&mut s.logits, rows * vocab);
        head.apply(x, logits, rows, false);
        for (r, row) in logits.chunks_mut(vocab).enumerate() {
            let i = c * HEAD_ROWS + r;
            let mut here = next.clone();
            let (mut total, mut tilt) = (0.0, 0.0);
            while let Some((_, (g, h))) = here.next_if(|t| t.0.0 == i) {
                total += g;
                tilt += h * inverse_temperature;
            }
            let scale = -total * inverse_temperature;
            if tilt == 0.0 {
                scaled_probs(row, inverse_temperature, stats[i].log_sum_exp, scale);
            } else {
                tilted_probs(row, inverse_temperature, stats[i], scale, tilt);
            }
            while let Some(((_, token), (g, _))) = next.next_if(|t| t.0.0 == i) {
                row[*token as usize] += g * inverse_temperature;
            }
        }
        head.pull(logits, dx, rows, false);
        let Some(dweight) = dweight.as_deref_mut() else { continue };
        head.pack_rows(x, rows, &mut s.hidden);
        head.weigh(logits, &s.hidden, dweight, rows);
    }
}

/// Writes `dx`: for each target its slope times the head's row of its token less the mean row.
fn from_means(
    head: &Matrix,
    targets: &[TargetSlopes],
    inverse_temperature: f32,
    dx: &mut [f32],
    s: &mut HeadScratch,
) {
    let width = head.input();
    let of_token = grown(&mut s.row, width);
    dx.fill(0.0);
    for ((row, token), (g, _)) in targets {
        let at = row * width..(row + 1) * width;
        head.row(*token as usize, of_token);
        let slope = g * inverse_temperature;
        for ((dx, hit), mean) in dx[at.clone()].iter_mut().zip(&*of_token).zip(&s.means[at]) {
            *dx += slope * (hit - mean);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in the middle of each token's share find it, and 1 the last that has one.
    #[test]
    fn a_number_falls_within_a_token() {
        for n in [1, 7, 128, 129, 500] {
            let mut row: Vec<f32> = (0..n).map(|i| (i as f32 * 1.3).sin() * 4.0).collect();
            if n > 1 {
                row[n - 1] = f32::NEG_INFINITY;
                row[n / 2] = -300.0;
            }
            let log_sum = log_softmax_stats(&row, 0.8).log_sum_exp;
            let mut before = 0.0;
            for (token, x) in row.iter().enumerate() {
                let p = f64::from(0.8 * x - log_sum).exp();
                if p > 1e-6 {
                    assert_eq!(token_at(&row, 0.8, log_sum, before + p / 2.0), token);
                }
                before += p;
            }
            let last = row.iter().rposition(|x| *x > -100.0).unwrap_or(0);
            assert_eq!(token_at(&row, 0.8, log_sum, 1.0), last);
        }
    }
}
