//! The events of a run: a closed set, with a version.
//!
//! Adding an event or a field is a change of format: raise [`VERSION`]. Everything measured
//! with a wall clock is in a field called `timing`, so that what remains of two runs with the
//! same seed can be compared byte by byte (see [`without_times`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::FamilyScore;

/// The version of the format, written in [`Event::RunStarted`].
pub const VERSION: u32 = 2;

/// One thing that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The first event of a log.
    RunStarted {
        /// The format of this log: [`VERSION`].
        version: u32,
        /// The name of the recipe.
        recipe: String,
        /// The root seed, from which all randomness of the run derives.
        seed: u64,
        /// What holds for the whole run: which walls stand, how large the model is.
        facts: Value,
    },
    /// One step of the cycle: one batch generated, verified and learnt from.
    Step {
        /// The step, counted from 0.
        step: u64,
        /// Tasks asked.
        tasks: u32,
        /// Completions generated, over all tasks.
        samples: u32,
        /// Mean reward of the completions that have one.
        reward_mean: f64,
        /// Share of the completions that were accepted.
        solve_rate: f64,
        /// Share of the groups whose rewards are all equal, and so teach nothing.
        frac_reward_zero_std: f64,
        /// The objective.
        loss: f64,
        /// Norm of the gradient before clipping.
        grad_norm: f64,
        /// Mean entropy per completion token, in nats.
        entropy: f64,
        /// Share of the tokens whose ratio was clipped.
        clip_ratio: f64,
        /// Mean divergence per token from the reference policy.
        kl: f64,
        /// Largest difference between a token's logprob when sampled and when trained.
        logprob_gap_max: f64,
        /// Mean length of the completions, in tokens.
        completion_length_mean: f64,
        /// Completions cut at the token limit.
        truncated: u32,
        /// Different programs among the completions.
        distinct_programs: u32,
        /// Completion tokens generated.
        tokens_generated: u64,
        /// Completion tokens that entered the loss.
        tokens_trained: u64,
        /// Programs run.
        verifications: u64,
        /// Programs whose verdict was already known.
        cache_hits: u64,
        /// Completions masked because the sandbox failed, not the program.
        judge_errors: u32,
        /// Learning rate of the update.
        lr: f64,
        /// What only some methods measure, by name.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        metrics: BTreeMap<String, f64>,
        /// For people: why a step taught nothing, for example.
        note: Option<String>,
        /// How long it took.
        timing: Timing,
    },
    /// One completion and what became of it.
    Completion {
        /// The step it belongs to.
        step: u64,
        /// The identifier of its task.
        task: String,
        /// Its index within the group; second tries of the task are counted on.
        sample: u32,
        /// The program taken from it; empty where there is none.
        program: String,
        /// Its length in tokens.
        tokens: u32,
        /// Why generation stopped.
        stop: String,
        /// The sum of its tokens' logprobs when sampled.
        logprob: f64,
        /// The verdict's name.
        verdict: String,
        /// Tests passed.
        passed: u32,
        /// Tests in the task.
        total: u32,
        /// The reward; none where the completion is masked from learning.
        reward: Option<f64>,
        /// The advantage within the group; none where the group teaches nothing.
        advantage: Option<f64>,
        /// The first failure, in one line. Comes partly from the program; never trusted.
        detail: String,
        /// `none` where no wall held the program, so that the verdict may be its own invention.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sandbox: Option<String>,
        /// What running the program took.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timing: Option<ProgramTiming>,
    },
    /// The policy was measured.
    Eval {
        /// The step after which it was measured.
        step: u64,
        /// Which tasks: the name of a split.
        split: String,
        /// When in the run: `before`, `after` or `step`.
        label: String,
        /// Samples per task.
        samples_per_task: u32,
        /// Sampling temperature; 0 is greedy.
        temperature: f64,
        /// The scores by task family.
        families: BTreeMap<String, FamilyScore>,
        /// The scores by tier of difficulty.
        tiers: BTreeMap<String, FamilyScore>,
        /// How long it took.
        timing: Timing,
    },
    /// A checkpoint is being committed; the log's position in it is right after this event.
    Checkpoint {
        /// The first step not in it.
        step: u64,
        /// Its folder, relative to the run folder.
        path: String,
    },
    /// The run was asked to stop, and stopped between two steps.
    Interrupted {
        /// The next step, had it gone on.
        step: u64,
    },
    /// The last event of a complete log.
    RunFinished {
        /// Steps done.
        step: u64,
    },
}

