//! Verified programs, kept for imitation: what expert iteration learns from.

use learn::Sequence;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use serde::{Deserialize, Serialize};

use crate::{groups::Group, seed::Seed};

/// Most programs kept of one topic; the oldest leave first.
const PER_TOPIC: usize = 512;

/// A prompt and a verified completion of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verified {
    pub(crate) topic: String,
    pub(crate) prompt: Vec<u32>,
    pub(crate) tokens: Vec<u32>,
}

/// The store of verified programs, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Replay {
    kept: Vec<Verified>,
}

impl Replay {
    /// The programs of a step that were accepted, each once, none cut short.
    pub(crate) fn accepted(groups: &[Group]) -> Vec<Verified> {
        let mut found: Vec<Verified> = Vec::new();
        for group in groups {
            let first = found.len();
            for rollout in group.rollouts.iter().filter(|r| r.passed() == Some(true)) {
                let tokens = &rollout.completion.tokens;
                if !found[first..].iter().any(|v| v.tokens == *tokens) {
                    found.push(Verified {
                        topic: group.task.topic(),
                        prompt: group.prompt.clone(),
                        tokens: tokens.clone(),
                    });
                }
            }
        }
        found
    }

    /// Adds programs, and drops the oldest of topics that have too many.
    pub(crate) fn add(&mut self, found: &[Verified]) {
        for verified in found {
            self.kept.push(verified.clone());
            let same = |v: &&Verified| v.topic == verified.topic;
            if self.kept.iter().filter(same).count() > PER_TOPIC
                && let Some(oldest) = self.kept.iter().position(|v| v.topic == verified.topic)
            {
                self.kept.remove(oldest);
            }
        }
    }

    /// `n` draws, every topic as likely as the others.
    pub(crate) fn draw(&self, n: usize, seed: Seed) -> Vec<&Verified> {
        let mut rng = seed.rng();
        let mut topics: Vec<&str> = self.kept.iter().map(|v| v.topic.as_str()).collect();
        topics.sort_unstable();
        topics.dedup();
        (0..n)
            .filter_map(|_| {
                let topic = topics.choose(&mut rng)?;
                let of_topic: Vec<&Verified> =
                    self.kept.iter().filter(|v| v.topic == *topic).collect();
                of_topic.choose(&mut rng).copied()
            })
            .collect()
    }

    /// All programs, in an order of chance.
    pub(crate) fn shuffled(&self, seed: Seed) -> Vec<&Verified> {
        let mut all: Vec<&Verified> = self.kept.iter().collect();
        all.shuffle(&mut seed.rng());
        all
    }

    /// How many programs are kept.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }
}

impl Verified {
    /// As the learner takes it: a sequence with this advantage and no ratio.
    pub(crate) fn sequence(&self, advantage: f64) -> (Vec<u32>, Vec<Sequence>) {
        let advantage = advantage.into();
        let sequence = Sequence { advantage, ..Sequence::imitated(self.tokens.clone()) };
        (self.prompt.clone(), vec![sequence])
    }
}
