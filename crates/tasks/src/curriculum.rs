//! Which tasks a step asks.
//!
//! Topics that the policy fails get more of the step; topics that it solves keep a share, so
//! that they are practised and not forgotten. A topic is one variant of a family: the rarer
//! reading of a statement is not left behind by the common one.

use std::collections::BTreeMap;

use rand::{Rng as _, RngCore as _};

use crate::{Level, Pace, Rng, Split, Task, TaskId, families};

/// Topics and how well the policy does on each.
#[derive(Debug, Clone, PartialEq)]
pub struct Curriculum {
    /// `(topic, running solve rate)`.
    rates: Vec<(String, f64)>,
    /// The share of a topic's weight that does not depend on its rate.
    replay_share: f64,
    /// How much of the old rate remains after an observation.
    memory: f64,
    /// How hard the tasks are.
    pace: Pace,
}

/// Draws until a task of the wanted variant turns up; the rarest are one in five.
const TRIES: usize = 200;

impl Curriculum {
    /// A curriculum over the variants of `families`, none of them solved yet.
    pub fn new(families: &[String], pace: Pace, replay_share: f64, memory: f64) -> Self {
        let rates = families.iter().flat_map(|f| topics(f)).map(|t| (t, 0.0)).collect();
        Self { rates, replay_share, memory, pace }
    }

    /// About `n` tasks of the training split: families in proportion to the mean weight of
    /// their topics, as evenly as whole tasks allow, and every topic of a family that is asked.
    /// Statements that differ only in what they want are most telling side by side: what their
    /// gradients have in common cancels, and what remains is how to tell them apart.
    pub fn sample(&self, n: usize, rng: &mut Rng) -> Vec<TaskId> {
        let families: Vec<&[(String, f64)]> =
            self.rates.chunk_by(|a, b| family_of(&a.0) == family_of(&b.0)).collect();
        let weight = |family: &[(String, f64)]| {
            family.iter().map(|(_, rate)| self.weight(*rate)).sum::<f64>() / family.len() as f64
        };
        let weights: Vec<f64> = families.iter().map(|f| weight(f)).collect();
        let total: f64 = weights.iter().sum();
        let topics: f64 = families.iter().zip(&weights).map(|(f, w)| f.len() as f64 * w).sum();
        let picks = (n as f64 * total / topics).round().max(1.0) as usize;
        let offset: f64 = rng.random();
        let mut at = 0;
        let mut end = weights[0];
        let mut tasks = Vec::new();
        for i in 0..picks {
            let mark = (i as f64 + offset) / picks as f64 * total;
            while mark >= end && at + 1 < weights.len() {
                at += 1;
                end += weights[at];
            }
            tasks.extend(families[at].iter().map(|(topic, _)| self.draw(topic, rng)));
        }
        tasks
    }

    fn draw(&self, topic: &str, rng: &mut Rng) -> TaskId {
        let (lowest, highest) = self.pace.difficulties(topic);
        let mut id = TaskId {
            family: family_of(topic).to_string(),
            difficulty: rng.random_range(lowest..=highest),
            split: Split::Train,
            seed: rng.next_u64(),
        };
        for _ in 0..TRIES {
            if Task::question(&id).is_ok_and(|task| task.topic() == topic) {
                break;
            }
            id.seed = rng.next_u64();
        }
        id
    }

    /// Notes the share of a group's completions that were accepted.
    pub fn observe(&mut self, topic: &str, solve_rate: f64) {
        if let Some((_, rate)) = self.rates.iter_mut().find(|(t, _)| t == topic) {
            *rate = self.memory * *rate + (1.0 - self.memory) * solve_rate;
        }
        self.pace.observe(topic, solve_rate);
    }

    /// Notes that a step is over, the `steps_done`-th.
    pub fn end_step(&mut self, steps_done: u64) {
        self.pace.end_step(steps_done);
    }

    /// How hard the tasks are.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// The running solve rates, for a checkpoint.
    pub fn rates(&self) -> &[(String, f64)] {
        &self.rates
    }

    /// Puts back running solve rates, and the levels of the pace.
    pub fn restore(&mut self, rates: Vec<(String, f64)>, levels: BTreeMap<String, Level>) {
        self.rates = rates;
        self.pace.restore(levels);
    }

    fn weight(&self, rate: f64) -> f64 {
        self.replay_share + (1.0 - self.replay_share) * (1.0 - rate)
    }
}

fn family_of(topic: &str) -> &str {
    topic.split_once('#').map_or(topic, |t| t.0)
}

/// The topics of a family, named as [`Task::topic`] does.
fn topics(family: &str) -> Vec<String> {
    match families::by_name(family) {
        Some(known) => (0..known.variants().len()).map(|v| format!("{family}#{v}")).collect(),
        None => vec![family.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;
    use crate::Schedule;

    const FLAT: Schedule = Schedule::Flat;

    fn count(curriculum: &Curriculum, topic: &str) -> usize {
        let tasks = curriculum.sample(120, &mut Rng::seed_from_u64(1));
        tasks.iter().filter(|t| Task::question(t).unwrap().topic() == topic).count()
    }

    #[test]
    fn failing_families_get_more_and_solved_ones_keep_a_share() {
        let families = ["lcs".to_string(), "lis".to_string()];
        let mut curriculum = Curriculum::new(&families, Pace::new(FLAT, (2, 4)), 0.2, 0.5);
        for topic in ["lcs#0", "lcs#1", "lis#0", "lis#1"] {
            assert_eq!(count(&curriculum, topic), 30);
        }
        for _ in 0..60 {
            curriculum.observe("lcs#0", 1.0);
            curriculum.observe("lcs#1", 1.0);
        }
        for (topic, share) in [("lcs#0", 10), ("lcs#1", 10), ("lis#0", 50), ("lis#1", 50)] {
            assert_eq!(count(&curriculum, topic), share);
        }
        let rates = curriculum.rates().to_vec();
        let mut again = Curriculum::new(&families, Pace::new(FLAT, (2, 4)), 0.2, 0.5);
        again.restore(rates, BTreeMap::new());
        assert_eq!(again, curriculum);
    }

    #[test]
    fn difficulties_cover_what_the_pace_allows() {
        let pace = Pace::new(Schedule::Linear { steps: 1 }, (2, 9));
        let mut curriculum = Curriculum::new(&["composed".to_string()], pace, 0.2, 0.5);
        curriculum.end_step(2);
        let tasks = curriculum.sample(100, &mut Rng::seed_from_u64(2));
        let mut seen: Vec<u8> = tasks.iter().map(|t| t.difficulty).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [2, 3, 4]);
    }
}
