//! Files as CRUXEval has them: JSON lines with `code`, which defines `f`, the text of its
//! `input`, and that of its `output`.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tasks::selfplay::{Puzzle, TaskKind};

#[derive(Deserialize)]
struct Line {
    code: String,
    input: String,
    output: String,
}

/// Every line as two puzzles: its output to be found, and an input that gives it.
///
/// # Errors
/// The first line that is no such object, or whose values are no literals.
pub(crate) fn read(path: &Path) -> Result<Vec<Puzzle>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut puzzles = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let context = || format!("{}, line {}", path.display(), i + 1);
        let line: Line = serde_json::from_str(line).with_context(context)?;
        let puzzle = |kind| Puzzle::given(kind, &line.code, &line.input, &line.output);
        puzzles.push(puzzle(TaskKind::Deduction).with_context(context)?);
        puzzles.push(puzzle(TaskKind::Abduction).with_context(context)?);
    }
    if puzzles.is_empty() {
        bail!("{} holds no line", path.display());
    }
    Ok(puzzles)
}
