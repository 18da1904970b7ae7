//! Slots that judge in parallel, each with a zygote of its own.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::jail::{Tier, landlock, seccomp};
use crate::python::{PythonInfo, find_python};
use crate::zygote::Zygote;
use crate::{Judgement, Submission, Value, Verdict, VerifyError, canary, run};

/// What a verifier is started with.
#[derive(Debug, Clone, Default)]
pub struct VerifierConfig {
    /// Programs judged at the same time; as many as there are cores is best.
    pub slots: usize,
    /// The interpreter; the first `python3` that will do where none is named.
    pub python: Option<PathBuf>,
    /// Run without walls where none can be built.
    pub allow_unsafe: bool,
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
}

/// A pool of zygotes that judges submissions.
#[derive(Debug)]
pub struct Verifier {
    facts: SandboxFacts,
    slots: Vec<Mutex<Option<Zygote>>>,
    spawner: Spawner,
    restarts: AtomicU64,
}

impl Verifier {
    /// Starts the zygotes, in the strongest tier whose canaries all fail as they should.
    ///
    /// # Errors
    /// If there is no usable Python, or no tier stands and `allow_unsafe` is not set.
    pub fn start(config: VerifierConfig) -> Result<Self, VerifyError> {
        let python = find_python(&config)?;
        let spawner = Spawner::start(python.clone()).map_err(VerifyError::Start)?;
        let (tier, first) = strongest(&spawner, config.allow_unsafe)?;
        let slots = NonZeroUsize::new(config.slots).map_or(1, NonZeroUsize::get);
        let mut zygotes = vec![Mutex::new(Some(first))];
        for slot in 1..slots {
            zygotes.push(Mutex::new(Some(spawner.spawn(tier, slot)?)));
        }
        let facts = SandboxFacts { tier, python, slots };
        Ok(Self { facts, slots: zygotes, spawner, restarts: AtomicU64::new(0) })
    }

    /// What is in force.
    pub fn facts(&self) -> &SandboxFacts {
        &self.facts
    }

