//! Hostile programs. Each file of `tests/escapes` states in its first line the verdicts that it
//! may get. None is ever accepted, and none harms the next program on the same zygote.

use std::path::Path;

use verify::{Limits, Verdict};

use crate::{SQUARES, judge, still_honest, submission, verifier};

/// `(name, expected verdicts, program)`.
fn all() -> Vec<(String, Vec<String>, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/escapes");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let program = std::fs::read_to_string(&path).unwrap();
            let first = program.lines().next().unwrap();
            let expected = first.strip_prefix("# expect: ").expect("a first line with verdicts");
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, expected.split(',').map(str::to_string).collect(), program)
        })
        .collect();
    found.sort();
    found
}

#[test]
fn no_escape_is_accepted_and_none_harms_the_next() {
    let verifier = verifier();
    let zygotes = verifier.zygotes();
    let limits = Limits { cpu_ms: 250, wall_ms: 5_000, ..Limits::default() };
    let escapes = all();
    assert!(escapes.len() >= 35);
    let mut wrong = Vec::new();
    for (name, expected, program) in escapes {
        let found =
            judge(&verifier, &crate::Submission { limits, ..submission(&program, SQUARES) });
        assert_ne!(found.verdict, Verdict::Accepted, "{name}");
        if !expected.iter().any(|e| e == found.verdict.name()) {
            wrong.push(format!("{name}: {found:?}, expected {expected:?}"));
        }
        assert!(!found.detail.contains(char::is_control), "{name}: {:?}", found.detail);
        still_honest(&verifier, &name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(verifier.zygotes(), zygotes, "a program broke its zygote");
}
