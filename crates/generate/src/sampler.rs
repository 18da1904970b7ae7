//! Sampling completions, many at a time, on several threads.

use std::{
    iter::Peekable,
    sync::{Arc, Mutex},
};

use model::{Decoder, Model, ModelError, Next, Tape, each, share_with, team};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::{Filter, StopStrings};

/// Seeds of a prompt that one thread takes at a time, at most.
const PART_ROWS: usize = 16;
/// Most rows that one thread decodes together.
pub const ROWS_MAX: usize = 64;

/// How tokens are drawn.
#[derive(Debug, Clone)]
pub struct Sampling {
    /// Logits are divided by it; 0 means the most likely token, always.
    pub temperature: f32,
    /// Most tokens of a completion, the end token included.
    pub completion_tokens_max: usize,
    /// The tokens that end a completion.
    pub eos: Vec<u32>,
    /// The texts that do.
    pub stop: Option<Arc<StopStrings>>,
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
    /// The last token completed a stop string.
    Text,
    /// The token budget ran out.
    Length,
}

impl Stop {
    /// The name used in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Text => "stop",
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
/// Completions of one prompt are one row until they differ: what they have in common is computed
/// once. Each thread decodes as many as it may, and takes more from one queue where some have ended
/// (continuous batching); of a large model, all threads decode the same rows. Who takes what does
/// not change what is drawn.
///
/// # Errors
/// If a prompt does not fit the model.
pub fn generate(
    model: &Model,
    requests: &[Request],
    sampling: &Sampling,
    threads: usize,
) -> Result<Vec<Vec<Completion>>, ModelError> {
    for request in requests.iter().filter(|r| !r.seeds.is_empty()) {
        Decoder::check(model, &request.prompt, sampling.completion_tokens_max)?;
    }
    let n_rows: usize = requests.iter().map(|r| r.seeds.len()).sum();
    let as_team = threads > 1 && model.is_large();
    let n_workers = if as_team { 1 } else { threads.clamp(1, n_rows.max(1)) };
    let rows_max = n_rows.div_ceil(n_workers).clamp(1, ROWS_MAX);
    let queue = Queue::of(requests, rows_max.min(PART_ROWS), n_workers);
    let mut workers = Vec::new();
    workers.resize_with(n_workers, Worker::default);
    let work = |worker: &mut Worker| {
        worker.failure = worker.work(model, &queue, sampling, rows_max).err();
    };
    match as_team {
        true => team(threads, || workers.iter_mut().for_each(work)),
        false => share_with(&mut workers, 0..n_workers, |worker, _| work(worker)),
    }
    let mut done = Vec::with_capacity(n_rows);
    for worker in workers {
        if let Some(failure) = worker.failure {
            return Err(failure);
        }
        done.extend(worker.done);
    }
    done.sort_unstable_by_key(|(at, _)| *at);
    let mut done = done.into_iter().map(|(_, completion)| completion);
    Ok(requests.iter().map(|r| done.by_ref().take(r.seeds.len()).collect()).collect())
}

/// Consecutive seeds of one request.
#[derive(Debug, Clone)]
struct Part<'a> {
    request: &'a Request,
    seeds: std::ops::Range<usize>,
    /// The place of its first completion among all.
    first: usize,
}

/// The parts that no thread has taken.
struct Queue<'a>(Mutex<Peekable<std::vec::IntoIter<Part<'a>>>>);

impl<'a> Queue<'a> {
    /// The requests in parts of at most `size` seeds, dealt to so many threads one by one: neighbours
    /// often ask for answers of one length.
    fn of(requests: &'a [Request], size: usize, n_workers: usize) -> Self {
        let mut parts = Vec::new();
        let mut first = 0;
        for (i, request) in requests.iter().enumerate() {
            let n = request.seeds.len();
            for from in (0..n).step_by(size) {
                let seeds = from..n.min(from + size);
                parts.push((i % n_workers, Part { request, seeds, first: first + from }));
            }
            first += n;
        }
        parts.sort_by_key(|(worker, _)| *worker);
        let parts: Vec<Part<'a>> = parts.into_iter().map(|(_, part)| part).collect();
        Self(Mutex::new(parts.into_iter().peekable()))
    }

    /// Takes parts with at most `room` seeds together. Those of one request become one.
    fn take(&self, mut room: usize) -> Vec<Part<'a>> {
        let mut queue = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let mut taken: Vec<Part<'a>> = Vec::new();
        while let Some(part) = queue.next_if(|part| part.seeds.len() <= room) {
            room -= part.seeds.len();
            match taken.last_mut() {
                Some(last) if std::ptr::eq(last.request, part.request) => {
                    last.seeds.end = part.seeds.end;
                }
                _ => taken.push(part),
            }
        }
        taken
    }
}

/// A completion that is being drawn.
struct Live<'a> {
    at: usize,
    /// The row that computes what comes next, together with all that have the same tokens so far.
    row: usize,
    prompt: &'a [u32],
    rng: ChaCha8Rng,
    completion: Completion,
}

