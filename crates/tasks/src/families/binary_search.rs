//! Where a number stands in a sorted list, or would stand.

use rand::Rng as _;
use verify::Value;

use super::values::{as_int, as_ints, int, ints};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct BinarySearch;

const OR_MINUS_ONE: usize = 0;
const OR_INSERTION: usize = 1;

impl Algorithm for BinarySearch {
    fn name(&self) -> &'static str {
        "binary_search"
    }

    fn tier(&self) -> Tier {
        Tier::Basic
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "or -1",
                share: 2,
                wordings: &[
                    "[Return|Find|Give] the [index|position] of $1 in the [sorted|ascending] list $0, or -1 if [it is absent|absent|missing].",
                    "[Search|Look up] $1 in [sorted|ascending] $0 by bisection; [return|give] its [index|position], -1 if [absent|missing].",
                ],
            },
            Variant {
                name: "or insertion point",
                share: 1,
                wordings: &[
                    "[Return|Find|Give] the [index|position] of $1 in the [sorted|ascending] list $0, or where it [would go|belongs|would be inserted].",
                    "[Search|Look up] $1 in [sorted|ascending] $0 by bisection; [return|give] its [index|position], [if absent|if missing] where to insert it.",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["nums", "target"], &["xs", "x"], &["a", "key"], &["values", "v"], &["arr", "t"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        search(rng.random_range(2 + d..=4 + 3 * d), rng)
    }

    fn probes(&self, variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let xs = ascending(6 + usize::from(difficulty), rng);
        let (first, last) = (xs[0], xs[xs.len() - 1]);
        vec![
            vec![ints(&[]), int(4)],
            vec![ints(&[3]), int(3)],
            vec![ints(&[2, 7]), int(if variant == OR_MINUS_ONE { 2 } else { 5 })],
            vec![ints(&xs), int(last)],
            vec![ints(&xs), int(last + 1)],
            vec![ints(&xs), int(first - 1)],
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        search(rng.random_range(3..=4), rng)
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let found = as_ints(&args[0]).binary_search(&as_int(&args[1]));
        int(match found {
            Ok(at) => at as i64,
            Err(_) if variant == OR_MINUS_ONE => -1,
            Err(at) => at as i64,
        })
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        let (xs, x) = (as_ints(&args[0]), as_int(&args[1]));
        let smaller = xs.iter().filter(|&&y| y < x).count() as i64;
        int(if variant == OR_INSERTION || xs.contains(&x) { smaller } else { -1 })
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

/// Different numbers in ascending order, with gaps.
fn ascending(len: usize, rng: &mut Rng) -> Vec<i64> {
    let mut x = rng.random_range(-9..=3);
    let mut next = || {
        x += rng.random_range(1..=4);
        x
    };
    (0..len).map(|_| next()).collect()
}

fn search(len: usize, rng: &mut Rng) -> Vec<Value> {
    let xs = ascending(len, rng);
    let x = if rng.random() {
        xs[rng.random_range(0..len)]
    } else {
        rng.random_range(xs[0] - 1..=xs[len - 1] + 1)
    };
    vec![ints(&xs), int(x)]
}

const SKETCHES: &[Sketch] = &[Sketch {
    body: "
%lo, %hi = 0, {high}
while {more}:
    %mid = (%lo + %hi) // 2
    if $0[%mid] == $1:
        return {found}
    if {below}:
        %lo = %mid + 1
    else:
        %hi = %mid - 1
return {absent}
",
    choices: &[
        Choice {
            name: "high",
            options: &[right("len($0) - 1", 12), wrong("len($0)", 1), wrong("len($0) - 2", 1)],
        },
        Choice { name: "more", options: &[right("%lo <= %hi", 12), wrong("%lo < %hi", 1)] },
        Choice {
            name: "found",
            options: &[right("%mid", 14), wrong("$0[%mid]", 1), wrong("True", 1)],
        },
        Choice { name: "below", options: &[right("$0[%mid] < $1", 14), wrong("$0[%mid] > $1", 1)] },
        Choice {
            name: "absent",
            options: &[
                twist("-1", only(OR_MINUS_ONE), 12, 2),
                twist("%lo", only(OR_INSERTION), 12, 1),
                wrong("%hi", 1),
            ],
        },
    ],
    locals: &[
        Local("lo", &["lo", "left", "i"]),
        Local("hi", &["hi", "right", "j"]),
        Local("mid", &["mid", "m"]),
    ],
}];
