//! A program on its inputs: which processes run it, and what each says of which input.
//!
//! One process answers all tests of a function, one after the other. Where it dies or hangs in
//! a test, the tests behind that one get another process. A program that prints has a process
//! for each test. Nothing is compared here: answers are handed over as they come in.

use std::io;
use std::time::{Duration, Instant};

use crate::detail::clean;
use crate::frames::LOADED;
use crate::jail::rlimits;
use crate::meter::Late;
use crate::process::{Channel, Ended, Job, Process};
use crate::submission::{Answer, Containers, Mode, Order};
use crate::worker::Worker;
use crate::{Failure, Limits, Value, Verdict, marshal};

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

/// Runs a program on a worker. `take` gets the answer to each input, in order. An error means
/// that the worker is broken.
pub(crate) fn run(
    worker: &Worker,
    order: &Order<'_>,
    take: &mut dyn FnMut(Answered) -> Next,
) -> io::Result<Outcome> {
    let mut run = Run::new(order, take);
    let mut end = order.inputs.is_empty().then_some(End::Complete);
    loop {
        match end {
            Some(end) => return Ok(run.outcome(end)),
            None => end = run.process(worker)?,
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Every answer is in, or as many as are wanted.
    Complete,
    Late(Late),
    Failed(Failure),
}

impl End {
    pub(crate) fn failed(verdict: Verdict, detail: impl Into<String>) -> Self {
        Self::Failed(Failure::new(verdict, detail))
    }

    pub(crate) fn too_much() -> Self {
        Self::failed(Verdict::OutputLimit, "too many bytes returned")
    }

    fn unexpected_frame() -> Self {
        Self::failed(Verdict::Violation, "an unexpected frame")
    }
}

/// What the processes of a run that have ended took.
#[derive(Debug, Default)]
struct Spent {
    cpu: Duration,
    /// Since they were forked: what the program is held to.
    wall: Duration,
    /// Since they were asked for, the fork included.
    took: Duration,
    queued: Duration,
    bytes: u64,
}

/// A run on its way: the answers that came, and what they cost.
pub(crate) struct Run<'a> {
    pub(crate) order: &'a Order<'a>,
    take: &'a mut dyn FnMut(Answered) -> Next,
    spent: Spent,
    /// The next input to be answered.
    pub(crate) next: usize,
}

impl<'a> Run<'a> {
    pub(crate) fn new(order: &'a Order<'a>, take: &'a mut dyn FnMut(Answered) -> Next) -> Self {
        Self { order, take, spent: Spent::default(), next: 0 }
    }

    /// Counts the time of a process that ran elsewhere.
    pub(crate) fn spend(&mut self, wall: Duration) {
        self.spent.wall += wall;
        self.spent.took += wall;
    }

    /// Runs one process; says how the run ended unless another process is needed.
    fn process(&mut self, worker: &Worker) -> io::Result<Option<End>> {
        let job = self.job()?;
        let from = self.next;
        let mut loaded = job.channel == Channel::Text;
        let mut printed = Vec::new();
        let asked = Instant::now();
        let Process { ended, status, cpu, wall, queued, received } =
            worker.execute(&job, &mut |kind, payload| match job.channel {
                Channel::Frames => self.frame(kind, payload, &mut loaded),
                Channel::Text => {
                    printed.extend_from_slice(payload);
                    None
                }
            })?;
        self.spent.cpu += cpu;
        self.spent.wall += wall;
        self.spent.took += asked.elapsed();
        self.spent.queued += queued;
        self.spent.bytes += received;
        let in_test = loaded || self.next > from;
        Ok(match ended {
            Ended::Taken(end) => Some(end),
            Ended::Closed if job.channel == Channel::Text => self.printed(status, printed),
            Ended::Closed => self.died(died(status), in_test),
            Ended::Output => Some(End::too_much()),
            Ended::Beside => Some(End::failed(Verdict::Violation, "a message beside the stream")),
            Ended::Late(Late::TestCpu) if in_test => {
                let failure = Failure::new(Verdict::TimeLimit, Late::TestCpu.detail());
                self.answered(Err(failure)).or_else(|| self.only_if_it_goes_on())
            }
            Ended::Late(late) => Some(End::Late(late)),
        })
    }

    /// The next process's job: the program, the inputs that are left, and the limits that are
    /// left. Expected values are not among them.
    fn job(&self) -> io::Result<Job> {
        let order = self.order;
        let limits = self.limits_left();
        let left = &order.inputs[self.next..];
        let (channel, call, inputs) = match order.call.mode {
            Mode::Stdio => (Channel::Text, Value::None, stdin(left.first())),
            Mode::Function | Mode::Method => {
                let inputs = left.iter().map(|input| arguments(input)).collect();
                (Channel::Frames, call(order), Value::List(inputs))
            }
        };
        let program = Value::Str(order.program.to_string());
        let all = Value::Tuple(vec![program, call, inputs, rlimits::of(&limits)]);
        let bytes = marshal::framed(&all)?;
        // What a program prints is whole when the process has ended.
        let first_decides = channel == Channel::Frames && !order.goes_on;
        Ok(Job { bytes, limits, channel, n_results: left.len(), first_decides })
    }

    pub(crate) fn limits_left(&self) -> Limits {
        let Spent { cpu, wall, queued, bytes, .. } = self.spent;
        let ms = |spent: Duration| u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
        let all = self.order.limits;
        Limits {
            cpu_ms: all.cpu_ms.saturating_sub(ms(cpu)),
            wall_ms: all.wall_ms.saturating_sub(ms(wall.saturating_sub(queued))),
            output_bytes: all.output_bytes.saturating_sub(bytes),
            ..all
        }
    }

    pub(crate) fn frame(&mut self, kind: u8, payload: &[u8], loaded: &mut bool) -> Option<End> {
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
            LOADED if early && self.order.goes_on => None,
            _ => Some(End::unexpected_frame()),
        }
    }

    pub(crate) fn outcome(&self, end: End) -> Outcome {
        let (failure, by_wall_clock) = match end {
            End::Complete => (None, false),
            End::Late(late) => {
                (Some(Failure::new(Verdict::TimeLimit, late.detail())), late.by_wall_clock())
            }
            End::Failed(failure) => (Some(failure), false),
        };
        let Spent { cpu, took, .. } = self.spent;
        Outcome { failure, by_wall_clock, cpu, wall: took }
    }

    /// Hands an answer over.
    pub(crate) fn answered(&mut self, answer: Answered) -> Option<End> {
        self.next += 1;
        let next = (self.take)(answer);
        let complete = next == Next::Enough || self.next == self.order.inputs.len();
        complete.then_some(End::Complete)
    }

    fn only_if_it_goes_on(&self) -> Option<End> {
        (!self.order.goes_on).then_some(End::Complete)
    }

    /// The process is gone. If that was in a test, it is the failure of that test alone.
    pub(crate) fn died(&mut self, failure: Failure, in_test: bool) -> Option<End> {
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

pub(crate) fn arguments(input: &[Value]) -> Value {
    let mut bytes = Vec::new();
    marshal::encode_tuple(input, &mut bytes);
    Value::Bytes(bytes)
}

/// What `Call` of `candidate.py` holds.
pub(crate) fn call(order: &Order<'_>) -> Value {
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
