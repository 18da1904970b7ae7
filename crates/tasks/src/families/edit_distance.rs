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
                    "[Return|Compute|Find] the [edit distance|Levenshtein distance] [between|of] $0 and $1.",
                    "[Return|Find|Give] the [fewest|minimum number of|smallest number of] [edits|operations] (insert, delete, replace) that turn $0 into $1.",
                ],
            },
            Variant {
                name: "replace costs 2",
                share: 1,
                wordings: &[
                    "[Return|Compute|Find] the [edit distance|Levenshtein distance] [between|of] $0 and $1 where a replace costs 2.",
                    "[Return|Find|Give] the [lowest|minimum|smallest] cost to turn $0 into $1: insert 1, delete 1, replace 2.",
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
        fn distance(a: &[u8], b: &[u8], replace: i64) -> i64 {
            let ([x, a_rest @ ..], [y, b_rest @ ..]) = (a, b) else {
                return (a.len() + b.len()) as i64;
            };
            let swap = distance(a_rest, b_rest, replace) + if x == y { 0 } else { replace };
            swap.min(1 + distance(a_rest, b, replace)).min(1 + distance(a, b_rest, replace))
        }
        let (a, b) = (as_text(&args[0]).as_bytes(), as_text(&args[1]).as_bytes());
        int(distance(a, b, replace_cost(variant)))
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
                    30,
                ),
                wrong("", 50),
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
                    20,
                ),
                twist("1 + min(%dp[i - 1][j], %dp[i][j - 1])", only(REPLACE_TWO), 30, 20),
                wrong("max(%dp[i - 1][j], %dp[i][j - 1])", 40),
                wrong("1 + %dp[i - 1][j - 1]", 10),
            ],
        },
        Choice {
            name: "result",
            options: &[right("%dp[%m][%n]", 90), wrong("%dp[-1][0]", 5), wrong("max(%dp[%m])", 5)],
        },
    ],
    locals: &[Local("m", &["m", "p"]), Local("n", &["n", "q"]), Local("dp", &["dp", "d", "table"])],
}];
