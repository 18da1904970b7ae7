//! One process of a candidate, from fork to reap: its limits are kept here, from outside.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::frames::{self, TooLarge};
use crate::meter::{Late, Meter};
use crate::zygote::Zygote;
use crate::{Limits, socket};

/// How long the zygote may take to fork or to reap.
const ZYGOTE_MAX: Duration = Duration::from_secs(5);
/// A job of this size fits into any socket's buffer, so that writing it cannot block.
const SOCKET_ROOM: usize = 32 << 10;
/// How long what a process says may lie unread: most have ended by then, and nobody has been
/// woken for each of their answers.
const UNREAD_MAX: Duration = Duration::from_millis(2);

/// What a process is given.
#[derive(Debug)]
pub(crate) struct Job {
    /// The program and its inputs, as `candidate.py` reads them.
    pub(crate) bytes: Vec<u8>,
    /// What the process may use, less what the earlier ones of its run took.
    pub(crate) limits: Limits,
    pub(crate) channel: Channel,
    /// How many results there can be.
    pub(crate) n_results: usize,
    /// Whether the first result may be the last that is wanted, and is looked at as it comes.
    pub(crate) first_decides: bool,
}

/// What comes from a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// A frame for each test.
    Frames,
    /// What it prints, as it comes: the kind is 0, and the end is that of the process.
    Text,
}

/// How a process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended<E> {
    /// The reader of its frames wants no more.
    Taken(E),
    /// It closed the channel, as it does when it ends.
    Closed,
    /// A time limit.
    Late(Late),
    /// Too many bytes.
    Output,
    /// A message beside the stream.
    Beside,
}

/// A process that is gone.
#[derive(Debug)]
pub(crate) struct Process<E> {
    pub(crate) ended: Ended<E>,
    /// As `wait4` has it.
    pub(crate) status: i32,
    pub(crate) cpu: Duration,
    /// Since it was forked.
    pub(crate) wall: Duration,
    /// The part of `wall` in which it wanted a processor and got none, where that matters.
    pub(crate) queued: Duration,
    /// Bytes it sent.
    pub(crate) received: u64,
}

/// Runs a job on a zygote and hands over what comes from it, until `take` wants no more. An error
/// means that the zygote is broken.
pub(crate) fn execute<E>(
    zygote: &Zygote,
    job: &Job,
    take: &mut dyn FnMut(u8, &[u8]) -> Option<E>,
) -> io::Result<Process<E>> {
    let (ours, theirs) = socket::pair(libc::SOCK_STREAM)?;
    zygote.order(&theirs)?;
    drop(theirs);
    send(&ours, job)?;
    let ordered = Instant::now();
    if job.first_decides {
        socket::wait_readable(&ours, UNREAD_MAX)?;
    } else {
        socket::wait_closed(&ours, UNREAD_MAX)?;
    }
    // A zygote that is slow to fork is no fault of the program.
    let is_slow = !zygote.has_spoken()?;
    let pid = zygote.candidate(ZYGOTE_MAX)?;
    let start = if is_slow { Instant::now() } else { ordered };
    let meter = Meter::new(pid, job.limits, start);
    let mut reader = Reader { meter, input: &ours, buffer: Vec::new(), received: 0, job };
    let ended = reader.follow(take)?;
    let queued = match ended {
        Ended::Taken(_) => Duration::ZERO,
        Ended::Closed | Ended::Late(_) | Ended::Output | Ended::Beside => reader.meter.queued(),
    };
    // Once the zygote is gone the number may be another process's.
    if !zygote.is_alive()? {
        return Err(io::Error::other("the zygote died"));
    }
    // SAFETY: the process is not reaped yet, so the number is still its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    let (status, cpu) = zygote.reap(ZYGOTE_MAX)?;
    let received = reader.received;
    Ok(Process { ended, status, cpu, wall: start.elapsed(), queued, received })
}

/// The program runs only once all of it has arrived, so what fails here is never its fault.
fn send(socket: &OwnedFd, job: &Job) -> io::Result<()> {
    if job.bytes.len() > SOCKET_ROOM {
        socket::limit_writes(socket, ZYGOTE_MAX)?;
    }
    // The standard library ignores SIGPIPE at its start, so a write to a dead candidate fails.
    File::from(socket.try_clone()?).write_all(&job.bytes)
}

/// The verifier's end of what a process writes to.
struct Reader<'a> {
    meter: Meter,
    input: &'a OwnedFd,
    buffer: Vec<u8>,
    received: u64,
    job: &'a Job,
}

