//! The rendered task.

use verify::{Judgement, Verdict};

use crate::Task;

/// A task as an instruct model is asked it: what the system says, and the user. The answer is
/// read by [`crate::program_of_reply`].
pub fn instruction(task: &Task) -> (String, String) {
    let system = "You are a Python programmer. Answer with one ```python block that holds a \
                  complete function, and nothing else.";
    let mut user = format!("{}\n", task.statement);
    if !task.examples.is_empty() {
        user.push_str("\nExamples:\n");
    }
    let name = &task.entry_point;
    for example in &task.examples {
        let args: Vec<String> = example.args.iter().map(ToString::to_string).collect();
        user.push_str(&format!("{name}({}) == {}\n", args.join(", "), example.expected));
    }
    user.push_str(&format!(
        "\nWrite the function:\n```python\ndef {name}({}):\n```\n",
        task.params.join(", ")
    ));
    (system.to_string(), user)
}

/// The prompt of a task: the statement and the visible examples as comments, then the line
/// that opens the function. A completion is the function's body.
pub fn prompt(task: &Task) -> String {
    prompt_with(task, "")
}

/// The prompt of a task with the lines of `remarks` as comments before the function.
pub fn prompt_with(task: &Task, remarks: &str) -> String {
    let name = &task.entry_point;
    let mut text = format!("# {}\n", task.statement);
    for example in &task.examples {
        let args: Vec<String> = example.args.iter().map(ToString::to_string).collect();
        text.push_str(&format!("# {name}({}) == {}\n", args.join(", "), example.expected));
    }
    for line in remarks.lines() {
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
    text.push_str(&format!("def {name}({}):\n", task.params.join(", ")));
    text
}

/// What a program that failed is told of it, from its judgement on the visible examples: what
/// it does on the hidden tests is not said.
pub fn complaint(visible: &Judgement) -> String {
    match visible.verdict {
        Verdict::Accepted | Verdict::JudgeError => {
            "It is wrong for inputs that the examples do not show.".to_string()
        }
        verdict @ (Verdict::WrongAnswer
        | Verdict::RuntimeError
        | Verdict::TimeLimit
        | Verdict::MemoryLimit
        | Verdict::OutputLimit
        | Verdict::Violation
        | Verdict::CompileError
        | Verdict::NoProgram) => format!("It fails the examples: {verdict}: {}", visible.detail),
    }
}

/// What a hint says: a program that is right.
pub fn hint(task: &Task) -> String {
    format!("A program that passes:\n{}", task.reference())
}
