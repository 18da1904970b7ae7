//! What one optimizer step learns from.

use std::{borrow::Cow, ops::Range};

use model::{Chunk, ModelError, in_common};

use crate::{Advantage, objective::Objective, value::ValueTarget};

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
    /// The index of the first of them among all sequences of the batch.
    pub(crate) first: usize,
    /// For each segment a number that no other of the batch has; but a prompt that is repeated
    /// keeps its own.
    pub(crate) segments: Vec<u64>,
}

/// How many parts there are in the end where the tokens fill so many.
pub fn evened(parts: usize) -> usize {
    if parts > 1 { parts.next_multiple_of(2) } else { parts }
}

/// Sizes of parts that are tried, up to the largest.
const STEPS: usize = 64;

impl Batch {
    /// How many sequences there are.
    pub fn n_sequences(&self) -> usize {
        self.groups.iter().flat_map(|g| &g.1).map(|s| s.count).sum()
    }

    /// How many tokens are learnt from.
    pub fn n_tokens(&self) -> usize {
        self.groups.iter().flat_map(|g| &g.1).map(|s| s.n_learnt() * s.count).sum()
    }

    /// Cuts the batch into at most `n` of about as many groups each: for several updates on
    /// one batch of rollouts. No group is torn apart, and the order stays.
    pub fn minibatches(self, n: usize) -> Vec<Self> {
        let size = self.groups.len().div_ceil(n.max(1)).max(1);
        let mut groups = self.groups.into_iter().peekable();
        let mut batches = Vec::new();
        while groups.peek().is_some() {
            batches.push(Self { groups: groups.by_ref().take(size).collect() });
        }
        batches
    }

    /// Cuts the batch into parts of at most about `tokens_max` tokens: an even number of parts of
    /// about one size, so that two threads end together. The cut depends on the batch alone. A group
    /// that is too large for one part is spread over several, its prompt repeated, `unit` sequences at
    /// least staying together.
    pub(crate) fn parts(&self, tokens_max: usize, unit: usize) -> Vec<Part<'_>> {
        let lengths = self.lengths();
        let cut = |size: usize| self.cut(&lengths, size, unit);
        let mut cuts = cut(tokens_max);
        if cuts.len() > 1 {
            let n = evened(cuts.len());
            let tokens: usize = cuts.iter().map(|cut| cut.tokens).sum();
            let mut sizes = (tokens.div_ceil(n)..tokens_max).step_by(tokens_max.div_ceil(STEPS));
            let even = sizes.find_map(|size| Some(cut(size)).filter(|cuts| cuts.len() <= n));
            cuts = even.unwrap_or(cuts);
        }
        let mut first = 0;
        let parts = cuts.iter().map(|cut| {
            let part = self.part(cut, first);
            first += part.sequences.len();
            part
        });
        parts.collect()
    }

    /// How many tokens each sequence adds to those before it in its group.
    fn lengths(&self) -> Vec<Vec<usize>> {
        self.groups.iter().map(|(_, sequences)| added(sequences)).collect()
    }

    /// Parts that are filled one after the other. A group that fits into one is not torn apart: its
    /// prompt, and what its sequences have in common, would be there twice. `lengths` is what the
    /// sequences of each group add.
    fn cut(&self, lengths: &[Vec<usize>], tokens_max: usize, unit: usize) -> Vec<Cut> {
        let mut cuts = vec![Cut::default()];
        for (group, (prompt, sequences)) in self.groups.iter().enumerate() {
            let mut rest = Cow::from(&lengths[group]);
            let whole = prompt.len() + rest.iter().sum::<usize>();
            let room = tokens_max.saturating_sub(cuts.last().map_or(0, |cut| cut.tokens));
            if room < whole && whole <= tokens_max {
                cuts.push(Cut::default());
            }
            while !rest.is_empty() {
                let used = cuts.last().map_or(0, |cut| cut.tokens);
                let mut size = used + prompt.len();
                let fits = |tokens: &&usize| {
                    size += **tokens;
                    size <= tokens_max
                };
                let mut n = rest.iter().take_while(fits).count();
                n -= n % unit;
                if n == 0 && used > 0 {
                    cuts.push(Cut::default());
                    continue;
                }
                n = n.max(unit).min(rest.len());
                let from = sequences.len() - rest.len();
                if let Some(cut) = cuts.last_mut() {
                    cut.tokens += prompt.len() + rest[..n].iter().sum::<usize>();
                    cut.runs.push((group, from..from + n));
                }
                // In another part they share nothing with those before.
                rest = Cow::from(added(&sequences[from + n..]));
            }
        }
        cuts.retain(|cut| !cut.runs.is_empty());
        cuts
    }

    /// The sequences of a cut, `first` and those after it among all sequences.
    fn part(&self, cut: &Cut, mut first: usize) -> Part<'_> {
        let mut part = Part { first, ..Part::default() };
        for (group, run) in &cut.runs {
            let (prompt, sequences) = &self.groups[*group];
            let of_prompt = 2 * (first - run.start) as u64;
            let sequences = &sequences[run.clone()];
            let tokens: Vec<&[u32]> = sequences.iter().map(|s| &s.tokens[..]).collect();
            part.chunk.push_group(prompt, &tokens);
            part.sequences.extend(sequences);
            let own = (first..first + run.len()).map(|i| 2 * i as u64 + 1);
            part.segments.extend(std::iter::once(of_prompt).chain(own));
            first += run.len();
        }
        part
    }
}

