//! The water that stays between bars after rain.

use rand::Rng as _;
use verify::Value;

use super::values::{as_ints, int, ints, list};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct TrappingRainWater;

const TOTAL: usize = 0;
const DEEPEST: usize = 1;

impl Algorithm for TrappingRainWater {
    fn name(&self) -> &'static str {
        "trapping_rain_water"
    }

    fn tier(&self) -> Tier {
        Tier::Hard
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "total",
                share: 2,
                wordings: &[
                    "[Return|Find|Compute|Give] the [total amount of|total] water [trapped|held|caught] [between|by] bars of heights $0 after rain.",
                    "[Return|Find|Compute|Give] how much water bars of heights $0 [trap|hold|catch] [in total|altogether].",
                ],
            },
            Variant {
                name: "deepest",
                share: 1,
                wordings: &[
                    "[Return|Find|Compute|Give] the [greatest|largest] depth of water [trapped|held|caught] [between|by] bars of heights $0 after rain.",
                    "[Return|Find|Compute|Give] how deep the water that bars of heights $0 [trap|hold|catch] is [at its deepest|at most].",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["height"], &["heights"], &["walls"], &["h"], &["bars"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        let len = rng.random_range(3 + d / 2..=5 + d);
        vec![ints(&list(len, 0, 3 + i64::from(difficulty) / 2, rng))]
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let mut rising = list(2 + usize::from(difficulty), 0, 9, rng);
        rising.sort_unstable();
        vec![
            vec![ints(&[0, 1, 0, 2, 1, 0, 1, 3, 2, 1, 2, 1])],
            vec![ints(&[6, 4, 1])],
            vec![ints(&rising)],
            vec![ints(&[4, 2, 0, 3, 2, 5])],
            vec![ints(&[2, 0, 2, 0, 2, 7])],
            vec![ints(&[3])],
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        let mut bars = list(rng.random_range(4..=5), 0, 5, rng);
        // A gap after the first bar, so that most examples hold water.
        bars[1] = 0;
        vec![ints(&bars)]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let bars = as_ints(&args[0]);
        let mut right = bars.clone();
        for i in (1..bars.len()).rev() {
            right[i - 1] = right[i - 1].max(right[i]);
        }
        let mut left = 0;
        let depths = bars.iter().zip(right).map(|(bar, right)| {
            left = left.max(*bar);
            left.min(right) - bar
        });
        int(if variant == TOTAL { depths.sum() } else { depths.max().unwrap_or(0) })
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        // At each level, water stands between the outermost bars that reach it.
        let bars = as_ints(&args[0]);
        let mut depths = vec![0; bars.len()];
        for level in 1..=bars.iter().copied().max().unwrap_or(0) {
            let first = bars.iter().position(|&b| b >= level).unwrap_or(0);
            let last = bars.iter().rposition(|&b| b >= level).unwrap_or(0);
            for i in first..last {
                depths[i] += i64::from(bars[i] < level);
            }
        }
        int(if variant == TOTAL {
            depths.iter().sum()
        } else {
            depths.into_iter().max().unwrap_or(0)
        })
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

const SKETCHES: &[Sketch] = &[BY_BAR, BY_TWO_ENDS];

const BY_BAR: Sketch = Sketch {
    body: "
%res = 0
for i in range(len($0)):
    %lo = {left}
    %hi = {right}
    %w = {level} - $0[i]
    %res = {acc}
return %res
",
    choices: &[
        Choice {
            name: "left",
            options: &[
                right("max($0[:i + 1])", 40),
                wrong("max($0[:i])", 45),
                wrong("$0[i - 1]", 7),
                wrong("$0[0]", 7),
            ],
        },
        Choice {
            name: "right",
            options: &[
                right("max($0[i:])", 55),
                wrong("max($0)", 15),
                wrong("max($0[i + 1:])", 15),
                wrong("$0[-1]", 15),
            ],
        },
        Choice {
            name: "level",
            options: &[right("min(%lo, %hi)", 55), wrong("max(%lo, %hi)", 30), wrong("%lo", 15)],
        },
        ACC,
    ],
    locals: &[
        RES,
        Local("lo", &["left", "a"]),
        Local("hi", &["right", "b"]),
        Local("w", &["water", "d"]),
    ],
};

const BY_TWO_ENDS: Sketch = Sketch {
    body: "
l = 0
r = len($0) - 1
%top = {start}
%res = 0
while l <= r:
    if {side}:
        %bar = $0[l]
        l += 1
    else:
        %bar = $0[r]
        r -= 1
    %top = {level}
    %w = %top - %bar
    %res = {acc}
return %res
",
    choices: &[
        Choice {
            name: "start",
            options: &[right("0", 40), wrong("$0[0]", 45), wrong("max($0)", 15)],
        },
        Choice {
            name: "side",
            options: &[
                right("$0[l] < $0[r]", 50),
                wrong("$0[l] > $0[r]", 35),
                wrong("$0[l] < %top", 15),
            ],
        },
        Choice {
            name: "level",
            options: &[
                right("max(%top, %bar)", 50),
                wrong("min(%top, %bar)", 30),
                wrong("%top + %bar", 20),
            ],
        },
        ACC,
    ],
    locals: &[
        RES,
        Local("top", &["top", "edge"]),
        Local("bar", &["x", "low"]),
        Local("w", &["water", "d"]),
    ],
};

const ACC: Choice = Choice {
    name: "acc",
    options: &[
        twist("%res + %w", only(TOTAL), 45, 14),
        twist("max(%res, %w)", only(DEEPEST), 45, 14),
        wrong("%w", 15),
        wrong("min(%res, %w)", 15),
    ],
};

const RES: Local = Local("res", &["res", "total", "ans"]);
