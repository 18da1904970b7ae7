//! `axiom verify`: JSON lines in, JSON lines out, in the order of the input.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use verify::{Comparator, Limits, Submission, TestCase, Value, Verifier};

use super::{lines, put};
use crate::rig::{self, Machine};

/// Lines that are judged together: enough to keep every slot busy.
const BATCH: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Json,
    program: String,
    entry_point: String,
    tests: Vec<TestLine>,
    #[serde(default)]
    limits: LimitsLine,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestLine {
    args: Vec<Json>,
    expected: Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsLine {
    cpu_ms: Option<u64>,
    wall_ms: Option<u64>,
    memory_mib: Option<u64>,
}

/// Judges every line of standard input. Returns how many could not be read.
pub(crate) fn run(machine: &Machine) -> Result<usize> {
    let verifier = rig::start_verifier(machine)?;
    let mut malformed = 0;
    let mut batch = Vec::with_capacity(BATCH);
    for (i, line) in lines().enumerate() {
        let read = line.map_err(anyhow::Error::from).and_then(|l| parse(&l));
        batch.push((i + 1, read));
        if batch.len() == BATCH {
            malformed += judge(&verifier, std::mem::take(&mut batch))?;
        }
    }
    malformed += judge(&verifier, batch)?;
    Ok(malformed)
}

fn judge(verifier: &Verifier, batch: Vec<(usize, Result<(Json, Submission)>)>) -> Result<usize> {
    let good = batch.iter().filter_map(|(_, read)| read.as_ref().ok());
    let submissions: Vec<Submission> = good.map(|(_, s)| s.clone()).collect();
    let mut judgements = verifier.judge(&submissions)?.into_iter();
    let mut malformed = 0;
    for (number, read) in batch {
        match read {
            Err(e) => {
                malformed += 1;
                put(&json!({ "line": number, "error": format!("{e:#}") }))?;
            }
            Ok((id, _)) => {
                let j = judgements.next().context("a judgement for each submission")?;
                put(&json!({
                    "id": id,
                    "verdict": j.verdict.name(),
                    "passed": j.passed,
                    "total": j.total,
                    "detail": j.detail,
                    "sandbox": j.tier.name(),
                    "cpu_ms": j.cpu_ms,
                    "wall_ms": j.wall_ms,
                }))?;
            }
        }
    }
    Ok(malformed)
}

fn parse(line: &str) -> Result<(Json, Submission)> {
    let line: Line = serde_json::from_str(line)?;
    if line.tests.is_empty() {
        bail!("`tests` is empty: a program without tests cannot be judged");
    }
    let value = |json: &Json| Value::from_json(json).map_err(|e| anyhow::anyhow!("{e}"));
    let tests: Result<Vec<TestCase>> = line
        .tests
        .iter()
        .map(|t| {
            let args: Result<Vec<Value>> = t.args.iter().map(value).collect();
            Ok(TestCase { args: args?, expected: value(&t.expected)? })
        })
        .collect();
    let defaults = Limits::default();
    let limits = Limits {
        cpu_ms: line.limits.cpu_ms.unwrap_or(defaults.cpu_ms),
        wall_ms: line.limits.wall_ms.unwrap_or(defaults.wall_ms),
        memory_mib: line.limits.memory_mib.unwrap_or(defaults.memory_mib),
        ..defaults
    };
    let submission = Submission {
        program: line.program,
        entry_point: line.entry_point,
        tests: Arc::from(tests?),
        comparator: Comparator::Exact,
        limits,
        stop_at_first_failure: false,
    };
    Ok((line.id, submission))
}