/// Wall-clock seconds by stage of the cycle; 0 where a stage did not run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Generating completions.
    pub generate_s: f64,
    /// Verifying programs.
    pub verify_s: f64,
    /// Learning from the verdicts.
    pub learn_s: f64,
    /// Measuring the policy.
    pub eval_s: f64,
    /// The whole, with whatever the stages do not cover.
    pub wall_s: f64,
}

impl std::ops::AddAssign for Timing {
    fn add_assign(&mut self, more: Self) {
        self.generate_s += more.generate_s;
        self.verify_s += more.verify_s;
        self.learn_s += more.learn_s;
        self.eval_s += more.eval_s;
        self.wall_s += more.wall_s;
    }
}

/// What running one program took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramTiming {
    /// CPU time of the program, in milliseconds.
    pub cpu_ms: f64,
    /// Wall time of the program, in milliseconds.
    pub wall_ms: f64,
}

impl Event {
    /// Forgets everything measured with a clock.
    pub fn strip_times(&mut self) {
        match self {
            Self::Step { timing, .. } | Self::Eval { timing, .. } => *timing = Timing::default(),
            Self::Completion { timing, .. } => *timing = None,
            Self::RunStarted { .. }
            | Self::Checkpoint { .. }
            | Self::Interrupted { .. }
            | Self::RunFinished { .. } => {}
        }
    }

    /// The first number that JSON cannot hold, with its field.
    pub(crate) fn non_finite(&self) -> Option<(&str, f64)> {
        self.floats().into_iter().find(|(_, value)| !value.is_finite())
    }

    /// Every float of the event with the name of its field.
    fn floats(&self) -> Vec<(&str, f64)> {
        match self {
            Self::Step { timing, metrics, .. } => {
                let mut floats = self.step_floats();
                floats.extend(metrics.iter().map(|(name, value)| (name.as_str(), *value)));
                floats.extend(timing.floats());
                floats
            }
            Self::Completion { logprob, reward, advantage, timing, .. } => {
                let mut floats = vec![
                    ("logprob", *logprob),
                    ("reward", reward.unwrap_or(0.0)),
                    ("advantage", advantage.unwrap_or(0.0)),
                ];
                if let Some(ProgramTiming { cpu_ms, wall_ms }) = *timing {
                    floats.extend([("cpu_ms", cpu_ms), ("wall_ms", wall_ms)]);
                }
                floats
            }
            Self::Eval { temperature, families, tiers, timing, .. } => {
                let mut floats = vec![("temperature", *temperature)];
                for score in families.values().chain(tiers.values()) {
                    floats.extend([("low", score.low), ("high", score.high)]);
                }
                floats.extend(timing.floats());
                floats
            }
            // The JSON value of `facts` cannot hold a float that is not finite.
            Self::RunStarted { .. }
            | Self::Checkpoint { .. }
            | Self::Interrupted { .. }
            | Self::RunFinished { .. } => Vec::new(),
        }
    }

    fn step_floats(&self) -> Vec<(&str, f64)> {
        let &Self::Step {
            reward_mean,
            solve_rate,
            frac_reward_zero_std,
            loss,
            grad_norm,
            entropy,
            clip_ratio,
            kl,
            logprob_gap_max,
            completion_length_mean,
            lr,
            ..
        } = self
        else {
            return Vec::new();
        };
        vec![
            ("reward_mean", reward_mean),
            ("solve_rate", solve_rate),
            ("frac_reward_zero_std", frac_reward_zero_std),
            ("loss", loss),
            ("grad_norm", grad_norm),
            ("entropy", entropy),
            ("clip_ratio", clip_ratio),
            ("kl", kl),
            ("logprob_gap_max", logprob_gap_max),
            ("completion_length_mean", completion_length_mean),
            ("lr", lr),
        ]
    }
}

