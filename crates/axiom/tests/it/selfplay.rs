//! Self-play from the identity: it runs, survives a kill, and its controls do what they say.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use tasks::selfplay::{Format, held_out, proposal};

use crate::{
    binary::{Run, axiom, folder, output, press_ctrl_c, stderr},
    methods::kill_after_a_step,
};

const SHORT: &[&str] = &[
    "steps=3",
    "selfplay.proposals=6",
    "selfplay.rollouts=4",
    "selfplay.seed_factor=2",
    "selfplay.buffer_max=16",
    "eval.tasks_per_family=1",
    "eval.samples=1",
    "checkpoint.every=1",
];

fn start(settings: &[&str], out: &Path) -> Command {
    let mut run = axiom(&["run", "selfplay", "--out", out.to_str().unwrap(), "--threads", "2"]);
    for setting in SHORT.iter().chain(settings) {
        run.args(["--set", setting]);
    }
    run
}

fn finished(settings: &[&str]) -> (tempfile::TempDir, Run) {
    let (keep, dir) = folder();
    let output = start(settings, &dir).output().unwrap();
    assert!(output.status.success(), "{settings:?}: {}", stderr(&output));
    let run = Run::read(&dir);
    (keep, run)
}

#[test]
fn self_play_resumes_to_the_same_end_with_full_buffers() {
    let fresh = ["selfplay.solver_batch=fresh", "selfplay.induction_rate_min=0"];
    let variants: &[&[&str]] = &[
        &[],
        &["method=ppo", fresh[0], fresh[1], "selfplay.eviction=reservoir"],
        &["method=trr_pp_code", "selfplay.rewards=code", "selfplay.surprise=0.1"],
    ];
    for settings in variants {
        let (_whole, whole) = finished(settings);
        let (_dir, dir) = folder();
        kill_after_a_step(start(settings, &dir), &dir);
        let output = axiom(&["resume", dir.to_str().unwrap(), "--threads", "1"]).output().unwrap();
        assert!(output.status.success(), "{settings:?}: {}", stderr(&output));
        Run::read(&dir).assert_equals(&whole, &settings.join(" "));
    }
}

#[test]
fn the_controls_leave_out_what_they_say() {
    let (keep, _run) = finished(&["selfplay.propose=false"]);
    let log = fs::read_to_string(keep.path().join("run/events.jsonl")).unwrap();
    assert!(log.contains("\"task\":\"solve/") && !log.contains("\"task\":\"propose/"));
    let (_a, trained) = finished(&[]);
    for control in ["selfplay.train_proposer=false", "reward.shuffle=true"] {
        let (_b, other) = finished(&[control]);
        assert_ne!(trained.weights, other.weights, "{control}");
    }
}

#[test]
fn what_the_solver_is_measured_on_is_never_practised() {
    let (keep, _run) = finished(&["selfplay.proposals=16", "selfplay.buffer_max=64"]);
    let log = fs::read_to_string(keep.path().join("run/events.jsonl")).unwrap();
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut valid = 0;
    for event in events.filter(|e| e["verdict"] == "valid") {
        let text = event["program"].as_str().unwrap();
        if let Ok(found) = proposal(text, Format::Plain) {
            assert!(!held_out(&found.program), "{text}");
            valid += 1;
        }
    }
    assert!(valid > 20, "{valid} valid proposals");
}

#[test]
fn what_does_not_fit_self_play_is_refused() {
    let refused = |settings: &[&str], why: &str| {
        let (_dir, dir) = folder();
        let mut args = vec!["run", "selfplay", "--out", dir.to_str().unwrap()];
        settings.iter().for_each(|s| args.extend(["--set", s]));
        let output = output(&args);
        assert_eq!(output.status.code(), Some(2), "{settings:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{settings:?}: {}", stderr(&output));
    };
    refused(&["method=grpo"], "does not fit self-play");
    refused(&["method=dpo"], "does not fit self-play");
    refused(&["selfplay.kinds=[\"induction\"]"], "takes its programs from the other kinds");
    refused(&["selfplay.kinds=[\"error\"]"], "unknown variant");
    refused(&["selfplay.inputs=1"], "half of them are hidden");
    refused(&["selfplay.wrong=0.5"], "penalties");
    let silent = ["learn.replay_per_step=8", "correct.share=0.5", "tasks.curriculum=linear"];
    for setting in silent.iter().chain(&["replay.dedupe=true", "diagnose.visible=true"]) {
        refused(&[setting], "says nothing to self-play");
    }
    refused(&["selfplay.induction_rate_min=1"], "less than 1");
    let fresh = ["selfplay.induction_rate_min=0.5", "selfplay.solver_batch=fresh"];
    refused(&fresh, "solver_batch to \"estimates\"");
}

#[test]
fn a_model_that_knows_no_puzzles_is_told_so() {
    let (_dir, dir) = folder();
    let settings = ["model.path=embedded", "selfplay.seed_rounds_max=1"];
    let output = start(&settings, &dir).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("does not know the format"), "{}", stderr(&output));
}

#[test]
fn a_run_stopped_while_its_buffers_fill_begins_anew() {
    let (_whole, whole) = finished(&[]);
    let (_dir, dir) = folder();
    let child = start(&[], &dir).spawn().unwrap();
    let log = dir.join("events.jsonl");
    while fs::read_to_string(&log).unwrap_or_default().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    press_ctrl_c(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(!fs::read_to_string(&log).unwrap().contains("\"type\":\"step\""));
    let output = axiom(&["resume", dir.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    Run::read(&dir).assert_equals(&whole, "stopped at once");
}