/// How many tokens each sequence adds to the ones before.
fn added(sequences: &[Sequence]) -> Vec<usize> {
    let added = |(i, s): (usize, &Sequence)| {
        let shared = sequences[..i].iter().map(|other| in_common(&s.tokens, &other.tokens));
        s.tokens.len() - shared.max().unwrap_or(0)
    };
    sequences.iter().enumerate().map(added).collect()
}

/// What goes into a part: runs of sequences, each with the index of its group.
#[derive(Default)]
struct Cut {
    runs: Vec<(usize, Range<usize>)>,
    tokens: usize,
}

/// A completion that passed and one that failed, of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The prompt's tokens.
    pub prompt: Vec<u32>,
    /// The completion that passed.
    pub chosen: Vec<u32>,
    /// The one that failed.
    pub rejected: Vec<u32>,
    /// The log-prob of the whole chosen completion under the reference.
    pub chosen_reference: f64,
    /// And of the rejected one.
    pub rejected_reference: f64,
}

impl Pair {
    /// The pairs as groups of two sequences, the chosen one first: to be scored under the
    /// reference, say.
    pub fn batch(pairs: &[Self]) -> Batch {
        let group = |pair: &Self| {
            let two = [&pair.chosen, &pair.rejected];
            let sequences = two.map(|tokens| Sequence::imitated(tokens.clone()));
            (pair.prompt.clone(), sequences.to_vec())
        };
        Batch { groups: pairs.iter().map(group).collect() }
    }
}

/// Refuses pairs that say nothing.
pub(crate) fn check_pairs(pairs: &[Pair]) -> Result<(), ModelError> {
    check(&Pair::batch(pairs), None)?;
    let known = |p: &Pair| p.chosen_reference.is_finite() && p.rejected_reference.is_finite();
    match pairs.iter().position(|p| !known(p)) {
        Some(i) => bad(format!("pair {i}: a reference log-prob is not finite; score it first")),
        None => Ok(()),
    }
}

/// Refuses sequences whose parts differ in length, or lack what an objective needs; the second
/// is whether there is a value head.
pub(crate) fn check(batch: &Batch, needs: Option<(&Objective, bool)>) -> Result<(), ModelError> {
    let mut i = 0;
    for (prompt, sequences) in &batch.groups {
        for sequence in sequences {
            if prompt.is_empty() || sequence.tokens.is_empty() {
                return bad(format!("sequence {i}: its prompt or its completion has no token"));
            }
            sequence.check_lengths(i)?;
            if let Some((spec, has_head)) = needs {
                sequence.check_needs(i, spec, has_head)?;
            }
            i += 1;
        }
    }
    Ok(())
}

fn bad<T>(what: String) -> Result<T, ModelError> {
    Err(ModelError::Input(what))
}

impl Sequence {
    fn check_lengths(&self, i: usize) -> Result<(), ModelError> {
        if self.count == 0 {
            return bad(format!("sequence {i}: it stands for no sequence (its count is 0)"));
        }
        let n = self.tokens.len();
        let per_token = match &self.advantage {
            Advantage::Whole(_) => n,
            Advantage::Tokens(a) => a.len(),
        };
        let value = self.value.as_ref().map_or([n; 2], |v| [v.old.len(), v.returns.len()]);
        let needed = [("advantages", per_token), ("old values", value[0]), ("returns", value[1])];
        let free = [
            ("masks", self.mask.len()),
            ("sampling log-probs", self.sampling_logprobs.len()),
            ("old log-probs", self.old_logprobs.len()),
            ("reference log-probs", self.reference_logprobs.len()),
        ];
        let free = free.into_iter().filter(|(_, len)| *len > 0);
        match needed.into_iter().chain(free).find(|(_, len)| *len != n) {
            Some((what, len)) => bad(format!("sequence {i}: {n} tokens have {len} {what}")),
            None => Ok(()),
        }
    }

