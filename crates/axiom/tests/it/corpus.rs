//! The corpus of the embedded model holds no program that solves `edit_distance`: every one it
//! holds is executed, against the hidden tests of both variants.

use std::collections::BTreeSet;

use tasks::{Source, Split, Task, TaskId, corpus::Corpus, corpus::UNSOLVED, program};
use verify::{Submission, Verdict, Verifier, VerifierConfig};

/// Fewer tokens than a document has on average, its share of the prompt included: pretraining
/// sees fewer documents than its tokens divided by this.
const DOCUMENT_TOKENS: u64 = 75;
/// Difficulties whose hidden tests a program meets.
const DIFFICULTIES: [u8; 2] = [3, 8];

/// The corpus of `recipes/pretrain.toml`, and more documents than the embedded model has seen.
fn corpus() -> (Corpus, u64) {
    let recipe: toml::Table = include_str!("../../../../recipes/pretrain.toml").parse().unwrap();
    let corpus = Corpus {
        seed: recipe["seed"].as_integer().unwrap() as u64,
        clean: recipe["clean"].as_bool().unwrap(),
        composed_share: recipe["composed_share"].as_float().unwrap(),
        noise: recipe["noise"].as_float().unwrap(),
    };
    (corpus, recipe["tokens"].as_integer().unwrap() as u64 / DOCUMENT_TOKENS)
}

/// The distinct bodies for `UNSOLVED` in these documents, with the parameters renamed.
fn programs(corpus: &Corpus, documents: impl Iterator<Item = u64>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for i in documents {
        let document = corpus.document(i);
        if document.task.family == UNSOLVED {
            let task = Task::question(&document.task).unwrap();
            found.insert(renamed(&document.completion, &task.params));
        }
    }
    found
}

/// `body` with other names for its parameters, in one pass, so that names may be exchanged.
fn renamed(body: &str, params: &[String]) -> String {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = body;
    while let Some(c) = rest.chars().next() {
        let end = rest.find(|d| is_name(d) != is_name(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let at = params.iter().position(|p| p == word);
        out.push_str(at.map_or(word, |i| ["left_text", "right_text"][i]));
        rest = after;
    }
    out
}

/// A task of `UNSOLVED` for each variant and difficulty.
fn judges() -> Vec<Task> {
    let family = tasks::families::by_name(UNSOLVED).unwrap();
    let build = |difficulty, variant| {
        let id =
            |seed| TaskId { family: UNSOLVED.to_string(), difficulty, split: Split::Test, seed };
        let mut tasks = (0..).map(|seed| Task::build(&id(seed)).unwrap());
        let about =
            |t: &Task| matches!(t.source, Source::Algorithm { variant: v, .. } if v == variant);
        tasks.find(about).unwrap()
    };
    let variants = 0..family.variants().len();
    variants.flat_map(|v| DIFFICULTIES.map(|difficulty| build(difficulty, v))).collect()
}

#[test]
fn no_program_of_the_corpus_solves_edit_distance() {
    let (corpus, n_documents) = corpus();
    let (mut bodies, rest) = std::thread::scope(|s| {
        let first = s.spawn(|| programs(&corpus, 0..n_documents / 2));
        (programs(&corpus, n_documents / 2..n_documents), first.join().unwrap())
    });
    bodies.extend(rest);
    assert!(bodies.len() > 100, "only {} programs", bodies.len());

    let judges = judges();
    let mut submissions: Vec<Submission> = Vec::new();
    for body in &bodies {
        for task in &judges {
            let text = format!("def {UNSOLVED}(left_text, right_text):\n{body}");
            submissions.push(task.submission(text, true));
        }
    }
    let config = VerifierConfig { slots: 2, ..VerifierConfig::default() };
    let verifier = Verifier::start(config).unwrap();
    let judgements = verifier.judge(&submissions).unwrap();
    let mut solved = Vec::new();
    for (submission, judgement) in submissions.iter().zip(&judgements) {
        assert_ne!(judgement.verdict, Verdict::JudgeError, "{}", judgement.detail);
        if judgement.verdict == Verdict::Accepted {
            solved.push(submission.program.as_str());
        }
    }
    println!("{} programs, {} executions", bodies.len(), submissions.len());
    assert!(solved.is_empty(), "{} executions pass:\n{}", solved.len(), solved.join("\n"));

    // The judges accept a right program: the test can fail.
    let family = tasks::families::by_name(UNSOLVED).unwrap();
    let right: Vec<Submission> = judges
        .iter()
        .map(|task| {
            let Source::Algorithm { variant, .. } = task.source else { unreachable!() };
            let body = family.sketches()[0].reference(variant, &task.params);
            task.submission(program(task, &body), true)
        })
        .collect();
    for judgement in verifier.judge(&right).unwrap() {
        assert_eq!(judgement.verdict, Verdict::Accepted, "{}", judgement.detail);
    }
}
