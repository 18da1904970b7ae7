//! The value of an expression with + - *, by precedence or from left to right.

use rand::Rng as _;
use verify::Value;

use super::values::{as_text, int, text};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct Arithmetic;

const PRECEDENCE: usize = 0;
const LEFT_TO_RIGHT: usize = 1;

impl Algorithm for Arithmetic {
    fn name(&self) -> &'static str {
        "arithmetic"
    }

    fn tier(&self) -> Tier {
        Tier::Basic
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "precedence",
                share: 2,
                wordings: &[
                    "[Evaluate|Compute|Work out] the [expression|sum|formula] $0, where * [binds tighter than|comes before|goes before] + and -.",
                    "[Return|Give|Find] the value of $0 with the [usual|normal|standard] precedence of [+ - *|+, - and *].",
                ],
            },
            Variant {
                name: "left to right",
                share: 1,
                wordings: &[
                    "[Evaluate|Compute|Work out] the [expression|sum|formula] $0 strictly [left to right|from left to right].",
                    "[Return|Give|Find] the value of $0 read [left to right|from left to right], [without|ignoring] [precedence|priorities].",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["expr"], &["s"], &["e"], &["expression"], &["text"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        let operators = rng.random_range(1 + d / 2..=2 + d);
        vec![text(expression(operators, 4 + 2 * i64::from(difficulty), rng))]
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let d = usize::from(difficulty);
        vec![
            vec![text("2 + 3 * 4 - 5")],
            vec![text("9 - 2 * 3 * 2 + 1")],
            vec![text((7 + d).to_string())],
            vec![text(expression(2 + d, 9, rng) + " * 2 - 13")],
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        let operators = rng.random_range(2..=3);
        vec![text(expression(operators, 9, rng))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let mut tokens = as_text(&args[0]).split(' ');
        // The terms before the last one, added up, and the last one.
        let (mut done, mut last) = (0, number(tokens.next()));
        while let Some(operator) = tokens.next() {
            let x = number(tokens.next());
            if variant == LEFT_TO_RIGHT {
                (done, last) = (0, done + last);
            }
            match operator {
                "*" => last *= x,
                "+" => (done, last) = (done + last, x),
                _ => (done, last) = (done + last, -x),
            }
        }
        int(done + last)
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        fn value(variant: usize, s: &str) -> i64 {
            let sum = s.rfind(" + ").max(s.rfind(" - "));
            let at = if variant == PRECEDENCE {
                sum.or(s.rfind(" * "))
            } else {
                sum.max(s.rfind(" * "))
            };
            let Some(at) = at else { return number(Some(s)) };
            let (a, b) = (value(variant, &s[..at]), value(variant, &s[at + 3..]));
            match &s[at..at + 3] {
                " + " => a + b,
                " - " => a - b,
                _ => a * b,
            }
        }
        int(value(variant, as_text(&args[0])))
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

fn number(token: Option<&str>) -> i64 {
    token.and_then(|t| t.parse().ok()).unwrap_or_else(|| unreachable!("a number, not {token:?}"))
}

fn expression(operators: usize, bound: i64, rng: &mut Rng) -> String {
    let mut s = rng.random_range(1..=bound).to_string();
    for _ in 0..operators {
        let operator = ["+", "-", "*"][rng.random_range(0..3)];
        s.push_str(&format!(" {operator} {}", rng.random_range(1..=bound)));
    }
    s
}

const SKETCHES: &[Sketch] = &[Sketch {
    body: "
%parts = $0.split()
%terms = [{start}]
for %op, %y in zip(%parts[1::2], %parts[2::2]):
    %x = int(%y)
    if %op == '*':
        {times}
    else:
        %terms.append({add})
return {result}
",
    choices: &[
        Choice {
            name: "start",
            options: &[right("int(%parts[0])", 12), wrong("0", 1), wrong("%parts[0]", 1)],
        },
        Choice {
            name: "times",
            options: &[
                twist("%terms[-1] *= %x", only(PRECEDENCE), 12, 2),
                twist("%terms = [sum(%terms) * %x]", only(LEFT_TO_RIGHT), 14, 2),
                wrong("%terms[0] *= %x", 1),
            ],
        },
        Choice {
            name: "add",
            options: &[
                right("%x if %op == '+' else -%x", 12),
                wrong("%x", 1),
                wrong("-%x if %op == '+' else %x", 1),
            ],
        },
        Choice {
            name: "result",
            options: &[right("sum(%terms)", 12), wrong("%terms[-1]", 1), wrong("%terms[0]", 1)],
        },
    ],
    locals: &[
        Local("parts", &["parts", "p", "items"]),
        Local("terms", &["terms", "out", "acc"]),
        Local("op", &["op", "o"]),
        Local("x", &["x", "n"]),
        Local("y", &["y", "t"]),
    ],
}];
