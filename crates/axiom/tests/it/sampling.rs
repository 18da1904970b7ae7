//! Log-probs when sampled and when trained: the same numbers.

use crate::binary::uninterrupted;

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
