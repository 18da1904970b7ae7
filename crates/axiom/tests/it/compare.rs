//! Comparisons: runs side by side, a report and a picture.

use std::fs;

use serde_json::Value;

use crate::binary::{folder, output, stderr, stdout};

#[test]
fn a_comparison_reports_and_draws_its_arms_and_is_not_run_twice() {
    let (_dir, out) = folder();
    let args = [
        "compare",
        "smoke",
        "smoke,method=expert_iteration",
        "--seeds",
        "1",
        "--set",
        "steps=1",
        "--out",
        out.to_str().unwrap(),
    ];
    let first = output(&args);
    assert!(first.status.success(), "{}", stderr(&first));
    let report: Value =
        serde_json::from_slice(&fs::read(out.join("compare.json")).unwrap()).unwrap();
    assert_eq!(report["arms"].as_array().unwrap().len(), 2);
    let drawn = fs::read_to_string(out.join("comparison.svg")).unwrap();
    assert!(drawn.contains("smoke method=expert_iteration"), "{drawn}");
    let log = fs::metadata(out.join("smoke-seed-0/events.jsonl")).unwrap().modified().unwrap();
    let again = output(&args);
    assert_eq!(stdout(&again), stdout(&first));
    let now = fs::metadata(out.join("smoke-seed-0/events.jsonl")).unwrap().modified().unwrap();
    assert_eq!(log, now);
}
