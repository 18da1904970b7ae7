//! The output layer: log-probs of selected tokens, and their gradient.
//!
//! Works in chunks of rows, so that `[rows, vocabulary]` never exists at once.

use super::{
    Matrix, Panels, View, fma, grown, kernel, lane_sums,
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
    hidden: Panels,
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
        s.hidden.pack(View::rows(x, width), rows, width);
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
