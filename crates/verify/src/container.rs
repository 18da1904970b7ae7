//! The outer half of a sandbox that something else builds: a container engine, bubblewrap,
//! gVisor. A command starts it with our host inside (`host.rs`), and jobs go in and values come
//! out over its standard input and output.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::jail::Tier;
use crate::process::{Ended, Job, Process};
use crate::python::{self, PythonInfo};
use crate::zygote::Flavour;
use crate::{Limits, Value, VerifyError, host, socket, wire};

/// Container engines take a second or two, and longer on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);
/// What a run may take beyond its own wall limit: a zygote that hangs, and a new one, twice.
const GRACE: Duration = Duration::from_secs(60);
/// How long the command may take to end once its input has.
const END_MAX: Duration = Duration::from_secs(2);
/// What may come before the greeting.
const NOISE_MAX: usize = 64 << 10;

/// How to start the host in a sandbox that something else builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxCommand {
    /// Words separated by spaces, as in `bwrap --unshare-all --ro-bind / / {host}`. The word
    /// `{host}` stands for the words of `host`, and `{exe}` within a word for the first of them.
    pub template: String,
    /// The command that runs `serve_host`, as seen from inside.
    pub host: Vec<String>,
}

impl SandboxCommand {
    fn words(&self) -> Result<Vec<String>, String> {
        let template = &self.template;
        let Some(exe) = self.host.first() else { return Err("there is no host to run".into()) };
        if !template.split(' ').any(|word| word == "{host}") && !template.contains("{exe}") {
            return Err(format!("the sandbox command `{template}` lacks {{host}}"));
        }
        let mut words = Vec::new();
        for word in template.split_whitespace() {
            match word {
                "{host}" => words.extend(self.host.iter().cloned()),
                word => words.push(word.replace("{exe}", exe)),
            }
        }
        Ok(words)
    }
}

/// A host that answers.
#[derive(Debug)]
pub(crate) struct Container {
    child: Child,
    /// `None` only while it is being dropped.
    stream: Option<File>,
    /// What the command says on its standard error.
    said: File,
    pub(crate) tier: Tier,
    pub(crate) python: PythonInfo,
}

impl Container {
    pub(crate) fn start(command: &SandboxCommand, flavour: Flavour) -> Result<Self, VerifyError> {
        let no_sandbox = |reason: String| VerifyError::NoSandbox { reason };
        let words = command.words().map_err(no_sandbox)?;
        let (ours, theirs) = socket::pair(libc::SOCK_STREAM).map_err(VerifyError::Start)?;
        socket::limit_writes(&ours, GRACE).map_err(VerifyError::Start)?;
        let said = scratch().map_err(VerifyError::Start)?;
        let copy = |file: &File| file.try_clone().map(Stdio::from).map_err(VerifyError::Start);
        let theirs = File::from(theirs);
        let child = python::command(words[0].as_ref())
            .args(&words[1..])
            .stdin(copy(&theirs)?)
            .stdout(copy(&theirs)?)
            .stderr(copy(&said)?)
            .spawn()
            .map_err(|e| no_sandbox(format!("sandbox command `{}`: {e}", words[0])))?;
        drop(theirs);
        let stream = Some(File::from(ours));
        let python = PythonInfo::default();
        let mut container = Self { child, stream, said, tier: Tier::None, python };
        match container.greet(flavour) {
            Ok(()) => Ok(container),
            Err(e) => Err(no_sandbox(format!("sandbox command `{}`: {e}", words[0]))),
        }
    }

    /// Waits for the host's first words, has it start, and learns what stands inside.
    fn greet(&mut self, flavour: Flavour) -> io::Result<()> {
        let deadline = Instant::now() + START_MAX;
        let mut heard = Vec::new();
        while !heard.ends_with(wire::GREETING) {
            let mut byte = [0];
            self.readable(deadline)?.read_exact(&mut byte).map_err(|e| self.gone(e))?;
            heard.extend(byte);
            if heard.len() > NOISE_MAX {
                return Err(wire::malformed());
            }
        }
        wire::send(self.stream()?, &host::flavour_message(flavour))?;
        let Value::Tuple(facts) = self.receive(deadline)? else { return Err(wire::malformed()) };
        let [Value::Str(tier), Value::Str(version), Value::Str(path)] = facts.as_slice() else {
            return Err(wire::malformed());
        };
        self.tier = Tier::safe_from_name(tier).ok_or_else(wire::malformed)?;
        self.python = PythonInfo::elsewhere(path, version);
        Ok(())
    }

    fn stream(&self) -> io::Result<&File> {
        self.stream.as_ref().ok_or_else(wire::malformed)
    }

    fn readable(&self, deadline: Instant) -> io::Result<&File> {
        let stream = self.stream()?;
        let patience = deadline.saturating_duration_since(Instant::now());
        if socket::wait_readable(stream, patience)? {
            return Ok(stream);
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the host does not answer"))
    }

    /// A message; a string is the host's account of what went wrong.
    fn receive(&self, deadline: Instant) -> io::Result<Value> {
        match wire::receive(self.readable(deadline)?) {
            Ok(Value::Str(cause)) => Err(io::Error::other(cause)),
            other => other.map_err(|e| self.gone(e)),
        }
    }

    /// As [`crate::process::execute`], with the zygote on the other side.
    pub(crate) fn execute<E>(
        &self,
        job: &Job,
        take: &mut dyn FnMut(u8, &[u8]) -> Option<E>,
    ) -> io::Result<Process<E>> {
        let deadline = Instant::now() + wall(job.limits) + GRACE;
        wire::send(self.stream()?, &host::request(job))?;
        let (process, frames) = host::read_answer(self.receive(deadline)?)?;
        let taken = frames.iter().find_map(|(kind, payload)| take(*kind, payload));
        let ended = match (taken, process.ended) {
            (Some(end), _) => Ended::Taken(end),
            // All that it was asked for, and yet not all that was wanted.
            (None, Ended::Taken(()) | Ended::Closed) => Ended::Closed,
            (None, Ended::Late(late)) => Ended::Late(late),
            (None, Ended::Output) => Ended::Output,
            (None, Ended::Beside) => Ended::Beside,
        };
        let Process { status, cpu, wall, queued, received, .. } = process;
        Ok(Process { ended, status, cpu, wall, queued, received })
    }

    /// An end of the stream in the place of a message.
    fn gone(&self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                let said = last_words(&self.said).unwrap_or_default();
                io::Error::other(format!("the host is gone{said}"))
            }
            _ => error,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

fn wall(limits: Limits) -> Duration {
    // Beyond a day nobody waits.
    Duration::from_millis(limits.wall_ms.min(86_400_000))
}

impl Drop for Container {
    fn drop(&mut self) {
        // The end of its input ends the host, and with it whatever the engine keeps beside the
        // command. What does not end by itself is killed.
        self.stream = None;
        let deadline = Instant::now() + END_MAX;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file in memory, for what the command has to say: a pipe that nobody reads would fill up.
fn scratch() -> io::Result<File> {
    // SAFETY: the name is a valid string, and nobody else owns the new descriptor.
    unsafe {
        let fd = libc::memfd_create(c"said".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd).into()) }
    }
}

/// Lines of it that are shown: the last is often a hint, and the cause stands before it.
const SHOWN: usize = 3;

/// The last lines of it.
fn last_words(mut said: &File) -> io::Result<String> {
    let mut text = Vec::new();
    said.rewind()?;
    said.take(64 << 10).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(SHOWN)..].join("; ");
    Ok(if last.is_empty() { String::new() } else { format!(" ({last})") })
}
