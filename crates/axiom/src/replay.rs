//! Verified programs, kept for imitation: what expert iteration learns from.

use std::collections::{BTreeMap, HashMap};

use learn::Sequence;
use rand::{
    Rng as _,
    seq::{IndexedRandom as _, SliceRandom as _},
};
use serde::{Deserialize, Serialize};

use crate::{groups::Group, recipe::ReplayRecipe, seed::Seed};

/// Most programs kept of one topic; the oldest leave first.
const PER_TOPIC: usize = 512;

/// A prompt and a verified completion of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verified {
    pub(crate) topic: String,
    pub(crate) prompt: Vec<u32>,
    pub(crate) tokens: Vec<u32>,
    /// A hash of the program's normal form, where equal programs are kept once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) form: Option<String>,
    /// Whether it was given to the run, not found by it: the cold start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) given: bool,
}

/// Hashes of normal forms, by program. Empty where equal programs are not looked for.
pub(crate) type Forms = HashMap<String, String>;

/// The store of verified programs, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Replay {
    kept: Vec<Verified>,
    /// The step at which each topic was first solved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    solved_at: BTreeMap<String, u64>,
}

impl Replay {
    /// A store that holds what the run is given.
    pub(crate) fn with(given: Vec<Verified>) -> Self {
        let kept = given.into_iter().map(|v| Verified { given: true, ..v }).collect();
        Self { kept, ..Self::default() }
    }

    /// The programs of a step that were accepted, each once, none cut short.
    pub(crate) fn accepted(groups: &[Group], forms: &Forms) -> Vec<Verified> {
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
                        form: forms.get(&rollout.program).cloned(),
                        given: false,
                    });
                }
            }
        }
        found
    }

    /// Adds the programs that a step found. The newer of two equal programs of a topic stays:
    /// it stands under the newer prompt. Topics and the whole have a bound; the oldest leave.
    pub(crate) fn add(&mut self, found: &[Verified], (rules, step): (&ReplayRecipe, u64)) {
        for verified in found {
            self.solved_at.entry(verified.topic.clone()).or_insert(step);
            let same = |v: &Verified| v.topic == verified.topic && v.form == verified.form;
            if verified.form.is_some()
                && let Some(at) = self.kept.iter().position(same)
            {
                self.kept.remove(at);
            }
            self.kept.push(verified.clone());
            let of_topic = self.kept.iter().filter(|v| v.topic == verified.topic).count();
            if of_topic > PER_TOPIC {
                self.remove_oldest(&verified.topic.clone());
            }
        }
        while rules.programs_max > 0 && self.kept.len() > rules.programs_max {
            self.remove_oldest(&self.largest_topic());
        }
    }

    fn remove_oldest(&mut self, topic: &str) {
        if let Some(oldest) = self.kept.iter().position(|v| v.topic == topic) {
            self.kept.remove(oldest);
        }
    }

    /// The topic with most programs, the first by name of several.
    fn largest_topic(&self) -> String {
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        for verified in &self.kept {
            *sizes.entry(&verified.topic).or_default() += 1;
        }
        let largest = sizes.iter().rev().max_by_key(|(_, n)| **n);
        largest.map(|(topic, _)| (*topic).to_string()).unwrap_or_default()
    }

    /// `n` draws, every topic as likely as the others; by the shares of the kinds of programs,
    /// where the recipe has some.
    pub(crate) fn draw(
        &self,
        n: usize,
        seed: Seed,
        (rules, step): (&ReplayRecipe, u64),
    ) -> Vec<&Verified> {
        let mut rng = seed.rng();
        let all = by_topic(self.kept.iter());
        if !rules.has_shares() {
            return (0..n).filter_map(|_| draw_one(&all, &mut rng)).collect();
        }
        let is_new = |v: &Verified| {
            let solved_at = self.solved_at.get(&v.topic);
            solved_at.is_some_and(|at| step < at + rules.discovery_steps)
        };
        let (given, found): (Vec<_>, Vec<_>) = self.kept.iter().partition(|v| v.given);
        let (new, old): (Vec<_>, Vec<_>) = found.into_iter().partition(|v| is_new(v));
        let [given, new, old] = [given, new, old].map(|kind| by_topic(kind.into_iter()));
        let draw = |_| {
            let at: f64 = rng.random();
            let kind = match at {
                _ if at < rules.discovery_share => &new,
                _ if at < rules.discovery_share + rules.cold_start_share => &given,
                _ => &old,
            };
            // What there is none of leaves its share to all.
            draw_one(if kind.is_empty() { &all } else { kind }, &mut rng)
        };
        (0..n).filter_map(draw).collect()
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

/// The programs of each topic, topics by name.
fn by_topic<'a>(programs: impl Iterator<Item = &'a Verified>) -> Vec<Vec<&'a Verified>> {
    let mut topics: BTreeMap<&str, Vec<&Verified>> = BTreeMap::new();
    for verified in programs {
        topics.entry(&verified.topic).or_default().push(verified);
    }
    topics.into_values().collect()
}

