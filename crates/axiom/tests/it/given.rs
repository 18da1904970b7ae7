//! Completions that a run is given: SFT and cold starts.

use std::{fs, path::Path};

use crate::{
    binary::{Run, axiom, folder, output, stderr},
    methods::kill_after_a_step,
};

/// Wrong programs for a task, which no other method would learn, and a prompt of its own.
const GIVEN: &str = r#"
{"task": "is_palindrome/3/train/1", "completion": "    return None\n"}
{"task": "is_palindrome/3/train/2", "completion": "    return None\n"}
{"prompt": "def one():\n", "completion": "    return 1\n"}
"#;

const SHORT: &[&str] = &[
    "steps=20",
    "tasks.families=is_palindrome",
    "eval.tasks_per_family=2",
    "checkpoint.every=2",
    "data.per_step=4",
    "learn.lr=3e-3",
];

fn args<'a>(recipe: &'a str, out: &'a Path, settings: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["run", recipe, "--out", out.to_str().unwrap(), "--threads", "2"];
    for setting in settings {
        args.extend(["--set", *setting]);
    }
    args
}

#[test]
fn sft_learns_what_it_is_given_and_resumes_to_the_same_end() {
    let (home, whole) = folder();
    let file = home.path().join("given.jsonl");
    fs::write(&file, GIVEN).unwrap();
    let path = format!("data.path={}", file.display());
    let settings: Vec<&str> = SHORT.iter().copied().chain([path.as_str()]).collect();
    let done = output(&args("sft", &whole, &settings));
    assert!(done.status.success(), "{}", stderr(&done));
    let run = Run::read(&whole);
    let losses: Vec<f64> = run
        .events
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter_map(|event| event["loss"].as_f64())
        .collect();
    assert!(losses.len() == 20 && losses[19] < losses[0] / 4.0, "{losses:?}");
    assert_eq!(run.summary["tokens_generated"], 0);
    assert!(run.summary["tokens_trained"].as_u64().unwrap() > 100);

    let (_dir, dir) = folder();
    kill_after_a_step(axiom(&args("sft", &dir, &settings)), &dir);
    fs::write(&file, &GIVEN[1..]).unwrap();
    let resume = || output(&["resume", dir.to_str().unwrap(), "--threads", "1"]);
    assert!(stderr(&resume()).contains("no longer what the run began with"));
    fs::write(&file, GIVEN).unwrap();
    let done = resume();
    assert!(done.status.success(), "{}", stderr(&done));
    Run::read(&dir).assert_equals(&run, "sft");
}

#[test]
fn a_cold_start_is_imitated_from_the_first_step() {
    let (home, out) = folder();
    let file = home.path().join("given.jsonl");
    fs::write(&file, GIVEN).unwrap();
    let path = format!("replay.cold_start={}", file.display());
    let settings = ["steps=1", "replay.cold_start_share=0.5", "eval.tasks_per_family=1", &path];
    let done = output(&args("smoke", &out, &settings));
    assert!(done.status.success(), "{}", stderr(&done));
    let with = Run::read(&out);
    let (_plain, plain) = folder();
    assert!(output(&args("smoke", &plain, &["steps=1", settings[2]])).status.success());
    let without = Run::read(&plain);
    assert!(with.weights != without.weights);
    let kept = |run: &Run| run.summary["replay_programs"].as_u64().unwrap();
    assert_eq!(kept(&with), kept(&without) + 3);
}

#[test]
fn lines_that_cannot_be_learnt_from_are_refused() {
    let cases = [
        ("{}", "line 1: missing field `completion`"),
        ("\n{\"completion\": \"x\"}", "line 2: it needs `task` or `prompt`"),
        ("{\"task\": \"lcs/3/test/1\", \"completion\": \"x\"}", "which is for measuring"),
        ("{\"prompt\": \"a\", \"completion\": \"x\", \"reply\": 1}", "unknown field `reply`"),
        ("", "holds no completion"),
    ];
    for (text, why) in cases {
        let (home, out) = folder();
        let file = home.path().join("given.jsonl");
        fs::write(&file, text).unwrap();
        let path = format!("data.path={}", file.display());
        let done = output(&args("sft", &out, &[&path]));
        assert!(!done.status.success() && stderr(&done).contains(why), "{}", stderr(&done));
        assert!(!out.exists());
    }
    let long = format!("{{\"prompt\": \"a\", \"completion\": \"{}\"}}", "x ".repeat(2_000));
    let (home, out) = folder();
    let file = home.path().join("given.jsonl");
    fs::write(&file, long).unwrap();
    let done = output(&args("sft", &out, &[&format!("data.path={}", file.display())]));
    assert!(stderr(&done).contains("shorten it"), "{}", stderr(&done));
}
