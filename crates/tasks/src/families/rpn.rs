//! The value of an expression in postfix notation.
//!
//! Right operands are nested, so that only a stack evaluates them; negative numbers occur, so
//! that a token with a minus sign is not always an operator.

use rand::Rng as _;
use verify::Value;

use super::values::{as_text, int, text};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct Rpn;

const PLAIN: usize = 0;
const DISTANCE: usize = 1;

impl Algorithm for Rpn {
    fn name(&self) -> &'static str {
        "rpn"
    }

    fn tier(&self) -> Tier {
        Tier::Basic
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "plain",
                share: 3,
                wordings: &[
                    "[Evaluate|Compute|Work out] the [postfix|reverse Polish|RPN] expression $0 [of integers and + - *|with operators + - *].",
                    "[Return|Give|Find] the value of the [postfix|reverse Polish|RPN] expression $0 [of integers and + - *|with operators + - *].",
                ],
            },
            Variant {
                name: "minus is distance",
                share: 1,
                wordings: &[
                    "[Evaluate|Compute|Work out] the [postfix|reverse Polish|RPN] expression $0, where [- gives|a b - means|- stands for] abs(a - b).",
                    "[Return|Give|Find] the value of the [postfix|reverse Polish|RPN] expression $0, where - gives the absolute [difference|value of the difference].",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["expr"], &["s"], &["tokens"], &["expression"], &["text"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        let operators = rng.random_range(1 + d / 3..=2 + d);
        vec![text(expression(operators, rng))]
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let nested = format!("{} 3 9 4 - -", expression(usize::from(difficulty), rng));
        vec![
            vec![text("7 2 4 1 - * -")],
            vec![text("-3 5 +")],
            vec![text("2 9 -")],
            vec![text("8 3 - 2 6 * -")],
            vec![text(nested + " *")],
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        let operators = rng.random_range(1..=2);
        vec![text(expression(operators, rng))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let mut stack: Vec<i64> = Vec::new();
        for token in as_text(&args[0]).split(' ') {
            let number = token.parse().unwrap_or_else(|_| {
                let (b, a) = (stack.pop().unwrap_or(0), stack.pop().unwrap_or(0));
                apply(variant, token, a, b)
            });
            stack.push(number);
        }
        int(stack[0])
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        // Read backwards, an operator comes before its right and then its left operand.
        fn value<'a>(variant: usize, tokens: &mut impl Iterator<Item = &'a str>) -> i64 {
            let token = tokens.next().unwrap_or("0");
            token.parse().unwrap_or_else(|_| {
                let b = value(variant, tokens);
                let a = value(variant, tokens);
                apply(variant, token, a, b)
            })
        }
        int(value(variant, &mut as_text(&args[0]).rsplit(' ')))
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

fn apply(variant: usize, operator: &str, a: i64, b: i64) -> i64 {
    match operator {
        "+" => a + b,
        "-" if variant == DISTANCE => (a - b).abs(),
        "-" => a - b,
        _ => a * b,
    }
}

/// A random expression; twelve products of one-digit numbers fit 64 bits.
fn expression(operators: usize, rng: &mut Rng) -> String {
    if operators == 0 {
        return rng.random_range(-3..=9).to_string();
    }
    let left = rng.random_range(0..operators);
    let (a, b) = (expression(left, rng), expression(operators - 1 - left, rng));
    format!("{a} {b} {}", ["+", "-", "*"][rng.random_range(0..3)])
}

const SKETCHES: &[Sketch] = &[Sketch {
    body: "
%stack = []
for %t in $0.split():
    if {operator}:
        {pop}
        %t = %a + %b if %t == '+' else {minus} if %t == '-' else {times}
    %stack.append({push})
return {result}
",
    choices: &[
        Choice {
            name: "operator",
            options: &[
                right("%t in '+-*'", 14),
                wrong("not %t.isdigit()", 1),
                wrong("%t in '+-'", 1),
            ],
        },
        Choice {
            name: "pop",
            options: &[
                right("%b, %a = %stack.pop(), %stack.pop()", 8),
                twist("%a, %b = %stack.pop(), %stack.pop()", only(DISTANCE), 1, 1),
            ],
        },
        Choice {
            name: "minus",
            options: &[
                twist("%a - %b", only(PLAIN), 12, 3),
                twist("abs(%a - %b)", only(DISTANCE), 10, 1),
            ],
        },
        Choice { name: "times", options: &[right("%a * %b", 14), wrong("%a + %b", 1)] },
        Choice { name: "push", options: &[right("int(%t)", 14), wrong("%t", 1)] },
        Choice {
            name: "result",
            options: &[right("%stack[-1]", 14), wrong("%stack", 1), wrong("len(%stack)", 1)],
        },
    ],
    locals: &[
        Local("stack", &["stack", "st", "out"]),
        Local("t", &["t", "c", "x"]),
        Local("a", &["a", "left"]),
        Local("b", &["b", "right"]),
    ],
}];
