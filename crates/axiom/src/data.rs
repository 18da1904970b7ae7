//! Given completions: JSON lines to learn from, `{"task": ID, "completion": TEXT}` or
//! `{"prompt": TEXT, "completion": TEXT}`. They are taken on trust: nothing is run.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rand::seq::SliceRandom as _;
use serde::Deserialize;
use tasks::{Split, Task, TaskId};

use crate::{hash, policy::Policy, replay::Verified, seed::Seed};

/// What prompts that are no task of ours are counted under.
const TOPIC: &str = "given";

/// A file of given completions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Data {
    /// In the order of the file.
    pub(crate) given: Vec<Verified>,
    /// The SHA-256 of the file.
    pub(crate) digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    task: Option<String>,
    prompt: Option<String>,
    completion: String,
}

impl Data {
    /// Reads a file, with the prompts as `policy` is asked them.
    pub(crate) fn read(path: &Path, policy: &Policy) -> Result<Self> {
        let bytes = std::fs::read(path)
            .with_context(|| format!("cannot read the given completions in {}", path.display()))?;
        let text = std::str::from_utf8(&bytes)
            .with_context(|| format!("{} is not UTF-8", path.display()))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let read = |(i, line): (usize, &str)| {
            given(line, policy).with_context(|| format!("{}, line {}", path.display(), i + 1))
        };
        let given: Vec<Verified> = lines.map(read).collect::<Result<_>>()?;
        if given.is_empty() {
            bail!("{} holds no completion", path.display());
        }
        Ok(Self { given, digest: hash::of(&bytes) })
    }
}

impl Data {
    /// The `n` completions of a step. The steps go through the file again and again, each time
    /// in another order.
    pub(crate) fn of_step(&self, step: u64, n: usize, seed: Seed) -> Vec<&Verified> {
        let size = self.given.len() as u64;
        let first = step * n as u64;
        let mut order: (u64, Vec<usize>) = (u64::MAX, Vec::new());
        let mut at = |i: u64| {
            if order.0 != i / size {
                order = (i / size, (0..self.given.len()).collect());
                order.1.shuffle(&mut seed.child("data", i / size).rng());
            }
            &self.given[order.1[(i % size) as usize]]
        };
        (first..first + n as u64).map(&mut at).collect()
    }
}

fn given(line: &str, policy: &Policy) -> Result<Verified> {
    let line: Line = serde_json::from_str(line)?;
    let (topic, prompt) = match (&line.task, &line.prompt) {
        (Some(id), None) => {
            let task = practised(id)?;
            (task.topic(), policy.prompt(&task)?)
        }
        (None, Some(prompt)) => (TOPIC.to_string(), policy.ask(prompt)?),
        (Some(_), Some(_)) | (None, None) => bail!("it needs `task` or `prompt`, and one of them"),
    };
    let tokens = policy.completion(&line.completion)?;
    let positions = policy.model.config.max_position_embeddings;
    if prompt.len() + tokens.len() > positions {
        let n = prompt.len() + tokens.len();
        bail!("prompt and completion have {n} tokens, the model {positions} positions: shorten it");
    }
    Ok(Verified { topic, prompt, tokens, ..Verified::default() })
}

/// A task that may be learnt from.
fn practised(id: &str) -> Result<Task> {
    let id: TaskId = id.parse()?;
    match id.split {
        Split::Train | Split::Pretrain => Ok(Task::question(&id)?),
        Split::Validation | Split::Test => {
            bail!("task `{id}` is of the split `{}`, which is for measuring", id.split.name())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_go_through_the_file_in_a_new_order_each_time() {
        let one = |i| Verified { prompt: vec![i], ..Verified::default() };
        let data = Data { given: (0..5).map(one).collect(), digest: String::new() };
        let of = |step| data.of_step(step, 3, Seed(1)).iter().map(|v| v.prompt[0]).collect();
        let seen: Vec<u32> = (0..5).flat_map(|step| -> Vec<u32> { of(step) }).collect();
        let epochs: Vec<Vec<u32>> = seen.chunks(5).map(<[u32]>::to_vec).collect();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2], "{epochs:?}");
        assert_eq!(data.of_step(0, 12, Seed(1)).len(), 12);
    }
}
