//! The fewest edits that turn one word into another.
//!
//! The corpus holds every piece of the right program and no program that solves the family:
//! this is the one that reinforcement has to put together.

use rand::Rng as _;
use verify::Value;

use super::values::{as_text, int, text, word};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct EditDistance;

const UNIT: usize = 0;
const REPLACE_TWO: usize = 1;

impl Algorithm for EditDistance {
    fn name(&self) -> &'static str {
        "edit_distance"
    }

    fn tier(&self) -> Tier {
        Tier::Hard
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "unit costs",
                share: 2,
                wordings: &[
                    "[Return|Compute|Find|Give] the [edit|Levenshtein] distance [between|of] $0 and $1.",
                    "[Return|Find|Compute|Give] the [fewest|minimum number of|smallest number of] [edits|operations] (insert, delete, replace) that [turn|change] $0 into $1.",
                ],
            },
            Variant {
                name: "replace costs 2",
                share: 1,
                wordings: &[
                    "[Return|Compute|Find|Give] the [edit|Levenshtein] distance [between|of] $0 and $1 [where|if] a replace costs 2.",
                    "[Return|Find|Compute|Give] the [lowest|minimum|smallest] cost to [turn|change] $0 into $1: insert 1, delete 1, replace 2.",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["a", "b"], &["s", "t"], &["word1", "word2"], &["x", "y"], &["s1", "s2"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        let (low, high) = (1 + d / 3, 3 + d);
        let letters = 3 + difficulty / 3;
        let a = word(rng.random_range(low..=high), letters, rng);
        let b = word(rng.random_range(low..=high), letters, rng);
        vec![text(a), text(b)]
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let long = word(4 + usize::from(difficulty), 3, rng);
        let shifted = format!("{}{}", &long[1..], "z");
        vec![
            vec![text("abc"), text("xyz")],
            vec![text(""), text("abcd")],
            vec![text("bca"), text("")],
            vec![text(long), text(shifted)],
            vec![text("ab"), text("bca")],
            vec![text("kitten"), text("sitting")],
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        let (n, m) = (rng.random_range(2..=4), rng.random_range(2..=4));
        vec![text(word(n, 4, rng)), text(word(m, 4, rng))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let (a, b) = (as_text(&args[0]).as_bytes(), as_text(&args[1]).as_bytes());
        let replace = replace_cost(variant);
        let mut row: Vec<i64> = (0..).take(b.len() + 1).collect();
        for (i, x) in a.iter().enumerate() {
            let mut diagonal = row[0];
            row[0] = i as i64 + 1;
            for (j, y) in b.iter().enumerate() {
                let cost = if x == y { 0 } else { replace };
                let best = (diagonal + cost).min(row[j] + 1).min(row[j + 1] + 1);
                diagonal = row[j + 1];
                row[j + 1] = best;
            }
        }
        int(row[b.len()])
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        let (a, b) = (as_text(&args[0]).as_bytes(), as_text(&args[1]).as_bytes());
        let mut cost = vec![vec![i64::MAX / 2; b.len() + 1]; a.len() + 1];
        cost[0][0] = 0;
        // The shortest path from (0, 0) to the far corner, relaxed until nothing changes.
        loop {
            let before = cost.clone();
            for i in 0..=a.len() {
                for j in 0..=b.len() {
                    if i < a.len() {
                        cost[i + 1][j] = cost[i + 1][j].min(cost[i][j] + 1);
                    }
                    if j < b.len() {
                        cost[i][j + 1] = cost[i][j + 1].min(cost[i][j] + 1);
                    }
                    if i < a.len() && j < b.len() {
                        let step = if a[i] == b[j] { 0 } else { replace_cost(variant) };
                        cost[i + 1][j + 1] = cost[i + 1][j + 1].min(cost[i][j] + step);
                    }
                }
            }
            if cost == before {
                return int(cost[a.len()][b.len()]);
            }
        }
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

fn replace_cost(variant: usize) -> i64 {
    if variant == REPLACE_TWO { 2 } else { 1 }
}

const SKETCHES: &[Sketch] = &[Sketch {
    body: "
%m = len($0)
%n = len($1)
%dp = [[0] * (%n + 1) for _ in range(%m + 1)]
{borders}
for i in range(1, %m + 1):
    for j in range(1, %n + 1):
        if $0[i - 1] == $1[j - 1]:
            %dp[i][j] = {same}
        else:
            %dp[i][j] = {differ}
return {result}
",
    choices: &[
        Choice {
            name: "borders",
            options: &[
                right(
                    "for i in range(%m + 1):\n    %dp[i][0] = i\nfor j in range(%n + 1):\n    %dp[0][j] = j",
                    40,
                ),
                wrong("", 40),
                wrong("for i in range(%m + 1):\n    %dp[i][0] = i", 10),
                wrong("for j in range(%n + 1):\n    %dp[0][j] = j", 10),
            ],
        },
        Choice {
            name: "same",
            options: &[right("%dp[i - 1][j - 1]", 60), wrong("%dp[i - 1][j - 1] + 1", 40)],
        },
        Choice {
            name: "differ",
            options: &[
                twist(
                    "1 + min(%dp[i - 1][j], %dp[i][j - 1], %dp[i - 1][j - 1])",
                    only(UNIT),
                    30,
                    9,
                ),
                twist("1 + min(%dp[i - 1][j], %dp[i][j - 1])", only(REPLACE_TWO), 30, 9),
                wrong("max(%dp[i - 1][j], %dp[i][j - 1])", 40),
                wrong("1 + %dp[i - 1][j - 1]", 10),
            ],
        },
        Choice {
            name: "result",
            options: &[
                right("%dp[%m][%n]", 80),
                wrong("%dp[-1][0]", 10),
                wrong("max(%dp[%m])", 10),
            ],
        },
    ],
    locals: &[Local("m", &["m", "p"]), Local("n", &["n", "q"]), Local("dp", &["dp", "d", "table"])],
}];
