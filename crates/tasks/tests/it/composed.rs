//! Composed tasks against the verifier: Python agrees with Rust, and mutants fail.

use tasks::{Source, Split, Task, TaskId, composed, program};
use verify::{Verdict, Verifier, VerifierConfig};

#[test]
fn references_are_accepted_and_mutants_rejected() {
    let verifier =
        Verifier::start(VerifierConfig { slots: 2, ..VerifierConfig::default() }).unwrap();
    let (mut names, mut submissions) = (Vec::new(), Vec::new());
    for split in [Split::Pretrain, Split::Train, Split::Validation, Split::Test] {
        for seed in 0..50 {
            let difficulty = (seed % 10) as u8 + 1;
            let id = TaskId { family: composed::NAME.to_string(), difficulty, split, seed };
            let task = Task::build(&id).unwrap();
            let Source::Composed(composition) = &task.source else { unreachable!() };
            let param = &task.params[0];
            let mut add = |name: String, body: &str| {
                names.push((id.to_string(), name));
                submissions.push(task.submission(program(&task, body), true));
            };
            add(String::new(), &composed::reference(composition, param));
            for (name, body) in composed::mutants(composition, param) {
                add(name, &body);
            }
        }
    }
    let judgements = verifier.judge(&submissions).unwrap();
    let mut alive = 0;
    for ((id, mutant), judgement) in names.iter().zip(&judgements) {
        if mutant.is_empty() {
            assert_eq!(judgement.verdict, Verdict::Accepted, "{id} {}", judgement.detail);
        } else if judgement.verdict == Verdict::Accepted {
            alive += 1;
            println!("{id}: {mutant} survives");
        }
        assert_ne!(judgement.verdict, Verdict::JudgeError);
    }
    assert!(alive * 500 <= names.len(), "{alive} mutants of {} survive", names.len());
}
