//! Log-probs when sampled and when trained: the same numbers.

use crate::binary::{axiom, uninterrupted};

fn steps(method: &str) -> Vec<serde_json::Value> {
    let events = uninterrupted(method).events.iter();
    let events = events.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.filter(|event| event["type"] == "step").collect()
}

#[test]
fn sampling_and_training_logprobs_are_equal_to_the_bit() {
    let steps = steps("grpo");
    assert!(steps.iter().any(|step| step["tokens_trained"].as_u64().unwrap() > 0));
    for step in steps {
        assert_eq!(step["logprob_gap_max"], 0.0, "step {}", step["step"]);
        assert_eq!(step["clip_ratio"], 0.0, "step {}", step["step"]);
        assert_eq!(step["judge_errors"], 0, "step {}", step["step"]);
    }
}

/// Also where matrices are multiplied in bfloat16, by one number or by two in the place of each.
#[test]
fn they_are_so_at_every_matmul_precision() {
    for precision in ["high", "medium"] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let setting = format!("model.matmul_precision={precision}");
        let out = out.to_str().unwrap();
        let args = ["run", "smoke", "--out", out, "--threads", "2", "--set", &setting];
        let output = axiom(&args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let events = std::fs::read_to_string(dir.path().join("run/events.jsonl")).unwrap();
        let events = events.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
        let (steps, others): (Vec<_>, Vec<_>) = events.partition(|e| e["type"] == "step");
        assert!(!steps.is_empty() && steps.iter().all(|step| step["logprob_gap_max"] == 0.0));
        let said = others[0]["facts"]["arithmetic"].as_str().unwrap();
        assert!(said.starts_with("bfloat16") || said.starts_with("float32"), "{said}");
    }
}