    fn check_needs(&self, i: usize, spec: &Objective, has_head: bool) -> Result<(), ModelError> {
        let imitated = self.sampling_logprobs.is_empty() && self.old_logprobs.is_empty();
        if spec.kl.is_some() && self.reference_logprobs.is_empty() && !imitated {
            return bad(format!("sequence {i}: a KL term needs reference log-probs; score it"));
        }
        if spec.value.is_some() && !has_head {
            return bad("a value loss needs a value head: Learner::with_value_head".to_string());
        }
        if spec.value.is_some() && self.value.is_none() && !imitated {
            return bad(format!("sequence {i}: a value loss needs values to learn"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequences of these lengths that have nothing in common.
    fn batch(lengths: &[&[usize]]) -> Batch {
        let sequence = |(i, n): (usize, &usize)| Sequence::imitated(vec![i as u32; *n]);
        let group =
            |lengths: &&[usize]| (vec![2; 3], lengths.iter().enumerate().map(sequence).collect());
        Batch { groups: lengths.iter().map(group).collect() }
    }

    #[test]
    fn minibatches_are_runs_of_groups() {
        let five = batch(&[&[1], &[2], &[3], &[4], &[5]]);
        let cut = five.clone().minibatches(2);
        assert_eq!(cut.iter().map(|b| b.groups.len()).collect::<Vec<_>>(), [3, 2]);
        let joined: Vec<_> = cut.into_iter().flat_map(|b| b.groups).collect();
        assert_eq!(joined, five.groups);
        assert_eq!(five.clone().minibatches(9).len(), 5);
        assert_eq!(five.minibatches(0).len(), 1);
        assert!(Batch::default().minibatches(3).is_empty());
    }

    #[test]
    fn parts_keep_units_together() {
        let pairs = batch(&[&[6, 7], &[30, 5], &[1, 1], &[9, 9]]);
        for tokens_max in [1, 16, 20, 40, 1000] {
            let parts = pairs.parts(tokens_max, 2);
            let mut seen = 0;
            for part in &parts {
                assert_eq!((part.first, part.sequences.len() % 2), (seen, 0), "{tokens_max}");
                seen += part.sequences.len();
            }
            assert_eq!(seen, 8);
        }
        assert_eq!(pairs.parts(1000, 2).len(), 1);
        assert_eq!(pairs.parts(1, 2).len(), 4);
    }

    #[test]
    fn no_group_is_torn_that_fits() {
        // Each adds one token to the first, of ten.
        let of = |i: u32| Sequence::imitated([vec![1; 9], vec![i]].concat());
        let group = || (vec![2; 3], (0..20).map(of).collect());
        let batch = Batch { groups: vec![group(), group(), group()] };
        assert_eq!(added(&batch.groups[0].1), [&[10][..], &[1; 19]].concat());
        let runs = |tokens_max| -> Vec<Vec<(usize, Range<usize>)>> {
            batch.cut(&batch.lengths(), tokens_max, 1).into_iter().map(|cut| cut.runs).collect()
        };
        assert_eq!(runs(40), [vec![(0, 0..20)], vec![(1, 0..20)], vec![(2, 0..20)]]);
        // One that is too large begins anew in the next part.
        let torn = [vec![(0, 0..18)], vec![(0, 18..20), (1, 0..4)]];
        assert_eq!(runs(30)[..2], torn);
    }

    #[test]
    fn parts_are_of_one_size_and_even_in_number() {
        let long = batch(&[&[10; 40], &[12; 40], &[8; 40]]);
        let sizes = |parts: Vec<Part<'_>>| -> Vec<usize> {
            parts.iter().map(|part| part.chunk.tokens.len()).collect()
        };
        assert_eq!(long.cut(&long.lengths(), 450, 1).len(), 3);
        let even = sizes(long.parts(450, 1));
        assert_eq!(even.len(), 4);
        assert!(
            even.iter().max().zip(even.iter().min()).is_some_and(|(a, b)| a - b < 40),
            "{even:?}"
        );
    }
}
