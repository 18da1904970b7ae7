//! Puzzles as the policy is asked for them.

use serde::{Deserialize, Serialize};
use verify::TestCase;

use super::{ENTRY_POINT, Puzzle, TaskKind, answer::args_text};

/// How much a prompt explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// Code and comments only, for a model that was trained on this form.
    Brief,
    /// Every rule in words, for a model that follows instructions.
    Instructed,
}

const RULES: &str = "\
The function must be called f, take at least one argument and return a value. It must be
deterministic: no randomness, no clock, no files, no network, no printing. Arguments and the
returned value are literals: numbers, strings, booleans, None, lists, tuples, dictionaries, sets.
Imports and classes, if any, stand at the top. It must finish within seconds.
Make solving it need several steps of reasoning, and make it unlike the examples.";

/// Asks for a new program and an input, for deduction or abduction, unlike `references`.
pub fn ask_proposal(kind: TaskKind, references: &[&Puzzle], style: Style) -> String {
    let shown = references.iter().map(|puzzle| program_and_cases(puzzle));
    match style {
        Style::Brief => {
            let shown: String = shown.collect();
            format!("# propose {kind}\n{shown}# new\n")
        }
        Style::Instructed => {
            let hidden = if kind == TaskKind::Abduction { "an input" } else { "the output" };
            let shown: String = shown
                .enumerate()
                .map(|(i, text)| format!("Example {}:\n```python\n{text}```\n\n", i + 1))
                .collect();
            format!(
                "Design a new and unique Python function and one input for it. Another person \
                 will be shown {}, and has to find {hidden}.\n\n{RULES}\n\n{shown}Answer with \
                 the function in one ```python block and the arguments, separated by commas, \
                 in one ```input block.\n",
                if kind == TaskKind::Abduction {
                    "the function and its output"
                } else {
                    "the function and the input"
                },
            )
        }
    }
}

/// Asks for `n` inputs to a program and a message about it, for induction.
pub fn ask_questions(program: &str, n: usize, style: Style) -> String {
    match style {
        Style::Brief => format!("# propose induction\n{program}# {n} inputs\n"),
        Style::Instructed => format!(
            "```python\n{program}```\n\nWrite {n} inputs to this function that show together what \
             it does, and a message that helps another person to write it again from half of \
             the inputs with their outputs. The message must not contain code.\nAnswer with {n} \
             ```input blocks, each with the arguments of one call separated by commas, and one \
             ```message block.\n"
        ),
    }
}

/// Asks a solver.
pub fn ask_puzzle(puzzle: &Puzzle, style: Style) -> String {
    let brief = match puzzle.kind {
        TaskKind::Deduction => {
            let args = puzzle.cases.first().map(|case| args_text(&case.args));
            format!("{}# {ENTRY_POINT}({}) == ?\n", puzzle.program, args.unwrap_or_default())
        }
        TaskKind::Abduction => {
            let output = puzzle.cases.first().map(|case| case.expected.to_string());
            format!("{}# {ENTRY_POINT}(?) == {}\n", puzzle.program, output.unwrap_or_default())
        }
        TaskKind::Induction => {
            let cases: String = puzzle.shown().iter().map(line).collect();
            format!("# {}\n{cases}# write {ENTRY_POINT}\n", puzzle.message)
        }
    };
    if style == Style::Brief {
        return brief;
    }
    let (question, label) = match puzzle.kind {
        TaskKind::Deduction => ("What does the call return? Answer with the value", "output"),
        TaskKind::Abduction => {
            ("For which arguments does the call return this? Answer with them", "input")
        }
        TaskKind::Induction => {
            ("Write the function that does this, for other arguments too. Answer with it", "python")
        }
    };
    format!("```python\n{brief}```\n\n{question} in one ```{label} block.\n")
}

fn program_and_cases(puzzle: &Puzzle) -> String {
    let cases: String = puzzle.cases.iter().map(line).collect();
    format!("{}{cases}", puzzle.program)
}

fn line(case: &TestCase) -> String {
    format!("# {ENTRY_POINT}({}) == {}\n", args_text(&case.args), case.expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_shows_what_its_kind_may_show() {
        let mut puzzle = Puzzle::identity(TaskKind::Induction);
        puzzle.program = "def f(x):\n    return secret\n".to_string();
        for style in [Style::Brief, Style::Instructed] {
            let text = ask_puzzle(&puzzle, style);
            assert!(text.contains(&puzzle.message) && !text.contains("secret"), "{text}");
            let hidden = puzzle.hidden().iter().map(line);
            assert!(hidden.into_iter().all(|case| !text.contains(&case)), "{text}");
        }
        let mut puzzle = Puzzle::identity(TaskKind::Deduction);
        puzzle.cases = [TestCase { args: vec![], expected: verify::Value::Int(77) }].into();
        assert!(!ask_puzzle(&puzzle, Style::Instructed).contains("77"));
        puzzle.kind = TaskKind::Abduction;
        assert!(ask_puzzle(&puzzle, Style::Instructed).contains("f(?) == 77"));
    }
}
