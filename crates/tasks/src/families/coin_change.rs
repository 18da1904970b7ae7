//! Making an amount out of coins.

use rand::{Rng as _, seq::SliceRandom as _};
use verify::Value;

use super::values::{as_int, as_ints, int, ints};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct CoinChange;

const FEWEST: usize = 0;
const WAYS: usize = 1;

impl Algorithm for CoinChange {
    fn name(&self) -> &'static str {
        "coin_change"
    }

    fn tier(&self) -> Tier {
        Tier::Hard
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "fewest coins",
                share: 2,
                wordings: &[
                    "[Return|Find|Give|Compute] the [fewest|smallest number of|minimum number of] coins that [make|add up to|sum to] $1, any number of each coin in $0, or -1.",
                    "With [unlimited|any number of] coins of each value in $0, [return|find|give] the [fewest|smallest number of|minimum number of] coins that [make|sum to] $1, or -1.",
                ],
            },
            Variant {
                name: "number of ways",
                share: 1,
                wordings: &[
                    "[Return|Find|Give|Compute] the number of [ways|combinations] that [make|add up to|sum to] $1, any number of each coin in $0, order [ignored|irrelevant].",
                    "With [unlimited|any number of] coins of each value in $0, [return|find|give] the number of [ways|combinations] that [make|sum to] $1, ignoring order.",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["coins", "amount"], &["coins", "total"], &["coins", "n"], &["values", "target"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = i64::from(difficulty);
        let count = rng.random_range(2..=3 + usize::from(difficulty) / 5);
        let coins = coins(count, 4 + d, rng);
        vec![ints(&coins), int(rng.random_range(2 + d / 2..=6 + 2 * d))]
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let coin = rng.random_range(2..=3 + i64::from(difficulty));
        vec![
            vec![ints(&[5, 1]), int(5)],
            vec![ints(&[2]), int(3)],
            vec![ints(&[1, 3, 4]), int(6)],
            vec![ints(&[1, 2, 3]), int(10)],
            vec![ints(&[coin, 1]), int(0)],
            vec![ints(&[coin]), int(3 * coin)],
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        let count = rng.random_range(2..=3);
        vec![ints(&coins(count, 5, rng)), int(rng.random_range(3..=9))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let amount = as_int(&args[1]) as usize;
        let mut ways = vec![0; amount + 1];
        let mut fewest: Vec<Option<i64>> = vec![None; amount + 1];
        (ways[0], fewest[0]) = (1, Some(0));
        for coin in as_ints(&args[0]) {
            let coin = coin as usize;
            for i in coin..=amount {
                ways[i] += ways[i - coin];
                let with = fewest[i - coin].map(|n| n + 1);
                fewest[i] = fewest[i].into_iter().chain(with).min();
            }
        }
        int(if variant == WAYS { ways[amount] } else { fewest[amount].unwrap_or(-1) })
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        /// The sizes of all multisets of `coins` that sum to `amount`.
        fn sizes(coins: &[i64], amount: i64, so_far: i64, found: &mut Vec<i64>) {
            let [coin, rest @ ..] = coins else {
                if amount == 0 {
                    found.push(so_far);
                }
                return;
            };
            for n in 0..=amount / coin {
                sizes(rest, amount - n * coin, so_far + n, found);
            }
        }
        let mut found = Vec::new();
        sizes(&as_ints(&args[0]), as_int(&args[1]), 0, &mut found);
        let fewest = found.iter().min().copied().unwrap_or(-1);
        int(if variant == WAYS { found.len() as i64 } else { fewest })
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

/// Distinct coins up to `high`, in any order.
fn coins(count: usize, high: i64, rng: &mut Rng) -> Vec<i64> {
    let mut all: Vec<i64> = (1..=high).collect();
    all.shuffle(rng);
    all.truncate(count);
    all
}

const SKETCHES: &[Sketch] = &[Sketch {
    body: "
%dp = {init}
for %c in $0:
    for i in range({range}):
        %dp[i] = {step}
return {result}
",
    choices: &[
        Choice {
            name: "init",
            options: &[
                twist("[0] + [$1 + 1] * $1", only(FEWEST), 45, 14),
                twist("[1] + [0] * $1", only(WAYS), 45, 14),
                wrong("[0] * ($1 + 1)", 20),
                wrong("[1] * ($1 + 1)", 15),
            ],
        },
        Choice {
            name: "range",
            options: &[
                right("%c, $1 + 1", 40),
                wrong("%c, $1", 45),
                wrong("$1, %c - 1, -1", 7),
                wrong("%c + 1, $1 + 1", 7),
            ],
        },
        Choice {
            name: "step",
            options: &[
                twist("min(%dp[i], %dp[i - %c] + 1)", only(FEWEST), 45, 14),
                twist("%dp[i] + %dp[i - %c]", only(WAYS), 45, 14),
                wrong("%dp[i - %c] + 1", 15),
                wrong("max(%dp[i], %dp[i - %c] + 1)", 15),
            ],
        },
        Choice {
            name: "result",
            options: &[
                twist("%dp[$1] if %dp[$1] <= $1 else -1", only(FEWEST), 50, 15),
                twist("%dp[$1]", only(WAYS), 55, 16),
                wrong("max(%dp)", 10),
                wrong("%dp[$1] if %dp[$1] > 0 else -1", 10),
            ],
        },
    ],
    locals: &[Local("dp", &["dp", "d", "best"]), Local("c", &["c", "x", "coin"])],
}];
