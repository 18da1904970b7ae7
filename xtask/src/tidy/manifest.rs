//! The root manifest: each dependency says what it is for.

use super::{Finding, TextFile};

const MANIFEST: &str = "Cargo.toml";

/// Checks the workspace's dependencies. Those that have a path are ours and need no reason.
pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let Some(manifest) = files.iter().find(|file| file.path == MANIFEST) else {
        return vec![Finding::new(MANIFEST, 1, "missing", "the root is a workspace")];
    };
    dependencies(&manifest.text)
        .filter(|(_, line)| !line.contains("path = ") && !has_reason(line))
        .map(|(line, text)| {
            let name = text.split(['=', '.']).next().unwrap_or(text).trim();
            let what = format!("`{name}` does not say what it is for");
            Finding::new(MANIFEST, line, what, "a dependency comes in with a `# reason`")
        })
        .collect()
}

/// The lines of `[workspace.dependencies]` that name a dependency, with their numbers.
fn dependencies(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(idx, line)| (idx + 1, line.trim()));
    numbered
        .skip_while(|(_, line)| *line != "[workspace.dependencies]")
        .skip(1)
        .take_while(|(_, line)| !line.starts_with('['))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn has_reason(line: &str) -> bool {
    line.split_once('#').is_some_and(|(_, reason)| !reason.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let text = "[workspace]\nresolver = \"3\"\n\n[workspace.dependencies]\n# Ours.\n\
                    model = { path = \"crates/model\" }\n\nserde = \"1\" # events\nlibc = \"0.2\"\n\
                    toml = \"1\" #\n\n[profile.dev]\nopt-level = 1\n";
        let file = TextFile { path: MANIFEST.into(), text: text.into() };
        let found: Vec<_> =
            check(&[file]).into_iter().map(|finding| (finding.place.line, finding.what)).collect();
        assert_eq!(
            found,
            [
                (9, "`libc` does not say what it is for".to_owned()),
                (10, "`toml` does not say what it is for".to_owned())
            ]
        );
    }
}