impl<'a> Live<'a> {
    /// Those of a part, which begin as one row.
    fn of(part: &Part<'a>, row: usize) -> impl Iterator<Item = Self> {
        let (request, first) = (part.request, part.first);
        request.seeds[part.seeds.clone()].iter().enumerate().map(move |(i, seed)| Self {
            at: first + i,
            row,
            prompt: &request.prompt,
            rng: ChaCha8Rng::seed_from_u64(*seed),
            completion: Completion {
                tokens: Vec::new(),
                logprobs: Vec::new(),
                drawn_logprobs: Vec::new(),
                stop: Stop::Length,
            },
        })
    }

    /// What it is fed next: its row, and the token drawn last.
    fn fed(&self) -> (usize, u32) {
        (self.row, self.completion.tokens.last().copied().unwrap_or_default())
    }

    /// Draws its next token, from the probabilities that a filter leaves where there is one.
    fn draw(&mut self, next: Next<'_>, left: Option<&[f64]>, sampling: &Sampling) {
        let completion = &mut self.completion;
        let token = if sampling.temperature == 0.0 {
            argmax(next.logits)
        } else if let Some(left) = left {
            let token = draw_filtered(left, self.rng.random());
            completion.drawn_logprobs.push(left[token as usize].ln() as f32);
            token
        } else {
            next.draw(self.rng.random())
        };
        completion.tokens.push(token);
        completion.logprobs.push(next.log_prob(token));
    }

    /// Whether it is complete.
    fn ends(&mut self, sampling: &Sampling) -> Result<bool, ModelError> {
        let completion = &mut self.completion;
        if completion.tokens.last().is_some_and(|token| sampling.eos.contains(token)) {
            completion.stop = Stop::End;
        } else if let Some(stop) = &sampling.stop
            && stop.end(&completion.tokens)?
        {
            completion.stop = Stop::Text;
        }
        let room = completion.tokens.len() < sampling.completion_tokens_max;
        Ok(completion.stop != Stop::Length || !room)
    }
}

/// What a thread has to itself.
#[derive(Default)]
struct Worker {
    tape: Tape,
    done: Vec<(usize, Completion)>,
    failure: Option<ModelError>,
}

impl Worker {
    fn work(
        &mut self,
        model: &Model,
        queue: &Queue<'_>,
        sampling: &Sampling,
        rows_max: usize,
    ) -> Result<(), ModelError> {
        let mut decoder = Decoder::new(model, rows_max, sampling.completion_tokens_max);
        let mut live: Vec<Live<'_>> = Vec::new();
        loop {
            let parts = queue.take(rows_max - live.len());
            let prompts: Vec<(&[u32], usize)> =
                parts.iter().map(|p| (&p.request.prompt[..], 1)).collect();
            let rows = decoder.n_rows()..;
            decoder.admit(&prompts, &mut self.tape)?;
            live.extend(parts.iter().zip(rows).flat_map(|(part, row)| Live::of(part, row)));
            if live.is_empty() {
                return Ok(());
            }
            draw(&decoder, &mut live, sampling);
            let mut left = Vec::with_capacity(live.len());
            for mut live in live {
                match live.ends(sampling)? {
                    true => self.done.push((live.at, live.completion)),
                    false => left.push(live),
                }
            }
            live = left;
            feed(&mut decoder, &mut live);
        }
    }
}

/// Draws the next token of each; those of one row are neighbours.
fn draw(decoder: &Decoder<'_>, live: &mut [Live<'_>], sampling: &Sampling) {
    let greedy = sampling.temperature == 0.0;
    let temperature = if greedy { 1.0 } else { sampling.temperature };
    each(live.chunk_by_mut(|a, b| a.row == b.row), |twins| {
        let next = decoder.next(twins[0].row, temperature);
        let left = (sampling.filter.is_on() && !greedy).then(|| {
            let text = twins[0].prompt.iter().chain(&twins[0].completion.tokens).copied();
            sampling.filter.probabilities(next.logits, temperature, text)
        });
        twins.iter_mut().for_each(|live| live.draw(next, left.as_deref(), sampling));
    });
}

/// Feeds what was drawn: a row for each token that differs.
fn feed(decoder: &mut Decoder<'_>, live: &mut [Live<'_>]) {
    live.sort_by_key(Live::fed);
    let (mut into, mut tokens) = (vec![0; decoder.n_rows()], Vec::with_capacity(live.len()));
    for twins in live.chunk_by_mut(|a, b| a.fed() == b.fed()) {
        let (row, token) = twins[0].fed();
        into[row] += 1;
        twins.iter_mut().for_each(|live| live.row = tokens.len());
        tokens.push(token);
    }
    decoder.branch(&into);
    decoder.step(&tokens);
}

/// The token that the number `at`, evenly drawn between 0 and 1, chooses among probabilities.
fn draw_filtered(p: &[f64], at: f64) -> u32 {
    let (mut left, mut last) = (at, 0);
    for (token, p) in p.iter().enumerate().filter(|(_, p)| **p > 0.0) {
        left -= p;
        last = token;
        if left < 0.0 {
            break;
        }
    }
    last as u32
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
