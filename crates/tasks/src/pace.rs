//! How hard the tasks of a run are, and when that changes.
//!
//! A level is the hardest difficulty that is asked; the two below it are asked as well. It rises
//! where the recent solve rates reach `up` and falls where they are below `down`: between the two
//! it stays, so that a level whose rate wavers is not left and entered again and again. Each new
//! level starts with an empty window: what was solved on another says nothing of it.

use std::collections::BTreeMap;

/// Difficulties below the level that are asked too.
const BELOW: u8 = 2;

/// What makes the level change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// Nothing: all difficulties are asked alike.
    Flat,
    /// Steps: one level up after each `steps`.
    Linear {
        /// How long a level lasts.
        steps: u64,
    },
    /// The solve rates of all groups together: one level for the run.
    Adaptive(Thresholds),
    /// Those of each topic: a level for each.
    SelfPaced(Thresholds),
}

/// When solve rates change a level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Groups whose mean counts; with fewer, the level stays.
    pub window: usize,
    /// From here on it rises.
    pub up: f64,
    /// Below this it falls.
    pub down: f64,
}

/// A level and what was solved on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// The hardest difficulty that is asked.
    pub difficulty: u8,
    /// The newest solve rates of groups on it, the newest last.
    pub rates: Vec<f64>,
}

/// The levels of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    schedule: Schedule,
    /// Lowest and highest difficulty.
    range: (u8, u8),
    /// By topic; by no name where there is one for all.
    levels: BTreeMap<String, Level>,
}

impl Pace {
    /// A pace that starts at the lowest difficulty, except where nothing changes.
    pub fn new(schedule: Schedule, range: (u8, u8)) -> Self {
        Self { schedule, range, levels: BTreeMap::new() }
    }

    /// The difficulties that a topic is asked at.
    pub(crate) fn difficulties(&self, topic: &str) -> (u8, u8) {
        match self.schedule {
            Schedule::Flat => self.range,
            Schedule::Linear { .. } | Schedule::Adaptive(_) | Schedule::SelfPaced(_) => {
                let level = self.level(topic);
                (level.saturating_sub(BELOW).max(self.range.0), level)
            }
        }
    }

    fn level(&self, topic: &str) -> u8 {
        self.levels.get(self.track(topic)).map_or(self.range.0, |level| level.difficulty)
    }

    /// What a topic's level is kept under.
    fn track<'a>(&self, topic: &'a str) -> &'a str {
        match self.schedule {
            Schedule::SelfPaced(_) => topic,
            Schedule::Flat | Schedule::Linear { .. } | Schedule::Adaptive(_) => "",
        }
    }

    fn track_mut(&mut self, topic: &str) -> &mut Level {
        let difficulty = self.range.0;
        let track = self.track(topic).to_string();
        self.levels.entry(track).or_insert(Level { difficulty, rates: Vec::new() })
    }

    /// Notes the solve rate of a group.
    pub(crate) fn observe(&mut self, topic: &str, solve_rate: f64) {
        if let Schedule::Adaptive(at) | Schedule::SelfPaced(at) = self.schedule {
            let rates = &mut self.track_mut(topic).rates;
            rates.push(solve_rate);
            rates.drain(..rates.len().saturating_sub(at.window));
        }
    }

    /// Changes levels by one, at the end of a step: its groups were all asked on the old ones.
    pub(crate) fn end_step(&mut self, steps_done: u64) {
        let (lowest, highest) = self.range;
        match self.schedule {
            Schedule::Flat => {}
            Schedule::Linear { steps } => {
                let risen = u8::try_from(steps_done / steps.max(1)).unwrap_or(u8::MAX);
                self.track_mut("").difficulty = lowest.saturating_add(risen).min(highest);
            }
            Schedule::Adaptive(at) | Schedule::SelfPaced(at) => {
                for level in self.levels.values_mut() {
                    level.follow(at, (lowest, highest));
                }
            }
        }
    }

    /// The mean level; none where nothing changes.
    pub fn mean(&self) -> Option<f64> {
        let sum: f64 = self.levels.values().map(|level| f64::from(level.difficulty)).sum();
        (!self.levels.is_empty()).then(|| sum / self.levels.len() as f64)
    }

    /// The levels, for a checkpoint.
    pub fn levels(&self) -> &BTreeMap<String, Level> {
        &self.levels
    }

    /// Puts back the levels of a checkpoint.
    pub fn restore(&mut self, levels: BTreeMap<String, Level>) {
        self.levels = levels;
    }
}

