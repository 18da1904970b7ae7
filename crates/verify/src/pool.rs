//! Slots that judge in parallel, each with a zygote of its own.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::cache::Cache;
use crate::jail::{Tier, landlock, seccomp};
use crate::python::{PythonInfo, find_python};
use crate::runner::Runner;
use crate::zygote::{Flavour, Zygote};
use crate::{Remote, VerifyError, canary};

/// What a verifier is started with.
#[derive(Debug, Clone, Default)]
pub struct VerifierConfig {
    /// Programs judged at the same time; as many as there are cores is best.
    pub slots: usize,
    /// The interpreter; the first `python3` that will do where none is named.
    pub python: Option<PathBuf>,
    /// Run without walls where none can be built.
    pub allow_unsafe: bool,
    /// Judgements that are remembered, to answer identical submissions: about 300 bytes each.
    /// 0 for none, which also judges identical submissions of one batch one by one.
    pub cache_entries: usize,
    /// The share of accepted submissions that are run again with other seeds and addresses, to
    /// measure how many of them are accepted by luck; it changes no verdict.
    pub recheck_share: f64,
    /// The service that runs the programs instead of this machine.
    pub remote: Option<Remote>,
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
    slots: Vec<Slot>,
    home: Home,
    pub(crate) cache: Mutex<Cache>,
    pub(crate) recheck_share: f64,
    pub(crate) stats: Mutex<Stats>,
}

/// Where programs run.
#[derive(Debug)]
enum Home {
    Here(Spawner),
    There(Remote),
}

/// A zygote of each flavour; but for the first they are started when they are needed.
#[derive(Debug, Default)]
struct Slot([Mutex<Option<Zygote>>; Flavour::ALL.len()]);

impl Slot {
    fn with(first: Zygote) -> Self {
        let slot = Self::default();
        *lock(&slot.0[Flavour::Fixed as usize]) = Some(first);
        slot
    }
}

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
    /// Starts the zygotes, in the strongest tier whose canaries all fail as they should.
    ///
    /// # Errors
    /// If there is no usable Python, or no tier stands and `allow_unsafe` is not set.
    pub fn start(config: VerifierConfig) -> Result<Self, VerifyError> {
        let slots = NonZeroUsize::new(config.slots).map_or(1, NonZeroUsize::get);
        if let Some(remote) = &config.remote {
            let python = remote.python()?;
            let facts = SandboxFacts { tier: Tier::Remote, python, slots };
            let all = (0..slots).map(|_| Slot::default()).collect();
            return Ok(Self::assemble(facts, all, Home::There(remote.clone()), &config));
        }
        let python = find_python(&config)?;
        let spawner = Spawner::start(python.clone()).map_err(VerifyError::Start)?;
        let (tier, first) = strongest(&spawner, config.allow_unsafe)?;
        let mut all = vec![Slot::with(first)];
        for slot in 1..slots {
            all.push(Slot::with(spawner.spawn(tier, slot, Flavour::Fixed)?));
        }
        let facts = SandboxFacts { tier, python, slots };
        Ok(Self::assemble(facts, all, Home::Here(spawner), &config))
    }

    fn assemble(
        facts: SandboxFacts,
        slots: Vec<Slot>,
        home: Home,
        config: &VerifierConfig,
    ) -> Self {
        Self {
            facts,
            slots,
            home,
            cache: Mutex::new(Cache::new(config.cache_entries)),
            recheck_share: config.recheck_share,
            stats: Mutex::default(),
        }
    }

    /// What is in force.
    pub fn facts(&self) -> &SandboxFacts {
        &self.facts
    }

    /// The process ids of the zygotes, for tests of faults.
    pub fn zygotes(&self) -> Vec<u32> {
        let all = self.slots.iter().flat_map(|slot| &slot.0);
        all.filter_map(|zygote| lock(zygote).as_ref().map(Zygote::id)).collect()
    }

    /// Does `work` on a zygote of a slot, and once more on a fresh one where the first breaks;
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
        let spawner = match &self.home {
            // A checker is given the expected values, and those never leave this machine.
            Home::There(_) if flavour == Flavour::Trusted => {
                return Err("a checker cannot run on a remote service".to_string());
            }
            Home::There(remote) => return work(Runner::Remote(remote)).map_err(|e| e.to_string()),
            Home::Here(spawner) => spawner,
        };
        let zygotes = &self.slots[slot].0[flavour as usize];
        let mut zygote = lock(zygotes);
        let mut cause = String::new();
        for _ in 0..2 {
            if zygote.is_none() {
                match spawner.spawn(self.facts.tier, slot, flavour) {
                    Ok(fresh) => *zygote = Some(fresh),
                    Err(e) => {
                        cause = e.to_string();
                        continue;
                    }
                }
            }
            let Some(running) = zygote.as_ref() else { continue };
            match work(Runner::Zygote(running)) {
                Ok(done) => return Ok(done),
                Err(e) => {
                    cause = e.to_string();
                    *zygote = None;
                    lock(&self.stats).restarts += 1;
                }
            }
        }
        Err(cause)
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
            for slot in 1..self.slots.len().min(n) {
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

/// The strongest tier that stands, with its first zygote.
fn strongest(spawner: &Spawner, allow_unsafe: bool) -> Result<(Tier, Zygote), VerifyError> {
    let mut reasons = Vec::new();
    for tier in [Tier::Landlocked, Tier::NoFiles] {
        match spawner.spawn(tier, 0, Flavour::Fixed) {
            Ok(zygote) => return Ok((tier, zygote)),
            Err(VerifyError::NoSandbox { reason }) => reasons.push(format!("{tier}: {reason}")),
            Err(other) => return Err(other),
        }
    }
    if allow_unsafe {
        return Ok((Tier::None, spawner.spawn(Tier::None, 0, Flavour::Fixed)?));
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

type Order = (Tier, usize, Flavour, Sender<Result<Zygote, VerifyError>>);

impl Spawner {
    fn start(python: PythonInfo) -> std::io::Result<Self> {
        let (orders, inbox): (Sender<Order>, Receiver<Order>) = channel();
        let serve = move || {
            for (tier, slot, flavour, reply) in inbox {
                let started = Zygote::start(&python, tier, slot, flavour)
                    .and_then(|z| canary::check(&z, tier).map(|()| z));
                // Nobody waits for the answer only when the verifier is going down.
                let _ = reply.send(started);
            }
        };
        let thread = std::thread::Builder::new().name("zygotes".to_string()).spawn(serve)?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// A zygote whose canaries fail as they should.
    fn spawn(&self, tier: Tier, slot: usize, flavour: Flavour) -> Result<Zygote, VerifyError> {
        let gone = || VerifyError::Start(std::io::Error::other("the spawner is gone"));
        let (reply, answer) = channel();
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send((tier, slot, flavour, reply)).map_err(|_| gone())?;
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
    let config = VerifierConfig { slots: 1, python, ..VerifierConfig::default() };
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