fn draw_one<'a>(topics: &[Vec<&'a Verified>], rng: &mut impl rand::Rng) -> Option<&'a Verified> {
    topics.choose(rng)?.choose(rng).copied()
}

impl Verified {
    /// As the learner takes it: a sequence with this advantage and no ratio.
    pub(crate) fn sequence(&self, advantage: f64) -> (Vec<u32>, Vec<Sequence>) {
        let advantage = advantage.into();
        let sequence = Sequence { advantage, ..Sequence::imitated(self.tokens.clone()) };
        (self.prompt.clone(), vec![sequence])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    fn rules(settings: &[&str]) -> ReplayRecipe {
        let settings: Vec<String> = settings.iter().map(|s| format!("replay.{s}")).collect();
        Recipe::load("default", &settings).unwrap().replay
    }

    /// A program of `topic`; equal names are equal programs, and `prompt` tells them apart.
    fn program(topic: &str, form: &str, prompt: u32) -> Verified {
        Verified {
            topic: topic.to_string(),
            prompt: vec![prompt],
            tokens: vec![1],
            form: Some(form.to_string()).filter(|f| !f.is_empty()),
            given: false,
        }
    }

    fn prompts(replay: &Replay) -> Vec<u32> {
        replay.kept.iter().map(|v| v.prompt[0]).collect()
    }

    #[test]
    fn equal_programs_of_a_topic_are_kept_once_under_the_newer_prompt() {
        let mut replay = Replay::default();
        let plain = rules(&[]);
        replay
            .add(&[program("a", "x", 1), program("a", "y", 2), program("b", "x", 3)], (&plain, 0));
        replay.add(&[program("a", "x", 4), program("a", "", 5), program("a", "", 6)], (&plain, 1));
        assert_eq!(prompts(&replay), [2, 3, 4, 5, 6]);
    }

    #[test]
    fn beyond_the_bound_the_oldest_of_the_largest_topic_leaves() {
        let mut replay = Replay::default();
        let bounded = rules(&["programs_max=3"]);
        for (topic, prompt) in [("a", 1), ("b", 2), ("b", 3), ("b", 4), ("a", 5), ("c", 6)] {
            replay.add(&[program(topic, "", prompt)], (&bounded, 0));
        }
        // Of two topics with two programs each, the first by name gave way.
        assert_eq!(prompts(&replay), [4, 5, 6]);
    }

    #[test]
    fn kinds_of_programs_get_their_shares() {
        let path = "cold_start=given.jsonl";
        let shares = ["discovery_share=0.5", "cold_start_share=0.25", "discovery_steps=2", path];
        let rules = rules(&shares);
        let mut replay = Replay::with(vec![program("given", "", 1)]);
        replay.add(&[program("old", "", 2)], (&rules, 0));
        replay.add(&[program("new", "", 3)], (&rules, 9));
        let count = |step: u64, prompt: u32| {
            let drawn = replay.draw(4_000, Seed(1), (&rules, step));
            drawn.iter().filter(|v| v.prompt[0] == prompt).count()
        };
        for (step, prompt, share) in [(10, 3, 0.5), (10, 1, 0.25), (10, 2, 0.25), (12, 1, 0.4167)] {
            let n = count(step, prompt) as f64 / 4_000.0;
            assert!((n - share).abs() < 0.03, "step {step}, prompt {prompt}: {n}");
        }
    }
}