impl Level {
    fn follow(&mut self, at: Thresholds, (lowest, highest): (u8, u8)) {
        if self.rates.len() < at.window {
            return;
        }
        let mean = self.rates.iter().sum::<f64>() / self.rates.len() as f64;
        let new = match mean {
            _ if mean >= at.up => self.difficulty.saturating_add(1).min(highest),
            _ if mean < at.down => self.difficulty.saturating_sub(1).max(lowest),
            _ => self.difficulty,
        };
        if new != self.difficulty {
            *self = Self { difficulty: new, rates: Vec::new() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Thresholds = Thresholds { window: 4, up: 0.7, down: 0.3 };

    /// The level after each step, whose groups have these solve rates.
    fn levels(pace: &mut Pace, steps: &[impl AsRef<[f64]>]) -> Vec<u8> {
        let step = |(i, rates): (usize, &_)| {
            let rates: &[f64] = AsRef::as_ref(rates);
            rates.iter().for_each(|rate| pace.observe("a", *rate));
            pace.end_step(i as u64 + 1);
            pace.level("a")
        };
        steps.iter().enumerate().map(step).collect()
    }

    #[test]
    fn a_flat_pace_asks_the_whole_range() {
        let mut pace = Pace::new(Schedule::Flat, (2, 8));
        assert_eq!(levels(&mut pace, &[[1.0; 9]; 3]), [2, 2, 2]);
        assert_eq!((pace.difficulties("a"), pace.mean()), ((2, 8), None));
    }

    #[test]
    fn a_linear_pace_rises_with_the_steps_to_the_highest() {
        let mut pace = Pace::new(Schedule::Linear { steps: 2 }, (2, 4));
        assert_eq!(levels(&mut pace, &[[0.0]; 7]), [2, 3, 3, 4, 4, 4, 4]);
        assert_eq!(pace.difficulties("a"), (2, 4));
        let mut long = Pace::new(Schedule::Linear { steps: 1 }, (1, 10));
        levels(&mut long, &[[]; 6]);
        assert_eq!(long.difficulties("a"), (5, 7));
    }

    #[test]
    fn a_window_has_to_be_full_and_is_emptied_by_a_change() {
        let mut pace = Pace::new(Schedule::Adaptive(AT), (2, 8));
        let good: &[f64] = &[1.0, 1.0];
        // Each second step fills the window anew.
        assert_eq!(levels(&mut pace, &[good; 5]), [2, 3, 3, 4, 4]);
        // Many groups in one step are one change, not several.
        let mut wide = Pace::new(Schedule::Adaptive(AT), (2, 8));
        assert_eq!(levels(&mut wide, &[vec![1.0; 40], vec![]]), [3, 3]);
    }

    #[test]
    fn between_the_thresholds_the_level_stays() {
        let mut pace = Pace::new(Schedule::Adaptive(AT), (2, 8));
        let steps: [&[f64]; 7] = [
            &[0.7; 4],
            &[0.69; 4],
            &[0.3; 4],
            // 0.3, 0.3, 0.3 and 0.1: the window slides as long as the level stays.
            &[0.1],
            &[0.0; 4],
            &[0.0; 4],
            &[0.5, 0.9, 0.9, 0.5],
        ];
        assert_eq!(levels(&mut pace, &steps), [3, 3, 3, 2, 2, 2, 3]);
        let mut top = Pace::new(Schedule::Adaptive(AT), (2, 2));
        assert_eq!(levels(&mut top, &[[1.0; 4], [0.0; 4]]), [2, 2]);
    }

    #[test]
    fn topics_that_pace_themselves_leave_the_others_alone() {
        let mut pace = Pace::new(Schedule::SelfPaced(AT), (2, 8));
        for topic in ["a", "b"] {
            for _ in 0..4 {
                pace.observe(topic, if topic == "a" { 1.0 } else { 0.0 });
            }
        }
        pace.end_step(1);
        assert_eq!((pace.level("a"), pace.level("b"), pace.level("c")), (3, 2, 2));
        assert_eq!(pace.mean(), Some(2.5));
        let mut again = Pace::new(Schedule::SelfPaced(AT), (2, 8));
        again.restore(pace.levels().clone());
        assert_eq!(again, pace);
    }
}