impl Reader<'_> {
    /// Reads until the process is done, fails, or breaks a limit.
    fn follow<E>(&mut self, take: &mut dyn FnMut(u8, &[u8]) -> Option<E>) -> io::Result<Ended<E>> {
        loop {
            if self.received > self.job.limits.output_bytes {
                return Ok(Ended::Output);
            }
            if let Some(ended) = self.hand_over(take) {
                return Ok(ended);
            }
            if let Some(ended) = self.more()? {
                return Ok(ended);
            }
        }
    }

    /// Hands over what is whole in the buffer.
    fn hand_over<E>(&mut self, take: &mut dyn FnMut(u8, &[u8]) -> Option<E>) -> Option<Ended<E>> {
        if self.job.channel == Channel::Text {
            let taken = take(0, &self.buffer);
            self.buffer.clear();
            return taken.map(Ended::Taken);
        }
        loop {
            match frames::next(&mut self.buffer, self.job.limits.output_bytes) {
                Err(TooLarge) => return Some(Ended::Output),
                Ok(None) => return None,
                Ok(Some((kind, payload))) => {
                    if let Some(end) = take(kind, &payload) {
                        return Some(Ended::Taken(end));
                    }
                    self.meter.next_test();
                }
            }
        }
    }

    /// Waits for more bytes.
    fn more<E>(&mut self) -> io::Result<Option<Ended<E>>> {
        loop {
            if self.received > 0 {
                socket::wait_closed(self.input, self.meter.left().min(UNREAD_MAX))?;
            }
            let left = self.meter.left();
            if left.is_zero()
                && let Some(late) = self.meter.look()
            {
                if late != Late::Idle || !socket::wait_readable(self.input, Duration::ZERO)? {
                    return Ok(Some(Ended::Late(late)));
                }
                // It may wait for this thread, which got no processor, to make room.
                self.meter.excuse();
            }
            if !socket::wait_readable(self.input, left)? {
                continue;
            }
            match socket::read(self.input, &mut self.buffer) {
                Ok(0) => return Ok(Some(Ended::Closed)),
                Ok(n) => {
                    self.received += n as u64;
                    return Ok(None);
                }
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(Some(Ended::Closed));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Readable, and nothing to read: a byte out of band.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Some(Ended::Beside)),
                Err(e) => return Err(e),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::path::Path;

    use super::*;
    use crate::zygote::tests::zygote;
    use crate::{Value, marshal};

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
        let limits = Limits { cpu_ms: u64::MAX, test_cpu_ms: u64::MAX, ..Limits::default() };
        let (bytes, channel) = (Vec::new(), Channel::Frames);
        let job = Job { bytes, limits, channel, n_results: 1, first_decides: false };
        let meter = Meter::new(own, limits, Instant::now());
        let mut reader = Reader { meter, input: &ours, buffer: Vec::new(), received: 0, job: &job };
        let ended = reader.follow::<()>(&mut |_, _| None).unwrap();
        assert!(matches!(ended, Ended::Beside | Ended::Closed), "{ended:?}");
    }

    /// A program that prints.
    fn printing(program: &str, limits: Limits) -> Job {
        let text = |s: &str| Value::Str(s.to_string());
        let parts = vec![text(program), Value::None, Value::Bytes(vec![]), Value::List(vec![])];
        let bytes = marshal::framed(&Value::Tuple(parts)).unwrap();
        Job { bytes, limits, channel: Channel::Text, n_results: 1, first_decides: false }
    }

    /// A program fills its channel and waits, and whoever should read it gets no processor.
    #[test]
    fn what_waits_to_be_read_is_not_idle() {
        let limits = Limits { idle_ms: 100, ..Limits::default() };
        let job = printing("print('x' * 2_000_000)\n", limits);
        let mut pauses = 4;
        let done = execute(&zygote(), &job, &mut |_, printed| {
            if pauses > 0 && !printed.is_empty() {
                std::thread::sleep(Duration::from_millis(150));
                pauses -= 1;
            }
            None::<()>
        });
        let done = done.unwrap();
        assert_eq!((done.ended, done.received), (Ended::Closed, 2_000_001));
    }

    /// A process with this very number, which does nothing. None where the kernel lets only a
    /// mightier user choose.
    fn innocent(pid: libc::pid_t) -> Option<libc::pid_t> {
        let chosen = [pid];
        let (exit_signal, set_tid, set_tid_size) = (4, 8, 9);
        let mut arguments = [0_u64; 11];
        arguments[exit_signal] = libc::SIGCHLD as u64;
        arguments[set_tid] = chosen.as_ptr() as u64;
        arguments[set_tid_size] = 1;
        loop {
            // SAFETY: the structure is the kernel's, and the child makes only system calls.
            unsafe {
                match libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments)) {
                    0 => loop {
                        libc::pause();
                    },
                    -1 => match io::Error::last_os_error().raw_os_error() {
                        // Someone else was faster to take the number; it is soon free again.
                        Some(libc::EEXIST) => std::thread::sleep(Duration::from_millis(1)),
                        Some(libc::EPERM | libc::ENOSYS) => return None,
                        other => panic!("clone3: {other:?}"),
                    },
                    child => return libc::pid_t::try_from(child).ok(),
                }
            }
        }
    }

    /// The number of the only child of a process.
    fn child_of(pid: u32) -> libc::pid_t {
        let path = format!("/proc/{pid}/task/{pid}/children");
        std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
    }

    /// The zygote dies, its candidate with it, and the candidate's number goes to another process
    /// before the verifier has looked.
    #[test]
    fn a_recycled_number_is_not_signalled() {
        let zygote = zygote();
        let program = "import time\nprint(1, flush=True)\ntime.sleep(60)\n";
        let job = printing(program, Limits::default());
        let mut other = None;
        let done = execute(&zygote, &job, &mut |_, printed| {
            (!printed.is_empty()).then(|| {
                let candidate = child_of(zygote.id());
                // SAFETY: the zygote is a child of this process, not yet waited for.
                unsafe { libc::kill(zygote.id() as libc::pid_t, libc::SIGKILL) };
                while Path::new(&format!("/proc/{candidate}")).exists() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                other = innocent(candidate).inspect(|pid| assert_eq!(*pid, candidate));
            })
        });
        assert_eq!(done.unwrap_err().to_string(), "the zygote died");
        if let Some(pid) = other {
            // SAFETY: the process is a child of this one, not yet waited for.
            unsafe {
                assert_eq!(libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG), 0, "killed");
                libc::kill(pid, libc::SIGKILL);
                assert_eq!(libc::waitpid(pid, std::ptr::null_mut(), 0), pid);
            }
        }
    }
}
