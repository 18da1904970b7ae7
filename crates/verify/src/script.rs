//! A Python script that reads its standard input and prints: run in the sandbox, not judged.
//!
//! It runs inside a call of an ordinary submission (`script.py`), which returns what it printed.
//! What a script prints while it is being stopped for a broken limit is lost with it.

use std::time::Duration;

use crate::{Comparator, Judgement, Limits, Submission, TestCase, Value, Verdict, Verifier};

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
    /// Runs a script in a slot, and waits for the slot first.
    pub fn run_script_in(&self, slot: usize, script: &Script) -> ScriptRun {
        let (judgement, returned) = self.call_in(slot, &submission(script));
        let wall = Duration::from_secs_f64(judgement.wall_ms.max(0.0) / 1e3);
        let whole = returned.and_then(|value| read(value, &script.fetch));
        let end = match &whole {
            Some((code, ..)) => ScriptEnd::Exited(*code),
            None => end_of(judgement),
        };
        let (_, stdout, stderr, files) = whole.unwrap_or_default();
        ScriptRun { end, stdout, stderr, files, wall }
    }
}

/// One call, whose expected value nothing equals.
fn submission(script: &Script) -> Submission {
    let text = |text: &String| Value::Str(text.clone());
    let file = |(name, bytes): &(String, Vec<u8>)| (text(name), Value::Bytes(bytes.clone()));
    let args = vec![
        text(&script.code),
        Value::Bytes(script.stdin.clone()),
        Value::Dict(script.files.iter().map(file).collect()),
        Value::List(script.fetch.iter().map(text).collect()),
    ];
    Submission {
        program: WRAPPER.to_string(),
        entry_point: "run".to_string(),
        tests: [TestCase { args, expected: Value::None }].into(),
        comparator: Comparator::Strict,
        limits: script.limits,
        stop_at_first_failure: true,
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

fn end_of(judgement: Judgement) -> ScriptEnd {
    match judgement.verdict {
        Verdict::TimeLimit => ScriptEnd::TimeLimit,
        Verdict::JudgeError => ScriptEnd::JudgeError(judgement.detail),
        // It returned, but not what the wrapper returns.
        Verdict::Accepted | Verdict::WrongAnswer => {
            ScriptEnd::Died("the script broke its output".to_string())
        }
        Verdict::MemoryLimit => ScriptEnd::Died("MemoryError".to_string()),
        Verdict::RuntimeError
        | Verdict::OutputLimit
        | Verdict::Violation
        | Verdict::CompileError
        | Verdict::NoProgram => ScriptEnd::Died(judgement.detail),
    }
}
