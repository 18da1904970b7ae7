//! Odd requests: each has its message and its exit code.

use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
};

use crate::binary::{axiom, folder, output, stderr, stdout};

/// Asserts that `args` end with `code` and that the error names every one of `named`.
fn check(args: &[&str], code: i32, named: &[&str]) {
    let output = output(args);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    for name in named {
        assert!(said.contains(name), "{args:?} does not name {name:?}: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_run_that_will_not_fit_is_refused_and_a_smaller_one_named() {
    let output = axiom(&["plan", "smoke", "--json"]).output().unwrap();
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let parts: u64 = plan["bytes"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(plan["total"], parts);
    assert!(plan["bytes"]["weights"].as_u64().unwrap() > 4 * 900_000);
    let (_dir, run) = folder();
    let out = run.to_str().unwrap();
    let refused = ["run", "smoke", "--out", out, "--memory"];
    let with = |gib: &'static str| [&refused[..], &[gib]].concat();
    check(&with("0.01"), 2, &["would take", "nothing that axiom could change"]);
    let adapter = ["gradient_checkpointing=true --set model.adapter.r=16", "it takes"];
    check(&with("0.09"), 2, &adapter);
    check(&with("0"), 2, &["not a positive number of GiB"]);
    check(&with("much"), 2, &["not a number of GiB"]);
    let four_bits = ["plan", "--set", "model.load_dtype=nf4"];
    check(&four_bits, 1, &["weights that learn are float32"]);
    assert!(!run.exists());
}

#[test]
fn no_tokens_are_no_completion() {
    let prompt = ["--prompt", "def f(x):", "--max-tokens", "0"];
    check(&[&["generate"], &prompt[..]].concat(), 2, &["--max-tokens", "0 is not in 1.."]);
    check(&[&["solve"], &prompt[..]].concat(), 2, &["--max-tokens", "0 is not in 1.."]);
    check(&["eval", "--max-tokens", "0"], 2, &["--max-tokens", "0 is not in 1.."]);
}

#[test]
fn a_stop_string_ends_a_completion_before_it() {
    let prompt = ["generate", "--prompt", "def f(xs):\n", "--temperature", "0", "--json"];
    let completion = |more: &[&str]| -> Value {
        serde_json::from_str(&stdout(&output(&[&prompt[..], more].concat()))).unwrap()
    };
    let free = completion(&[]);
    assert_eq!(free["stop"], "end");
    let text = free["completion"].as_str().unwrap();
    // One that begins and ends within tokens, and one that comes later.
    let stop: String = text.chars().skip(7).take(9).collect();
    let cut = completion(&["--stop", &stop, "--stop", "\n\n\n"]);
    let before = &text[..text.find(&stop).unwrap()];
    assert_eq!((cut["stop"].as_str(), cut["completion"].as_str()), (Some("stop"), Some(before)));
    let drawn = |v: &Value| v["logprobs"].as_array().unwrap().clone();
    assert!(drawn(&free).starts_with(&drawn(&cut)));
    let kept = completion(&["--stop", "no such text"]);
    assert_eq!(kept, free);

    check(&[&prompt[..], &["--stop", ""]].concat(), 2, &["an empty stop string"]);
    let (_dir, run) = folder();
    let args = ["run", "default", "--out", run.to_str().unwrap(), "--set", "sampling.stop=[\"\"]"];
    check(&args, 2, &["sampling.stop", "an empty stop string"]);
}

#[test]
fn mistakes_in_a_recipe_are_named() {
    let (dir, run) = folder();
    let out = run.to_str().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    };
    let unknown = file("unknown.toml", "name = \"x\"\n[learn]\nlerning_rate = 1\nlr = 1e-4\n");
    let broken = file("broken.toml", "name = \n");
    let missing = dir.path().join("missing.toml");
    let missing = missing.to_str().unwrap();
    let set = |setting: &'static str| ["run", "smoke", "--out", out, "--set", setting];

    check(&["run", &unknown, "--out", out], 2, &["learn.lerning_rate", "did you mean `learn."]);
    check(&["run", &broken, "--out", out], 2, &["broken.toml"]);
    check(&["run", missing, "--out", out], 2, &["missing.toml", "default, composed"]);
    check(&set("stesp=1"), 2, &["unknown key `stesp`", "did you mean `steps`"]);
    check(&set("tasks.group_siz=1"), 2, &["did you mean `tasks.group_size`"]);
    check(&set("steps"), 2, &["not KEY=VALUE"]);
    check(&set("steps=many"), 2, &["`steps`"]);
    check(&set("steps=-1"), 2, &["steps"]);
    check(&set("tasks.group_size=1"), 2, &["group_size"]);
    check(&set("method=grop"), 2, &["no method `grop`", "grpo"]);
    check(&set("tasks.families=edit_distanse"), 2, &["did you mean `edit_distance`"]);
    let plan = ["plan", "smoke", "--set", "tasks.families=edit_distanse"];
    check(&plan, 2, &["tasks.families", "did you mean `edit_distance`"]);
    check(&["run", "smoke", "--out", out, "--threads", "0"], 2, &["--threads"]);
    check(&["eval", "--families", "soduko"], 2, &["unknown family `soduko`"]);
    check(&["frobnicate"], 2, &["frobnicate"]);
    assert!(!run.exists(), "a mistake leaves no folder");
}

#[test]
fn what_cannot_be_measured_is_named_before_anything_starts() {
    let (_dir, run) = folder();
    let out = run.to_str().unwrap();
    for (setting, argument, named) in [
        ("eval.split=tset", ["--split", "tset"], "`validation` or `test`, not `tset`"),
        ("eval.split=train", ["--split", "train"], "`validation` or `test`, not `train`"),
        ("eval.difficulty=11", ["--difficulty", "11"], "1 to 10, not 11"),
        ("eval.samples=0", ["--samples", "0"], "must be positive"),
        ("eval.tasks_per_family=0", ["--tasks", "0"], "must be positive"),
        ("eval.temperature=nan", ["--temperature", "nan"], "temperature"),
    ] {
        check(&["run", "smoke", "--out", out, "--set", setting], 2, &[named]);
        check(&[&["eval", "--families", "lcs"], &argument[..]].concat(), 2, &[named]);
    }
    assert!(!run.exists());
}

#[test]
fn folders_that_are_not_what_they_should_be_are_refused() {
    let (dir, run) = folder();
    let here = dir.path().to_str().unwrap();
    check(&["resume", here], 1, &["is not the folder of a run"]);
    check(&["resume", run.to_str().unwrap()], 1, &["is not the folder of a run"]);
    check(&["eval", "--model", here, "--families", "lcs"], 1, &["config.json"]);
    check(&["eval", "--model", "nowhere", "--families", "lcs"], 1, &["no model at `nowhere`"]);
    fs::create_dir(&run).unwrap();
    fs::write(run.join("events.jsonl"), "").unwrap();
    check(&["run", "smoke", "--out", run.to_str().unwrap()], 1, &["already"]);
    assert_eq!(fs::read(run.join("events.jsonl")).unwrap(), b"");
}

#[test]
fn a_task_is_the_same_every_time() {
    for id in ["edit_distance/5/test/0", "composed/7/validation/3", "rpn/1/train/9"] {
        let (first, second) = (output(&["tasks", "show", id]), output(&["tasks", "show", id]));
        assert!(first.status.success(), "{}", stderr(&first));
        assert!(stdout(&first).contains("hidden tests:"));
        assert_eq!(first.stdout, second.stdout);
    }
    let shown = output(&["tasks", "show", "--json", "lcs/5/train/0", "lcs/5/train/1"]);
    let exported = output(&["tasks", "export", "--families", "lcs", "--n", "2"]);
    assert!(!shown.stdout.is_empty() && shown.stdout == exported.stdout, "{}", stdout(&shown));
    check(&["tasks", "show", "lcs/11/test/0"], 2, &["difficulty 11"]);
    check(&["tasks", "show", "lcs/5/test"], 2, &["FAMILY/DIFFICULTY/SPLIT/SEED"]);
    check(&["tasks", "show", "lsc/5/test/0"], 2, &["unknown family `lsc`"]);
    check(&["tasks", "export", "--split", "tset"], 2, &["tset"]);
}

#[test]
fn the_doctor_speaks_json() {
    let output = output(&["doctor", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["tier"].is_string(), "{found}");
    assert!(found["python"]["version"].as_str().unwrap().starts_with("3."), "{found}");
    assert!(!found["walls"].as_array().unwrap().is_empty(), "{found}");
    assert!(found["cpu"].is_string() && found["threads"].as_u64().unwrap() > 0, "{found}");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = axiom(&["tasks", "export", "--n", "500"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.ends_with("}\n"));
    // The pipe is closed here.
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert_eq!(said, "");
}
