//! `axiom score`: log-probs of given tokens.

use anyhow::{Context as _, Result, bail};
use model::{Chunk, Tape};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{lines, put};
use crate::policy::Policy;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    tokens: Option<Vec<u32>>,
    text: Option<String>,
}

/// Scores every line of standard input. Returns how many could not be scored.
pub(crate) fn run(policy: &Policy) -> Result<usize> {
    let mut failed = 0;
    let mut tape = Tape::default();
    for (i, line) in lines().enumerate() {
        match score(policy, &line?, &mut tape) {
            Ok(scored) => put(&scored)?,
            Err(e) => {
                failed += 1;
                put(&json!({ "line": i + 1, "error": format!("{e:#}") }))?;
            }
        }
    }
    Ok(failed)
}

fn score(policy: &Policy, line: &str, tape: &mut Tape) -> Result<Value> {
    let line: Line = serde_json::from_str(line)?;
    let tokens = match (line.tokens, &line.text) {
        (Some(tokens), None) => tokens,
        (None, Some(text)) => policy.tokenizer.encode(text)?,
        _ => bail!("give either `tokens` or `text`"),
    };
    if tokens.is_empty() {
        bail!("there are no tokens");
    }
    let mut chunk = Chunk::default();
    chunk.push(&tokens, None);
    chunk.targets = tokens[1..].iter().enumerate().map(|(i, t)| (i, *t)).collect();
    policy.model.score(&chunk, 1.0, tape).context("cannot score the tokens")?;
    // The first token has nothing before it.
    let logprobs: Vec<Option<f32>> =
        std::iter::once(None).chain(tape.log_probs().iter().copied().map(Some)).collect();
    let text = line.text.map_or_else(|| policy.tokenizer.decode(&tokens), Ok)?;
    Ok(json!({ "text": text, "tokens": tokens, "logprobs": logprobs }))
}
