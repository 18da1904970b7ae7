//! The clocks of a candidate, read from outside.
//!
//! Reading the CPU clock of another process costs tens of microseconds, so it is read only when
//! a limit could have been reached: a process of one thread cannot use more CPU than the wall
//! has time.

use std::time::{Duration, Instant};

use crate::Limits;

/// Less than this in a reading may be the reading itself, not progress.
const PROGRESS_MIN: Duration = Duration::from_micros(100);
/// A test that begins longer than this after the last reading begins with one, so that no
/// more than this of its neighbour's time can be taken for its own.
const READING_AGE_MAX: Duration = Duration::from_millis(5);

/// The limit of time that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// The CPU time of one test.
    TestCpu,
    /// The CPU time that was left for the run.
    Cpu,
    Wall,
    Idle,
}

impl Late {
    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::TestCpu | Self::Cpu => "CPU time limit",
            Self::Wall => "wall time limit",
            Self::Idle => "idle time limit",
        }
    }

    /// Whether the program could as well have been in time: it depends on its neighbours.
    pub(crate) fn by_wall_clock(self) -> bool {
        matches!(self, Self::Wall | Self::Idle)
    }
}

/// What is known of the time that a process has taken.
#[derive(Debug)]
pub(crate) struct Meter {
    pid: libc::pid_t,
    limits: Limits,
    start: Instant,
    /// The last reading.
    read: (Instant, Duration),
    /// An upper bound of what the clock showed when the current test began.
    test: Duration,
    /// When the clock was last seen to move, and where it stood.
    progress: (Instant, Duration),
    /// What is known of the time it wanted a processor and got none.
    queued: Duration,
}

impl Meter {
    /// The meter of a process that was not there before `start`.
    pub(crate) fn new(pid: libc::pid_t, limits: Limits, start: Instant) -> Self {
        let (read, progress) = ((start, Duration::ZERO), (start, Duration::ZERO));
        let (test, queued) = (Duration::ZERO, Duration::ZERO);
        Self { pid, limits, start, read, test, progress, queued }
    }

    /// How long no limit can be reached.
    pub(crate) fn left(&self) -> Duration {
        self.deadline().saturating_duration_since(Instant::now())
    }

    /// The earliest time at which a limit can be reached.
    fn deadline(&self) -> Instant {
        let (at, cpu) = self.read;
        let run = at + ms(self.limits.cpu_ms).saturating_sub(cpu);
        let test = at + (self.test + ms(self.limits.test_cpu_ms)).saturating_sub(cpu);
        let idle = self.progress.0 + ms(self.limits.idle_ms);
        run.min(test).min(idle).min(self.wall_end())
    }

    /// When the wall limit is reached, unless the process has been queued for longer than known.
    fn wall_end(&self) -> Instant {
        self.start + self.queued + ms(self.limits.wall_ms)
    }

    /// The time that the process wanted a processor and got none. It must not be reaped yet.
    pub(crate) fn queued(&self) -> Duration {
        queued(self.pid)
    }

    /// Reads the clock: which limit has been reached, if any.
    pub(crate) fn look(&mut self) -> Option<Late> {
        let now = self.read_clock();
        let cpu = self.read.1;
        if cpu >= ms(self.limits.cpu_ms) {
            return Some(Late::Cpu);
        }
        if cpu >= self.test + ms(self.limits.test_cpu_ms) {
            return Some(Late::TestCpu);
        }
        if now >= self.wall_end() {
            self.queued = queued(self.pid);
            // Where no time is left there is none to wait for a processor in.
            if self.limits.wall_ms == 0 || now >= self.wall_end() {
                return Some(Late::Wall);
            }
        }
        if now.duration_since(self.progress.0) >= ms(self.limits.idle_ms) {
            if is_waiting(self.pid) {
                return Some(Late::Idle);
            }
            // It wants a processor and gets none, which the wall limit bounds.
            self.progress.0 = now;
        }
        None
    }

    /// What looked idle was not.
    pub(crate) fn excuse(&mut self) {
        self.progress.0 = Instant::now();
    }

    /// A result came in, and the next test begins.
    pub(crate) fn next_test(&mut self) {
        let mut now = Instant::now();
        if now.duration_since(self.read.0) > READING_AGE_MAX {
            now = self.read_clock();
        }
        self.test = self.read.1 + now.duration_since(self.read.0);
        self.progress.0 = now;
    }

    fn read_clock(&mut self) -> Instant {
        let now = Instant::now();
        let cpu = cpu_time(self.pid).unwrap_or(self.read.1);
        self.read = (now, cpu);
        if cpu > self.progress.1 + PROGRESS_MIN {
            self.progress = self.read;
        }
        now
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The CPU time of another process. An ended one keeps its clock until it is reaped.
fn cpu_time(pid: libc::pid_t) -> Option<Duration> {
    const PROCESS_CLOCK: libc::clockid_t = 2;
    let clock = (!pid << 3) | PROCESS_CLOCK;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec.
    let found = unsafe { libc::clock_gettime(clock, &raw mut time) } == 0;
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanos = u32::try_from(time.tv_nsec).ok()?;
    found.then(|| Duration::new(seconds, nanos))
}

/// The time that a process wanted a processor and got none; zero where the system does not tell.
fn queued(pid: libc::pid_t) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let nanos = text.split_whitespace().nth(1).and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Whether a process waits for something other than a processor. So it does where the system
/// does not tell.
fn is_waiting(pid: libc::pid_t) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which stands in parentheses and may hold any character.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, Some('R' | 'D'))
}
