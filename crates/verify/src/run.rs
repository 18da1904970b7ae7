//! A program on its inputs, from fork to reap: its limits are kept here, from outside.
//!
//! One process answers all tests of a function, one after the other. Where it dies or hangs in
//! a test, the tests behind that one get another process. A program that prints has a process
//! for each test. Nothing is compared here: answers are handed over as they come in.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use crate::detail::clean;
use crate::jail::rlimits;
use crate::meter::{Before, Late, Meter};
use crate::submission::{Answer, Containers, Mode, Order};
use crate::zygote::{Zygote, socket_pair, wait_readable};
use crate::{Failure, Value, Verdict, marshal};

/// How long the zygote may take to fork or to reap.
const ZYGOTE_MAX: Duration = Duration::from_secs(5);
/// A frame: length of the payload (4 bytes), kind (1 byte).
const HEADER: usize = 5;
/// The exit status of a process that is killed once its end has been seen is still its own.
const SUCCESS: i32 = 0;

/// The answer to one input.
pub(crate) type Answered = Result<Value, Failure>;

/// Whether more answers are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    More,
    Enough,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    /// What ended it as a whole.
    pub(crate) failure: Option<Failure>,
    /// Whether another run might have had the time that this one lacked.
    pub(crate) by_wall_clock: bool,
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

/// Runs a program on a zygote. `take` gets the answer to each input, in order. An error means
/// that the zygote is broken.
pub(crate) fn run(
    zygote: &Zygote,
    order: &Order<'_>,
    take: &mut dyn FnMut(Answered) -> Next,
) -> io::Result<Outcome> {
    let mut run = Run { order, take, before: None, received: 0, next: 0 };
    let mut end = order.inputs.is_empty().then_some(End::Complete);
    loop {
        match end {
            Some(end) => return Ok(run.outcome(end)),
            None => end = run.process(zygote)?,
        }
    }
}

/// How a run ended.
#[derive(Debug)]
enum End {
    /// Every answer is in, or as many as are wanted.
    Complete,
    Late(Late),
    Failed(Failure),
}

impl End {
    fn failed(verdict: Verdict, detail: impl Into<String>) -> Self {
        Self::Failed(Failure::new(verdict, detail))
    }

    fn unexpected_frame() -> Self {
        Self::failed(Verdict::Violation, "an unexpected frame")
    }
}

/// Why a process is not listened to any more.
#[derive(Debug)]
enum Stop {
    /// It closed the channel, as it does when it ends.
    Closed,
    End(End),
    /// The sandbox is broken.
    Broken(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

struct Run<'a> {
    order: &'a Order<'a>,
    take: &'a mut dyn FnMut(Answered) -> Next,
    /// What the processes that have ended took. Its start is when the first was there, moved by
    /// the time that later forks took: a zygote that is slow to fork is no fault of the program.
    before: Option<Before>,
    received: u64,
    /// The next input to be answered.
    next: usize,
}

impl Run<'_> {
    /// Runs one process; says how the run ended unless another process is needed.
    fn process(&mut self, zygote: &Zygote) -> io::Result<Option<End>> {
        let asked = Instant::now();
        let (ours, theirs) = socket_pair(libc::SOCK_STREAM)?;
        let pid = zygote.fork(theirs, ZYGOTE_MAX)?;
        let first = || Before { start: asked, cpu: Duration::ZERO, queued: Duration::ZERO };
        let mut before = self.before.unwrap_or_else(first);
        before.start += asked.elapsed();
        let meter = Meter::new(pid, self.order.limits, before);
        self.send(ours.try_clone()?)?;
        let mut channel = Channel::new(ours, meter)?;
        let from = self.next;
        let mut loaded = false;
        let stop = match self.order.call.mode {
            Mode::Stdio => self.text(&mut channel),
            Mode::Function | Mode::Method => self.frames(&mut channel, &mut loaded),
        };
        if !matches!(stop, Stop::End(End::Complete)) {
            before.queued = channel.meter.queued_so_far();
        }
        // Once the zygote is gone the number may be another process's.
        if !zygote.is_alive()? {
            return Err(io::Error::other("the zygote died"));
        }
        // SAFETY: the process is not reaped yet, so the number is still its own.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        let (status, cpu) = zygote.reap(ZYGOTE_MAX)?;
        before.cpu += cpu;
        self.before = Some(before);
        let in_test = loaded || self.next > from || self.order.call.mode == Mode::Stdio;
        match stop {
            Stop::Broken(error) => Err(error),
            Stop::Closed if self.order.call.mode == Mode::Stdio => {
                Ok(self.printed(status, channel.buffer))
            }
            Stop::Closed => Ok(self.died(died(status), in_test)),
            Stop::End(End::Late(Late::TestCpu)) if in_test => {
                let failure = Failure::new(Verdict::TimeLimit, Late::TestCpu.detail());
                Ok(self.answered(Err(failure)).or_else(|| self.only_if_it_goes_on()))
            }
            Stop::End(end) => Ok(Some(end)),
        }
    }

