//! The corpus of the model that self-play starts from: six forms, fluent and often wrong.
//!
//! A document is a pure function of the corpus and its index. Programs that evaluations own
//! (see [`held_out`](super::held_out)) are in no prompt and no completion.

mod propose;
mod solve;

use rand::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use verify::{TestCase, Value};

use super::{
    Puzzle, Role, Style, TaskKind, ask_proposal, ask_puzzle, ask_questions,
    short::{Short, case, input},
};
use crate::{Rng, Split, composed::Data};

/// How often each form occurs, of 100.
const SHARES: [(Role, TaskKind, u32); 6] = [
    (Role::Solver, TaskKind::Deduction, 32),
    (Role::Solver, TaskKind::Abduction, 24),
    (Role::Solver, TaskKind::Induction, 28),
    (Role::Proposer, TaskKind::Deduction, 6),
    (Role::Proposer, TaskKind::Abduction, 5),
    (Role::Proposer, TaskKind::Induction, 5),
];
/// Documents at the start that are right: a skill is learnt before its mistakes.
const CLEAN: u64 = 120_000;
/// How often a program is the identity, with which self-play begins.
const IDENTITY: f64 = 0.04;
/// Values that the identity meets, besides lists.
const WORDS: [&str; 6] = ["Hello world", "hello", "world", "abc", "a b c", "yes"];

/// What a corpus is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Corpus {
    /// Which corpus of its kind.
    pub seed: u64,
    /// Scales the mistakes in solutions and proposals; 1 is the full rate.
    pub noise: f64,
}

/// A prompt and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The role that the completion plays.
    pub role: Role,
    /// The kind of puzzle.
    pub kind: TaskKind,
    /// The prompt, in [`Style::Brief`].
    pub prompt: String,
    /// The completion, ending in a newline.
    pub completion: String,
}

/// A program and what it was seen to do.
struct Subject {
    /// The composed program; `None` is the identity.
    short: Option<Short>,
    puzzle: Puzzle,
    /// The values of its first case; the input first.
    trace: Vec<Data>,
}

impl Corpus {
    /// The document at `index`.
    pub fn document(&self, index: u64) -> Document {
        let rng = |what: &str, index: u64| {
            let name = format!("selfplay/{}/{what}/{index}", self.seed);
            Rng::from_seed(Sha256::digest(name).into())
        };
        let mut question = rng("question", index);
        let mut answer = rng("answer", index);
        let noise = if index < CLEAN { 0.0 } else { self.noise };
        let (role, kind) = form(&mut question);
        let (prompt, completion) = match (role, kind) {
            (Role::Solver, _) => {
                let subject = subject(kind, &mut question);
                let completion = solve::completion(&subject, noise, &mut answer);
                (ask_puzzle(&subject.puzzle, Style::Brief), completion)
            }
            (Role::Proposer, TaskKind::Induction) => {
                let subject = subject(kind, &mut question);
                let n = [4, 4, 5, 6][question.random_range(0..4)];
                let completion = propose::questions(&subject, n, noise, &mut answer);
                (ask_questions(&subject.puzzle.program, n, Style::Brief), completion)
            }
            (Role::Proposer, TaskKind::Deduction | TaskKind::Abduction) => {
                let shown: Vec<Puzzle> = references(kind, &mut question);
                let completion = propose::puzzle(&shown, noise, &mut answer);
                (ask_proposal(kind, &shown.iter().collect::<Vec<_>>(), Style::Brief), completion)
            }
        };
        Document { role, kind, prompt, completion }
    }
}

fn form(rng: &mut Rng) -> (Role, TaskKind) {
    let mut at = rng.random_range(0..SHARES.iter().map(|s| s.2).sum());
    for (role, kind, share) in SHARES {
        if at < share {
            return (role, kind);
        }
        at -= share;
    }
    unreachable!("the draw is below the sum")
}

/// No reference, or one or two; the identity among them as often as in a young buffer.
fn references(kind: TaskKind, rng: &mut Rng) -> Vec<Puzzle> {
    if rng.random_bool(0.1) {
        return vec![Puzzle::identity(kind)];
    }
    (0..rng.random_range(0..=2)).map(|_| subject(kind, rng).puzzle).collect()
}

/// A program of one to three steps, more often of one.
fn short(rng: &mut Rng) -> Short {
    let depth = [1, 1, 1, 1, 1, 2, 2, 2, 3, 3][rng.random_range(0..10)];
    Short::draw(Split::Pretrain, depth, rng)
}

