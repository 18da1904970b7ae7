//! Slots that judge in parallel, each with a zygote of its own.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::container::SandboxCommand;
use crate::jail::Tier;
use crate::python::{PythonInfo, find_python};
use crate::slot::Slot;
use crate::spawner::{Source, Spawner};
use crate::worker::Worker;
use crate::{Judgement, Submission, Verdict, VerifyError};

/// Runs of one zygote. What leaks little by little, here or in the kernel, ends with it.
pub(crate) const RUNS_MAX: u64 = 100_000;

/// What a verifier is started with.
#[derive(Debug, Clone, Default)]
pub struct VerifierConfig {
    /// Programs judged at the same time; as many as there are cores is best.
    pub slots: usize,
    /// The interpreter; the first `python3` that will do where none is named.
    pub python: Option<PathBuf>,
    /// Run without walls where none can be built.
    pub allow_unsafe: bool,
    /// This tier and no other; the strongest that stands where none is named.
    pub tier: Option<Tier>,
    /// Runs after which a zygote is replaced by a new one; 100,000 where nothing is said.
    pub runs_per_zygote: Option<u64>,
    /// Run the zygotes in a sandbox that this command builds, one for each slot.
    pub sandbox: Option<SandboxCommand>,
}

/// What is in force.
#[derive(Debug, Clone)]
pub struct SandboxFacts {
    /// How strong the jail is.
    pub tier: Tier,
    /// The interpreter.
    pub python: PythonInfo,
    /// Programs judged at the same time.
    pub slots: usize,
    /// The command that builds another sandbox around all of it.
    pub command: Option<String>,
}

/// A pool of zygotes that judges submissions.
#[derive(Debug)]
pub struct Verifier {
    facts: SandboxFacts,
    slots: Vec<Mutex<Slot>>,
    spawner: Spawner,
}

impl Verifier {
    /// Starts the zygotes, in the strongest tier whose canaries all fail as they should.
    ///
    /// # Errors
    /// If there is no usable Python, or no tier stands and `allow_unsafe` is not set.
    pub fn start(config: VerifierConfig) -> Result<Self, VerifyError> {
        let source = match &config.sandbox {
            Some(command) => Source::Command(command.clone()),
            None => Source::Python(find_python(&config)?),
        };
        let spawner = Spawner::start(source).map_err(VerifyError::Start)?;
        let first = strongest(&spawner, &config)?;
        let (tier, python) = (first.tier(), first.python().clone());
        let n_slots = NonZeroUsize::new(config.slots).map_or(1, NonZeroUsize::get);
        let runs_max = config.runs_per_zygote.unwrap_or(RUNS_MAX);
        let mut slots = vec![Mutex::new(Slot::new(0, first, runs_max))];
        for index in 1..n_slots {
            slots.push(Mutex::new(Slot::new(index, spawner.spawn(tier, index)?, runs_max)));
        }
        let command = config.sandbox.map(|command| command.template);
        let facts = SandboxFacts { tier, python, slots: n_slots, command };
        Ok(Self { facts, slots, spawner })
    }

    /// What is in force.
    pub fn facts(&self) -> &SandboxFacts {
        &self.facts
    }

    /// The process ids of the zygotes, for tests of faults.
    pub fn zygotes(&self) -> Vec<u32> {
        self.slots.iter().filter_map(|slot| lock(slot).worker_id()).collect()
    }

    /// Judges submissions; the judgements come in their order.
    ///
    /// # Errors
    /// If a submission has no tests, or the sandbox failed on more than one in a hundred of
    /// them (and on more than one).
    pub fn judge(&self, submissions: &[Submission]) -> Result<Vec<Judgement>, VerifyError> {
        if let Some(index) = submissions.iter().position(|s| s.tests.is_empty()) {
            return Err(VerifyError::Submission { index, reason: "it has no tests" });
        }
        let next = AtomicUsize::new(0);
        let found: Mutex<Vec<Option<Judgement>>> = Mutex::new(vec![None; submissions.len()]);
        let work = |slot: usize| {
            let mut slot = lock(&self.slots[slot]);
            while let Some((i, submission)) = {
                let i = next.fetch_add(1, Ordering::Relaxed);
                submissions.get(i).map(|s| (i, s))
            } {
                let judgement = self.judge_one(&mut slot, submission);
                lock(&found)[i] = Some(judgement);
            }
        };
        let workers = self.slots.len().min(submissions.len()).max(1);
        std::thread::scope(|s| {
            for slot in 1..workers {
                s.spawn(move || work(slot));
            }
            work(0);
        });
        let found: Vec<Judgement> =
            found.into_inner().unwrap_or_else(|e| e.into_inner()).into_iter().flatten().collect();
        let failed: Vec<&Judgement> =
            found.iter().filter(|j| j.verdict == Verdict::JudgeError).collect();
        if failed.len() > (found.len() / 100).max(1) {
            let cause = failed.first().map(|j| j.detail.clone()).unwrap_or_default();
            let total = found.len();
            return Err(VerifyError::TooManyJudgeErrors { failed: failed.len(), total, cause });
        }
        Ok(found)
    }

    fn judge_one(&self, slot: &mut Slot, submission: &Submission) -> Judgement {
        let tier = self.facts.tier;
        if submission.program.trim().is_empty() {
            return failed(submission, tier, Verdict::NoProgram, "there is no program");
        }
        match slot.attempt_twice(&self.spawner, |worker| worker.run(submission)) {
            Ok(outcome) => Judgement {
                tier,
                cpu_ms: outcome.cpu.as_secs_f64() * 1e3,
                wall_ms: outcome.wall.as_secs_f64() * 1e3,
                ..outcome.judgement
            },
            Err(cause) => failed(submission, tier, Verdict::JudgeError, &cause),
        }
    }
}

fn failed(submission: &Submission, tier: Tier, verdict: Verdict, detail: &str) -> Judgement {
    Judgement {
        verdict,
        passed: 0,
        total: submission.tests.len(),
        detail: detail.to_string(),
        cpu_ms: 0.0,
        wall_ms: 0.0,
        tier,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// A worker in the strongest tier that stands, or in the one that was asked for.
pub(crate) fn strongest(spawner: &Spawner, config: &VerifierConfig) -> Result<Worker, VerifyError> {
    let mut reasons = Vec::new();
    let tiers = match (config.tier, &config.sandbox) {
        (Some(tier), _) => vec![tier],
        // The host chooses.
        (None, Some(_)) => vec![Tier::Namespaces],
        (None, None) => Tier::SAFE.to_vec(),
    };
    for tier in tiers {
        match spawner.spawn(tier, 0) {
            Ok(worker) if config.tier.is_some_and(|wanted| wanted != worker.tier()) => {
                reasons.push(format!("{tier}: the host offers {}", worker.tier()));
            }
            Ok(worker) => return Ok(worker),
            Err(VerifyError::NoSandbox { reason }) if config.sandbox.is_some() => {
                return Err(VerifyError::NoSandbox { reason });
            }
            Err(VerifyError::NoSandbox { reason }) => reasons.push(format!("{tier}: {reason}")),
            Err(other) => return Err(other),
        }
    }
    if config.allow_unsafe && config.sandbox.is_none() {
        return spawner.spawn(Tier::None, 0);
    }
    Err(VerifyError::NoSandbox { reason: format!("{}; {ALTERNATIVES}", reasons.join("; ")) })
}

const ALTERNATIVES: &str = "allow seccomp filters here (a container's default profile does), \
    build the sandbox with another program (--sandbox-command), \
    or (dangerous) pass --allow-unsafe";