impl Timing {
    fn floats(&self) -> [(&'static str, f64); 5] {
        let Self { generate_s, verify_s, learn_s, eval_s, wall_s } = *self;
        [
            ("generate_s", generate_s),
            ("verify_s", verify_s),
            ("learn_s", learn_s),
            ("eval_s", eval_s),
            ("wall_s", wall_s),
        ]
    }
}

/// A line of a log without its `timing`, to compare two logs "times aside".
///
/// Keys come out sorted, whatever their order in the line. A line that is not a JSON object
/// comes back as it is, so that a torn line still differs from a whole one.
pub fn without_times(line: &str) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(mut object)) => {
            object.remove("timing");
            Value::Object(object).to_string()
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One event of each kind, every float of which has a fraction.
    pub(crate) fn samples() -> Vec<Event> {
        vec![
            Event::RunStarted {
                version: VERSION,
                recipe: "tiny".into(),
                seed: u64::MAX,
                facts: serde_json::json!({"walls": ["seccomp"], "parameters": 919_680}),
            },
            eval("before"),
            step(),
            completion(),
            Event::Checkpoint { step: 8, path: "checkpoints/step-000008".into() },
            Event::Interrupted { step: 8 },
            Event::RunFinished { step: 9 },
        ]
    }

    fn timing() -> Timing {
        Timing { generate_s: 0.5, verify_s: 0.25, learn_s: 0.125, eval_s: 1.5, wall_s: 2.5 }
    }

    pub(crate) fn step() -> Event {
        Event::Step {
            step: 7,
            tasks: 8,
            samples: 128,
            reward_mean: 0.1,
            solve_rate: 1.0 / 3.0,
            frac_reward_zero_std: 0.125,
            loss: -1.5e-9,
            grad_norm: 0.7,
            entropy: 0.9,
            clip_ratio: 0.01,
            kl: 0.001,
            logprob_gap_max: 1.2e-6,
            completion_length_mean: 71.25,
            truncated: 2,
            distinct_programs: 40,
            tokens_generated: 9_216,
            tokens_trained: 8_000,
            verifications: 40,
            cache_hits: 88,
            judge_errors: 0,
            lr: 5e-4,
            metrics: BTreeMap::from([("updates".to_string(), 2.0)]),
            note: Some("two groups taught \"nothing\"\n".into()),
            timing: timing(),
        }
    }

    fn completion() -> Event {
        Event::Completion {
            step: 7,
            task: "edit_distance/3".into(),
            sample: 15,
            program: "def f(a, b):\n    return \"\u{e9}\"\n".into(),
            tokens: 42,
            stop: "end".into(),
            logprob: -12.5,
            verdict: "wrong_answer".into(),
            passed: 3,
            total: 5,
            reward: Some(0.3),
            advantage: None,
            detail: "test 3: returned 2".into(),
            sandbox: Some("none".into()),
            timing: Some(ProgramTiming { cpu_ms: 1.5, wall_ms: 2.25 }),
        }
    }

    fn eval(label: &str) -> Event {
        Event::Eval {
            step: 0,
            split: "held_out".into(),
            label: label.into(),
            samples_per_task: 4,
            temperature: 0.5,
            families: [("lcs".to_owned(), FamilyScore::new(3, 16))].into(),
            tiers: [("hard".to_owned(), FamilyScore::new(3, 16))].into(),
            timing: timing(),
        }
    }

    #[test]
    fn every_event_survives_the_round_trip() {
        for event in samples() {
            let line = serde_json::to_string(&event).unwrap();
            assert!(!line.contains('\n'), "an event is one line: {line}");
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        }
    }

    #[test]
    fn an_unknown_field_or_type_is_refused() {
        for line in [
            r#"{"type":"interrupted","step":1,"colour":"red"}"#,
            r#"{"type":"paused","step":1}"#,
            r#"{"step":1}"#,
        ] {
            assert!(serde_json::from_str::<Event>(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_tag_comes_first_and_in_snake_case() {
        let line = serde_json::to_string(&Event::RunFinished { step: 9 }).unwrap();
        assert_eq!(line, r#"{"type":"run_finished","step":9}"#);
    }

    #[test]
    fn times_are_only_in_the_field_called_timing() {
        for mut event in samples() {
            let timed = serde_json::to_string(&event).unwrap();
            event.strip_times();
            let stripped = serde_json::to_string(&event).unwrap();
            assert_eq!(without_times(&timed), without_times(&stripped));
            assert!(!without_times(&timed).contains("_s\":"), "{timed}");
        }
        assert_eq!(without_times("{\"type\":\"st"), "{\"type\":\"st");
    }

    /// Collects the names of the fields that hold a float, at any depth.
    fn float_fields(value: &Value, found: &mut Vec<String>) {
        if let Value::Object(object) = value {
            for (name, field) in object {
                if field.is_f64() {
                    found.push(name.clone());
                }
                float_fields(field, found);
            }
        }
    }

    #[test]
    fn no_float_escapes_the_check_for_finite_numbers() {
        for event in samples() {
            let mut fields = Vec::new();
            float_fields(&serde_json::to_value(&event).unwrap(), &mut fields);
            for field in fields {
                assert!(event.floats().iter().any(|(name, _)| *name == field), "{field}");
            }
        }
    }
}
