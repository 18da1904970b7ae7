//! The rendered task.

use crate::Task;

/// The prompt of a task: the statement and the visible examples as comments, then the line
/// that opens the function. A completion is the function's body.
pub fn prompt(task: &Task) -> String {
    let name = &task.entry_point;
    let mut text = format!("# {}\n", task.statement);
    for example in &task.examples {
        let args: Vec<String> = example.args.iter().map(ToString::to_string).collect();
        text.push_str(&format!("# {name}({}) == {}\n", args.join(", "), example.expected));
    }
    text.push_str(&format!("def {name}({}):\n", task.params.join(", ")));
    text
}
