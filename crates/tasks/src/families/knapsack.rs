//! The best value of items within a capacity.

use rand::Rng as _;
use verify::Value;

use super::values::{as_int, as_ints, int, ints, list};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct Knapsack;

const ONCE: usize = 0;
const UNLIMITED: usize = 1;

impl Algorithm for Knapsack {
    fn name(&self) -> &'static str {
        "knapsack"
    }

    fn tier(&self) -> Tier {
        Tier::Hard
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "each once",
                share: 2,
                wordings: &[
                    "[Return|Find|Give|Compute] the [largest|maximum|highest|best] sum of $1 over items whose $0 sum to at most $2, each [used|taken] at most once.",
                    "[Taking|Using] each item at most once, [return|find|give] the [largest|maximum|best] sum of $1 whose $0 sum to at most $2.",
                ],
            },
            Variant {
                name: "unlimited",
                share: 1,
                wordings: &[
                    "[Return|Find|Give|Compute] the [largest|maximum|highest|best] sum of $1 over items whose $0 sum to at most $2, each [used|taken] any number of times.",
                    "[Taking|Using] each item any number of times, [return|find|give] the [largest|maximum|best] sum of $1 whose $0 sum to at most $2.",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[
            &["weights", "values", "capacity"],
            &["ws", "vs", "cap"],
            &["sizes", "prices", "limit"],
            &["weights", "values", "room"],
        ]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        let items = rng.random_range(2 + d / 4..=3 + d / 2);
        let weights = list(items, 1, 3 + i64::from(difficulty) / 2, rng);
        let values = list(items, 1, 6 + i64::from(difficulty) * 2, rng);
        let capacity = rng.random_range(3 + i64::from(difficulty) / 2..=6 + i64::from(difficulty));
        vec![ints(&weights), ints(&values), int(capacity)]
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let gain = rng.random_range(4..=8 + i64::from(difficulty));
        vec![
            vec![ints(&[3]), ints(&[gain]), int(3)],
            vec![ints(&[2, 3]), ints(&[3, 4]), int(6)],
            vec![ints(&[2, 2]), ints(&[gain, 1]), int(2)],
            vec![ints(&[1, 2, 3]), ints(&[6, 10, 12]), int(5)],
            vec![ints(&[5, 6]), ints(&[gain, 9]), int(4)],
            vec![ints(&[4, 1]), ints(&[9, gain]), int(7)],
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        let weights = list(3, 1, 4, rng);
        let values = list(3, 1, 9, rng);
        vec![ints(&weights), ints(&values), int(rng.random_range(4..=7))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let capacity = as_int(&args[2]) as usize;
        let mut best = vec![0; capacity + 1];
        for (weight, value) in as_ints(&args[0]).into_iter().zip(as_ints(&args[1])) {
            let weight = weight as usize;
            let before = best.clone();
            for c in weight..=capacity {
                let rest = if variant == UNLIMITED { best[c - weight] } else { before[c - weight] };
                best[c] = best[c].max(rest + value);
            }
        }
        int(best[capacity])
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        fn best(copies: i64, weights: &[i64], values: &[i64], room: i64) -> i64 {
            let ([weight, weights @ ..], [value, values @ ..]) = (weights, values) else {
                return 0;
            };
            let counts = 0..=copies.min(room / weight);
            counts
                .map(|n| n * value + best(copies, weights, values, room - n * weight))
                .max()
                .unwrap_or(0)
        }
        let copies = if variant == UNLIMITED { i64::MAX } else { 1 };
        int(best(copies, &as_ints(&args[0]), &as_ints(&args[1]), as_int(&args[2])))
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

const SKETCHES: &[Sketch] = &[ONE_ROW, TABLE];

const ONE_ROW: Sketch = Sketch {
    body: "
%dp = [0] * ({size})
for %w, %v in zip($0, $1):
    for c in range({order}):
        %dp[c] = {step}
return {result}
",
    choices: &[
        Choice { name: "size", options: &[right("$2 + 1", 40), wrong("$2", 60)] },
        Choice {
            name: "order",
            options: &[
                twist("$2, %w - 1, -1", only(ONCE), 45, 14),
                twist("%w, $2 + 1", only(UNLIMITED), 45, 14),
                wrong("$2, %w, -1", 10),
                wrong("%w, $2", 10),
                wrong("$2 + 1", 10),
            ],
        },
        Choice {
            name: "step",
            options: &[
                right("max(%dp[c], %dp[c - %w] + %v)", 45),
                wrong("%dp[c - %w] + %v", 25),
                wrong("max(%dp[c], %v)", 15),
                wrong("max(%dp[c], %dp[c - 1] + %v)", 15),
            ],
        },
        Choice {
            name: "result",
            options: &[right("%dp[$2]", 55), wrong("%dp[$2 - 1]", 30), wrong("sum(%dp)", 15)],
        },
    ],
    locals: &[Local("dp", &["dp", "best", "d"]), Local("w", &["w", "a"]), Local("v", &["v", "b"])],
};

const TABLE: Sketch = Sketch {
    body: "
%n = len($0)
%dp = [[0] * ($2 + 1) for _ in range(%n + 1)]
for i in range(1, %n + 1):
    for c in range({bound}):
        %dp[i][c] = %dp[i - 1][c]
        if {fits}:
            %dp[i][c] = max(%dp[i][c], {take} + $1[i - 1])
return %dp[%n][$2]
",
    choices: &[
        Choice { name: "bound", options: &[right("$2 + 1", 50), wrong("$2", 50)] },
        Choice {
            name: "fits",
            options: &[
                right("$0[i - 1] <= c", 45),
                wrong("$0[i - 1] < c", 35),
                wrong("$0[i - 1] >= c", 20),
            ],
        },
        Choice {
            name: "take",
            options: &[
                twist("%dp[i - 1][c - $0[i - 1]]", only(ONCE), 40, 12),
                twist("%dp[i][c - $0[i - 1]]", only(UNLIMITED), 40, 12),
                wrong("%dp[i - 1][c]", 20),
                wrong("%dp[i - 1][c - 1]", 15),
            ],
        },
    ],
    locals: &[Local("n", &["n", "m"]), Local("dp", &["dp", "best", "d"])],
};
