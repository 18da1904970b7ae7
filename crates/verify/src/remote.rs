//! A service that runs programs in the place of this machine: SandboxFusion's `/run_code`, or
//! whatever speaks the same.
//!
//! It is asked for values, never for a verdict: a wrapper is the code that it runs, the program
//! and its inputs are a file, and the answers come back as another. They are read and compared
//! here by the same code as those of the built-in sandbox, so a service that lies can lie about
//! what a program returned, and about nothing else. Expected values never leave.
//!
//! Not covered: what the service's walls are, and its hash seed. It is told of the limits of
//! wall time and memory; CPU time is not measured.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value as Json, json};

use crate::frames::{self, TooLarge};
use crate::meter::Late;
use crate::run::{self, Answered, End, Next, Outcome, Run};
use crate::submission::{Mode, Order};
use crate::{Call, Failure, Limits, PythonInfo, Value, Verdict, VerifyError, marshal};

const WRAPPER: &str =
    concat!(include_str!("remote.py"), include_str!("candidate.py"), "\nanswer_job()\n");
const JOB: &str = "axiom_job";
const FRAMES: &str = "axiom_frames";
/// How long to wait before each new try.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_millis(800),
    Duration::from_secs(3),
    Duration::from_secs(10),
];

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostError {
    /// It may be answered later: no connection, no answer in time, a server that is overloaded
    /// or broken.
    Again(String),
    /// It will never be.
    Never(String),
}

/// Brings a request, as JSON, to the service, and its answer back. The time is how long the
/// program may run there.
type Post = dyn Fn(&str, Duration) -> Result<Vec<u8>, PostError> + Send + Sync;

/// A remote service.
#[derive(Clone)]
pub struct Remote {
    name: String,
    post: Arc<Post>,
    pauses: Arc<[Duration]>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Remote {
    /// The service that `post` reaches. This crate speaks no HTTP itself.
    pub fn new(
        name: impl Into<String>,
        post: impl Fn(&str, Duration) -> Result<Vec<u8>, PostError> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), post: Arc::new(post), pauses: Arc::from(PAUSES) }
    }

    /// The same with other pauses before each new try.
    pub fn with_pauses(self, pauses: &[Duration]) -> Self {
        Self { pauses: Arc::from(pauses), ..self }
    }

    /// Asks the service for the Python it has, and so whether it works at all.
    pub(crate) fn python(&self) -> Result<PythonInfo, VerifyError> {
        let order = Order {
            program: "import sys\ndef f():\n    return '%d.%d.%d' % sys.version_info[:3]\n",
            entry_point: "f",
            inputs: vec![&[]],
            limits: Limits::default(),
            call: Call::default(),
            goes_on: false,
        };
        let mut version = None;
        let outcome = self.run(&order, &mut |answer| {
            version = Some(answer);
            Next::Enough
        });
        let reason = match (outcome, version) {
            (Ok(_), Some(Ok(Value::Str(version)))) => {
                return Ok(PythonInfo::elsewhere(&self.name, &version));
            }
            (Err(e), _) => e.to_string(),
            (_, Some(Err(failure))) | (Ok(Outcome { failure: Some(failure), .. }), _) => {
                failure.detail
            }
            (Ok(_), _) => "it does not run Python".to_string(),
        };
        Err(VerifyError::NoSandbox { reason: format!("the service {}: {reason}", self.name) })
    }

    /// Runs a program there. `take` gets the answer to each input, in order. An error means
    /// that the service is broken.
    pub(crate) fn run(
        &self,
        order: &Order<'_>,
        take: &mut dyn FnMut(Answered) -> Next,
    ) -> io::Result<Outcome> {
        let mut run = Run::new(order, take);
        loop {
            let (asked, limits) = (Instant::now(), run.limits_left());
            let answer = self.ask(&request(&run, limits)?, limits)?;
            run.spend(answer.wall.min(asked.elapsed()));
            if let Some(end) = hear(&mut run, answer) {
                return Ok(run.outcome(end));
            }
        }
    }

    /// Sends a request until it is answered.
    fn ask(&self, request: &Json, limits: Limits) -> io::Result<Ran> {
        let text = request.to_string();
        let time = Duration::from_millis(limits.wall_ms);
        let mut pauses = self.pauses.iter();
        loop {
            let cause = match (self.post)(&text, time) {
                Ok(bytes) => match Ran::read(&bytes) {
                    Ok(ran) => return Ok(ran),
                    Err(cause) => cause,
                },
                Err(PostError::Never(cause)) => return Err(io::Error::other(cause)),
                Err(PostError::Again(cause)) => cause,
            };
            match pauses.next() {
                Some(pause) => std::thread::sleep(*pause),
                None => {
                    let tries = self.pauses.len() + 1;
                    let cause = format!("{}: {cause} (after {tries} tries)", self.name);
                    return Err(io::Error::other(cause));
                }
            }
        }
    }
}

