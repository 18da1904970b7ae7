//! `axiom verify`: JSON lines in, JSON lines out, in the order of the input.

mod line;

use anyhow::{Context as _, Result};
use serde_json::{Value as Json, json};
use verify::{Judgement, Submission, Verifier};

pub(crate) use line::parse;

use super::{lines, put};
use crate::machine::Machine;

/// Lines that are judged together: enough to keep every slot busy.
const BATCH: usize = 256;

/// Judges every line of standard input. Returns how many could not be read.
pub(crate) fn run(machine: &Machine) -> Result<usize> {
    let verifier = machine.start_verifier()?;
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
                put(&unreadable(number, &e))?;
            }
            Ok((id, _)) => {
                let j = judgements.next().context("a judgement for each submission")?;
                put(&answer(&id, &j))?;
            }
        }
    }
    Ok(malformed)
}

/// The answer to a submission.
pub(crate) fn answer(id: &Json, j: &Judgement) -> Json {
    json!({
        "id": id,
        "verdict": j.verdict.name(),
        "passed": j.passed,
        "total": j.total,
        "detail": j.detail,
        "sandbox": j.tier.name(),
        "cpu_ms": j.cpu_ms,
        "wall_ms": j.wall_ms,
    })
}

/// The answer to the line of that number, which is no submission.
pub(crate) fn unreadable(number: usize, why: &anyhow::Error) -> Json {
    json!({ "line": number, "error": format!("{why:#}") })
}
