//! What a completion says: the fenced blocks in it, and the literals in those.
//!
//! A block is opened by a line of three backticks and a label, and closed by a line of three
//! backticks. Of several blocks with a label the last counts: what stands before it is
//! reasoning. Nothing here runs anything; an input such as `1) or (True` is no literal.

use serde::{Deserialize, Serialize};
use verify::Value;

use super::VALUE_BYTES_MAX;

const FENCE: &str = "```";
/// Deepest nesting of a value.
const DEPTH_MAX: usize = 32;

/// What must stand around the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Nothing in particular.
    Plain,
    /// `<think>…</think> <answer>…</answer>`, blocks inside the answer (the paper's).
    ThinkAnswer,
}

/// Why nothing could be taken from a completion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The tags are not there.
    #[error("no <think>…</think><answer>…</answer>")]
    Tags,
    /// A block is not there, or not closed.
    #[error("no `{0}` block")]
    Block(&'static str),
    /// A value is not a literal.
    #[error("not a literal: {0}")]
    Literal(String),
    /// A value is longer than [`VALUE_BYTES_MAX`] or nested too deep.
    #[error("a value is too large")]
    Large,
}

/// A program and the arguments to call it with.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Python source.
    pub program: String,
    /// Positional arguments.
    pub args: Vec<Value>,
}

/// The proposal of a deduction or abduction puzzle.
///
/// # Errors
/// What is missing or no literal.
pub fn proposal(completion: &str, format: Format) -> Result<Proposal, Unreadable> {
    let text = format.answer(completion)?;
    let program = last(text, "python")?;
    Ok(Proposal { program, args: args(&last(text, "input")?)? })
}

/// The proposal of an induction puzzle: the last `n` inputs, and the message.
///
/// # Errors
/// What is missing or no literal.
pub fn induction_proposal(
    completion: &str,
    n: usize,
    format: Format,
) -> Result<(Vec<Vec<Value>>, String), Unreadable> {
    let text = format.answer(completion)?;
    let message = last(text, "message")?.trim().to_string();
    let inputs: Vec<String> = blocks(text, "input").collect();
    let first = inputs.len().checked_sub(n).ok_or(Unreadable::Block("input"))?;
    Ok((inputs[first..].iter().map(|text| args(text)).collect::<Result<_, _>>()?, message))
}

/// The program in a solver's completion.
///
/// # Errors
/// If there is none.
pub fn program(completion: &str, format: Format) -> Result<String, Unreadable> {
    last(format.answer(completion)?, "python")
}

/// The arguments (`label` is `input`) or the output (`output`) in a solver's completion; an
/// output is one value.
///
/// # Errors
/// What is missing or no literal.
pub fn value(
    completion: &str,
    label: &'static str,
    format: Format,
) -> Result<Vec<Value>, Unreadable> {
    let text = last(format.answer(completion)?, label)?;
    if label == "input" { args(&text) } else { Ok(vec![literal(&text)?]) }
}

impl Format {
    /// The part of a completion that counts.
    fn answer(self, completion: &str) -> Result<&str, Unreadable> {
        if self == Self::Plain {
            return Ok(completion);
        }
        let rest = completion.trim_start();
        let rest = rest.strip_prefix("<think>").unwrap_or(rest);
        let (_, rest) = rest.split_once("</think>").ok_or(Unreadable::Tags)?;
        let rest = rest.trim_start().strip_prefix("<answer>").ok_or(Unreadable::Tags)?;
        rest.split_once("</answer>").map(|(answer, _)| answer).ok_or(Unreadable::Tags)
    }
}

/// Arguments as they stand between the parentheses of a call; on several lines too.
///
/// # Errors
/// If they are no literals.
pub(super) fn args(text: &str) -> Result<Vec<Value>, Unreadable> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    match literal(&format!("({},)", text.trim().trim_end_matches(',')))? {
        Value::Tuple(args) => Ok(args),
        _ => Err(Unreadable::Literal("not a list of arguments".to_string())),
    }
}

