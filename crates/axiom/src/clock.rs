//! How long the stages of a step take.

use std::time::Instant;

use runlog::Timing;

/// Measures the stages of a step.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    last: Instant,
    timing: Timing,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        Self { start: now, last: now, timing: Timing::default() }
    }

    /// Seconds since the last lap.
    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let lap = now.duration_since(self.last).as_secs_f64();
        self.last = now;
        lap
    }

    pub(crate) fn generated(&mut self) {
        self.timing.generate_s += self.lap();
    }

    pub(crate) fn verified(&mut self) {
        self.timing.verify_s += self.lap();
    }

    pub(crate) fn learnt(&mut self) {
        self.timing.learn_s += self.lap();
    }

    /// The stages' seconds, and those of the whole.
    pub(crate) fn timing(&self) -> Timing {
        Timing { wall_s: self.start.elapsed().as_secs_f64(), ..self.timing }
    }
}
