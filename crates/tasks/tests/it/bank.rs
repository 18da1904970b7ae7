//! The bank of self-play against the verifier: Python agrees with Rust, and what is no answer
//! fails.

use tasks::{
    Split,
    selfplay::{ENTRY_POINT, Puzzle, TaskKind, bank},
};
use verify::{Judgement, Submission, Value, Verdict, Verifier, VerifierConfig};

fn puzzles(kind: TaskKind) -> Vec<Puzzle> {
    let mut all = Vec::new();
    for split in [Split::Validation, Split::Test] {
        for depth in 1..=3 {
            all.extend((0..12).map(|seed| bank(kind, depth, split, seed)));
        }
    }
    all
}

fn judge(submissions: &[Submission]) -> Vec<Verdict> {
    let config = VerifierConfig { slots: 2, ..VerifierConfig::default() };
    let verifier = Verifier::start(config).expect("the sandbox starts");
    let judgements = verifier.judge(submissions).expect("the sandbox works");
    judgements.into_iter().map(|Judgement { verdict, .. }| verdict).collect()
}

#[test]
fn a_puzzle_of_the_bank_is_a_function_of_its_arguments() {
    for kind in TaskKind::ALL {
        assert_eq!(puzzles(kind), puzzles(kind));
    }
    let of = |split, seed| bank(TaskKind::Deduction, 2, split, seed);
    assert_ne!(of(Split::Test, 0), of(Split::Test, 1));
    assert_ne!(of(Split::Test, 0), of(Split::Validation, 0));
}

#[test]
fn programs_of_the_bank_do_what_it_says() {
    let mut submissions = Vec::new();
    for kind in TaskKind::ALL {
        for puzzle in puzzles(kind) {
            let program = puzzle.program.clone();
            let all = Puzzle { kind: TaskKind::Deduction, ..puzzle };
            submissions.push(all.induced(program));
        }
    }
    assert!(judge(&submissions).iter().all(|verdict| *verdict == Verdict::Accepted));
}

#[test]
fn references_pass_their_own_checks_and_the_identity_does_not() {
    for puzzle in puzzles(TaskKind::Deduction) {
        let case = &puzzle.cases[0];
        assert!(puzzle.deduced(&case.expected) && !puzzle.deduced(&case.args[0]));
    }
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for puzzle in puzzles(TaskKind::Abduction) {
        let case = puzzle.cases[0].clone();
        right.push(puzzle.abduced(case.args));
        wrong.push(puzzle.abduced(vec![case.expected]));
    }
    for puzzle in puzzles(TaskKind::Induction) {
        right.push(puzzle.induced(puzzle.program.clone()));
        wrong.push(puzzle.induced(format!("def {ENTRY_POINT}(xs):\n    return xs\n")));
        let table: Vec<String> = puzzle
            .shown()
            .iter()
            .map(|case| {
                format!("    if xs == {}:\n        return {}\n", case.args[0], case.expected)
            })
            .collect();
        wrong.push(puzzle.induced(format!("def {ENTRY_POINT}(xs):\n{}", table.concat())));
        assert_eq!(puzzle.shown().len(), puzzle.hidden().len());
        assert!(puzzle.hidden().iter().all(|case| !matches!(case.expected, Value::None)));
    }
    assert!(judge(&right).iter().all(|verdict| *verdict == Verdict::Accepted));
    assert!(judge(&wrong).iter().all(|verdict| *verdict != Verdict::Accepted));
}
