//! The rules of STYLE.md that a program can check, each with its reason in the message.
//!
//! Run as `cargo tidy`, and as a test of this crate, so that `cargo test --workspace` covers
//! them.

mod directions;
mod manifest;
mod root;
mod source;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Files that may be longer than [`source::FILE_LINES_MAX`] lines, each with its reason. An
/// entry that is no longer needed is a finding too.
const LONG_FILES: &[(&str, &str)] = &[];

/// Folders of the repository whose text files are ours.
const FOLDERS: &[&str] = &["crates", "xtask", "recipes", "docs", "scripts", ".ci", ".cargo"];

/// A place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Relative to the root of the repository.
    path: String,
    /// Counted from 1.
    line: usize,
}

/// A broken rule: where, what, and why the rule is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    place: Place,
    what: String,
    why: &'static str,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>, why: &'static str) -> Self {
        Self { place: Place { path: path.to_owned(), line }, what: what.into(), why }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { path, line } = &self.place;
        write!(f, "{path}:{line}: {} ({})", self.what, self.why)
    }
}

/// A text file of the repository.
#[derive(Debug)]
struct TextFile {
    /// Relative to the root, with `/` between its parts.
    path: String,
    text: String,
}

impl TextFile {
    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }
}

/// Checks everything; no findings means tidy.
pub(crate) fn check_repository() -> Result<Vec<Finding>> {
    let root = repository_root();
    let files = text_files(&root)?;
    let mut findings = Vec::new();
    findings.extend(directions::check(&directions::crates(&root)?, &files));
    for file in &files {
        findings.extend(source::check_text(file));
        if file.has_extension("rs") {
            findings.extend(source::check_rust(file, LONG_FILES));
        }
    }
    findings.extend(source::check_exceptions(&files, LONG_FILES));
    findings.extend(manifest::check(&files));
    findings.extend(root::check(&files));
    findings.sort();
    Ok(findings)
}

fn repository_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask is a folder of the repository").to_owned()
}

/// The text files of [`FOLDERS`] and those at the root itself.
fn text_files(root: &Path) -> Result<Vec<TextFile>> {
    let mut paths = Vec::new();
    for entry in entries(root)? {
        let name = entry.strip_prefix(root)?.to_string_lossy();
        if entry.is_file() {
            paths.push(entry);
        } else if FOLDERS.contains(&name.as_ref()) {
            collect(&entry, &mut paths)?;
        }
    }
    let mut files = Vec::new();
    for path in paths.iter().filter(|path| is_text(path)) {
        let text = fs::read_to_string(path).with_context(|| format!("reading {path:?}"))?;
        let path = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
        files.push(TextFile { path, text });
    }
    Ok(files)
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in entries(dir)? {
        if entry.is_file() {
            paths.push(entry);
        } else if entry.is_dir() && !entry.ends_with("target") {
            collect(&entry, paths)?;
        }
    }
    Ok(())
}

/// What is in a folder, sorted, so that the findings of two machines come in one order.
fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read: std::io::Result<Vec<_>> =
        fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths = read.with_context(|| format!("listing {dir:?}"))?;
    paths.sort();
    Ok(paths)
}

/// Whether a file is one we write by hand.
fn is_text(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("rs" | "toml" | "md" | "py"))
        || path.ends_with("LICENSE")
        || path.ends_with(".ci/run")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repository_is_tidy() {
        let findings = super::check_repository().unwrap();
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
    }

    #[test]
    fn a_finding_names_its_place_and_its_reason() {
        let finding = super::Finding::new("a/b.rs", 3, "no such thing", "there is a reason");
        assert_eq!(finding.to_string(), "a/b.rs:3: no such thing (there is a reason)");
    }
}
