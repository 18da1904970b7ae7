//! Choosing among many programs: `axiom solve`, and `axiom eval --search` and `--puzzles`.

use std::fs;

use serde_json::Value;

use crate::binary::{folder, output, stderr, stdout};

fn json(args: &[&str]) -> Value {
    let output = output(args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    serde_json::from_str(stdout(&output).trim()).unwrap()
}

#[test]
fn solve_prints_a_program_that_passes_the_examples() {
    let task = ["solve", "--task", "is_palindrome/2/test/0", "-n", "8"];
    let found = output(&task);
    assert_eq!(found.status.code(), Some(0), "{}", stderr(&found));
    assert!(stdout(&found).starts_with("def "), "{}", stdout(&found));
    let found = json(&[&task[..], &["--json"]].concat());
    assert_eq!(found["examples_passed"], found["examples"]);
    assert_eq!(found["samples"], 8);
    assert_eq!(found, json(&[&task[..], &["--json", "--threads", "1"]].concat()));
}

#[test]
fn what_cannot_be_solved_is_tried_again_and_said() {
    let task = ["solve", "--prompt", "Nothing.", "--example", "f(1, 2) == 'xyzzy'", "-n", "3"];
    let found = output(&[&task[..], &["--retries", "2", "--json"]].concat());
    assert_eq!(found.status.code(), Some(1), "{}", stderr(&found));
    let found: Value = serde_json::from_str(stdout(&found).trim()).unwrap();
    assert_eq!((&found["examples_passed"], &found["passing"]), (&0.into(), &0.into()));
    assert!(found["samples"].as_u64().unwrap() > 3, "{found}");
}

#[test]
fn bad_questions_are_refused() {
    let refused = |args: &[&str], why: &str| {
        let found = output(&[&["solve"], args].concat());
        assert_eq!(found.status.code(), Some(2), "{args:?}: {}", stderr(&found));
        assert!(stderr(&found).contains(why), "{args:?}: {}", stderr(&found));
    };
    refused(&["--prompt", "x"], "--example");
    refused(&["--prompt", "x", "--example", "f(1)) == 2"], "is not a call with its value");
    refused(&["--prompt", "x", "--example", "f(1)==2", "--example", "g(1)==2"], "`f` and `g`");
    refused(&["--task", "lcs/5"], "is not FAMILY/DIFFICULTY/SPLIT/SEED");
    refused(&["--task", "lcs/5/test/0", "--top-p", "0"], "top_p is above 0");
}

#[test]
fn search_says_how_often_the_chosen_one_is_right() {
    let args = ["eval", "--families", "fibonacci,is_palindrome", "--tasks", "4", "--samples", "4"];
    let found = json(&[&args[..], &["--temperature", "1", "--search", "--json"]].concat());
    for name in ["best@1", "best@2", "best@4", "majority@1", "majority@4"] {
        assert_eq!(found["search"][name]["n"], 8, "{name}: {found}");
    }
    assert_eq!(found["search"]["best@1"]["passed"], found["search"]["majority@1"]["passed"]);
}

#[test]
fn puzzles_of_a_file_are_measured() {
    let (keep, _) = folder();
    let file = keep.path().join("crux.jsonl");
    let line = r#"{"code":"def f(xs):\n    return xs[1:]\n","input":"[3, 1]","output":"[1]"}"#;
    fs::write(&file, format!("{line}\n\n{line}\n")).unwrap();
    let path = file.to_str().unwrap();
    let args = ["eval", "--model", "embedded-selfplay", "--puzzles", path, "--json"];
    let found = json(&args);
    assert_eq!(found["families"]["deduction"]["n"], 2, "{found}");
    assert_eq!(found["families"]["abduction"]["n"], 2, "{found}");
    let bad = line.replace("[1]\"", "[1] or True\"");
    fs::write(&file, format!("{line}\n{bad}\n")).unwrap();
    let found = output(&args);
    assert!(!found.status.success());
    assert!(stderr(&found).contains("line 2"), "{}", stderr(&found));
}
