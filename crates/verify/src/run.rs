//! One candidate, from fork to reap: its limits are kept here, from outside.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::jail::rlimits;
use crate::judge::Ended;
use crate::zygote::Zygote;
use crate::{Limits, Submission, Value, marshal, socket};

/// How long the zygote may take to fork or to reap.
const ZYGOTE_MAX: Duration = Duration::from_secs(5);
/// A program that uses no CPU for so long waits for something that will not come.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// The clocks of a running candidate are read at least so often.
const LOOK_MAX: Duration = Duration::from_millis(200);
/// A job of this size fits into any socket's buffer, so that writing it cannot block.
const SOCKET_ROOM: usize = 32 << 10;
/// A frame: length of the payload (4 bytes), kind (1 byte).
const HEADER: usize = 5;

/// What a candidate is given: the encoded job, and the limits that are kept from outside.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) bytes: Vec<u8>,
    pub(crate) limits: Limits,
}

/// How a candidate ended, apart from what it said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) ended: Ended,
    /// As `wait4` has it.
    pub(crate) status: i32,
    pub(crate) cpu: Duration,
    /// From the order to the end; the limit counts from when the candidate is there.
    pub(crate) wall: Duration,
}

/// Runs a job on a zygote and hands over the frames that the candidate sends, until `take` says
/// how it ended. An error means that the zygote is broken.
pub(crate) fn execute(
    zygote: &Zygote,
    job: &Job,
    take: impl FnMut(u8, &[u8]) -> Option<Ended>,
) -> io::Result<Run> {
    let (ours, theirs) = socket::pair(libc::SOCK_STREAM)?;
    let ordered = Instant::now();
    zygote.order(&theirs)?;
    drop(theirs);
    send_job(&ours, job)?;
    // A zygote that is slow to fork is no fault of the program.
    let pid = zygote.candidate(ZYGOTE_MAX)?;
    let start = Instant::now();
    let ended = Watch::new(pid, start, &ours, job.limits).follow(take)?;
    // Once the zygote is gone the number may be another process's.
    if !zygote.is_alive()? {
        return Err(io::Error::other("the zygote died"));
    }
    // SAFETY: the process is not reaped yet, so the number is still its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    let (status, cpu) = zygote.reap(ZYGOTE_MAX)?;
    Ok(Run { ended, status, cpu, wall: ordered.elapsed() })
}

/// The program, its inputs and its limits. Expected values stay here.
pub(crate) fn encode(submission: &Submission) -> io::Result<Vec<u8>> {
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
    Ok(bytes)
}

/// The program runs only once all of it has arrived, so what fails here is never its fault.
fn send_job(socket: &OwnedFd, job: &Job) -> io::Result<()> {
    if job.bytes.len() > SOCKET_ROOM {
        socket::limit_writes(socket, ZYGOTE_MAX)?;
    }
    // The standard library ignores SIGPIPE at its start, so a write to a dead candidate fails.
    File::from(socket.try_clone()?).write_all(&job.bytes)
}

/// What is known of a running candidate.
struct Watch<'a> {
    pid: libc::pid_t,
    start: Instant,
    socket: &'a OwnedFd,
    limits: Limits,
    /// When its CPU clock was last read.
    looked: Instant,
    /// When its CPU clock was last seen to move, and where it stood.
    progress: (Instant, Duration),
    buffer: Vec<u8>,
    /// Bytes of the buffer that are dealt with.
    taken: usize,
    received: u64,
}

impl<'a> Watch<'a> {
    fn new(pid: libc::pid_t, start: Instant, socket: &'a OwnedFd, limits: Limits) -> Self {
        let progress = (start, Duration::ZERO);
        let buffer = Vec::new();
        Self { pid, start, socket, limits, looked: start, progress, buffer, taken: 0, received: 0 }
    }

