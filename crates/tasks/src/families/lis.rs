//! The length of the longest rising subsequence of a list.

use rand::Rng as _;
use verify::Value;

use super::values::{as_ints, int, ints, list};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct Lis;

const STRICT: usize = 0;
const NON_DECREASING: usize = 1;

impl Algorithm for Lis {
    fn name(&self) -> &'static str {
        "lis"
    }

    fn tier(&self) -> Tier {
        Tier::Hard
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "increasing",
                share: 2,
                wordings: &[
                    "[Return|Find|Compute|Give] the [length|size] of the longest [strictly increasing|increasing] subsequence [of|in] $0.",
                    "How [long is|many numbers has] the longest [strictly increasing|increasing] subsequence [of|in] $0?",
                    "[Return|Find|Give] how many [numbers|elements] the longest strictly increasing subsequence of $0 has.",
                ],
            },
            Variant {
                name: "non-decreasing",
                share: 1,
                wordings: &[
                    "[Return|Find|Compute|Give] the [length|size] of the longest [non-decreasing|nondecreasing] subsequence [of|in] $0.",
                    "How [long is|many numbers has] the longest [non-decreasing|nondecreasing] subsequence [of|in] $0?",
                    "[Return|Find|Give] how many [numbers|elements] the longest non-decreasing subsequence of $0 has.",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["nums"], &["xs"], &["a"], &["values"], &["arr"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        let len = rng.random_range(2 + d / 2..=4 + d);
        vec![ints(&list(len, 0, 4 + i64::from(difficulty), rng))]
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let mut falling = list(4 + usize::from(difficulty), 0, 20, rng);
        falling.sort_unstable();
        falling.reverse();
        vec![
            vec![ints(&[7, 7, 7, 7, 7, 7])],
            vec![ints(&[1, 2, 0, 3, 3, 0])],
            vec![ints(&[3, 4, 5, 9, 1, 2])],
            vec![ints(&[9, 2, 1, 3, 3, 0, 8])],
            vec![ints(&falling)],
            vec![ints(&[4])],
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        let len = rng.random_range(4..=5);
        vec![ints(&list(len, 1, 6, rng))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        // `tails[k]` is the smallest end of a rising subsequence of k + 1 numbers.
        let mut tails: Vec<i64> = Vec::new();
        for x in as_ints(&args[0]) {
            let k = tails.partition_point(|&end| rises(variant, end, x));
            match tails.get_mut(k) {
                Some(end) => *end = x,
                None => tails.push(x),
            }
        }
        int(tails.len() as i64)
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        fn longest(variant: usize, last: i64, rest: &[i64]) -> i64 {
            let next = (0..rest.len()).filter(|&i| rises(variant, last, rest[i]));
            next.map(|i| 1 + longest(variant, rest[i], &rest[i + 1..])).max().unwrap_or(0)
        }
        int(longest(variant, i64::MIN, &as_ints(&args[0])))
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

fn rises(variant: usize, from: i64, to: i64) -> bool {
    if variant == STRICT { from < to } else { from <= to }
}

const SKETCHES: &[Sketch] = &[BY_ENDS, BY_TAILS];

/// The longest that ends at each number.
const BY_ENDS: Sketch = Sketch {
    body: "
%dp = {init}
for i in range(len($0)):
    for j in range(i):
        if {rises}:
            %dp[i] = {step}
return {result}
",
    choices: &[
        Choice { name: "init", options: &[right("[1] * len($0)", 40), wrong("[0] * len($0)", 60)] },
        Choice {
            name: "rises",
            options: &[
                twist("$0[j] < $0[i]", only(STRICT), 45, 14),
                twist("$0[j] <= $0[i]", only(NON_DECREASING), 45, 14),
                wrong("$0[j] > $0[i]", 15),
                wrong("$0[j] != $0[i]", 10),
            ],
        },
        Choice {
            name: "step",
            options: &[
                right("max(%dp[i], %dp[j] + 1)", 45),
                wrong("%dp[j] + 1", 20),
                wrong("max(%dp[i], %dp[j])", 20),
                wrong("%dp[i] + 1", 15),
            ],
        },
        Choice {
            name: "result",
            options: &[right("max(%dp)", 55), wrong("%dp[-1]", 35), wrong("len(%dp)", 10)],
        },
    ],
    locals: &[Local("dp", &["dp", "d", "best"])],
};

/// The smallest end of each length.
const BY_TAILS: Sketch = Sketch {
    body: "
%ends = []
for %x in $0:
    k = 0
    while k < len(%ends) and {rises}:
        k += 1
    {place}
return {result}
",
    choices: &[
        Choice {
            name: "rises",
            options: &[
                twist("%ends[k] < %x", only(STRICT), 45, 14),
                twist("%ends[k] <= %x", only(NON_DECREASING), 45, 14),
                wrong("%ends[k] > %x", 15),
                wrong("%ends[k] != %x", 10),
            ],
        },
        Choice {
            name: "place",
            options: &[
                right("%ends[k:k + 1] = [%x]", 40),
                wrong("%ends[k:] = [%x]", 45),
                wrong("%ends.insert(k, %x)", 15),
            ],
        },
        Choice {
            name: "result",
            options: &[
                right("len(%ends)", 50),
                wrong("k + 1", 20),
                wrong("len(%ends) - 1", 15),
                wrong("max(%ends)", 15),
            ],
        },
    ],
    locals: &[Local("ends", &["ends", "tails", "t"]), Local("x", &["x", "v", "n"])],
};
