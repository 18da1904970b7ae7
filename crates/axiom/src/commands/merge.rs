//! `axiom merge`: an adapter added into the weights of its base model.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use model::Dtype;

use crate::policy::{Policy, Source};

/// Writes the merged model to `out`.
pub(crate) fn run(source: &Source<'_>, out: &Path, dtype: Dtype) -> Result<()> {
    let mut policy = Policy::load(source)?;
    if policy.model.adapter().is_none() {
        bail!("`{}` has no adapter to merge", source.name);
    }
    policy.model.merge_adapter();
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    policy.save(out, dtype)
}
