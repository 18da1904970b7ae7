//! What one optimizer step learns from.

use model::Chunk;

use crate::{Advantage, value::ValueTarget};

/// A completion to learn from. What there is one number a token of may also be empty, where it
/// is not known or not needed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sequence {
    /// Its tokens, the end token included; at least one.
    pub tokens: Vec<u32>,
    /// Which tokens are learnt from; empty for all.
    pub mask: Vec<bool>,
    /// Log-probs at sampling time; empty where it was not sampled from the policy being
    /// trained (imitation).
    pub sampling_logprobs: Vec<f32>,
    /// Log-probs under the policy at the start of the batch, as [`crate::Learner::score`] finds them.
    /// Empty where they are the sampling ones, or where the objective has a correction and this
    /// is the first update: then they are those of the policy itself.
    pub old_logprobs: Vec<f32>,
    /// Log-probs under the reference.
    pub reference_logprobs: Vec<f32>,
    /// Its advantage.
    pub advantage: Advantage,
    /// What its values are to become, where there is a value head.
    pub value: Option<ValueTarget>,
    /// How many identical sequences of the group it stands for.
    pub count: usize,
}

impl Sequence {
    /// Something to imitate: no ratio, advantage 1, and it counts once.
    pub fn imitated(tokens: Vec<u32>) -> Self {
        Self { tokens, count: 1, ..Self::default() }
    }

    /// How many of its tokens are learnt from.
    pub fn n_learnt(&self) -> usize {
        match self.mask.len() {
            0 => self.tokens.len(),
            _ => self.mask.iter().filter(|m| **m).count(),
        }
    }
}

/// Sequences after their prompts; those of one prompt share its computation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// `(prompt, sequences)`.
    pub groups: Vec<(Vec<u32>, Vec<Sequence>)>,
}

/// Some sequences of a batch as the model takes them.
#[derive(Debug, Default)]
pub(crate) struct Part<'a> {
    pub(crate) chunk: Chunk,
    pub(crate) sequences: Vec<&'a Sequence>,
}

impl Batch {
    /// How many sequences there are.
    pub fn n_sequences(&self) -> usize {
        self.groups.iter().flat_map(|g| &g.1).map(|s| s.count).sum()
    }

    /// How many tokens are learnt from.
    pub fn n_tokens(&self) -> usize {
        self.groups.iter().flat_map(|g| &g.1).map(|s| s.n_learnt() * s.count).sum()
    }

    /// Cuts the batch into parts of about `tokens_max` tokens. The cut depends on the batch
    /// alone. A group that is too large is spread over parts, its prompt repeated.
    pub(crate) fn parts(&self, tokens_max: usize) -> Vec<Part<'_>> {
        let mut parts = vec![Part::default()];
        for (prompt, sequences) in &self.groups {
            let mut rest = &sequences[..];
            while !rest.is_empty() {
                let used = parts.last().map_or(0, |p| p.chunk.tokens.len());
                let mut size = used + prompt.len();
                let fits = |s: &&Sequence| {
                    size += s.tokens.len();
                    size <= tokens_max
                };
                let mut n = rest.iter().take_while(fits).count();
                if n == 0 && used > 0 {
                    parts.push(Part::default());
                    continue;
                }
                n = n.max(1);
                if let Some(part) = parts.last_mut() {
                    let tokens: Vec<&[u32]> = rest[..n].iter().map(|s| &s.tokens[..]).collect();
                    part.chunk.push_group(prompt, &tokens);
                    part.sequences.extend(&rest[..n]);
                }
                rest = &rest[n..];
            }
        }
        parts.retain(|p| !p.sequences.is_empty());
        parts
    }
}
