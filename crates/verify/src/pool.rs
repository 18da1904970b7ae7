//! Slots that judge in parallel, each with zygotes of its own.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::cache::Cache;
use crate::container::SandboxCommand;
use crate::jail::Tier;
use crate::python::{PythonInfo, find_python};
use crate::runner::Runner;
use crate::slot::Slot;
use crate::spawner::{Place, Source, Spawner};
use crate::worker::Worker;
use crate::zygote::Flavour;
use crate::{Remote, VerifyError};

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
    /// The service that runs the programs instead of this machine.
    pub remote: Option<Remote>,
    /// Judgements that are remembered, to answer identical submissions: about 300 bytes each.
    /// 0 for none, which also judges identical submissions of one batch one by one.
    pub cache_entries: usize,
    /// The share of accepted submissions that are run again with other seeds and addresses, to
    /// measure how many of them are accepted by luck; it changes no verdict.
    pub recheck_share: f64,
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
    home: Home,
    pub(crate) cache: Mutex<Cache>,
    pub(crate) recheck_share: f64,
    pub(crate) stats: Mutex<Stats>,
}

/// Where programs run.
#[derive(Debug)]
enum Home {
    Here { spawner: Spawner, slots: Vec<Flavours> },
    There(Remote),
}

/// A slot for each flavour.
type Flavours = [Mutex<Slot>; Flavour::ALL.len()];

/// What a verifier has done since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Submissions that were run.
    pub judged: u64,
    /// Submissions that were answered with the judgement of an identical one.
    pub cache_hits: u64,
    /// Accepted submissions that were run a second time, with other seeds and addresses.
    pub rechecked: u64,
    /// Those of them that were then not accepted.
    pub flaky: u64,
    /// Submissions that the sandbox, or a checker, failed on.
    pub judge_errors: u64,
    /// Zygotes that broke.
    pub restarts: u64,
}

impl Stats {
    /// The share of rechecked submissions that were accepted by luck.
    pub fn flake_rate(&self) -> f64 {
        self.flaky as f64 / self.rechecked.max(1) as f64
    }
}

impl Verifier {
    /// Starts a zygote, in the strongest tier whose canaries all fail as they should.
    ///
    /// # Errors
    /// If there is no usable Python, or no tier stands and `allow_unsafe` is not set.
    pub fn start(config: VerifierConfig) -> Result<Self, VerifyError> {
        let n_slots = NonZeroUsize::new(config.slots).map_or(1, NonZeroUsize::get);
        let (tier, python, home) = match &config.remote {
            Some(remote) => (Tier::Remote, remote.python()?, Home::There(remote.clone())),
            None => here(&config, n_slots)?,
        };
        let command = config.sandbox.map(|command| command.template);
        Ok(Self {
            facts: SandboxFacts { tier, python, slots: n_slots, command },
            home,
            cache: Mutex::new(Cache::new(config.cache_entries)),
            recheck_share: config.recheck_share,
            stats: Mutex::default(),
        })
    }

    /// What is in force.
    pub fn facts(&self) -> &SandboxFacts {
        &self.facts
    }

    /// The process ids of the zygotes, for tests of faults.
    pub fn zygotes(&self) -> Vec<u32> {
        let Home::Here { slots, .. } = &self.home else { return Vec::new() };
        slots.iter().flatten().filter_map(|slot| lock(slot).worker_id()).collect()
    }

    /// Does `work` on the worker of a slot, and once more on a fresh one where the first breaks;
    /// or on the remote service, which has tried again itself.
    ///
    /// # Errors
    /// How the second failed.
    pub(crate) fn on<T>(
        &self,
        slot: usize,
        flavour: Flavour,
        mut work: impl FnMut(Runner<'_>) -> std::io::Result<T>,
    ) -> Result<T, String> {
        match &self.home {
            // A checker is given the expected values, and those never leave this machine.
            Home::There(_) if flavour == Flavour::Trusted => {
                Err("a checker cannot run on a remote service".to_string())
            }
            Home::There(remote) => work(Runner::Remote(remote)).map_err(|e| e.to_string()),
            Home::Here { spawner, slots } => {
                lock(&slots[slot][flavour as usize]).attempt_twice(spawner, |worker| {
                    let broke = |_: &std::io::Error| lock(&self.stats).restarts += 1;
                    work(Runner::Worker(worker)).inspect_err(broke)
                })
            }
        }
    }

    /// Does `work(slot, i)` for each `i` below `n`, in all slots at once.
    pub(crate) fn each<T: Send>(
        &self,
        n: usize,
        work: impl Fn(usize, usize) -> T + Sync,
    ) -> Vec<T> {
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(n));
        let serve = |slot: usize| {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= n {
                    return;
                }
                let result = work(slot, i);
                lock(&done).push((i, result));
            }
        };
        std::thread::scope(|s| {
            for slot in 1..self.facts.slots.min(n) {
                let serve = &serve;
                s.spawn(move || serve(slot));
            }
            serve(0);
        });
        let mut done = done.into_inner().unwrap_or_else(|e| e.into_inner());
        done.sort_unstable_by_key(|(i, _)| *i);
        done.into_iter().map(|(_, result)| result).collect()
    }
}

/// A poisoned lock is taken all the same: what it guards is replaced whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// Slots in the tier that the first worker got. The other workers are started when they are
/// needed: the first verdict waits for none of them.
fn here(config: &VerifierConfig, n_slots: usize) -> Result<(Tier, PythonInfo, Home), VerifyError> {
    let source = match &config.sandbox {
        Some(command) => Source::Command(command.clone()),
        None => Source::Python(find_python(config)?),
    };
    let spawner = Spawner::start(source).map_err(VerifyError::Start)?;
    let first = strongest(&spawner, config, Flavour::Fixed)?;
    let (tier, python) = (first.tier(), first.python().clone());
    let runs_max = config.runs_per_zygote.unwrap_or(RUNS_MAX);
    let slot = |slot| {
        Flavour::ALL.map(|flavour| Mutex::new(Slot::new(Place { tier, slot, flavour }, runs_max)))
    };
    let slots: Vec<Flavours> = (0..n_slots).map(slot).collect();
    lock(&slots[0][Flavour::Fixed as usize]).put(first);
    Ok((tier, python, Home::Here { spawner, slots }))
}

/// A worker in the strongest tier that stands, or in the one that was asked for.
pub(crate) fn strongest(
    spawner: &Spawner,
    config: &VerifierConfig,
    flavour: Flavour,
) -> Result<Worker, VerifyError> {
    let spawn = |tier| spawner.spawn(Place { tier, slot: 0, flavour });
    let mut reasons = Vec::new();
    let tiers = match (config.tier, &config.sandbox) {
        (Some(tier), _) => vec![tier],
        // The host chooses.
        (None, Some(_)) => vec![Tier::Namespaces],
        (None, None) => Tier::SAFE.to_vec(),
    };
    for tier in tiers {
        match spawn(tier) {
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
        return spawn(Tier::None);
    }
    Err(VerifyError::NoSandbox { reason: format!("{}; {ALTERNATIVES}", reasons.join("; ")) })
}

const ALTERNATIVES: &str = "allow seccomp filters here (a container's default profile does), \
    build the sandbox with another program (--sandbox-command), \
    have a service run the programs (--backend), or (dangerous) pass --allow-unsafe";
