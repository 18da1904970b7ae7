//! Which tasks a step asks.
//!
//! Topics that the policy fails get more of the step; topics that it solves keep a share, so
//! that they are practised and not forgotten. A topic is one variant of a family: the rarer
//! reading of a statement is not left behind by the common one.

use rand::{Rng as _, RngCore as _};

use crate::{Rng, Split, Task, TaskId, families};

/// Topics and how well the policy does on each.
#[derive(Debug, Clone, PartialEq)]
pub struct Curriculum {
    /// `(topic, running solve rate)`.
    rates: Vec<(String, f64)>,
    /// The share of a topic's weight that does not depend on its rate.
    replay_share: f64,
    /// How much of the old rate remains after an observation.
    memory: f64,
    /// Lowest and highest difficulty.
    difficulty: (u8, u8),
}

/// Draws until a task of the wanted variant turns up; the rarest are one in five.
const TRIES: usize = 200;

impl Curriculum {
    /// A curriculum over the variants of `families`, none of them solved yet.
    pub fn new(families: &[String], difficulty: (u8, u8), replay_share: f64, memory: f64) -> Self {
        let rates = families.iter().flat_map(|f| topics(f)).map(|t| (t, 0.0)).collect();
        Self { rates, replay_share, memory, difficulty }
    }

    /// `n` tasks of the training split. Topics share them in proportion to their weights, as
    /// evenly as whole tasks allow.
    pub fn sample(&self, n: usize, rng: &mut Rng) -> Vec<TaskId> {
        let weights: Vec<f64> = self.rates.iter().map(|(_, rate)| self.weight(*rate)).collect();
        let total: f64 = weights.iter().sum();
        let offset: f64 = rng.random();
        let mut topic = 0;
        let mut end = weights[0];
        (0..n)
            .map(|i| {
                let at = (i as f64 + offset) / n as f64 * total;
                while at >= end && topic + 1 < weights.len() {
                    topic += 1;
                    end += weights[topic];
                }
                self.draw(&self.rates[topic].0, rng)
            })
            .collect()
    }

    fn draw(&self, topic: &str, rng: &mut Rng) -> TaskId {
        let mut id = TaskId {
            family: topic.split('#').next().unwrap_or(topic).to_string(),
            difficulty: rng.random_range(self.difficulty.0..=self.difficulty.1),
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
    }

    /// The running solve rates, for a checkpoint.
    pub fn rates(&self) -> &[(String, f64)] {
        &self.rates
    }

    /// Puts back running solve rates.
    pub fn restore(&mut self, rates: Vec<(String, f64)>) {
        self.rates = rates;
    }

    fn weight(&self, rate: f64) -> f64 {
        self.replay_share + (1.0 - self.replay_share) * (1.0 - rate)
    }
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

    fn count(curriculum: &Curriculum, topic: &str) -> usize {
        let tasks = curriculum.sample(100, &mut Rng::seed_from_u64(1));
        tasks.iter().filter(|t| Task::question(t).unwrap().topic() == topic).count()
    }

    #[test]
    fn failing_topics_get_more_and_solved_ones_keep_a_share() {
        let families = ["lcs".to_string()];
        let mut curriculum = Curriculum::new(&families, (2, 4), 0.2, 0.5);
        assert_eq!(count(&curriculum, "lcs#0"), 50);
        for _ in 0..60 {
            curriculum.observe("lcs#0", 1.0);
        }
        let share = count(&curriculum, "lcs#0");
        assert!((16..=18).contains(&share), "a sixth: {share}");
        let rates = curriculum.rates().to_vec();
        let mut again = Curriculum::new(&families, (2, 4), 0.2, 0.5);
        again.restore(rates);
        assert_eq!(again, curriculum);
    }

    #[test]
    fn difficulties_cover_the_range() {
        let curriculum = Curriculum::new(&["composed".to_string()], (2, 4), 0.2, 0.5);
        let tasks = curriculum.sample(100, &mut Rng::seed_from_u64(2));
        let mut seen: Vec<u8> = tasks.iter().map(|t| t.difficulty).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [2, 3, 4]);
    }
}
