//! What a proposer writes: a program and an input, or inputs and a message; some are no good.

use rand::Rng as _;
use verify::TestCase;

use super::{Puzzle, Short, Subject, WORDS, short};
use crate::{
    Rng, Split,
    composed::{self, Data},
    selfplay::{
        answer::args_text,
        held_out,
        short::{PARAM, input, program},
    },
};

/// How many proposals have a flaw, at full noise.
const FLAWED: f64 = 0.32;
/// How many messages describe another program, at full noise.
const MISLEADING: f64 = 0.2;

/// A program and an input, mostly unlike `references`.
pub(super) fn puzzle(references: &[Puzzle], noise: f64, rng: &mut Rng) -> String {
    loop {
        // What is torn or renamed may read like a program that evaluations own.
        let text = drawn(references, noise, rng);
        if !held_out(&text) {
            return text;
        }
    }
}

fn drawn(references: &[Puzzle], noise: f64, rng: &mut Rng) -> String {
    let (short, values) = loop {
        let short = short(rng);
        if let Some(values) = short.trace(rng) {
            break (short, values);
        }
    };
    let (text, args) = (short.program(), values[0].value().to_string());
    if !rng.random_bool((FLAWED * noise).min(1.0)) {
        return format!("{}{}", block("python", &text), block("input", &args));
    }
    match rng.random_range(0..6) {
        0 => format!("{}{}", block("python", &misfit(rng)), block("input", &args)),
        1 => format!("{}{}", block("python", &unnamed(&short)), block("input", &args)),
        2 => format!("{}{}", block("python", &torn(&text, rng)), block("input", &args)),
        3 => format!("{}{}", block("python", &text), block("input", &stranger(rng))),
        4 => format!("{}{}", block("python", &text), unclosed("input", &args)),
        _ => {
            let copied = references.first().map_or(text, |puzzle| puzzle.program.clone());
            format!("{}{}", block("python", &copied), block("input", &args))
        }
    }
}

/// Inputs to the subject's program, and a message about it.
pub(super) fn questions(subject: &Subject, n: usize, noise: f64, rng: &mut Rng) -> String {
    let mut inputs: Vec<String> = (0..n).map(|i| args(subject, i, rng)).collect();
    let message = message(subject, noise, rng);
    if !rng.random_bool((FLAWED * noise).min(1.0)) {
        return written(&inputs) + &block("message", &message);
    }
    match rng.random_range(0..4) {
        0 => {
            let at = rng.random_range(0..n);
            inputs[at] = stranger(rng);
        }
        1 => inputs.truncate(n - 1),
        2 => return written(&inputs) + &unclosed("message", &message),
        _ => return written(&inputs),
    }
    written(&inputs) + &block("message", &message)
}

fn written(inputs: &[String]) -> String {
    inputs.iter().map(|input| block("input", input)).collect()
}

fn args(subject: &Subject, i: usize, rng: &mut Rng) -> String {
    let known = |case: &TestCase| args_text(&case.args);
    match &subject.short {
        None => {
            let at = rng.random_range(0..subject.puzzle.cases.len());
            subject.puzzle.cases.get(if i == 0 { 0 } else { at }).map_or_else(String::new, known)
        }
        Some(short) => {
            short.case(rng).map_or_else(|| input(rng).value().to_string(), |c| known(&c))
        }
    }
}

fn message(subject: &Subject, noise: f64, rng: &mut Rng) -> String {
    let other = rng.random_bool((MISLEADING * noise).min(1.0)).then(|| short(rng));
    let short = other.as_ref().or(subject.short.as_ref());
    let said = short.and_then(|short| short.statement(Split::Pretrain, rng));
    said.unwrap_or_else(|| subject.puzzle.message.clone())
}

fn block(label: &str, text: &str) -> String {
    format!("{}```\n", unclosed(label, text))
}

fn unclosed(label: &str, text: &str) -> String {
    format!("```{label}\n{}\n", text.trim_end())
}

/// Steps after one that gives a number, as if it gave a list.
fn misfit(rng: &mut Rng) -> String {
    loop {
        let (first, second) = (short(rng), short(rng));
        let [head] = first.composition.steps.as_slice() else { continue };
        let sample = Data::List(vec![1, 2, 3]);
        let gives_number = matches!(composed::run(&first.lines(), &sample), Some(Data::Int(_)));
        let steps = [&[*head], second.composition.steps.as_slice()].concat();
        let body = composed::reference(&composed::Composition { steps }, PARAM);
        if gives_number {
            return program(&body);
        }
    }
}

/// The program with its parameter called otherwise than its steps have it.
fn unnamed(short: &Short) -> String {
    short.program().replacen(PARAM, "nums", 1)
}

/// The program without one of its brackets or colons.
fn torn(text: &str, rng: &mut Rng) -> String {
    let ends: Vec<usize> = text.match_indices([']', ')', ':']).map(|(i, _)| i).collect();
    let mut torn = text.to_string();
    if !ends.is_empty() {
        torn.remove(ends[rng.random_range(0..ends.len())]);
    }
    torn
}

/// An argument of another type.
fn stranger(rng: &mut Rng) -> String {
    match rng.random_range(0..3) {
        0 => rng.random_range(0..=9).to_string(),
        1 => format!("'{}'", WORDS[rng.random_range(0..WORDS.len())]),
        _ => "None".to_string(),
    }
}
