//! What a visitor of the repository must find: the licence, the map, and where each recipe is
//! explained.

use super::{Finding, TextFile};

/// Files that are there, each with its reason.
const PRESENT: &[(&str, &str)] = &[
    ("LICENSE", "the manifests say MIT"),
    ("README.md", "it says what this is and how to run it"),
    ("ARCHITECTURE.md", "it is the map"),
    ("STYLE.md", "it gives the reasons of these checks"),
    ("CHANGELOG.md", "users read what changed"),
    ("CONTRIBUTING.md", "it says how to change something"),
];

/// Checks the files at the root and the recipes.
pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let missing = PRESENT
        .iter()
        .filter(|(path, _)| !files.iter().any(|file| file.path == *path))
        .map(|(path, why)| Finding::new(path, 1, "missing", why));
    let unexplained = files
        .iter()
        .filter_map(|file| file.path.strip_prefix("recipes/"))
        .filter(|name| name.ends_with(".toml") && !is_explained(name, files))
        .map(|name| {
            let what = format!("no page in docs/ and no line of README.md names {name}");
            let why = "a recipe that nobody explains is not repeated";
            Finding::new(&format!("recipes/{name}"), 1, what, why)
        });
    missing.chain(unexplained).collect()
}

/// Whether a page names the recipe, as a file or as the argument that selects it.
fn is_explained(name: &str, files: &[TextFile]) -> bool {
    let quoted = format!("`{}`", name.trim_end_matches(".toml"));
    files
        .iter()
        .filter(|file| file.path == "README.md" || file.path.starts_with("docs/"))
        .any(|page| page.text.contains(name) || page.text.contains(&quoted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_paths(files: &[(&str, &str)]) -> Vec<String> {
        let all = PRESENT.iter().map(|(path, _)| (*path, ""));
        let files: Vec<_> = all
            .chain(files.iter().copied())
            .map(|(path, text)| TextFile { path: path.into(), text: text.into() })
            .collect();
        check(&files).into_iter().map(|finding| finding.place.path).collect()
    }

    #[test]
    fn a_recipe_must_be_explained() {
        assert!(check_paths(&[]).is_empty());
        assert_eq!(check_paths(&[("recipes/tiny.toml", "")]), ["recipes/tiny.toml"]);
        for page in ["run recipes/tiny.toml first", "the recipe `tiny` is small"] {
            assert!(
                check_paths(&[("recipes/tiny.toml", ""), ("docs/recipes.md", page)]).is_empty()
            );
        }
    }

    #[test]
    fn a_missing_file_is_found() {
        assert_eq!(check(&[]).len(), PRESENT.len());
    }
}