    /// Reads frames until the candidate is done, fails, or breaks a limit.
    fn follow(&mut self, mut take: impl FnMut(u8, &[u8]) -> Option<Ended>) -> io::Result<Ended> {
        let mut next_look = self.next_look();
        loop {
            if let Some(ended) = self.frames(&mut take) {
                return Ok(ended);
            }
            let now = Instant::now();
            if now >= next_look {
                if let Some(ended) = self.look(now) {
                    return Ok(ended);
                }
                next_look = self.next_look();
            }
            if !socket::wait_readable(self.socket, next_look.saturating_duration_since(now))? {
                continue;
            }
            match socket::read(self.socket, &mut self.buffer) {
                Ok(0) => return Ok(Ended::Closed),
                Ok(n) => self.received += n as u64,
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(Ended::Closed),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Readable, and nothing to read: a byte out of band.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Ended::Protocol("a message beside the stream"));
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Hands over the whole frames in the buffer.
    fn frames(&mut self, take: &mut impl FnMut(u8, &[u8]) -> Option<Ended>) -> Option<Ended> {
        if self.received > self.limits.output_bytes {
            return Some(Ended::Output);
        }
        while let Some((header, rest)) = self.buffer[self.taken..].split_first_chunk::<HEADER>() {
            let [a, b, c, d, kind] = *header;
            let size = u32::from_le_bytes([a, b, c, d]);
            if u64::from(size) > self.limits.output_bytes {
                return Some(Ended::Output);
            }
            let Some(payload) = rest.get(..size as usize) else { break };
            self.taken += HEADER + payload.len();
            if let Some(ended) = take(kind, payload) {
                return Some(ended);
            }
        }
        self.buffer.drain(..self.taken);
        self.taken = 0;
        None
    }

    /// Reads its clocks and holds them against the limits.
    fn look(&mut self, now: Instant) -> Option<Ended> {
        self.looked = now;
        let cpu = cpu_time(self.pid).unwrap_or(self.progress.1);
        if cpu > self.progress.1 + Duration::from_micros(100) {
            self.progress = (now, cpu);
        }
        if cpu >= Duration::from_millis(self.limits.cpu_ms) {
            return Some(Ended::Time("CPU"));
        }
        if now.duration_since(self.start) >= Duration::from_millis(self.limits.wall_ms) {
            return Some(Ended::Time("wall"));
        }
        if now.duration_since(self.progress.0) >= IDLE_MAX {
            if is_waiting(self.pid) {
                return Some(Ended::Time("idle"));
            }
            // It wants a processor and gets none, which the wall limit bounds.
            self.progress.0 = now;
        }
        None
    }

    /// When one of the limits may be broken at the earliest. One thread cannot use more CPU
    /// than the wall has time, so the clock need not be read before.
    fn next_look(&self) -> Instant {
        let cpu_left = Duration::from_millis(self.limits.cpu_ms).saturating_sub(self.progress.1);
        let wall_left = Duration::from_millis(self.limits.wall_ms)
            .saturating_sub(self.looked.duration_since(self.start));
        self.looked + cpu_left.min(wall_left).min(LOOK_MAX)
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn a_byte_out_of_band_does_not_hold_the_verifier_up() {
        let (ours, theirs) = socket::pair(libc::SOCK_STREAM).unwrap();
        // SAFETY: the byte is readable.
        let sent =
            unsafe { libc::send(theirs.as_raw_fd(), [0_u8].as_ptr().cast(), 1, libc::MSG_OOB) };
        if sent < 0 {
            return; // Before Linux 5.15 there is no such thing.
        }
        let own = libc::pid_t::try_from(std::process::id()).unwrap();
        let limits = Limits { cpu_ms: u64::MAX, ..Limits::default() };
        let mut watch = Watch::new(own, Instant::now(), &ours, limits);
        let ended = watch.follow(|_, _| None).unwrap();
        assert!(matches!(ended, Ended::Protocol(_) | Ended::Closed), "{ended:?}");
    }
}
