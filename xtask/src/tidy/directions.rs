//! Which of our crates may use which: the walls of the map in ARCHITECTURE.md.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Finding, TextFile};

/// What one crate may use of ours.
struct Direction {
    name: &'static str,
    may_use: &'static [&'static str],
    why: &'static str,
}

/// Every crate of the workspace. A crate that is not listed is a finding: deciding what it may
/// use is part of adding it.
const DIRECTIONS: &[Direction] = &[
    Direction {
        name: "verify",
        may_use: &[],
        why: "the trust boundary is built and tested without the rest",
    },
    Direction { name: "model", may_use: &[], why: "kernels and weights know nothing of the cycle" },
    Direction { name: "runlog", may_use: &[], why: "a log holds names and numbers, not our types" },
    Direction {
        name: "tasks",
        may_use: &["verify"],
        why: "a task is worth what the verifier finds, whichever policy is asked",
    },
    Direction {
        name: "generate",
        may_use: &["model"],
        why: "generation and learning meet only in axiom; neither sees a task or a verdict",
    },
    Direction {
        name: "learn",
        may_use: &["model"],
        why: "generation and learning meet only in axiom; neither sees a task or a verdict",
    },
    Direction {
        name: "axiom",
        may_use: &["tasks", "generate", "verify", "learn", "model", "runlog"],
        why: "axiom composes the crates, and nothing depends on axiom",
    },
    Direction { name: "xtask", may_use: &[], why: "the checks outlive what they check" },
];

/// A crate of the workspace and those of ours it depends on, for whatever purpose.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Crate {
    name: String,
    /// Relative to the root.
    manifest: String,
    uses: Vec<String>,
}

/// Asks cargo for the crates of the workspace.
#[expect(clippy::disallowed_methods, reason = "only cargo knows what the manifests mean")]
pub(super) fn crates(root: &Path) -> Result<Vec<Crate>> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("running cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    parse(&serde_json::from_slice(&output.stdout).context("reading cargo metadata")?)
}

/// The dependencies that have a path are ours; the others come from elsewhere.
fn parse(metadata: &Value) -> Result<Vec<Crate>> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a string");
    let root = text(&metadata["workspace_root"])?;
    let packages = metadata["packages"].as_array().context("a list of packages")?;
    let mut crates = Vec::new();
    for package in packages {
        let dependencies = package["dependencies"].as_array().context("a list of dependencies")?;
        let ours = dependencies.iter().filter(|dependency| dependency["path"].is_string());
        let manifest = text(&package["manifest_path"])?;
        let manifest = manifest.strip_prefix(&root).unwrap_or(&manifest);
        crates.push(Crate {
            name: text(&package["name"])?,
            manifest: manifest.trim_start_matches(['/', '\\']).replace('\\', "/"),
            uses: ours.map(|dependency| text(&dependency["name"])).collect::<Result<_>>()?,
        });
    }
    Ok(crates)
}

/// Compares what the crates use with what they may.
pub(super) fn check(crates: &[Crate], files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Crate { name, manifest, uses } in crates {
        let Some(direction) = DIRECTIONS.iter().find(|direction| direction.name == name) else {
            let what = format!("the crate `{name}` has no entry in xtask/src/tidy/directions.rs");
            findings.push(Finding::new(manifest, 1, what, "what a crate may use is a decision"));
            continue;
        };
        for used in uses.iter().filter(|used| !direction.may_use.contains(&used.as_str())) {
            let line = line_of(used, manifest, files);
            let what = format!("`{name}` may not use `{used}`");
            findings.push(Finding::new(manifest, line, what, direction.why));
        }
    }
    findings
}

/// The line of a manifest that names the dependency `used`; the first where it is not found.
fn line_of(used: &str, manifest: &str, files: &[TextFile]) -> usize {
    let names = |line: &str| {
        let rest = line.trim_start().strip_prefix(used);
        rest.is_some_and(|rest| rest.trim_start().starts_with(['.', '=']))
    };
    let file = files.iter().find(|file| file.path == manifest);
    file.and_then(|file| file.text.lines().position(names)).map_or(1, |idx| idx + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_uses(name: &str, uses: &[&str]) -> Vec<String> {
        let metadata = serde_json::json!({
            "workspace_root": "/w",
            "packages": [{
                "name": name,
                "manifest_path": format!("/w/crates/{name}/Cargo.toml"),
                "dependencies": uses
                    .iter()
                    .map(|used| serde_json::json!({"name": used, "path": "/w/crates/x"}))
                    .chain([serde_json::json!({"name": "serde"})])
                    .collect::<Vec<_>>(),
            }],
        });
        let manifest = TextFile {
            path: format!("crates/{name}/Cargo.toml"),
            text: "[dependencies]\nmodels = \"1\"\nmodel.workspace = true\n".into(),
        };
        let findings = check(&parse(&metadata).unwrap(), &[manifest]);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_the_map_allows_is_fine() {
        assert!(check_uses("generate", &["model"]).is_empty());
        assert!(check_uses("axiom", &["tasks", "generate", "verify", "learn"]).is_empty());
    }

    #[test]
    fn a_wrong_direction_is_found_at_its_line() {
        let found = check_uses("verify", &["model"]);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("crates/verify/Cargo.toml:3: `verify` may not use `model`"),
            "{found:?}"
        );
        for (name, used) in
            [("generate", "learn"), ("learn", "tasks"), ("runlog", "verify"), ("tasks", "axiom")]
        {
            assert_eq!(check_uses(name, &[used]).len(), 1, "{name} uses {used}");
        }
    }

    #[test]
    fn a_crate_that_nobody_placed_is_found() {
        assert!(check_uses("utils", &[])[0].contains("has no entry"));
    }

    #[test]
    fn the_directions_have_no_cycle() {
        // Each crate may use only crates that a walk from the leaves has already placed.
        let mut placed: Vec<&str> = Vec::new();
        while placed.len() < DIRECTIONS.len() {
            let next = DIRECTIONS.iter().find(|direction| {
                !placed.contains(&direction.name)
                    && direction.may_use.iter().all(|used| placed.contains(used))
            });
            placed.push(next.expect("a crate whose uses are all placed").name);
        }
    }
}
