//! Tokens as the transformer takes them: sequences packed with no padding, what they have in common
//! held once.

use crate::{Config, ModelError, seam::Span};

/// A run of consecutive tokens of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its first row in the chunk.
    pub start: usize,
    /// How many rows.
    pub len: usize,
    /// What comes before: the index of an earlier segment, and how many tokens of its sequence, from
    /// that one's beginning on.
    pub after: Option<(usize, usize)>,
}

/// How many tokens two sequences have in common, from the beginning.
pub fn in_common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Tokens to run through the model, and the predictions that matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chunk {
    /// All tokens, segment after segment.
    pub tokens: Vec<u32>,
    /// How they hang together.
    pub segments: Vec<Segment>,
    /// `(row, token)`: the log-prob of `token` given everything up to and including `row`.
    pub targets: Vec<(usize, u32)>,
}

impl Chunk {
    /// Appends a segment that goes on after some tokens of another's sequence, if any, and returns
    /// its index.
    pub fn push(&mut self, tokens: &[u32], after: Option<(usize, usize)>) -> usize {
        self.segments.push(Segment { start: self.tokens.len(), len: tokens.len(), after });
        self.tokens.extend_from_slice(tokens);
        self.segments.len() - 1
    }

    /// Appends a prompt with its completions and targets every completion token. Completions
    /// must not be empty. What two of them begin with is there once.
    pub fn push_group(&mut self, prompt: &[u32], completions: &[&[u32]]) {
        let root = self.push(prompt, None);
        let n = prompt.len();
        for (i, completion) in completions.iter().enumerate() {
            // The last token of a completion is predicted, never read.
            let read = &completion[..completion.len() - 1];
            let common = |j: usize| in_common(read, &completions[j][..completions[j].len() - 1]);
            // The first of the closest.
            let closest = (0..i).rev().map(|j| (common(j), root + 1 + j)).max_by_key(|(n, _)| *n);
            let (shared, closest) = closest.filter(|(n, _)| *n > 0).unwrap_or((0, root));
            let own = self.push(&read[shared..], Some((closest, n + shared)));
            for (i, token) in completion.iter().enumerate() {
                self.targets.push((self.row(own, n + i - 1), *token));
            }
        }
    }

    /// The row of a position in the sequence that ends with a segment.
    fn row(&self, mut segment: usize, position: usize) -> usize {
        loop {
            let Segment { start, after, .. } = self.segments[segment];
            match after {
                Some((other, before)) if position < before => segment = other,
                _ => return start + position - after.map_or(0, |(_, before)| before),
            }
        }
    }

    /// What attention needs to know of the segments.
    pub(crate) fn spans(&self) -> impl Iterator<Item = Span> {
        self.segments.iter().map(|s| {
            let (after, before) = s.after.unwrap_or_default();
            Span { start: s.start, len: s.len, before, after }
        })
    }

    /// Says what of a chunk a model of this shape cannot read.
    pub(crate) fn check(&self, config: &Config) -> Result<(), ModelError> {
        let bad = |what: String| Err(ModelError::Input(what));
        if let Some(t) = self.tokens.iter().find(|t| **t as usize >= config.vocab_size) {
            return bad(format!("token {t} is not below vocab_size {}", config.vocab_size));
        }
        for span in self.spans() {
            let n = span.total();
            if n > config.max_position_embeddings {
                let max = config.max_position_embeddings;
                return bad(format!("a sequence of {n} tokens exceeds the limit of {max}"));
            }
        }
        Ok(())
    }
}
