//! The two numbers with a given sum: their indices or themselves.
//!
//! Every input has exactly one such pair, so the answer is unique.

use std::collections::HashMap;

use rand::Rng as _;
use verify::Value;

use super::values::{as_int, as_ints, int, ints, list};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct TwoSum;

const INDICES: usize = 0;
const VALUES: usize = 1;

impl Algorithm for TwoSum {
    fn name(&self) -> &'static str {
        "two_sum"
    }

    fn tier(&self) -> Tier {
        Tier::Basic
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "indices",
                share: 2,
                wordings: &[
                    "[Return|Find|Give] the [indices|positions] of the two [numbers|values|elements] in $0 that [sum|add up] to $1, the smaller first.",
                    "[Return|Find|Give] the [indices|positions] of the only two [numbers|values|elements] of $0 with sum $1, [ascending|in order].",
                ],
            },
            Variant {
                name: "values",
                share: 1,
                wordings: &[
                    "[Return|Find|Give] the two [numbers|values|elements] in $0 that [sum|add up] to $1, in [list order|the order of the list].",
                    "[Return|Find|Give] the only two [numbers|values|elements] of $0 with sum $1, as they [come|occur|stand] in $0.",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["nums", "target"], &["xs", "t"], &["a", "k"], &["values", "total"], &["arr", "goal"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        with_one_pair(rng.random_range(3 + d / 2..=4 + d), rng)
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        vec![
            vec![ints(&[3, 5, 9, 1]), int(6)],
            vec![ints(&[4, 7, 7, 2]), int(14)],
            vec![ints(&[8, 1, 4, -2, 10]), int(6)],
            vec![ints(&[9, 6, 0, 3, 5]), int(11)],
            with_one_pair(6 + usize::from(difficulty), rng),
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        with_one_pair(rng.random_range(3..=4), rng)
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let (xs, target) = (as_ints(&args[0]), as_int(&args[1]));
        let mut seen = HashMap::new();
        for (j, &x) in xs.iter().enumerate() {
            if let Some(&i) = seen.get(&(target - x)) {
                return answer(variant, &xs, i, j);
            }
            seen.insert(x, j);
        }
        unreachable!("every input has a pair")
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        let pairs = pairs_with_sum(&as_ints(&args[0]), as_int(&args[1]));
        let [(i, j)] = pairs[..] else { unreachable!("every input has one pair") };
        answer(variant, &as_ints(&args[0]), i, j)
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

fn answer(variant: usize, xs: &[i64], i: usize, j: usize) -> Value {
    if variant == VALUES { ints(&[xs[i], xs[j]]) } else { ints(&[i as i64, j as i64]) }
}

fn pairs_with_sum(xs: &[i64], sum: i64) -> Vec<(usize, usize)> {
    let all = (0..xs.len()).flat_map(|i| (i + 1..xs.len()).map(move |j| (i, j)));
    all.filter(|&(i, j)| xs[i] + xs[j] == sum).collect()
}

/// A list of `len` numbers and a sum that exactly two of them have.
fn with_one_pair(len: usize, rng: &mut Rng) -> Vec<Value> {
    loop {
        let xs = list(len, -9, 9 + 3 * len as i64, rng);
        let (i, j) = (rng.random_range(0..len), rng.random_range(0..len));
        let sum = xs[i] + xs[j];
        if pairs_with_sum(&xs, sum).len() == 1 {
            return vec![ints(&xs), int(sum)];
        }
    }
}

const SKETCHES: &[Sketch] = &[
    Sketch {
        body: "
%seen = {}
for %i, %x in enumerate($0):
    if {need} in %seen:
        return {pair}
    {store}
",
        choices: &[
            Choice {
                name: "need",
                options: &[right("$1 - %x", 10), wrong("%x - $1", 1), wrong("$1 + %x", 1)],
            },
            Choice {
                name: "pair",
                options: &[
                    twist("[%seen[$1 - %x], %i]", only(INDICES), 12, 2),
                    twist("[$1 - %x, %x]", only(VALUES), 12, 1),
                    wrong("[%i, %seen[$1 - %x]]", 1),
                    wrong("[%x, $1 - %x]", 1),
                ],
            },
            Choice {
                name: "store",
                options: &[right("%seen[%x] = %i", 10), wrong("%seen[%i] = %x", 2)],
            },
        ],
        locals: &[
            Local("seen", &["seen", "d", "where"]),
            Local("i", &["i", "j"]),
            Local("x", &["x", "v", "n"]),
        ],
    },
    Sketch {
        body: "
for %i in range(len($0)):
    for %j in range({from}, len($0)):
        if {test}:
            return {pair}
",
        choices: &[
            Choice {
                name: "from",
                options: &[right("%i + 1", 12), wrong("%i", 1), wrong("%i + 2", 1)],
            },
            Choice {
                name: "test",
                options: &[
                    right("$0[%i] + $0[%j] == $1", 12),
                    wrong("$0[%i] + $0[%j] >= $1", 1),
                    wrong("$0[%i] + $0[%j] <= $1", 1),
                ],
            },
            Choice {
                name: "pair",
                options: &[
                    twist("[%i, %j]", only(INDICES), 12, 2),
                    twist("[$0[%i], $0[%j]]", only(VALUES), 12, 1),
                    wrong("[%j, %i]", 1),
                    wrong("[$0[%j], $0[%i]]", 1),
                ],
            },
        ],
        locals: &[Local("i", &["i", "p"]), Local("j", &["j", "q"])],
    },
];
