//! `axiom pretrain`.

use std::path::Path;

use anyhow::{Context as _, Result};
use model::Dtype;

use crate::{loops, machine::Machine, recipe::PretrainRecipe};

/// Makes a model from nothing and writes it to `out`.
pub(crate) fn run(recipe: &PretrainRecipe, out: &Path, machine: &Machine) -> Result<()> {
    let policy = loops::pretrain::run(recipe, machine.threads, machine.progress)?;
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    policy.save(out, Dtype::F32)
}