/// What [`args`] reads.
pub(super) fn args_text(args: &[Value]) -> String {
    args.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// One literal.
pub(super) fn literal(text: &str) -> Result<Value, Unreadable> {
    if text.len() > VALUE_BYTES_MAX {
        return Err(Unreadable::Large);
    }
    let value = Value::from_literal(text.trim()).map_err(|e| Unreadable::Literal(e.to_string()))?;
    if depth(&value) > DEPTH_MAX { Err(Unreadable::Large) } else { Ok(value) }
}

fn depth(value: &Value) -> usize {
    let deepest = |values: &[Value]| values.iter().map(depth).max().unwrap_or(0);
    match value {
        Value::List(v) | Value::Tuple(v) | Value::Set(v) => 1 + deepest(v),
        Value::Dict(pairs) => {
            1 + pairs.iter().map(|(k, v)| depth(k).max(depth(v))).max().unwrap_or(0)
        }
        Value::None
        | Value::Bool(_)
        | Value::Int(_)
        | Value::BigInt(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Bytes(_) => 0,
    }
}

fn last(text: &str, label: &'static str) -> Result<String, Unreadable> {
    blocks(text, label).last().ok_or(Unreadable::Block(label))
}

/// The closed blocks with this label, in order.
fn blocks<'a>(text: &'a str, label: &'a str) -> impl Iterator<Item = String> + 'a {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        loop {
            let opened = lines.find_map(|line| line.trim().strip_prefix(FENCE))?;
            let mut block = String::new();
            loop {
                let line = lines.next()?;
                if line.trim() == FENCE {
                    break;
                }
                block.push_str(line);
                block.push('\n');
            }
            if opened.trim() == label {
                return Some(block);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_is_a_program_and_an_input() {
        let text = "```python\ndef f(a, b):\n    return a\n```\n```input\n[1, 2],\n 'x'\n```\n";
        let found = proposal(text, Format::Plain).unwrap();
        assert_eq!(found.program, "def f(a, b):\n    return a\n");
        assert_eq!(args_text(&found.args), "[1, 2], 'x'");
    }

    #[test]
    fn the_last_block_counts_and_it_must_be_closed() {
        let two = "```output\n1\n```\nNo:\n```output\n2\n```";
        assert_eq!(value(two, "output", Format::Plain).unwrap(), [Value::Int(2)]);
        let open = "```output\n1\n";
        assert_eq!(value(open, "output", Format::Plain), Err(Unreadable::Block("output")));
    }

    #[test]
    fn what_would_be_code_elsewhere_is_no_literal_here() {
        // METHODS 9.9 (2), (3) and (7): a call cut open, an object that equals everything, and
        // an input on several lines, which is one after all.
        for attack in ["1) or (True", "type('X',(),{'__eq__':lambda s,o:True})()", "1; 2", "f(1)"] {
            let text = format!("```input\n{attack}\n```");
            let found = value(&text, "input", Format::Plain);
            assert!(matches!(found, Err(Unreadable::Literal(_))), "{attack}: {found:?}");
        }
        let lines = "```input\n[1,\n 2]\n```";
        assert_eq!(args_text(&value(lines, "input", Format::Plain).unwrap()), "[1, 2]");
    }

    #[test]
    fn large_values_are_refused_and_never_cut() {
        let long = format!("```output\n'{}'\n```", "x".repeat(VALUE_BYTES_MAX));
        assert_eq!(value(&long, "output", Format::Plain), Err(Unreadable::Large));
        let deep = format!("```output\n{}{}\n```", "[".repeat(40), "]".repeat(40));
        assert_eq!(value(&deep, "output", Format::Plain), Err(Unreadable::Large));
    }

    #[test]
    fn tags_are_asked_for_where_the_format_has_them() {
        let good = "<think>hm\n```output\n1\n```</think>\n<answer>\n```output\n2\n```\n</answer>";
        assert_eq!(value(good, "output", Format::ThinkAnswer).unwrap(), [Value::Int(2)]);
        for bad in ["```output\n2\n```", "<think>a</think> ```output\n2\n```", "<answer>"] {
            assert_eq!(value(bad, "output", Format::ThinkAnswer), Err(Unreadable::Tags));
        }
    }

    #[test]
    fn an_induction_proposal_takes_the_last_inputs() {
        let text = "```input\n1\n```\n```input\n2\n```\n```input\n3\n```\n```message\nadd\n```\n";
        let (inputs, message) = induction_proposal(text, 2, Format::Plain).unwrap();
        assert_eq!(
            (inputs, message.as_str()),
            (vec![vec![Value::Int(2)], vec![Value::Int(3)]], "add")
        );
        let few = induction_proposal(text, 4, Format::Plain);
        assert_eq!(few, Err(Unreadable::Block("input")));
    }
}
