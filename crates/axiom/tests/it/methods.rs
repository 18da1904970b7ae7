//! Every method runs, learns something of its own, and survives a kill.

use std::{collections::HashMap, fs, path::Path, process::Command, time::Duration};

use crate::binary::{Run, axiom, folder, output, stderr};

/// Every method, with the settings that give it a state of its own to lose.
const METHODS: &[(&str, &[&str])] = &[
    ("reinforce", &[]),
    ("rloo", &["sampling.top_p=0.9", "sampling.min_p=0.01"]),
    ("grpo", &["learn.ref_model_sync_steps=1"]),
    ("dr_grpo", &["reward.overlong_cache=60"]),
    ("dapo", &["tasks.resample_max=1"]),
    ("gspo", &["learn.num_iterations=2", "learn.minibatches=2"]),
    ("cispo", &["epsilon_high=4"]),
    ("reinforce_pp", &[]),
    ("reinforce_pp_baseline", &["beta=0.1"]),
    ("trr_pp", &[]),
    ("trr_pp_code", &["learn.entropy_coef=0.1"]),
    ("lite_ppo", &["loss_type=grpo"]),
    ("ppo", &["learn.minibatches=2"]),
    ("m_grpo", &["slow.share=0.5", "slow.momentum=0.5"]),
    ("scale_rl", &["learn.mask_truncated_completions=true"]),
    ("sapo", &["scale_rewards=none"]),
    ("clip_cov", &["learn.num_iterations=2"]),
    ("kl_cov", &["learn.num_iterations=2"]),
    ("dpo", &["learn.ref_model_sync_steps=2"]),
    ("ipo", &["beta=0.3"]),
    ("expert_iteration", &["learn.num_iterations=2"]),
    ("rest_em", &["learn.minibatches=2"]),
];

/// What may stand beside a method, with a method.
const ADDITIONS: &[(&str, &[&str])] = &[
    (
        "expert_iteration",
        &["replay.dedupe=true", "replay.programs_max=8", "replay.discovery_share=0.5"],
    ),
    ("rest_em", &["learn.rationalise=2", "tasks.families=lcs,fibonacci"]),
    ("dapo", &["tasks.curriculum=linear", "tasks.level_steps=1"]),
    ("dapo", &["tasks.curriculum=adaptive", "tasks.level_window=2", "tasks.level_up=0.6"]),
    ("dapo", &["tasks.curriculum=self_paced", "tasks.level_window=1", "tasks.difficulty_min=4"]),
    ("dapo", &["correct.share=0.3"]),
    ("expert_iteration", &["correct.share=0.3", "correct.samples=1"]),
    ("m_grpo", VOTE),
    // Without each part of it: the slow copy, the filter, the vote, agreement with it.
    ("m_grpo", &[VOTE[0], VOTE[1]]),
    ("m_grpo", &[VOTE[0], VOTE[2]]),
    ("m_grpo", &[VOTE[1], VOTE[2]]),
    ("m_grpo", &[VOTE[0], VOTE[1], VOTE[2], "reward.shuffle=true"]),
];

/// M-GRPO without labels.
const VOTE: &[&str] = &["reward.source=vote", "reward.entropy_filter=0.75", "slow.share=0.25"];

const SHORT: &[&str] = &[
    "steps=3",
    "tasks.families=is_palindrome,fibonacci",
    "tasks.per_step=4",
    "tasks.group_size=8",
    "eval.tasks_per_family=1",
    "checkpoint.every=1",
];

fn start(method: &str, settings: &[&str], out: &Path) -> Command {
    let method = format!("method={method}");
    let out = out.to_str().unwrap();
    let mut run = axiom(&["run", "smoke", "--out", out, "--threads", "2", "--set", &method]);
    for setting in SHORT.iter().chain(settings) {
        run.args(["--set", setting]);
    }
    run
}

/// Kills a run that has logged its second checkpoint.
pub(crate) fn kill_after_a_step(mut command: Command, dir: &Path) {
    let mut child = command.spawn().unwrap();
    let log = dir.join("events.jsonl");
    let seen = || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.matches("\"type\":\"checkpoint\"").count()
    };
    while seen() < 2 {
        assert!(child.try_wait().unwrap().is_none(), "over before it was killed");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Each runs, resumes to the same end after a kill, and learns something of its own.
fn check(runs: &[(&str, &[&str])]) {
    let mut weights: HashMap<Vec<u8>, String> = HashMap::new();
    for (method, settings) in runs {
        let (_whole, whole) = folder();
        let output = start(method, settings, &whole).output().unwrap();
        assert!(output.status.success(), "{method}: {}", stderr(&output));
        let whole = Run::read(&whole);

        let (_dir, dir) = folder();
        kill_after_a_step(start(method, settings, &dir), &dir);
        let output = axiom(&["resume", dir.to_str().unwrap(), "--threads", "1"]).output().unwrap();
        assert!(output.status.success(), "{method}: {}", stderr(&output));
        Run::read(&dir).assert_equals(&whole, method);

        let name = format!("{method} with {settings:?}");
        let other = weights.insert(whole.weights, name.clone());
        assert!(other.is_none(), "{name} and {other:?} learnt the very same");
    }
}

#[test]
fn every_method_runs_and_resumes_to_the_same_end() {
    check(METHODS);
}

#[test]
fn what_stands_beside_a_method_resumes_too() {
    check(ADDITIONS);
}

#[test]
fn settings_that_say_nothing_to_a_method_are_refused() {
    let refused = |settings: &[&str], why: &str| {
        let (_dir, dir) = folder();
        let mut args = vec!["run", "smoke", "--out", dir.to_str().unwrap()];
        settings.iter().for_each(|s| args.extend(["--set", s]));
        let output = output(&args);
        assert_eq!(output.status.code(), Some(2), "{settings:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{settings:?}: {}", stderr(&output));
        assert!(!dir.exists());
    };
    refused(&["method=gpro"], "no method `gpro`; there are reinforce, rloo, grpo");
    refused(&["method=dpo", "epsilon=0.1"], "learn.epsilon says nothing to method `dpo`");
    refused(&["method=ipo", "reward.overlong_cache=9"], "reward.overlong_cache says nothing");
    refused(&["method=expert_iteration", "beta=0.1"], "learn.beta says nothing");
    refused(&["method=reinforce", "epsilon=0.1"], "do not all fit Reinforce");
    refused(&["loss_type=bnpo"], "learn.loss_type is `grpo`, `dapo` or `dr_grpo`, not `bnpo`");
    refused(&["method=dpo", "replay.dedupe=true"], "neither a preference nor SFT replays");
    refused(&["method=rest_em", "replay.discovery_share=0.5"], "imitates all it ever found");
    refused(&["replay.cold_start_share=0.5"], "needs `cold_start`");
    refused(&["learn.rationalise=1"], "learn.rationalise is for imitation");
    refused(&["method=sft"], "`path` is missing");
    refused(&["data.path=x"], "`path` is for method `sft`");
    refused(&["reward.vote_share_min=0.5"], "vote_share_min says nothing");
    refused(&["reward.source=vote", "reward.partial_weight=0.1"], "nothing is expected");
    refused(&["reward.source=votes"], "unknown variant");
    refused(&["tasks.level_up=0.2"], "tasks.level_down must be below level_up");
    refused(&["correct.share=0.1", "reward.source=vote"], "need verdicts");
    refused(&["correct.share=0.1", "correct.samples=1"], "samples must be at least 2");
    refused(&["diagnose.transfer=lcs"], "transfer and control need each other");
    refused(&["slow.share=1.5"], "slow.share is 0 to 1");
}
