//! The commands, one file each.

pub(crate) mod compare;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod generate;
pub(crate) mod merge;
mod picture;
pub(crate) mod pretrain;
pub(crate) mod run;
pub(crate) mod score;
pub(crate) mod solve;
pub(crate) mod tasks;
pub(crate) mod verify;

use std::io::{BufRead as _, Write as _};

use anyhow::Result;
use serde_json::Value;

/// Reads JSON lines from standard input.
pub(crate) fn lines() -> impl Iterator<Item = std::io::Result<String>> {
    std::io::stdin().lock().lines().filter(|l| l.as_ref().map_or(true, |l| !l.trim().is_empty()))
}

/// Writes one JSON line to standard output.
pub(crate) fn put(value: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}

/// Writes text to standard output.
pub(crate) fn show(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