    /// Sends the program, its inputs and its limits. Expected values are not among them. The
    /// program runs only once all of it has arrived, so what fails here is never its fault.
    fn send(&self, socket: OwnedFd) -> io::Result<()> {
        let order = self.order;
        let (call, inputs) = match order.call.mode {
            Mode::Stdio => (Value::None, stdin(order.inputs.get(self.next))),
            Mode::Function | Mode::Method => (
                call(order),
                Value::List(order.inputs[self.next..].iter().map(|i| arguments(i)).collect()),
            ),
        };
        let program = Value::Str(order.program.to_string());
        let all = Value::Tuple(vec![program, call, inputs, rlimits::of(&order.limits)]);
        let mut bytes = vec![0; 4];
        marshal::encode(&all, &mut bytes);
        let size = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
        bytes[..4].copy_from_slice(&size.to_le_bytes());
        let timeout = libc::timeval {
            tv_sec: libc::time_t::try_from(order.limits.wall_ms / 1_000 + 1).unwrap_or(1),
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
        // The standard library ignores SIGPIPE at its start, so a write to a dead candidate
        // fails.
        File::from(socket).write_all(&bytes)
    }

    /// Reads frames, one for each test, until nothing more is to be expected.
    fn frames(&mut self, channel: &mut Channel, loaded: &mut bool) -> Stop {
        loop {
            match channel.frame(self.order.limits.output_bytes) {
                Err(stop) => return stop,
                Ok(Some((kind, payload))) => {
                    if let Some(end) = self.frame(kind, &payload, loaded) {
                        return Stop::End(end);
                    }
                    channel.meter.next_test();
                }
                Ok(None) => {
                    if let Err(stop) = self.more(channel) {
                        return stop;
                    }
                }
            }
        }
    }

    /// Reads what a program prints until it ends.
    fn text(&mut self, channel: &mut Channel) -> Stop {
        loop {
            if let Err(stop) = self.more(channel) {
                return stop;
            }
        }
    }

    fn more(&mut self, channel: &mut Channel) -> Result<(), Stop> {
        self.received += channel.more()?;
        if self.received > self.order.limits.output_bytes {
            return Err(Stop::End(too_much()));
        }
        Ok(())
    }

    fn frame(&mut self, kind: u8, payload: &[u8], loaded: &mut bool) -> Option<End> {
        let text = || clean(&String::from_utf8_lossy(payload));
        // Only the first frame of a process may say how loading it went.
        let early = !*loaded;
        *loaded = true;
        match kind {
            1 => match marshal::decode(payload) {
                Ok(value) => self.answered(Ok(value)),
                Err(marshal::DecodeError::Malformed(what)) => {
                    Some(End::failed(Verdict::Violation, what))
                }
                Err(unsupported) => {
                    let failure = Failure::new(Verdict::RuntimeError, unsupported.to_string());
                    self.answered(Err(failure))
                }
            },
            3 => self.answered(Err(Failure::new(Verdict::RuntimeError, text()))),
            4 => self.answered(Err(out_of_memory())),
            2 if early => Some(End::failed(Verdict::CompileError, text())),
            5 if early => Some(End::failed(Verdict::RuntimeError, text())),
            6 if early => Some(End::failed(Verdict::NoProgram, missing(self.order))),
            7 if early => Some(End::Failed(out_of_memory())),
            8 if early && self.order.goes_on => None,
            _ => Some(End::unexpected_frame()),
        }
    }

    fn outcome(&self, end: End) -> Outcome {
        let (failure, by_wall_clock) = match end {
            End::Complete => (None, false),
            End::Late(late) => {
                (Some(Failure::new(Verdict::TimeLimit, late.detail())), late.by_wall_clock())
            }
            End::Failed(failure) => (Some(failure), false),
        };
        let wall = self.before.map(|before| before.start.elapsed()).unwrap_or_default();
        let cpu = self.before.map(|before| before.cpu).unwrap_or_default();
        Outcome { failure, by_wall_clock, cpu, wall }
    }

    /// Hands an answer over.
    fn answered(&mut self, answer: Answered) -> Option<End> {
        self.next += 1;
        let next = (self.take)(answer);
        let complete = next == Next::Enough || self.next == self.order.inputs.len();
        complete.then_some(End::Complete)
    }

    fn only_if_it_goes_on(&self) -> Option<End> {
        (!self.order.goes_on).then_some(End::Complete)
    }

    /// The process is gone. If that was in a test, it is the failure of that test alone.
    fn died(&mut self, failure: Failure, in_test: bool) -> Option<End> {
        if !in_test || failure.verdict != Verdict::RuntimeError {
            return Some(End::Failed(failure));
        }
        self.answered(Err(failure)).or_else(|| self.only_if_it_goes_on())
    }

    /// A program that prints has ended, with this on its standard output.
    fn printed(&mut self, status: i32, mut output: Vec<u8>) -> Option<End> {
        if status == SUCCESS {
            let text = String::from_utf8(output);
            let value = text.map_or_else(|e| Value::Bytes(e.into_bytes()), Value::Str);
            return self.answered(Ok(value));
        }
        if !libc::WIFEXITED(status) {
            return self.died(died(status), true);
        }
        let reason = match output.iter().rposition(|byte| *byte == 0) {
            Some(at) => output.split_off(at + 1),
            None => Vec::new(),
        };
        let text = |reason: &[u8]| clean(&String::from_utf8_lossy(reason));
        let failure = match reason.split_first() {
            Some((2, why)) => return Some(End::failed(Verdict::CompileError, text(why))),
            Some((3, why)) => Failure::new(Verdict::RuntimeError, text(why)),
            Some((4, _)) => out_of_memory(),
            _ => {
                let code = libc::WEXITSTATUS(status);
                Failure::new(Verdict::RuntimeError, format!("exit status {code}"))
            }
        };
        self.answered(Err(failure))
    }
}

fn out_of_memory() -> Failure {
    Failure::new(Verdict::MemoryLimit, "out of memory")
}

fn too_much() -> End {
    End::failed(Verdict::OutputLimit, "too many bytes returned")
}

fn missing(order: &Order<'_>) -> String {
    match order.callee() {
        ("", name) => format!("no function `{}`", clean(name)),
        (holder, name) => format!("no method `{}.{}`", clean(holder), clean(name)),
    }
}

/// A process that is gone before its results are in. One that merely closed its channel is
/// killed by the verifier, so that signal says no more than an exit does.
fn died(status: i32) -> Failure {
    let ended = || Failure::new(Verdict::RuntimeError, "the program ended before its results");
    if !libc::WIFSIGNALED(status) {
        return ended();
    }
    match libc::WTERMSIG(status) {
        libc::SIGKILL => ended(),
        libc::SIGSYS => Failure::new(Verdict::Violation, "a forbidden system call"),
        libc::SIGXCPU => Failure::new(Verdict::TimeLimit, Late::Cpu.detail()),
        signal => Failure::new(Verdict::RuntimeError, format!("killed by signal {signal}")),
    }
}

fn stdin(input: Option<&&[Value]>) -> Value {
    match input {
        Some([Value::Str(text)]) => Value::Bytes(text.clone().into_bytes()),
        Some([Value::Bytes(bytes)]) => Value::Bytes(bytes.clone()),
        _ => Value::Bytes(Vec::new()),
    }
}

fn arguments(input: &[Value]) -> Value {
    let mut bytes = Vec::new();
    marshal::encode_tuple(input, &mut bytes);
    Value::Bytes(bytes)
}

/// What `Call` of `candidate.py` holds.
fn call(order: &Order<'_>) -> Value {
    let (holder, name) = order.callee();
    let argument = match order.call.answer {
        Answer::Returned => -1,
        Answer::Argument(at) => i64::try_from(at).unwrap_or(i64::MAX),
    };
    let containers = match order.call.containers {
        Containers::Builtin => 0,
        Containers::Library => 1,
        Containers::Iterable => 2,
    };
    Value::Tuple(vec![
        Value::Str(holder.to_string()),
        Value::Str(name.to_string()),
        Value::Int(argument),
        Value::Int(containers),
        Value::Bool(order.goes_on),
    ])
}

/// The verifier's end of what a process writes to.
struct Channel {
    socket: OwnedFd,
    input: File,
    chunk: Vec<u8>,
    buffer: Vec<u8>,
    meter: Meter,
}

impl Channel {
    fn new(socket: OwnedFd, meter: Meter) -> io::Result<Self> {
        let input = File::from(socket.try_clone()?);
        Ok(Self { socket, input, chunk: vec![0; 1 << 16], buffer: Vec::new(), meter })
    }

