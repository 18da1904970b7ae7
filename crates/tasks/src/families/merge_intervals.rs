//! Joining intervals that overlap.

use rand::Rng as _;
use verify::Value;

use super::values::{as_pairs, pairs};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct MergeIntervals;

const TOUCHING: usize = 0;
const OVERLAPPING: usize = 1;

impl Algorithm for MergeIntervals {
    fn name(&self) -> &'static str {
        "merge_intervals"
    }

    fn tier(&self) -> Tier {
        Tier::Hard
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "touching ones too",
                share: 2,
                wordings: &[
                    "[Merge|Join|Combine] the [overlapping|intersecting] intervals [in|of] $0, also those that [only touch|share only an endpoint], and [return|give] them sorted by start.",
                ],
            },
            Variant {
                name: "not touching ones",
                share: 1,
                wordings: &[
                    "[Merge|Join|Combine] the [overlapping|intersecting] intervals [in|of] $0, but not those that [only touch|share only an endpoint], and [return|give] them sorted by start.",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["intervals"], &["spans"], &["pairs"], &["xs"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        let count = rng.random_range(2 + d / 3..=3 + d);
        vec![pairs(&intervals(count, 8 + 2 * i64::from(difficulty), rng))]
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let far = rng.random_range(12..=14 + i64::from(difficulty));
        vec![
            vec![pairs(&[(1, 3), (3, 5)])],
            vec![pairs(&[(1, far), (2, 3)])],
            vec![pairs(&[(far, 40), (1, 2)])],
            vec![pairs(&[(1, 4), (2, 5), (7, far)])],
            vec![pairs(&[(4, 7), (1, 4), (2, 3), (9, far)])],
            vec![pairs(&[(2, 6)])],
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        let count = rng.random_range(2..=3);
        vec![pairs(&intervals(count, 6, rng))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let mut sorted = as_pairs(&args[0]);
        sorted.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::new();
        for (start, end) in sorted {
            match merged.last_mut() {
                Some(last) if start < last.1 + i64::from(variant == TOUCHING) => {
                    last.1 = last.1.max(end);
                }
                _ => merged.push((start, end)),
            }
        }
        pairs(&merged)
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        // Joins any two that meet until no two do.
        let mut rest = as_pairs(&args[0]);
        'join: loop {
            for i in 0..rest.len() {
                for j in 0..i {
                    let ((a, b), (c, d)) = (rest[i], rest[j]);
                    let shared = b.min(d) - a.max(c);
                    if shared > 0 || (shared == 0 && variant == TOUCHING) {
                        rest[j] = (a.min(c), b.max(d));
                        rest.remove(i);
                        continue 'join;
                    }
                }
            }
            break;
        }
        rest.sort_unstable();
        pairs(&rest)
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

/// Intervals of length 1 to 4 that start below `high`, in any order.
fn intervals(count: usize, high: i64, rng: &mut Rng) -> Vec<(i64, i64)> {
    (0..count)
        .map(|_| {
            let start = rng.random_range(0..high);
            (start, start + rng.random_range(1..=4))
        })
        .collect()
}

const SKETCHES: &[Sketch] = &[Sketch {
    body: "
%out = []
for %s, %e in {order}:
    if %out and {meets}:
        {join}
    else:
        %out.append([%s, %e])
return %out
",
    choices: &[
        Choice {
            name: "order",
            options: &[
                right("sorted($0)", 40),
                wrong("$0", 45),
                wrong("sorted($0, key=lambda p: p[1])", 15),
            ],
        },
        Choice {
            name: "meets",
            options: &[
                twist("%s <= %out[-1][1]", only(TOUCHING), 45, 14),
                twist("%s < %out[-1][1]", only(OVERLAPPING), 45, 14),
                wrong("%e <= %out[-1][1]", 15),
                wrong("%s <= %out[-1][0]", 15),
            ],
        },
        Choice {
            name: "join",
            options: &[
                right("%out[-1][1] = max(%out[-1][1], %e)", 50),
                wrong("%out[-1][1] = %e", 30),
                wrong("%out[-1] = [%s, %e]", 20),
            ],
        },
    ],
    locals: &[
        Local("out", &["out", "merged", "res"]),
        Local("s", &["s", "a"]),
        Local("e", &["e", "b"]),
    ],
}];
