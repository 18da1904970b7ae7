//! What people read about a failure: one short line, whatever a program put into it.

use std::fmt::{self, Write as _};

use crate::Value;
use crate::compare::canonical;

/// Longest text of a detail, in characters.
pub(crate) const DETAIL_MAX: usize = 160;
/// Longest text of one value in a detail, in characters.
const VALUE_MAX: usize = 60;

/// Text of the program, fit for a terminal and for comparing logs: in one line, without control
/// characters, and without addresses.
pub(crate) fn clean(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
        if shown.ends_with(" at 0x") {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            shown.push('…');
        }
    }
    shown.chars().take(DETAIL_MAX).collect()
}

/// A value in few characters. Nothing beyond them is written out, however large it is.
pub(crate) fn brief(value: &Value) -> String {
    let mut shown = Brief { text: String::new(), left: VALUE_MAX };
    let whole = write!(shown, "{}", canonical(value)).is_ok();
    if !whole {
        shown.text.push('…');
    }
    shown.text
}

struct Brief {
    text: String,
    left: usize,
}

impl fmt::Write for Brief {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(c);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_program_is_made_harmless() {
        let cases = [
            ("it's \"x\" \\ é", "it's \"x\" \\ é"),
            ("a\n\x1b[2J\u{202e}\u{9b}", "a\\n\\u{1b}[2J\\u{202e}\\u{9b}"),
            ("<A at 0x7ffff7d0> <B at 0x1>", "<A at 0x…> <B at 0x…>"),
            ("0x10 at 10", "0x10 at 10"),
        ];
        for (text, shown) in cases {
            assert_eq!(clean(text), shown);
        }
        assert_eq!(clean(&"é".repeat(1000)).chars().count(), DETAIL_MAX);
    }

    #[test]
    fn long_values_are_shown_in_part() {
        let long = Value::List(vec![Value::Int(1); 100_000]);
        assert_eq!(brief(&long).chars().count(), VALUE_MAX + 1);
        assert_eq!(brief(&Value::Set(vec![Value::Int(10), Value::Int(9)])), "{9, 10}");
    }
}
