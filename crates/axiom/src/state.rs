//! What a checkpoint holds, and how it is put back.
//!
//! Random draws derive from the seed and the step, so the step is all there is to remember of
//! the generator.

use std::path::Path;

use anyhow::{Context as _, Result};
use model::{Dtype, read_tensors, write_tensors};
use runlog::{Timing, write_atomic};
use serde::{Deserialize, Serialize};

use crate::{replay::Replay, rig::Rig};

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
    pub(crate) log_position: u64,
    solve_rates: Vec<(String, f64)>,
    replay: Replay,
    totals: Totals,
}

impl State {
    /// The state of a rig whose log has been synced.
    pub(crate) fn of(rig: &Rig) -> Self {
        Self {
            step: rig.next_step,
            optimizer_steps: rig.learner.state().2,
            log_position: rig.log.position(),
            solve_rates: rig.curriculum.rates().to_vec(),
            replay: rig.replay.clone(),
            totals: rig.totals.clone(),
        }
    }

    /// Writes the state and the rig's tensors into `dir`.
    pub(crate) fn save(&self, rig: &Rig, dir: &Path) -> Result<()> {
        rig.policy.save(dir, Dtype::F32)?;
        let (first, second, _) = rig.learner.state();
        let shape = [first.len()];
        let tensors = write_tensors(&[("first", &shape, first), ("second", &shape, second)])?;
        write_atomic(&dir.join(OPTIMIZER), &tensors)?;
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
        rig.policy.restore(dir)?;
        let bytes = std::fs::read(dir.join(OPTIMIZER))?;
        let mut tensors = read_tensors(&bytes)?;
        let n = rig.policy.model.layout.len();
        let mut take = |name: &str| {
            tensors
                .remove(name)
                .filter(|t| t.len() == n)
                .with_context(|| format!("{OPTIMIZER} lacks a whole `{name}`"))
        };
        rig.learner.restore(take("first")?, take("second")?, self.optimizer_steps);
        rig.next_step = self.step;
        rig.curriculum.restore(self.solve_rates);
        rig.replay = self.replay;
        rig.totals = self.totals;
        Ok(())
    }
}