/// What is asked for the inputs that have no answer yet.
fn request(run: &Run<'_>, limits: Limits) -> io::Result<Json> {
    let order = run.order;
    let rest = &order.inputs[run.next..];
    let common = json!({
        "language": "python",
        "run_timeout": limits.wall_ms.max(1) as f64 / 1e3,
        "memory_limit_MB": limits.memory_mib,
    });
    let more = match order.call.mode {
        Mode::Stdio => json!({ "code": order.program, "stdin": stdin(rest.first())? }),
        Mode::Function | Mode::Method => {
            let inputs = rest.iter().map(|input| run::arguments(input)).collect();
            let program = Value::Str(order.program.to_string());
            let mut job = Vec::new();
            let all = Value::Tuple(vec![program, run::call(order), Value::List(inputs)]);
            marshal::encode(&all, &mut job);
            let files = json!({ JOB: BASE64.encode(job) });
            json!({ "code": WRAPPER, "files": files, "fetch_files": [FRAMES] })
        }
    };
    let both = [common, more].into_iter().filter_map(|part| match part {
        Json::Object(fields) => Some(fields),
        _ => None,
    });
    Ok(Json::Object(both.flatten().collect::<Map<_, _>>()))
}

/// JSON carries text only.
fn stdin(input: Option<&&[Value]>) -> io::Result<String> {
    match input {
        Some([Value::Str(text)]) => Ok(text.clone()),
        Some([Value::Bytes(bytes)]) => String::from_utf8(bytes.clone())
            .map_err(|_| io::Error::other("a remote service takes only UTF-8 as standard input")),
        _ => Ok(String::new()),
    }
}

/// How a program went there.
#[derive(Debug)]
struct Ran {
    in_time: bool,
    /// As the service says; it may have had the program wait.
    wall: Duration,
    return_code: Option<i64>,
    stdout: String,
    stderr: String,
    frames: Vec<u8>,
}

impl Ran {
    /// Reads an answer; the error is the service's own.
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let answer: Json =
            serde_json::from_slice(bytes).map_err(|e| format!("its answer is not JSON: {e}"))?;
        let result = &answer["run_result"];
        let text = |key: &str| result[key].as_str().unwrap_or_default().to_string();
        let in_time = match (answer["status"].as_str(), result["status"].as_str()) {
            (Some("Success" | "Failed"), Some("Finished")) => true,
            (Some("Success" | "Failed"), Some("TimeLimitExceeded")) => false,
            (Some("SandboxError"), _) | (_, Some("Error")) => {
                let said = answer["message"].as_str().unwrap_or_default();
                return Err(format!("it failed: {said}"));
            }
            _ => return Err("its answer has no run_result".to_string()),
        };
        let frames = answer["files"][FRAMES].as_str().unwrap_or_default();
        let frames = BASE64.decode(frames).map_err(|e| format!("a file is not base64: {e}"))?;
        let return_code = result["return_code"].as_i64();
        let seconds = result["execution_time"].as_f64().unwrap_or_default();
        let wall = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Ok(Self {
            in_time,
            wall,
            return_code,
            stdout: text("stdout"),
            stderr: text("stderr"),
            frames,
        })
    }
}

/// Takes the answers; says how the run ended, unless there is more to ask.
fn hear(run: &mut Run<'_>, ran: Ran) -> Option<End> {
    if run.order.call.mode == Mode::Stdio {
        return printed(run, ran);
    }
    let (mut buffer, mut loaded, from) = (ran.frames, false, run.next);
    let bytes_max = run.order.limits.output_bytes;
    if buffer.len() as u64 > bytes_max {
        return Some(End::too_much());
    }
    loop {
        match frames::next(&mut buffer, bytes_max) {
            Ok(Some((kind, payload))) => {
                if let Some(end) = run.frame(kind, &payload, &mut loaded) {
                    return Some(end);
                }
            }
            Ok(None) => break,
            Err(TooLarge) => return Some(End::too_much()),
        }
    }
    if !ran.in_time {
        return Some(End::Late(Late::Wall));
    }
    // A service that gives no files back has not even begun.
    run.died(ended(), loaded || run.next > from)
}

fn printed(run: &mut Run<'_>, ran: Ran) -> Option<End> {
    if !ran.in_time {
        return Some(End::Late(Late::Wall));
    }
    if ran.stdout.len() as u64 > run.order.limits.output_bytes {
        return Some(End::too_much());
    }
    let last = ran.stderr.lines().next_back().unwrap_or_default();
    let last = crate::detail::clean(last);
    run.answered(match ran.return_code {
        Some(0) => Ok(Value::Str(ran.stdout)),
        Some(_) if last.starts_with("MemoryError") => {
            Err(Failure::new(Verdict::MemoryLimit, "out of memory"))
        }
        Some(code) if last.is_empty() => {
            Err(Failure::new(Verdict::RuntimeError, format!("exit status {code}")))
        }
        Some(_) => Err(Failure::new(Verdict::RuntimeError, last)),
        None => Err(ended()),
    })
}

fn ended() -> Failure {
    Failure::new(Verdict::RuntimeError, "the program ended before its results")
}
