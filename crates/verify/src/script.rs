//! A Python script that reads its standard input and prints: run in the sandbox, not judged.
//!
//! It runs inside a call of an ordinary submission (`script.py`), which returns what it printed.
//! What a script prints while it is being stopped for a broken limit is lost with it.

use std::time::Duration;

use crate::zygote::Flavour;
use crate::{Execution, Failure, Job, Limits, Value, Verdict, Verifier};

/// What stands between the script and the harness.
const WRAPPER: &str = include_str!("script.py");

/// A script with everything it may see.
#[derive(Debug, Clone)]
pub struct Script {
    /// Python source.
    pub code: String,
    /// Its standard input.
    pub stdin: Vec<u8>,
    /// Files it may open, by their names. They exist in its memory only.
    pub files: Vec<(String, Vec<u8>)>,
    /// Files to bring back, if the script wrote them or had them.
    pub fetch: Vec<String>,
    /// What it may use.
    pub limits: Limits,
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptEnd {
    /// By itself, with an exit code.
    Exited(i32),
    /// Too much CPU time, wall time, or idling.
    TimeLimit,
    /// Another limit, a forbidden call, a signal, or an exit around the interpreter.
    Died(String),
    /// The sandbox failed, not the script.
    JudgeError(String),
}

/// What a script did.
#[derive(Debug, Clone)]
pub struct ScriptRun {
    /// How it ended.
    pub end: ScriptEnd,
    /// What it printed: at most 1 MiB.
    pub stdout: Vec<u8>,
    /// What it printed as errors, a traceback among them: at most 1 MiB.
    pub stderr: Vec<u8>,
    /// Those of the files to bring back that there were.
    pub files: Vec<(String, Vec<u8>)>,
    /// Wall time of the run.
    pub wall: Duration,
}

impl Verifier {
    /// Runs a script in a slot, as [`Verifier::judge_in`] judges a submission.
    pub fn run_script_in(&self, slot: usize, script: &Script) -> ScriptRun {
        let Execution { mut answers, failure, wall_ms, .. } =
            self.execute_one(slot, Flavour::Fixed, &job(script));
        let wall = Duration::from_secs_f64(wall_ms.max(0.0) / 1e3);
        let (end, whole) = match (answers.pop(), failure) {
            (Some(Ok(value)), None) => match read(value, &script.fetch) {
                Some(whole) => (ScriptEnd::Exited(whole.0), whole),
                None => (ScriptEnd::Died("the script broke its output".into()), <_>::default()),
            },
            (Some(Err(failure)), _) | (_, Some(failure)) => (end_of(failure), <_>::default()),
            (None, None) => (ScriptEnd::Died("the script ended early".into()), <_>::default()),
        };
        let (_, stdout, stderr, files) = whole;
        ScriptRun { end, stdout, stderr, files, wall }
    }
}

/// One call of the wrapper.
fn job(script: &Script) -> Job {
    let text = |text: &String| Value::Str(text.clone());
    let file = |(name, bytes): &(String, Vec<u8>)| (text(name), Value::Bytes(bytes.clone()));
    let arguments = vec![
        text(&script.code),
        Value::Bytes(script.stdin.clone()),
        Value::Dict(script.files.iter().map(file).collect()),
        Value::List(script.fetch.iter().map(text).collect()),
    ];
    Job {
        program: WRAPPER.to_string(),
        entry_point: "run".to_string(),
        inputs: vec![arguments],
        limits: script.limits,
        ..Job::default()
    }
}

type Printed = (i32, Vec<u8>, Vec<u8>, Vec<(String, Vec<u8>)>);

/// What the wrapper returns. The script can return anything in its place, about itself only.
fn read(value: Value, fetch: &[String]) -> Option<Printed> {
    let Value::Tuple(parts) = value else { return None };
    let [Value::Int(code), Value::Bytes(stdout), Value::Bytes(stderr), Value::Dict(files)] =
        <[Value; 4]>::try_from(parts).ok()?
    else {
        return None;
    };
    let file = |(name, bytes)| match (name, bytes) {
        (Value::Str(name), Value::Bytes(bytes)) if fetch.contains(&name) => Some((name, bytes)),
        _ => None,
    };
    let files = files.into_iter().map(file).collect::<Option<_>>()?;
    Some((i32::try_from(code).ok()?, stdout, stderr, files))
}

fn end_of(failure: Failure) -> ScriptEnd {
    match failure.verdict {
        Verdict::TimeLimit => ScriptEnd::TimeLimit,
        Verdict::JudgeError => ScriptEnd::JudgeError(failure.detail),
        Verdict::MemoryLimit => ScriptEnd::Died("MemoryError".to_string()),
        Verdict::Accepted
        | Verdict::WrongAnswer
        | Verdict::RuntimeError
        | Verdict::OutputLimit
        | Verdict::Violation
        | Verdict::CompileError
        | Verdict::NoProgram => ScriptEnd::Died(failure.detail),
    }
}
