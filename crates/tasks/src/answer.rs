//! The program in a completion. Training and evaluation both use these rules: one for texts
//! that go on from the opening line of a function, one for replies of instruct models.

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

/// The program in the reply of an instruct model: its last fenced block, even where the fence
/// was not closed; the whole reply where there is none.
pub fn program_of_reply(reply: &str) -> String {
    let mut program: Option<String> = None;
    let mut open = false;
    for line in reply.lines() {
        if line.trim_start().starts_with("```") {
            open = !open;
            if open {
                program = Some(String::new());
            }
        } else if let (true, Some(program)) = (open, &mut program) {
            program.push_str(line);
            program.push('\n');
        }
    }
    program.unwrap_or_else(|| format!("{}\n", reply.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_fenced_block_of_a_reply_counts() {
        let f = "def f(x):\n    return x\n";
        for reply in [
            format!("Here it is:\n```python\n{f}```\nIt returns x."),
            format!("First:\n```\nx = 1\n```\nBetter:\n```python\n{f}```"),
            format!("```python\n{f}"),
            f.to_string(),
        ] {
            assert_eq!(program_of_reply(&reply), f);
        }
        assert_eq!(program_of_reply(""), "\n");
    }
}
