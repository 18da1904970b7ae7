//! Whether brackets match, or how many stay open.
//!
//! Strings are valid ones with at most a few characters changed, so neither the first
//! character nor the counts of the brackets decide.

use rand::Rng as _;
use verify::Value;

use super::values::{as_text, int, text};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct Parentheses;

const VALID: usize = 0;
const OPEN: usize = 1;

const PAIRS: [&str; 3] = ["()", "[]", "{}"];

impl Algorithm for Parentheses {
    fn name(&self) -> &'static str {
        "parentheses"
    }

    fn tier(&self) -> Tier {
        Tier::Basic
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "valid",
                share: 2,
                wordings: &[
                    "[Return|Tell|Say|Decide] whether the brackets [in|of] $0, of three kinds, are [balanced|correctly matched|properly nested].",
                    "[Return True if|Tell whether|Check that] every [bracket|parenthesis] of $0 is [closed|matched] in the right [order|place].",
                ],
            },
            Variant {
                name: "left open",
                share: 1,
                wordings: &[
                    "[Return|Count|Give|Find] how many brackets of $0 [stay|are left|remain] open, or -1 [if|when] one is closed wrongly.",
                    "[Return|Count|Give|Find] the number of [unclosed|still open] brackets in $0, or -1 for a [wrong|bad] closing one.",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["s"], &["text"], &["brackets"], &["string"], &["line"]]
    }

    fn inputs(&self, variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        let pairs = rng.random_range(1 + d / 2..=2 + 2 * d);
        vec![text(brackets(variant, pairs, rng))]
    }

    fn probes(&self, variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let mut long = balanced(1 + usize::from(difficulty), rng);
        if variant == OPEN {
            long.insert_str(0, "[{(");
        }
        vec![
            vec![text("([)]")],
            vec![text("{}[]()]")],
            vec![text("{[()(")],
            vec![text("({[]}{})")],
            vec![text(long)],
        ]
    }

    fn example(&self, variant: usize, rng: &mut Rng) -> Vec<Value> {
        let pairs = rng.random_range(1..=2);
        vec![text(brackets(variant, pairs, rng))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let mut open = Vec::new();
        for c in as_text(&args[0]).chars() {
            if let Some(pair) = PAIRS.iter().find(|p| p.starts_with(c)) {
                open.push(*pair);
            } else if !open.pop().is_some_and(|pair| pair.ends_with(c)) {
                return if variant == VALID { Value::Bool(false) } else { int(-1) };
            }
        }
        if variant == VALID { Value::Bool(open.is_empty()) } else { int(open.len() as i64) }
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        let mut s = as_text(&args[0]).to_string();
        while let Some(at) = PAIRS.iter().find_map(|p| s.find(p)) {
            s.replace_range(at..at + 2, "");
        }
        match variant {
            VALID => Value::Bool(s.is_empty()),
            _ if s.contains([')', ']', '}']) => int(-1),
            _ => int(s.len() as i64),
        }
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

/// A balanced string.
fn balanced(pairs: usize, rng: &mut Rng) -> String {
    if pairs == 0 {
        return String::new();
    }
    let inside = rng.random_range(0..pairs);
    let (open, close) = PAIRS[rng.random_range(0..3)].split_at(1);
    let (inner, after) = (balanced(inside, rng), balanced(pairs - 1 - inside, rng));
    format!("{open}{inner}{close}{after}")
}

/// A balanced string, or one with a character replaced, dropped or moved; where open brackets
/// are counted, often one with a few more of them.
fn brackets(variant: usize, pairs: usize, rng: &mut Rng) -> String {
    let mut s = balanced(pairs, rng);
    let at = rng.random_range(0..s.len());
    match rng.random_range(0..6) {
        0 => s.replace_range(at..=at, &"()[]{}"[at % 6..=at % 6]),
        1 => drop(s.remove(at)),
        2 => {
            let c = s.remove(at);
            s.insert(rng.random_range(0..=s.len()), c);
        }
        _ if variant == OPEN => {
            for _ in 0..rng.random_range(0..=4) {
                // Before an opening bracket or at the end, one more leaves the rest matched.
                let at = s.rfind(['(', '[', '{']).filter(|_| rng.random()).unwrap_or(s.len());
                s.insert(at, ['(', '[', '{'][rng.random_range(0..3)]);
            }
        }
        _ => {}
    }
    s
}

const SKETCHES: &[Sketch] = &[Sketch {
    body: "
%stack = []
for %c in $0:
    if %c in {openers}:
        %stack.append(%c)
    elif {bad}:
        return {fail}
return {result}
",
    choices: &[
        Choice {
            name: "openers",
            options: &[right("'([{'", 18), wrong("'(['", 1), wrong("'('", 1)],
        },
        Choice {
            name: "bad",
            options: &[
                right("not %stack or %stack.pop() + %c not in '()[]{}'", 14),
                wrong("%stack.pop() + %c not in '()[]{}'", 1),
                wrong("not %stack or not %stack.pop()", 1),
                wrong("not %stack or %stack[-1] + %c not in '()[]{}'", 1),
            ],
        },
        Choice {
            name: "fail",
            options: &[
                twist("False", only(VALID), 14, 1),
                twist("-1", only(OPEN), 14, 1),
                wrong("0", 1),
            ],
        },
        Choice {
            name: "result",
            options: &[
                twist("not %stack", only(VALID), 12, 2),
                twist("len(%stack)", only(OPEN), 14, 1),
                wrong("True", 1),
            ],
        },
    ],
    locals: &[Local("stack", &["stack", "st", "opened"]), Local("c", &["c", "ch", "x"])],
}];