    /// The process ids of the zygotes, for tests of faults.
    pub fn zygotes(&self) -> Vec<u32> {
        self.slots.iter().filter_map(|s| lock(s).as_ref().map(Zygote::id)).collect()
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
            let mut zygote = lock(&self.slots[slot]);
            while let Some((i, submission)) = {
                let i = next.fetch_add(1, Ordering::Relaxed);
                submissions.get(i).map(|s| (i, s))
            } {
                let judgement = self.judge_one(&mut zygote, slot, submission);
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

    /// Judges one submission in a slot, and waits for the slot first. For callers that keep a
    /// queue of their own, with a thread for each of [`SandboxFacts::slots`].
    pub fn judge_in(&self, slot: usize, submission: &Submission) -> Judgement {
        self.call_in(slot, submission).0
    }

    /// As `judge_in`, with what the last test that failed by its value returned.
    pub(crate) fn call_in(&self, slot: usize, submission: &Submission) -> Judged {
        self.run_one(&mut lock(&self.slots[slot]), slot, submission)
    }

    /// Zygotes that broke and were replaced, or are to be.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    fn judge_one(
        &self,
        zygote: &mut Option<Zygote>,
        slot: usize,
        submission: &Submission,
    ) -> Judgement {
        self.run_one(zygote, slot, submission).0
    }

    /// A broken zygote is replaced and the submission tried once more.
    fn run_one(
        &self,
        zygote: &mut Option<Zygote>,
        slot: usize,
        submission: &Submission,
    ) -> Judged {
        if submission.program.trim().is_empty() {
            return (failed(submission, Verdict::NoProgram, "there is no program"), None);
        }
        let mut cause = String::new();
        for _ in 0..2 {
            if zygote.is_none() {
                match self.spawner.spawn(self.facts.tier, slot) {
                    Ok(fresh) => *zygote = Some(fresh),
                    Err(e) => {
                        cause = e.to_string();
                        continue;
                    }
                }
            }
            let Some(running) = zygote.as_ref() else { continue };
            match run::run(running, submission) {
                Ok(outcome) => {
                    let mut judgement = outcome.judgement;
                    judgement.cpu_ms = outcome.cpu.as_secs_f64() * 1e3;
                    judgement.wall_ms = outcome.wall.as_secs_f64() * 1e3;
                    return (judgement, outcome.returned);
                }
                Err(e) => {
                    cause = e.to_string();
                    *zygote = None;
                    self.restarts.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        (failed(submission, Verdict::JudgeError, &cause), None)
    }
}

/// A judgement, and what the last test that failed by its value returned.
type Judged = (Judgement, Option<Value>);

fn failed(submission: &Submission, verdict: Verdict, detail: &str) -> Judgement {
    Judgement {
        verdict,
        passed: 0,
        total: submission.tests.len(),
        detail: detail.to_string(),
        cpu_ms: 0.0,
        wall_ms: 0.0,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// The strongest tier that stands, with its first zygote.
fn strongest(spawner: &Spawner, allow_unsafe: bool) -> Result<(Tier, Zygote), VerifyError> {
    let mut reasons = Vec::new();
    for tier in [Tier::Landlocked, Tier::NoFiles] {
        match spawner.spawn(tier, 0) {
            Ok(zygote) => return Ok((tier, zygote)),
            Err(VerifyError::NoSandbox { reason }) => reasons.push(format!("{tier}: {reason}")),
            Err(other) => return Err(other),
        }
    }
    if allow_unsafe {
        return Ok((Tier::None, spawner.spawn(Tier::None, 0)?));
    }
    Err(VerifyError::NoSandbox {
        reason: format!(
            "{}; run on Linux 5.13 or newer with seccomp and Landlock, or (dangerous) pass --allow-unsafe",
            reasons.join("; ")
        ),
    })
}

/// A thread that starts zygotes. The kernel ends a zygote when the thread that started it
/// ends, so this one lives as long as the verifier.
#[derive(Debug)]
struct Spawner {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

type Order = (Tier, usize, Sender<Result<Zygote, VerifyError>>);

impl Spawner {
    fn start(python: PythonInfo) -> std::io::Result<Self> {
        let (orders, inbox): (Sender<Order>, Receiver<Order>) = channel();
        let serve = move || {
            for (tier, slot, reply) in inbox {
                let started = Zygote::start(&python, tier, slot)
                    .and_then(|z| canary::check(&z, tier).map(|()| z));
                // Nobody waits for the answer only when the verifier is going down.
                let _ = reply.send(started);
            }
        };
        let thread = std::thread::Builder::new().name("zygotes".to_string()).spawn(serve)?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// A zygote whose canaries fail as they should.
    fn spawn(&self, tier: Tier, slot: usize) -> Result<Zygote, VerifyError> {
        let gone = || VerifyError::Start(std::io::Error::other("the spawner is gone"));
        let (reply, answer) = channel();
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send((tier, slot, reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has already been reported.
            let _ = thread.join();
        }
    }
}

/// One wall, as `axiom doctor` shows it.
#[derive(Debug, Clone)]
pub struct Wall {
    /// Its name.
    pub name: &'static str,
    /// Whether it can be built here.
    pub stands: bool,
    /// Its version, or why not.
    pub detail: String,
}

/// What this machine offers.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The interpreter, if there is one.
    pub python: Option<PythonInfo>,
    /// Every wall.
    pub walls: Vec<Wall>,
    /// The strongest tier whose canaries all fail as they should.
    pub tier: Option<Tier>,
    /// What stands in the way.
    pub problem: Option<String>,
}

/// Looks for an interpreter, tries every wall, and starts a zygote to be sure.
pub fn probe(python: Option<PathBuf>) -> Probe {
    let wall = |name, found: Result<String, String>| match found {
        Ok(detail) => Wall { name, stands: true, detail },
        Err(detail) => Wall { name, stands: false, detail },
    };
    let mut walls = vec![
        wall("seccomp", seccomp::filters(true).map(|f| format!("{} filters", f.len()))),
        wall("landlock", landlock::version().map(|v| format!("version {v}"))),
    ];
    let config = VerifierConfig { slots: 1, python, allow_unsafe: false };
    let python = match find_python(&config) {
        Ok(python) => python,
        Err(e) => {
            return Probe { python: None, walls, tier: None, problem: Some(e.to_string()) };
        }
    };
    match Verifier::start(config) {
        Ok(verifier) => {
            let tier = verifier.facts().tier;
            walls.push(wall("canaries", Ok("every escape was stopped".to_string())));
            Probe { python: Some(python), walls, tier: Some(tier), problem: None }
        }
        Err(e) => {
            walls.push(wall("canaries", Err(e.to_string())));
            Probe { python: Some(python), walls, tier: None, problem: Some(e.to_string()) }
        }
    }
}
