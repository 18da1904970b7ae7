//! The middle of two sorted lists.

use rand::Rng as _;
use verify::{Comparator, Value};

use super::values::{as_ints, int, ints, list};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct MedianSortedArrays;

const MEAN: usize = 0;
const LOWER: usize = 1;

impl Algorithm for MedianSortedArrays {
    fn name(&self) -> &'static str {
        "median_sorted_arrays"
    }

    fn tier(&self) -> Tier {
        Tier::Hard
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "mean of the middle two",
                share: 2,
                wordings: &[
                    "[Return|Find|Compute|Give] the median of the sorted [lists|arrays] $0 and $1 [together|combined|taken together].",
                    "[Return|Find|Compute|Give] the [median|middle value] of all [numbers|values] in sorted $0 and $1, the mean of the two middle ones if [even|the count is even].",
                ],
            },
            Variant {
                name: "lower of the middle two",
                share: 1,
                wordings: &[
                    "[Return|Find|Compute|Give] the lower median of the sorted [lists|arrays] $0 and $1 [together|combined|taken together].",
                    "[Return|Find|Compute|Give] the [median|middle value] of all [numbers|values] in sorted $0 and $1, the lower of the two middle ones if [even|the count is even].",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["a", "b"], &["nums1", "nums2"], &["xs", "ys"], &["p", "q"], &["left", "right"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        let high = 9 + 4 * i64::from(difficulty);
        let a = sorted(rng.random_range(0..=2 + d), high, rng);
        let b = sorted(rng.random_range(1 + d / 4..=2 + d), high, rng);
        vec![a, b]
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let x = rng.random_range(20..=30 + i64::from(difficulty));
        vec![
            vec![ints(&[]), ints(&[x])],
            vec![ints(&[1]), ints(&[x])],
            vec![ints(&[1, 10]), ints(&[])],
            vec![ints(&[4, 6]), ints(&[1, 3])],
            vec![ints(&[1, 1, 1]), ints(&[2, x])],
            vec![ints(&[2, x]), ints(&[1])],
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        let (n, m) = (rng.random_range(1..=3), rng.random_range(1..=3));
        vec![sorted(n, 9, rng), sorted(m, 9, rng)]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let mut all = [as_ints(&args[0]), as_ints(&args[1])].concat();
        all.sort_unstable();
        let half = all.len() / 2;
        match (variant, all.len() % 2) {
            (LOWER, _) => int(all[(all.len() - 1) / 2]),
            (_, 1) => Value::Float(all[half] as f64),
            (_, _) => Value::Float((all[half - 1] + all[half]) as f64 / 2.0),
        }
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        // Takes away the smallest and the largest until one or two are left.
        let mut rest = [as_ints(&args[0]), as_ints(&args[1])].concat();
        while rest.len() > 2 {
            for extreme in [rest.iter().min().copied(), rest.iter().max().copied()] {
                let at = rest.iter().position(|x| Some(*x) == extreme);
                at.map(|at| rest.swap_remove(at));
            }
        }
        if variant == LOWER {
            return int(rest.iter().min().copied().unwrap_or_default());
        }
        Value::Float(rest.iter().sum::<i64>() as f64 / rest.len() as f64)
    }

    fn comparator(&self) -> Comparator {
        Comparator::Float { abs: 1e-9, rel: 1e-9 }
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

fn sorted(len: usize, high: i64, rng: &mut Rng) -> Value {
    let mut numbers = list(len, 1, high, rng);
    numbers.sort_unstable();
    ints(&numbers)
}

const SKETCHES: &[Sketch] = &[BY_SORTING, BY_MERGING];

const BY_SORTING: Sketch = Sketch {
    body: "
%z = {all}
%k = len(%z) // 2
if len(%z) % 2 == 1:
    return {odd}
return {even}
",
    choices: &[
        Choice {
            name: "all",
            options: &[
                right("sorted($0 + $1)", 40),
                wrong("$0 + $1", 45),
                wrong("sorted(set($0 + $1))", 15),
            ],
        },
        Choice {
            name: "odd",
            options: &[right("%z[%k]", 50), wrong("%z[%k - 1]", 30), wrong("%z[%k + 1]", 20)],
        },
        EVEN,
    ],
    locals: LOCALS,
};

const BY_MERGING: Sketch = Sketch {
    body: "
%z = []
while $0 and $1:
    if {first}:
        %z.append($0.pop(0))
    else:
        %z.append($1.pop(0))
%z += {rest}
%k = len(%z) // 2
if len(%z) % 2 == 1:
    return %z[%k]
return {even}
",
    choices: &[
        Choice {
            name: "first",
            options: &[
                right("$0[0] < $1[0]", 40),
                wrong("$0[0] > $1[0]", 45),
                wrong("len($0) < len($1)", 15),
            ],
        },
        Choice { name: "rest", options: &[right("$0 + $1", 45), wrong("$0", 30), wrong("$1", 25)] },
        EVEN,
    ],
    locals: LOCALS,
};

const EVEN: Choice = Choice {
    name: "even",
    options: &[
        twist("(%z[%k - 1] + %z[%k]) / 2", only(MEAN), 45, 14),
        twist("%z[%k - 1]", only(LOWER), 45, 14),
        wrong("%z[%k]", 20),
        wrong("(%z[%k] + %z[%k + 1]) / 2", 10),
        wrong("(%z[%k - 1] + %z[%k]) // 2", 10),
    ],
};

const LOCALS: &[Local] = &[Local("z", &["both", "z", "merged"]), Local("k", &["k", "mid", "h"])];
