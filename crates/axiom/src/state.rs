//! What a checkpoint holds, and how it is put back.
//!
//! Random draws derive from the seed and the step, so the step is all there is to remember of
//! the generator.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use learn::{Ema, ValueHead};
use model::{Dtype, read_tensors, write_tensors};
use runlog::{Timing, write_atomic};
use serde::{Deserialize, Serialize};
use tasks::Level;

use crate::{replay::Replay, rig::Rig, selfplay::Buffers};

const STATE: &str = "state.json";
const OPTIMIZER: &str = "optimizer.safetensors";

/// What a run has used so far, for its summary.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Totals {
    pub(crate) tokens_generated: u64,
    pub(crate) tokens_trained: u64,
    pub(crate) verifications: u64,
    pub(crate) judge_errors: u64,
    pub(crate) timing: Timing,
    /// The scores before the first step.
    pub(crate) before: Option<crate::loops::eval::Scores>,
}

/// Everything but the tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    step: u64,
    optimizer_steps: u64,
    value_steps: u64,
    pub(crate) log_position: u64,
    solve_rates: Vec<(String, f64)>,
    /// Topics, with their levels and the solve rates on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    levels: Vec<(String, u8, Vec<f64>)>,
    replay: Replay,
    buffers: Buffers,
    totals: Totals,
    /// The digest of the given completions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
}

impl State {
    /// The state of a rig whose log has been synced.
    pub(crate) fn of(rig: &Rig) -> Self {
        let levels = rig.curriculum.pace().levels();
        Self {
            step: rig.next_step,
            optimizer_steps: rig.learner.state().2,
            value_steps: rig.learner.value_head().map_or(0, |head| head.state().3),
            log_position: rig.log.position(),
            solve_rates: rig.curriculum.rates().to_vec(),
            levels: levels
                .iter()
                .map(|(topic, level)| (topic.clone(), level.difficulty, level.rates.clone()))
                .collect(),
            replay: rig.replay.clone(),
            buffers: rig.buffers.clone(),
            totals: rig.totals.clone(),
            data: rig.data.as_ref().map(|data| data.digest.clone()),
        }
    }

    /// Writes the state and the rig's tensors into `dir`.
    pub(crate) fn save(&self, rig: &Rig, dir: &Path) -> Result<()> {
        rig.policy.save(dir, Dtype::F32)?;
        let (first, second, _) = rig.learner.state();
        let mut tensors = vec![("first", first), ("second", second)];
        if let Some(head) = rig.learner.value_head() {
            let (weights, first, second, _) = head.state();
            tensors.extend([("value", weights), ("value.first", first), ("value.second", second)]);
        }
        let copies = &rig.copies;
        tensors.extend(copies.reference.as_ref().map(|weights| ("reference", &weights[..])));
        tensors.extend(copies.slow.as_ref().map(|slow| ("slow", slow.weights())));
        let shapes: Vec<[usize; 1]> = tensors.iter().map(|(_, x)| [x.len()]).collect();
        let tensors: Vec<(&str, &[usize], &[f32])> =
            tensors.iter().zip(&shapes).map(|((name, x), shape)| (*name, &shape[..], *x)).collect();
        write_atomic(&dir.join(OPTIMIZER), &write_tensors(&tensors)?)?;
        write_atomic(&dir.join(STATE), &serde_json::to_vec(self)?)?;
        Ok(())
    }

    /// Reads the state in a checkpoint.
    pub(crate) fn load(dir: &Path) -> Result<Self> {
        let context = || format!("the checkpoint {} is damaged", dir.display());
        let bytes = std::fs::read(dir.join(STATE)).with_context(context)?;
        serde_json::from_slice(&bytes).with_context(context)
    }

    /// Puts the state and the checkpoint's tensors into a rig.
    pub(crate) fn put_into(self, rig: &mut Rig, dir: &Path) -> Result<()> {
        if self.data != rig.data.as_ref().map(|data| data.digest.clone()) {
            bail!("{} is no longer what the run began with: put it back", rig.recipe.data.path);
        }
        rig.policy.restore(dir)?;
        let bytes = std::fs::read(dir.join(OPTIMIZER))?;
        let mut tensors = read_tensors(&bytes)?;
        let n = rig.policy.model.layout.len();
        let mut take = |name: &str, n: usize| {
            tensors
                .remove(name)
                .filter(|t| t.len() == n)
                .with_context(|| format!("{OPTIMIZER} lacks a whole `{name}`"))
        };
        rig.learner.restore(take("first", n)?, take("second", n)?, self.optimizer_steps);
        if let Some(reference) = &mut rig.copies.reference {
            *reference = take("reference", n)?;
        }
        if let Some(slow) = &mut rig.copies.slow {
            *slow = Ema::new(&take("slow", n)?);
        }
        if rig.learner.value_head().is_some() {
            let n = rig.policy.model.config.hidden_size + 1;
            let head = (take("value", n)?, take("value.first", n)?, take("value.second", n)?);
            let head = ValueHead::restored(head.0, head.1, head.2, self.value_steps)
                .with_context(|| format!("{OPTIMIZER} lacks a whole value head"))?;
            rig.put_value_head(head);
        }
        rig.next_step = self.step;
        let level = |(topic, difficulty, rates)| (topic, Level { difficulty, rates });
        rig.curriculum.restore(self.solve_rates, self.levels.into_iter().map(level).collect());
        rig.replay = self.replay;
        rig.buffers = self.buffers;
        rig.totals = self.totals;
        Ok(())
    }
}
