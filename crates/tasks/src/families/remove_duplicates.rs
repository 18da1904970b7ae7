//! A list without repeated numbers, in order: the first or last copy of each, or two of them.

use std::collections::HashMap;

use rand::Rng as _;
use verify::Value;

use super::values::{as_ints, ints, list};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, twist, wrong};

pub(super) struct RemoveDuplicates;

const FIRST: usize = 0;
const LAST: usize = 1;
const TWO: usize = 2;

impl Algorithm for RemoveDuplicates {
    fn name(&self) -> &'static str {
        "remove_duplicates"
    }

    fn tier(&self) -> Tier {
        Tier::Basic
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "first copy",
                share: 2,
                wordings: &[
                    "[Remove|Drop] duplicates from $0, keeping the first [copy|occurrence] of each [number|value] in [order|place].",
                    "[Return|Give] $0 with only the first [copy|occurrence] of each [number|value|element], in [order|place].",
                ],
            },
            Variant {
                name: "last copy",
                share: 1,
                wordings: &[
                    "[Remove|Drop] duplicates from $0, keeping the last [copy|occurrence] of each [number|value] in [order|place].",
                    "[Return|Give] $0 with only the last [copy|occurrence] of each [number|value|element], in [order|place].",
                ],
            },
            Variant {
                name: "two copies",
                share: 1,
                wordings: &[
                    "[Remove|Drop] duplicates from $0, keeping the first two [copies|occurrences] of each [number|value] in [order|place].",
                    "[Return|Give] $0 with at most the first two [copies|occurrences] of each [number|value|element], in [order|place].",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["nums"], &["xs"], &["a"], &["values"], &["arr"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        let len = rng.random_range(3 + d..=5 + 2 * d);
        vec![ints(&list(len, 0, 2 + len as i64 / 3, rng))]
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let long = list(8 + 2 * usize::from(difficulty), 0, 4, rng);
        vec![
            vec![ints(&[])],
            vec![ints(&[7, 7, 7, 7])],
            vec![ints(&[3, 1, 3, 2, 3, 1])],
            vec![ints(&[5, 4, 4, 4, 5, 9, 5])],
            vec![ints(&long)],
        ]
    }

    fn example(&self, variant: usize, rng: &mut Rng) -> Vec<Value> {
        let len = if variant == TWO { 5 } else { 4 };
        vec![ints(&list(len, 1, 3, rng))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let mut xs = as_ints(&args[0]);
        if variant == LAST {
            xs.reverse();
        }
        let mut copies = HashMap::new();
        xs.retain(|&x| {
            let n = copies.entry(x).or_insert(0);
            *n += 1;
            *n <= if variant == TWO { 2 } else { 1 }
        });
        if variant == LAST {
            xs.reverse();
        }
        ints(&xs)
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        let xs = as_ints(&args[0]);
        let copies = |part: &[i64], x: i64| part.iter().filter(|&&y| y == x).count();
        let keep = |i: usize| match variant {
            FIRST => copies(&xs[..i], xs[i]) == 0,
            LAST => copies(&xs[i + 1..], xs[i]) == 0,
            _ => copies(&xs[..i], xs[i]) < 2,
        };
        ints(&(0..xs.len()).filter(|&i| keep(i)).map(|i| xs[i]).collect::<Vec<_>>())
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

const SKETCHES: &[Sketch] = &[Sketch {
    body: "
%out = []
for %x in {items}:
    if {test}:
        %out.append(%x)
return {result}
",
    choices: &[
        Choice {
            name: "items",
            options: &[
                twist("$0", only(FIRST) | only(TWO), 12, 2),
                twist("$0[::-1]", only(LAST), 12, 1),
                wrong("sorted($0)", 1),
            ],
        },
        Choice {
            name: "test",
            options: &[
                twist("%x not in %out", only(FIRST) | only(LAST), 12, 2),
                twist("%out.count(%x) < 2", only(TWO), 12, 1),
                wrong("not %out or %x != %out[-1]", 1),
            ],
        },
        Choice {
            name: "result",
            options: &[
                twist("%out", only(FIRST) | only(TWO), 12, 2),
                twist("%out[::-1]", only(LAST), 12, 1),
                wrong("len(%out)", 1),
            ],
        },
    ],
    locals: &[Local("out", &["out", "res", "kept"]), Local("x", &["x", "v", "n"])],
}];