fn subject(kind: TaskKind, rng: &mut Rng) -> Subject {
    if rng.random_bool(IDENTITY) {
        return identity(kind, rng);
    }
    loop {
        let short = short(rng);
        if let Some(subject) = subject_of(short, kind, rng) {
            return subject;
        }
    }
}

fn subject_of(short: Short, kind: TaskKind, rng: &mut Rng) -> Option<Subject> {
    let trace = short.trace(rng)?;
    let mut cases = vec![case(&trace)];
    let mut message = String::new();
    if kind == TaskKind::Induction {
        message = short.statement(Split::Pretrain, rng)?;
        for _ in 0..rng.random_range(3..=5) {
            cases.push(short.case(rng)?);
        }
    }
    let puzzle = Puzzle { kind, program: short.program(), message, cases: cases.into() };
    Some(Subject { short: Some(short), puzzle, trace })
}

/// The identity, on other values than the one that self-play begins with, too.
fn identity(kind: TaskKind, rng: &mut Rng) -> Subject {
    let mut puzzle = Puzzle::identity(kind);
    let n = if kind == TaskKind::Induction { rng.random_range(4..=7) } else { 1 };
    let values: Vec<Data> = (0..n)
        .map(|_| match rng.random_range(0..3) {
            0 => Data::Text(WORDS[rng.random_range(0..WORDS.len())].to_string()),
            1 => Data::Int(rng.random_range(0..=20)),
            _ => input(rng),
        })
        .collect();
    let same = |value: Value| TestCase { args: vec![value.clone()], expected: value };
    puzzle.cases = values.iter().map(|data| same(data.value())).collect();
    Subject { short: None, puzzle, trace: values[..1].to_vec() }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::{
        super::{Format, bank, held_out, induction_proposal, program, proposal, value},
        *,
    };

    const CORPUS: Corpus = Corpus { seed: 0, noise: 1.0 };

    #[test]
    fn a_document_is_a_function_of_corpus_and_index() {
        for i in CLEAN..CLEAN + 50 {
            assert_eq!(CORPUS.document(i), CORPUS.document(i));
        }
        assert_ne!(CORPUS.document(CLEAN), Corpus { seed: 1, ..CORPUS }.document(CLEAN));
    }

    /// Every program in a text.
    fn programs(text: &str) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for line in text.lines() {
            if line.starts_with("def ") {
                all.push(String::new());
            }
            if let Some(last) = all.last_mut()
                && (line.starts_with("def ") || line.starts_with("    "))
            {
                last.push_str(&format!("{line}\n"));
            }
        }
        all
    }

    #[test]
    fn no_document_holds_a_program_of_the_bank() {
        let mut banned = HashSet::new();
        for kind in TaskKind::ALL {
            for depth in 1..=3 {
                for split in [Split::Validation, Split::Test] {
                    banned.extend((0..40).map(|seed| bank(kind, depth, split, seed).program));
                }
            }
        }
        assert!(banned.iter().all(|text| held_out(text)));
        for i in CLEAN - 1_000..CLEAN + 9_000 {
            let document = CORPUS.document(i);
            for text in programs(&format!("{}{}", document.prompt, document.completion)) {
                assert!(!held_out(&text) && !banned.contains(&text), "{text}");
            }
        }
    }

    #[test]
    fn every_form_is_there_and_mostly_readable() {
        let mut counts: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        let mut chars = 0;
        for i in CLEAN..CLEAN + 6_000 {
            let document = CORPUS.document(i);
            let (text, form) = (&document.completion, Format::Plain);
            let ok = match (document.role, document.kind) {
                (Role::Proposer, TaskKind::Induction) => induction_proposal(text, 3, form).is_ok(),
                (Role::Proposer, _) => proposal(text, form).is_ok(),
                (Role::Solver, TaskKind::Deduction) => value(text, "output", form).is_ok(),
                (Role::Solver, TaskKind::Abduction) => value(text, "input", form).is_ok(),
                (Role::Solver, TaskKind::Induction) => program(text, form).is_ok(),
            };
            let name = format!("{} {}", document.role.name(), document.kind);
            let count = counts.entry(name).or_default();
            *count = (count.0 + u32::from(ok), count.1 + 1);
            chars += document.prompt.len() + text.len();
        }
        println!("{counts:?}, {} characters a document", chars / 6_000);
        assert_eq!(counts.len(), 6);
        for (name, (ok, n)) in counts {
            assert!(n > 200 && ok * 100 > n * 80, "{name}: {ok} of {n}");
            assert!(name.starts_with("propose") || ok == n, "{name}: {ok} of {n}");
        }
    }
}
