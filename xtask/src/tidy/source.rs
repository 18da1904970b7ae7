//! What every text file, and every Rust file, must look like.

use super::{Finding, TextFile};

/// From here a file without its tests should be looked at again: is it still one noun?
pub(super) const FILE_LINES_MAX: usize = 500;

/// What Rust code must not contain, with the reason. Written in two parts, or this file would
/// be a finding.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("#[ig", "nore"), "assert the wrong behaviour with a FIXME, or delete the test"),
    (concat!("to", "do!("), "what is not there is left out, not promised"),
    (concat!("unimple", "mented!("), "what is not there is left out, not promised"),
];

/// Checks that hold for any text.
pub(super) fn check_text(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (idx, line) in file.text.lines().enumerate() {
        if line != line.trim_end() {
            findings.push(Finding::new(
                &file.path,
                idx + 1,
                "space at the end of the line",
                "it shows up in every later diff",
            ));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        let line = file.text.lines().count();
        let why = "the next line added would change this one";
        findings.push(Finding::new(&file.path, line, "no newline at the end of the file", why));
    }
    findings
}

/// Checks of a Rust file; `long` are the files that may be long.
pub(super) fn check_rust(file: &TextFile, long: &[(&str, &str)]) -> Vec<Finding> {
    let TextFile { path, text } = file;
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        let why = "a file opens by defining its noun";
        findings.push(Finding::new(path, 1, "no module documentation at the top", why));
    }
    for (idx, line) in text.lines().enumerate() {
        let code = line.trim_start();
        for (forbidden, why) in FORBIDDEN.iter().filter(|(forbidden, _)| code.contains(forbidden)) {
            if !code.starts_with("//") {
                findings.push(Finding::new(path, idx + 1, format!("`{forbidden}`"), why));
            }
        }
    }
    let n_lines = lines_without_tests(file);
    if n_lines > FILE_LINES_MAX && !long.iter().any(|(excepted, _)| excepted == path) {
        let what = format!("{n_lines} lines without tests, more than {FILE_LINES_MAX}");
        let why = "split it by noun, or list it with a reason in xtask/src/tidy.rs";
        findings.push(Finding::new(path, FILE_LINES_MAX + 1, what, why));
    }
    findings
}

/// The exceptions that are not needed any more.
pub(super) fn check_exceptions(files: &[TextFile], long: &[(&str, &str)]) -> Vec<Finding> {
    let is_long = |path: &str| {
        files.iter().any(|file| file.path == path && lines_without_tests(file) > FILE_LINES_MAX)
    };
    long.iter()
        .filter(|(path, _)| !is_long(path))
        .map(|(path, _)| {
            let what = format!("{path} is not long, yet listed as an exception");
            Finding::new("xtask/src/tidy.rs", 1, what, "a list that is wrong is not read")
        })
        .collect()
}

/// Lines before the test module; none in a file that is all tests.
fn lines_without_tests(file: &TextFile) -> usize {
    if file.path.contains("/tests/") || file.path.ends_with("/tests.rs") {
        return 0;
    }
    let lines: Vec<_> = file.text.lines().map(str::trim_start).collect();
    let opens_tests =
        |pair: &[&str]| pair[0].starts_with("#[cfg(test)]") && pair[1].contains("mod ");
    lines.windows(2).position(opens_tests).unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "crates/x/src/noun.rs";

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.into(), text: text.into() }
    }

    fn check(text: &str) -> Vec<String> {
        let file = file(PATH, text);
        let findings = check_text(&file).into_iter().chain(check_rust(&file, &[]));
        findings.map(|finding| format!("{}: {}", finding.place.line, finding.what)).collect()
    }

    #[test]
    fn a_file_opens_with_its_documentation() {
        assert!(check("//! A noun.\nfn main() {}\n").is_empty());
        assert_eq!(check("fn main() {}\n"), ["1: no module documentation at the top"]);
        assert_eq!(check("\n//! Late.\n"), ["1: no module documentation at the top"]);
    }

    #[test]
    fn spaces_and_a_missing_newline_at_the_end_are_found() {
        assert_eq!(check("//! A.\nfn a() {} \n//\t\n").len(), 2);
        assert_eq!(check("//! A.\nfn a() {}"), ["2: no newline at the end of the file"]);
    }

    #[test]
    fn forbidden_code_is_found_and_talk_of_it_is_not() {
        for (forbidden, _) in FORBIDDEN {
            let found = check(&format!("//! A.\n//! Not {forbidden}.\n    {forbidden}\n"));
            assert_eq!(found, [format!("3: `{forbidden}`")]);
        }
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_are_not_counted() {
        let code = |n: usize| "//! A.\n".to_owned() + &"//\n".repeat(n - 1);
        let tests = "#[cfg(test)]\nmod tests {\n".to_owned() + &"//\n".repeat(500) + "}\n";
        assert!(check(&code(FILE_LINES_MAX)).is_empty());
        assert!(check(&(code(FILE_LINES_MAX) + &tests)).is_empty());
        let long = code(FILE_LINES_MAX + 1);
        assert_eq!(check(&long), ["501: 501 lines without tests, more than 500"]);
        // A single item compiled for tests does not end the count.
        let item = code(10) + "#[cfg(test)]\nuse a::b;\n" + &"//\n".repeat(500);
        assert_eq!(check(&item).len(), 1);
        assert!(check_rust(&file("crates/x/tests/it/main.rs", &long), &[]).is_empty());
    }

    #[test]
    fn an_exception_holds_as_long_as_it_is_needed() {
        let long = file(PATH, &("//! A.\n".to_owned() + &"//\n".repeat(500)));
        let exceptions = [(PATH, "a table")];
        assert!(check_rust(&long, &exceptions).is_empty());
        assert!(check_exceptions(&[long], &exceptions).is_empty());
        assert_eq!(check_exceptions(&[file(PATH, "//! A.\n")], &exceptions).len(), 1);
        assert_eq!(check_exceptions(&[], &exceptions).len(), 1);
    }
}
