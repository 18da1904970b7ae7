//! One candidate, from fork to reap: its limits are kept here, from outside.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use crate::frames::{Frames, TooLarge};
use crate::jail::rlimits;
use crate::judge::{Ended, Outcome, Trial};
use crate::zygote::{Zygote, socket_pair, wait_readable};
use crate::{Submission, Value, marshal};

/// How long the zygote may take to fork or to reap.
const ZYGOTE_MAX: Duration = Duration::from_secs(5);
/// A program that uses no CPU for so long waits for something that will not come.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// Runs a submission on a zygote and judges it. An error means that the zygote is broken.
pub(crate) fn run(zygote: &Zygote, submission: &Submission) -> io::Result<Outcome> {
    let (ours, theirs) = socket_pair(libc::SOCK_STREAM)?;
    let pid = zygote.fork(theirs, ZYGOTE_MAX)?;
    // A zygote that is slow to fork is no fault of the program.
    let start = Instant::now();
    let mut watch = Watch {
        pid,
        start,
        progress: (start, Duration::ZERO),
        socket: ours.try_clone()?,
        frames: Frames::new(submission.limits.output_bytes),
    };
    let mut trial = Trial::new(submission);
    send_job(ours, submission, start)?;
    let ended = watch.follow(submission, &mut trial)?;
    // Once the zygote is gone the number may be another process's.
    if !zygote.is_alive()? {
        return Err(io::Error::other("the zygote died"));
    }
    // SAFETY: the process is not reaped yet, so the number is still its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    let (status, cpu) = zygote.reap(ZYGOTE_MAX)?;
    let wall = start.elapsed();
    let returned = trial.take_returned();
    Ok(Outcome { judgement: trial.verdict(ended, status), returned, cpu, wall })
}

/// Sends the program, its inputs and its limits. Expected values stay here. The program runs
/// only once all of it has arrived, so what fails here is never its fault.
fn send_job(socket: OwnedFd, submission: &Submission, start: Instant) -> io::Result<()> {
    let inputs = submission.tests.iter().map(|test| {
        let mut bytes = Vec::new();
        marshal::encode(&Value::Tuple(test.args.clone()), &mut bytes);
        Value::Bytes(bytes)
    });
    let job = Value::Tuple(vec![
        Value::Str(submission.program.clone()),
        Value::Str(submission.entry_point.clone()),
        Value::List(inputs.collect()),
        rlimits::of(&submission.limits),
    ]);
    let mut bytes = vec![0; 4];
    marshal::encode(&job, &mut bytes);
    let size = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&size.to_le_bytes());
    let left = Duration::from_millis(submission.limits.wall_ms).saturating_sub(start.elapsed());
    let timeout = libc::timeval {
        tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(1) + 1,
        tv_usec: 0,
    };
    // SAFETY: the option's value is a valid timeval of the stated size.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_SNDTIMEO,
            (&raw const timeout).cast(),
            u32::try_from(size_of::<libc::timeval>()).unwrap_or(16),
        );
    }
    // The standard library ignores SIGPIPE at its start, so a write to a dead candidate fails.
    File::from(socket).write_all(&bytes)
}

/// What is known of a running candidate.
struct Watch {
    pid: libc::pid_t,
    start: Instant,
    /// When its CPU clock was last seen to move, and where it stood.
    progress: (Instant, Duration),
    socket: OwnedFd,
    frames: Frames,
}

impl Watch {
    /// Reads frames until the candidate is done, fails, or breaks a limit.
    fn follow(&mut self, submission: &Submission, trial: &mut Trial<'_>) -> io::Result<Ended> {
        let mut chunk = vec![0; 1 << 16];
        let mut input = File::from(self.socket.try_clone()?);
        loop {
            while let Some((kind, payload)) = match self.frames.next() {
                Ok(frame) => frame,
                Err(TooLarge) => return Ok(Ended::Output),
            } {
                if let Some(ended) = trial.frame(kind, &payload) {
                    return Ok(ended);
                }
            }
            let patience = match self.patience(submission) {
                Ok(patience) => patience,
                Err(ended) => return Ok(ended),
            };
            if !wait_readable(&self.socket, patience)? {
                continue;
            }
            match input.read(&mut chunk) {
                Ok(0) => return Ok(Ended::Closed),
                Ok(n) => self.frames.push(&chunk[..n]),
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(Ended::Closed),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// How long to wait for more before the limits must be looked at again.
    fn patience(&mut self, submission: &Submission) -> Result<Duration, Ended> {
        let now = Instant::now();
        let cpu_max = Duration::from_millis(submission.limits.cpu_ms);
        let wall_max = Duration::from_millis(submission.limits.wall_ms);
        let wall = now.duration_since(self.start);
        let cpu = cpu_time(self.pid).unwrap_or(self.progress.1);
        if cpu > self.progress.1 + Duration::from_micros(100) {
            self.progress = (now, cpu);
        }
        if cpu >= cpu_max {
            return Err(Ended::Time("CPU"));
        }
        if wall >= wall_max {
            return Err(Ended::Time("wall"));
        }
        let idle = now.duration_since(self.progress.0);
        if idle >= IDLE_MAX {
            if is_waiting(self.pid) {
                return Err(Ended::Time("idle"));
            }
            // It wants a processor and gets none, which the wall limit bounds.
            self.progress.0 = now;
        }
        let idle = now.duration_since(self.progress.0);
        // One thread cannot use more CPU than the wall has time.
        Ok((cpu_max - cpu).min(wall_max - wall).min(IDLE_MAX - idle).max(Duration::from_millis(1)))
    }
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

/// Whether a process waits for something other than a processor. So it does where the system
/// does not tell.
fn is_waiting(pid: libc::pid_t) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which stands in parentheses and may hold any character.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, Some('R' | 'D'))
}
