//! A place where programs are judged one after the other, on a zygote that is replaced when it
//! breaks, when its Python has been replaced, and now and then for hygiene.

use std::time::{Duration, Instant};

use crate::jail::Tier;
use crate::judge::Outcome;
use crate::spawner::Spawner;
use crate::zygote::Zygote;
use crate::{Submission, run};

/// After so many faults in a row nothing is tried for a while.
const FAULTS_MAX: u32 = 3;
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Slot {
    index: usize,
    zygote: Option<Zygote>,
    runs: u64,
    runs_max: u64,
    faults: u32,
    /// The last fault, and until when it is the answer to everything.
    pause: Option<(String, Instant)>,
}

impl Slot {
    pub(crate) fn new(index: usize, zygote: Zygote, runs_max: u64) -> Self {
        Self { index, zygote: Some(zygote), runs: 0, runs_max, faults: 0, pause: None }
    }

    /// The process id of its zygote.
    pub(crate) fn zygote(&self) -> Option<u32> {
        self.zygote.as_ref().map(Zygote::id)
    }

    /// Judges a submission; where the sandbox fails, once more on a new zygote. An error is the
    /// cause of the second fault.
    pub(crate) fn judge(
        &mut self,
        spawner: &Spawner,
        tier: Tier,
        submission: &Submission,
    ) -> Result<Outcome, String> {
        self.try_once(spawner, tier, submission)
            .or_else(|_| self.try_once(spawner, tier, submission))
    }

    fn try_once(
        &mut self,
        spawner: &Spawner,
        tier: Tier,
        submission: &Submission,
    ) -> Result<Outcome, String> {
        if let Some((cause, until)) = &self.pause
            && Instant::now() < *until
        {
            return Err(cause.clone());
        }
        let found = self
            .ready(spawner, tier)
            .and_then(|zygote| run::run(zygote, submission).map_err(|e| e.to_string()));
        match &found {
            Ok(_) => self.succeeded(),
            Err(cause) => self.failed(cause),
        }
        found
    }

    fn ready(&mut self, spawner: &Spawner, tier: Tier) -> Result<&Zygote, String> {
        let fit = |z: &Zygote| self.runs < self.runs_max && !z.python_has_changed();
        let zygote = match self.zygote.take().filter(fit) {
            Some(zygote) => zygote,
            None => {
                self.runs = 0;
                spawner.spawn(tier, self.index).map_err(|e| with_source(&e))?
            }
        };
        Ok(self.zygote.insert(zygote))
    }

    fn succeeded(&mut self) {
        self.runs += 1;
        self.faults = 0;
        self.pause = None;
    }

    fn failed(&mut self, cause: &str) {
        self.zygote = None;
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
