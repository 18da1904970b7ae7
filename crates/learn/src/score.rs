//! A batch under given weights, forward only: what old and reference log-probs come from.

use std::sync::Mutex;

use model::{ModelError, Tape};

use crate::{
    Batch,
    lanes::{Lanes, Net, PART_TOKENS},
    learner::Threads,
};

/// What the weights say of one sequence; one number a token.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Score {
    /// Log-probs.
    pub logprobs: Vec<f32>,
    /// Entropies, in nats.
    pub entropies: Vec<f32>,
    /// Values before each token; empty without a value head.
    pub values: Vec<f32>,
}

/// Scores every sequence, group after group. Each has the same bits whatever the threads and
/// the rest of the batch.
pub(crate) fn score(
    tapes: &mut Vec<Tape>,
    net: Net<'_>,
    batch: &Batch,
    threads: Threads,
) -> Result<Vec<Score>, ModelError> {
    let parts = batch.parts(PART_TOKENS, 1);
    let found: Vec<Mutex<Result<Vec<Score>, ModelError>>> =
        parts.iter().map(|_| Mutex::new(Ok(Vec::new()))).collect();
    Lanes::each(tapes, parts.len(), threads, &|i, tape| {
        let scores = net.model.forward(&parts[i].chunk, net.temperature, tape).map(|()| {
            let mut at = 0;
            let sequences = parts[i].sequences.iter();
            let each = sequences.map(|s| {
                at += s.tokens.len();
                Score::read(tape, net, at - s.tokens.len()..at)
            });
            each.collect()
        });
        *found[i].lock().unwrap_or_else(|e| e.into_inner()) = scores;
    });
    let mut all = Vec::new();
    for scores in found {
        all.extend(scores.into_inner().unwrap_or_else(|e| e.into_inner())?);
    }
    Ok(all)
}

impl Score {
    /// The targets `at` of the last forward pass.
    pub(crate) fn read(tape: &Tape, net: Net<'_>, at: std::ops::Range<usize>) -> Self {
        let values = net.head.map(|head| at.clone().map(|i| head.value(tape.hidden(i))).collect());
        Self {
            logprobs: tape.log_probs()[at.clone()].to_vec(),
            entropies: tape.entropies()[at].to_vec(),
            values: values.unwrap_or_default(),
        }
    }
}