    /// Waits for more bytes, and says how many came.
    fn more(&mut self) -> Result<u64, Stop> {
        loop {
            let left = self.meter.deadline().saturating_duration_since(Instant::now());
            if left.is_zero() {
                if let Some(late) = self.meter.look() {
                    return Err(Stop::End(End::Late(late)));
                }
            }
            if !wait_readable(&self.socket, left)? {
                continue;
            }
            match self.input.read(&mut self.chunk) {
                Ok(0) => return Err(Stop::Closed),
                Ok(n) => {
                    self.buffer.extend_from_slice(&self.chunk[..n]);
                    return Ok(n as u64);
                }
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Err(Stop::Closed),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// The next whole frame in the buffer.
    fn frame(&mut self, bytes_max: u64) -> Result<Option<(u8, Vec<u8>)>, Stop> {
        let Some((header, rest)) = self.buffer.split_at_checked(HEADER) else { return Ok(None) };
        let size = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        if u64::from(size) > bytes_max {
            return Err(Stop::End(too_much()));
        }
        let size = size as usize;
        if rest.len() < size {
            return Ok(None);
        }
        let (kind, payload) = (header[4], rest[..size].to_vec());
        self.buffer.drain(..HEADER + size);
        Ok(Some((kind, payload)))
    }
}
