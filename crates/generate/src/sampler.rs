//! Sampling completions, many at a time, on several threads.

use model::{Decoder, Model, ModelError, Tape, share_with};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::Filter;

/// Most rows that one thread decodes together.
pub const ROWS_MAX: usize = 64;

/// How tokens are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it; 0 means the most likely token, always.
    pub temperature: f32,
    /// Most tokens of a completion, the end token included.
    pub completion_tokens_max: usize,
    /// The tokens that end a completion.
    pub eos: Vec<u32>,
    /// Which tokens may be drawn, at a temperature above 0.
    pub filter: Filter,
}

/// A prompt and the seeds of the completions wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The prompt's tokens.
    pub prompt: Vec<u32>,
    /// One seed for each completion.
    pub seeds: Vec<u64>,
}

/// Why a completion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// An end token was drawn; it is the completion's last.
    End,
    /// The token budget ran out.
    Length,
}

impl Stop {
    /// The name used in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Length => "length",
        }
    }
}

/// What the policy produced for a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The tokens drawn, the end token included; at least one.
    pub tokens: Vec<u32>,
    /// The log-prob of each token when it was drawn, at the sampling temperature (at 1 when
    /// that is 0).
    pub logprobs: Vec<f32>,
    /// The log-prob of each token in the distribution that it was drawn from, where a filter
    /// made that another one; else empty.
    pub drawn_logprobs: Vec<f32>,
    /// Why it ended.
    pub stop: Stop,
}

/// The completions of every request, in the order of requests and seeds.
///
/// # Errors
/// If a prompt does not fit the model.
pub fn generate(
    model: &Model,
    requests: &[Request],
    sampling: &Sampling,
    threads: usize,
) -> Result<Vec<Vec<Completion>>, ModelError> {
    let n_rows: usize = requests.iter().map(|r| r.seeds.len()).sum();
    let units = units(requests, n_rows.div_ceil(threads.max(1)).clamp(1, ROWS_MAX));
    let mut done: Vec<Result<Vec<Completion>, ModelError>> =
        units.iter().map(|_| Ok(Vec::new())).collect();
    let mut tapes = Vec::new();
    tapes.resize_with(threads.clamp(1, units.len().max(1)), Tape::default);
    share_with(&mut tapes, units.iter().zip(&mut done), |tape, (unit, done)| {
        *done = decode_unit(model, requests, unit, sampling, tape);
    });
    let mut flat = done.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten();
    Ok(requests.iter().map(|r| flat.by_ref().take(r.seeds.len()).collect()).collect())
}

/// Consecutive seeds of one request.
struct Part {
    request: usize,
    seeds: std::ops::Range<usize>,
}

/// Cuts the requests into pieces of work of `size` rows. How does not change what is drawn.
fn units(requests: &[Request], size: usize) -> Vec<Vec<Part>> {
    let mut units = Vec::new();
    let mut unit = Vec::new();
    let mut rows = 0;
    for (request, r) in requests.iter().enumerate() {
        let mut from = 0;
        while from < r.seeds.len() {
            let to = r.seeds.len().min(from + size - rows);
            unit.push(Part { request, seeds: from..to });
            rows += to - from;
            from = to;
            if rows == size {
                units.push(std::mem::take(&mut unit));
                rows = 0;
            }
        }
    }
    if !unit.is_empty() {
        units.push(unit);
    }
    units
}

fn decode_unit(
    model: &Model,
    requests: &[Request],
    unit: &[Part],
    sampling: &Sampling,
    tape: &mut Tape,
) -> Result<Vec<Completion>, ModelError> {
    let groups: Vec<(&[u32], usize)> =
        unit.iter().map(|p| (&requests[p.request].prompt[..], p.seeds.len())).collect();
    let mut decoder = Decoder::start(model, &groups, sampling.completion_tokens_max, tape)?;
    let seeds = unit.iter().flat_map(|p| &requests[p.request].seeds[p.seeds.clone()]);
    let mut rngs: Vec<ChaCha8Rng> = seeds.map(|s| ChaCha8Rng::seed_from_u64(*s)).collect();
    let empty = Completion {
        tokens: Vec::new(),
        logprobs: Vec::new(),
        drawn_logprobs: Vec::new(),
        stop: Stop::Length,
    };
    let mut completions = vec![empty; rngs.len()];
    let repeated = groups.iter().flat_map(|(prompt, n)| std::iter::repeat_n(*prompt, *n));
    let prompts: Vec<&[u32]> = repeated.collect();
    let mut live: Vec<usize> = (0..rngs.len()).collect();
    for left in (0..sampling.completion_tokens_max).rev() {
        let mut keep = Vec::with_capacity(live.len());
        let mut fed = Vec::with_capacity(live.len());
        for (row, &at) in live.iter().enumerate() {
            let rng = &mut rngs[at];
            let (token, logprob) = if sampling.filter.is_on() && sampling.temperature > 0.0 {
                let text = prompts[at].iter().chain(&completions[at].tokens).copied();
                let (token, drawn) = draw_filtered(decoder.logits(row), sampling, text, rng);
                completions[at].drawn_logprobs.push(drawn);
                (token, decoder.log_prob(row, token, sampling.temperature))
            } else {
                draw(&decoder, row, sampling, rng)
            };
            completions[at].tokens.push(token);
            completions[at].logprobs.push(logprob);
            let ended = sampling.eos.contains(&token);
            if ended {
                completions[at].stop = Stop::End;
            } else {
                fed.push(token);
            }
            keep.push(!ended);
        }
        if fed.is_empty() || left == 0 {
            break;
        }
        decoder.retain(&keep);
        let mut keep = keep.iter();
        live.retain(|_| keep.next().copied().unwrap_or(false));
        decoder.step(&fed);
    }
    Ok(completions)
}

/// The next token of a row and its log-prob.
fn draw(
    decoder: &Decoder<'_>,
    row: usize,
    sampling: &Sampling,
    rng: &mut ChaCha8Rng,
) -> (u32, f32) {
    let logits = decoder.logits(row);
    if sampling.temperature == 0.0 {
        let token = argmax(logits);
        return (token, decoder.log_prob(row, token, 1.0));
    }
    let inverse = 1.0 / sampling.temperature;
    let log_sum = decoder.log_sum_exp(row, sampling.temperature);
    let log_prob = |token: usize| logits[token] * inverse - log_sum;
    let mut left: f64 = rng.random();
    let mut last = 0;
    for token in 0..logits.len() {
        let logprob = log_prob(token);
        if logprob < -30.0 {
            continue; // Less than one in ten trillion: below the resolution of the draw.
        }
        left -= f64::from(logprob).exp();
        last = token;
        if left < 0.0 {
            break;
        }
    }
    (last as u32, log_prob(last))
}

/// A token that the filter leaves, and its log-prob among those.
fn draw_filtered(
    logits: &[f32],
    sampling: &Sampling,
    text: impl Iterator<Item = u32>,
    rng: &mut ChaCha8Rng,
) -> (u32, f32) {
    let p = sampling.filter.probabilities(logits, sampling.temperature, text);
    let mut left: f64 = rng.random();
    let mut last = 0;
    for (token, p) in p.iter().enumerate().filter(|(_, p)| **p > 0.0) {
        left -= p;
        last = token;
        if left < 0.0 {
            break;
        }
    }
    (last as u32, p[last].ln() as f32)
}

/// The most likely token; the first of equals.
fn argmax(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (i, x) in logits.iter().enumerate() {
        if *x > logits[best] {
            best = i;
        }
    }
    best as u32
}
