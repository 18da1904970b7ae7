//! The program in a completion. Training and evaluation both use this one rule.

use crate::Task;

/// The program that `completion` makes of its task: the opening line of the prompt, then the
/// completion up to the first line that is neither blank nor indented.
pub fn program(task: &Task, completion: &str) -> String {
    let mut text = format!("def {}({}):\n", task.entry_point, task.params.join(", "));
    for line in completion.lines() {
        let outside = !line.trim().is_empty() && !line.starts_with([' ', '\t']);
        if outside {
            break;
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}
