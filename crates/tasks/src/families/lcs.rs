//! The length of what two words have in common.

use rand::Rng as _;
use verify::Value;

use super::values::{as_text, int, text, word};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct Lcs;

const SUBSEQUENCE: usize = 0;
const SUBSTRING: usize = 1;

impl Algorithm for Lcs {
    fn name(&self) -> &'static str {
        "lcs"
    }

    fn tier(&self) -> Tier {
        Tier::Hard
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "subsequence",
                share: 2,
                wordings: &[
                    "[Return|Find|Compute|Give] the length of the longest [common subsequence of|subsequence shared by] $0 and $1.",
                    "How [long is|many letters has] the longest [common subsequence of|subsequence common to|subsequence shared by] $0 and $1?",
                    "[Return|Find|Compute|Give] the [size|length] of the longest subsequence [common to|found in|shared by] both $0 and $1.",
                ],
            },
            Variant {
                name: "substring",
                share: 1,
                wordings: &[
                    "[Return|Find|Compute|Give] the length of the longest [common substring of|substring shared by] $0 and $1.",
                    "How [long is|many letters has] the longest [common substring of|substring common to|substring shared by] $0 and $1?",
                    "[Return|Find|Compute|Give] the [size|length] of the longest substring [common to|found in|shared by] both $0 and $1.",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["a", "b"], &["s", "t"], &["s1", "s2"], &["x", "y"], &["text1", "text2"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        let (low, high) = (1 + d / 3, 3 + d);
        let letters = 2 + difficulty / 4;
        let a = word(rng.random_range(low..=high), letters, rng);
        let b = word(rng.random_range(low..=high), letters, rng);
        vec![text(a), text(b)]
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let long = word(4 + usize::from(difficulty), 3, rng);
        let shifted = format!("{}{}", &long[1..], "z");
        vec![
            vec![text("abcde"), text("ace")],
            vec![text("aa"), text("a")],
            vec![text("ab"), text("abcde")],
            vec![text(""), text("ab")],
            vec![text("xabcad"), text("zabdad")],
            vec![text(long), text(shifted)],
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        let (n, m) = (rng.random_range(3..=4), rng.random_range(3..=4));
        vec![text(word(n, 4, rng)), text(word(m, 4, rng))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let (a, b) = (as_text(&args[0]).as_bytes(), as_text(&args[1]).as_bytes());
        let mut row = vec![0; b.len() + 1];
        let mut longest = 0;
        for x in a {
            let mut diagonal = 0;
            for (j, y) in b.iter().enumerate() {
                let apart = if variant == SUBSTRING { 0 } else { row[j].max(row[j + 1]) };
                let here = if x == y { diagonal + 1 } else { apart };
                diagonal = std::mem::replace(&mut row[j + 1], here);
                longest = longest.max(here);
            }
        }
        int(longest)
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        let (a, b) = (as_text(&args[0]), as_text(&args[1]));
        if variant == SUBSTRING {
            let spans = (0..a.len()).flat_map(|i| (i + 1..=a.len()).map(move |j| (i, j)));
            let common = spans.filter(|&(i, j)| b.contains(&a[i..j])).map(|(i, j)| j - i);
            return int(common.max().unwrap_or(0) as i64);
        }
        // Every subsequence of `a`, as a bit mask.
        let common = (0_u32..1 << a.len()).filter(|mask| {
            let mut rest = b.bytes();
            let mut kept = a.bytes().enumerate().filter(|(i, _)| mask >> i & 1 == 1);
            kept.all(|(_, x)| rest.any(|y| x == y))
        });
        int(common.map(|mask| i64::from(mask.count_ones())).max().unwrap_or(0))
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

const SKETCHES: &[Sketch] = &[Sketch {
    body: "
%m = len($0)
%n = len($1)
%dp = [[0] * (%n + 1) for _ in range(%m + 1)]
for i in range(1, %m + 1):
    for j in range(1, %n + 1):
        if $0[i - 1] == $1[j - 1]:
            %dp[i][j] = {same}
        {differ}
return {result}
",
    choices: &[
        Choice {
            name: "same",
            options: &[
                right("%dp[i - 1][j - 1] + 1", 90),
                wrong("%dp[i - 1][j - 1]", 5),
                wrong("max(%dp[i - 1][j], %dp[i][j - 1]) + 1", 5),
            ],
        },
        Choice {
            name: "differ",
            options: &[
                twist(
                    "else:\n    %dp[i][j] = max(%dp[i - 1][j], %dp[i][j - 1])",
                    only(SUBSEQUENCE),
                    80,
                    10,
                ),
                twist("", only(SUBSTRING), 80, 12),
                wrong("else:\n    %dp[i][j] = %dp[i - 1][j - 1]", 4),
                wrong("else:\n    %dp[i][j] = %dp[i - 1][j]", 4),
            ],
        },
        Choice {
            name: "result",
            options: &[
                twist("%dp[%m][%n]", only(SUBSEQUENCE), 50, 8),
                right("max(map(max, %dp))", 50),
                wrong("%dp[%m - 1][%n - 1]", 7),
                wrong("max(%dp[1])", 5),
            ],
        },
    ],
    locals: &[Local("m", &["m", "p"]), Local("n", &["n", "q"]), Local("dp", &["dp", "d", "table"])],
}];
