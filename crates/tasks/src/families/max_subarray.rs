//! The largest sum of a contiguous run of numbers.

use rand::Rng as _;
use verify::Value;

use super::values::{as_ints, int, ints, list};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct MaxSubarray;

const NON_EMPTY: usize = 0;
const MAY_BE_EMPTY: usize = 1;

impl Algorithm for MaxSubarray {
    fn name(&self) -> &'static str {
        "max_subarray"
    }

    fn tier(&self) -> Tier {
        Tier::Basic
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "non-empty",
                share: 2,
                wordings: &[
                    "[Return|Find|Compute] the [largest|maximum|greatest] sum of a [non-empty|nonempty] contiguous [subarray|run|slice] of $0.",
                    "[Over all|Among all] non-empty contiguous [slices|runs|subarrays] of $0, [return|give] the [largest|maximum] sum.",
                ],
            },
            Variant {
                name: "may be empty",
                share: 1,
                wordings: &[
                    "[Return|Find|Compute] the [largest|maximum|greatest] sum of a contiguous [subarray|run|slice] of $0; the empty one counts as 0.",
                    "[Over all|Among all] contiguous [slices|runs|subarrays] of $0, even the empty one, [return|give] the [largest|maximum] sum.",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["nums"], &["xs"], &["a"], &["values"], &["arr"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        let len = rng.random_range(2 + d / 2..=4 + 2 * d);
        let bound = 5 + i64::from(difficulty) * 2;
        vec![ints(&list(len, -bound, bound, rng))]
    }

    fn probes(&self, variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let d = usize::from(difficulty);
        let smallest: &[i64] = if variant == MAY_BE_EMPTY { &[] } else { &[-5] };
        vec![
            vec![ints(&list(3 + d, -9, -1, rng))],
            vec![ints(smallest)],
            vec![ints(&[4, -1, 5, -20, 7])],
            vec![ints(&[-3, 6, -2, 6, -9, 1])],
            vec![ints(&list(3 + d, 1, 9, rng))],
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        let len = rng.random_range(3..=5);
        vec![ints(&list(len, -6, 6, rng))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let mut best = None;
        let mut here = 0;
        for x in as_ints(&args[0]) {
            here = x + here.max(0);
            best = best.max(Some(here));
        }
        let best = best.unwrap_or(0);
        int(if variant == NON_EMPTY { best } else { best.max(0) })
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        let xs = as_ints(&args[0]);
        let sums = (0..xs.len()).flat_map(|i| {
            let xs = &xs;
            (i + 1..=xs.len()).map(move |j| xs[i..j].iter().sum::<i64>())
        });
        let best = sums.max().unwrap_or(0);
        int(if variant == NON_EMPTY { best } else { best.max(0) })
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

const SKETCHES: &[Sketch] = &[Sketch {
    body: "
%best = {start}
%cur = 0
for %x in $0:
    %cur = {extend}
    %best = {keep}
return {result}
",
    choices: &[
        Choice {
            name: "start",
            options: &[
                twist("$0[0]", only(NON_EMPTY), 12, 2),
                twist("0", only(MAY_BE_EMPTY), 12, 3),
            ],
        },
        Choice {
            name: "extend",
            options: &[
                right("max(%x, %cur + %x)", 12),
                twist("max(0, %cur + %x)", only(MAY_BE_EMPTY), 3, 1),
                wrong("%cur + %x", 1),
                wrong("max(%x, %cur)", 1),
            ],
        },
        Choice {
            name: "keep",
            options: &[
                right("max(%best, %cur)", 12),
                wrong("max(%best, %x)", 1),
                wrong("min(%best, %cur)", 1),
            ],
        },
        Choice { name: "result", options: &[right("%best", 12), wrong("%cur", 1)] },
    ],
    locals: &[
        Local("best", &["best", "ans", "result"]),
        Local("cur", &["cur", "here", "total"]),
        Local("x", &["x", "v", "n"]),
    ],
}];
