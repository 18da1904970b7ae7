//! A place where programs are judged one after the other, on a zygote that is replaced when it
//! breaks, when its Python has been replaced, and now and then for hygiene.

use std::io;
use std::time::{Duration, Instant};

use crate::spawner::{Place, Spawner};
use crate::worker::Worker;

/// After so many faults in a row nothing is tried for a while.
const FAULTS_MAX: u32 = 3;
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Slot {
    place: Place,
    worker: Option<Worker>,
    runs: u64,
    runs_max: u64,
    faults: u32,
    /// The last fault, and until when it is the answer to everything.
    pause: Option<(String, Instant)>,
}

impl Slot {
    /// One whose worker is started when it is needed.
    pub(crate) fn new(place: Place, runs_max: u64) -> Self {
        Self { place, worker: None, runs: 0, runs_max, faults: 0, pause: None }
    }

    /// Gives it its first worker.
    pub(crate) fn put(&mut self, worker: Worker) {
        self.worker = Some(worker);
    }

    /// The process id of its worker.
    pub(crate) fn worker_id(&self) -> Option<u32> {
        self.worker.as_ref().map(Worker::id)
    }

    /// Has the worker do something; where it fails, once more on a new one. An error is the
    /// cause of the second fault.
    pub(crate) fn attempt_twice<T>(
        &mut self,
        spawner: &Spawner,
        mut work: impl FnMut(&Worker) -> io::Result<T>,
    ) -> Result<T, String> {
        self.attempt(spawner, &mut work).or_else(|_| self.attempt(spawner, &mut work))
    }

    fn attempt<T>(
        &mut self,
        spawner: &Spawner,
        work: &mut impl FnMut(&Worker) -> io::Result<T>,
    ) -> Result<T, String> {
        if let Some((cause, until)) = &self.pause
            && Instant::now() < *until
        {
            return Err(cause.clone());
        }
        let found = self.ready(spawner).and_then(|w| work(w).map_err(|e| e.to_string()));
        match &found {
            Ok(_) => self.succeeded(),
            Err(cause) => self.failed(cause),
        }
        found
    }

    fn ready(&mut self, spawner: &Spawner) -> Result<&Worker, String> {
        let fit = |worker: &Worker| self.runs < self.runs_max && !worker.is_outdated();
        let worker = match self.worker.take().filter(fit) {
            Some(worker) => worker,
            None => {
                self.runs = 0;
                spawner.spawn(self.place).map_err(|e| with_source(&e))?
            }
        };
        Ok(self.worker.insert(worker))
    }

    fn succeeded(&mut self) {
        self.runs += 1;
        self.faults = 0;
        self.pause = None;
    }

    fn failed(&mut self, cause: &str) {
        self.worker = None;
        self.faults += 1;
        if self.faults >= FAULTS_MAX {
            let doublings = (self.faults - FAULTS_MAX).min(10);
            let pause = (PAUSE_MIN * (1 << doublings)).min(PAUSE_MAX);
            let cause = format!("{} faults in a row, the last: {cause}", self.faults);
            self.pause = Some((cause, Instant::now() + pause));
        }
    }
}

/// An error with its cause, in one line.
fn with_source(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}
