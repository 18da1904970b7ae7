//! Diagnosis: what is measured besides, and that it changes nothing.

use serde_json::Value;

use crate::binary::{Run, folder, output, stderr};

fn run(settings: &[&str]) -> Run {
    let (_dir, out) = folder();
    let mut args = vec!["run", "smoke", "--out", out.to_str().unwrap(), "--threads", "2"];
    for setting in ["eval.every=1", "tasks.families=is_palindrome"].iter().chain(settings) {
        args.extend(["--set", *setting]);
    }
    let done = output(&args);
    assert!(done.status.success(), "{}", stderr(&done));
    Run::read(&out)
}

#[test]
fn a_diagnosed_run_learns_the_same_and_says_more() {
    let plain = run(&[]);
    let diagnosed = run(&[
        "diagnose.visible=true",
        "diagnose.transfer=reverse_string",
        "diagnose.control=fibonacci,is_palindrome",
    ]);
    assert!(plain.weights == diagnosed.weights);
    let (before, after) = (&plain.summary["detectors"], &diagnosed.summary["detectors"]);
    assert_eq!((&before["visible_only"], &before["transfer"]), (&Value::Null, &Value::Null));
    assert_eq!(before["format_failures"], after["format_failures"]);
    let share = &after["visible_only"]["last"];
    assert!(share["passed"].as_u64().unwrap() <= share["n"].as_u64().unwrap());
    assert!(after["transfer"]["low"].as_f64() < after["transfer"]["high"].as_f64());
    let elsewhere = &diagnosed.summary["eval"]["elsewhere"]["after"];
    let names: Vec<&String> = elsewhere.as_object().unwrap().keys().collect();
    assert_eq!(names, ["fibonacci", "reverse_string"]);
    let tiers = |run: &Run| run.summary["eval"]["tiers"].clone();
    assert_eq!(tiers(&plain), tiers(&diagnosed));
    let steps = diagnosed.events.iter().filter(|line| line.contains("\"visible/passed\""));
    assert_eq!(steps.count(), 4);
}
