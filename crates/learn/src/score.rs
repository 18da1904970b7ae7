//! A batch under given weights, forward only: what old and reference log-probs come from.

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
    lanes: &mut Lanes,
    net: Net<'_>,
    batch: &Batch,
    threads: Threads,
) -> Result<Vec<Score>, ModelError> {
    let parts = batch.parts(PART_TOKENS, 1);
    let mut found: Vec<Result<Vec<Score>, ModelError>> =
        parts.iter().map(|_| Ok(Vec::new())).collect();
    lanes.each(net.model, threads, parts.iter().zip(&mut found), |tape, (part, found)| {
        *found = net.model.score(&part.chunk, net.temperature, tape).map(|()| {
            let mut at = 0;
            let each = part.sequences.iter().map(|s| {
                at += s.tokens.len();
                Score::read(tape, net, at - s.tokens.len()..at)
            });
            each.collect()
        });
    });
    Ok(found.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

impl Score {
    /// The targets `at` of the last forward pass.
    pub(crate) fn read(tape: &Tape, net: Net<'_>, at: std::ops::Range<usize>) -> Self {
        let values = net.head.map(|head| {
            let hidden = net.model.hidden(tape);
            at.clone().map(|i| head.value(hidden.of(i))).collect()
        });
        Self {
            logprobs: tape.log_probs()[at.clone()].to_vec(),
            entropies: tape.entropies()[at].to_vec(),
            values: values.unwrap_or_default(),
        }
    }
}
