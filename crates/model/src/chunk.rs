//! Tokens as the transformer takes them: sequences packed with no padding, prefixes shared.

use crate::{Config, ModelError, seam::Span};

/// A run of consecutive tokens of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its first row in the chunk.
    pub start: usize,
    /// How many rows.
    pub len: usize,
    /// The index of the segment whose tokens come before; that one has no prefix itself.
    pub prefix: Option<usize>,
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
    /// Appends a segment and returns its index.
    pub fn push(&mut self, tokens: &[u32], prefix: Option<usize>) -> usize {
        self.segments.push(Segment { start: self.tokens.len(), len: tokens.len(), prefix });
        self.tokens.extend_from_slice(tokens);
        self.segments.len() - 1
    }

    /// Appends a prompt with its completions and targets every completion token. Completions
    /// must not be empty.
    pub fn push_group(&mut self, prompt: &[u32], completions: &[&[u32]]) {
        let root = self.push(prompt, None);
        let last = self.segments[root].start + prompt.len() - 1;
        for completion in completions {
            let start = self.tokens.len();
            // The last token of a completion is predicted, never read.
            self.push(&completion[..completion.len() - 1], Some(root));
            for (i, token) in completion.iter().enumerate() {
                let row = if i == 0 { last } else { start + i - 1 };
                self.targets.push((row, *token));
            }
        }
    }

    /// What attention needs to know of the segments.
    pub(crate) fn spans(&self) -> impl Iterator<Item = Span> {
        let prefix = |s: &Segment| match s.prefix {
            Some(i) => (self.segments[i].start, self.segments[i].len),
            None => (s.start, 0),
        };
        self.segments.iter().map(move |s| Span { start: s.start, len: s.len, prefix: prefix(s) })
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
