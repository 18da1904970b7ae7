//! Cutting a text into words of a list.

use rand::Rng as _;
use verify::Value;

use super::values::{as_text, as_words, int, text, word, words};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct WordBreak;

const WHETHER: usize = 0;
const WAYS: usize = 1;

impl Algorithm for WordBreak {
    fn name(&self) -> &'static str {
        "word_break"
    }

    fn tier(&self) -> Tier {
        Tier::Hard
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "whether",
                share: 2,
                wordings: &[
                    "[Return|Tell|Check|Say] whether $0 can be [split into|built from|cut into|made of] words [of|from|in] $1, [each used any number of times|repeats allowed].",
                ],
            },
            Variant {
                name: "number of ways",
                share: 1,
                wordings: &[
                    "[Return|Count|Find|Give] the number of ways to [split $0 into|build $0 from|cut $0 into|make $0 of] words [of|from|in] $1, [each used any number of times|repeats allowed].",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["s", "words"], &["text", "words"], &["s", "parts"], &["line", "vocab"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        let count = rng.random_range(2..=3 + d / 4);
        text_and_words(count, rng.random_range(2 + d / 2..=4 + d), rng)
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let list =
            |items: &[&str]| words(&items.iter().map(ToString::to_string).collect::<Vec<_>>());
        let noise = word(2 + usize::from(difficulty) / 2, 3, rng);
        vec![
            vec![text("abcc"), list(&["ab"])],
            vec![text("ab"), list(&["ab", "b"])],
            vec![text("xab"), list(&["ab"])],
            vec![text("aaaa"), list(&["a", "aa"])],
            vec![text(format!("{noise}dogcat")), list(&["cat", "dog", &noise])],
            vec![text("catsandog"), list(&["cats", "dog", "sand", "and", "cat"])],
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        let count = rng.random_range(2..=3);
        text_and_words(count, 3, rng)
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let (s, words) = (as_text(&args[0]), as_words(&args[1]));
        let mut ways = vec![0; s.len() + 1];
        ways[0] = 1;
        for end in 1..=s.len() {
            let last = words.iter().filter(|w| s[..end].ends_with(**w));
            ways[end] = last.map(|w| ways[end - w.len()]).sum();
        }
        answer(variant, ways[s.len()])
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        fn ways(s: &str, words: &[&str]) -> i64 {
            if s.is_empty() {
                return 1;
            }
            words.iter().filter_map(|w| s.strip_prefix(*w)).map(|rest| ways(rest, words)).sum()
        }
        answer(variant, ways(as_text(&args[0]), &as_words(&args[1])))
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

fn answer(variant: usize, ways: i64) -> Value {
    if variant == WAYS { int(ways) } else { Value::Bool(ways > 0) }
}

/// Distinct short words, and a text of at least `len` letters made of them; one text in
/// three has a letter changed.
fn text_and_words(count: usize, len: usize, rng: &mut Rng) -> Vec<Value> {
    let mut list: Vec<String> = Vec::with_capacity(count);
    while list.len() < count {
        let new = word(rng.random_range(1..=3), 3, rng);
        if !list.contains(&new) {
            list.push(new);
        }
    }
    let mut s = String::new();
    while s.len() < len {
        s.push_str(&list[rng.random_range(0..count)]);
    }
    if rng.random_range(0..3) == 0 {
        let at = rng.random_range(0..s.len());
        s.replace_range(at..=at, &word(1, 3, rng));
    }
    vec![text(s), words(&list)]
}

const SKETCHES: &[Sketch] = &[BY_LAST_WORD, BY_NEXT_WORD];

const INIT: Choice = Choice {
    name: "init",
    options: &[
        twist("[True] + [False] * len($0)", only(WHETHER), 50, 15),
        twist("[1] + [0] * len($0)", only(WAYS), 50, 15),
        wrong("[False] * (len($0) + 1)", 15),
        wrong("[0] * (len($0) + 1)", 10),
    ],
};

const BY_LAST_WORD: Sketch = Sketch {
    body: "
%dp = {init}
for i in range(1, len($0) + 1):
    for %w in $1:
        if {fits}:
            %dp[i] = {step}
return %dp[-1]
",
    choices: &[
        INIT,
        Choice {
            name: "fits",
            options: &[
                right("$0[:i].endswith(%w)", 40),
                wrong("$0[:i].startswith(%w)", 45),
                wrong("%w in $0[:i]", 15),
            ],
        },
        Choice {
            name: "step",
            options: &[
                twist("%dp[i] or %dp[i - len(%w)]", only(WHETHER), 45, 14),
                twist("%dp[i] + %dp[i - len(%w)]", only(WAYS), 45, 14),
                wrong("%dp[i - len(%w)]", 20),
                wrong("True", 10),
                wrong("%dp[i] and %dp[i - len(%w)]", 10),
            ],
        },
    ],
    locals: &[Local("dp", &["dp", "ok", "f"]), Local("w", &["w", "p", "x"])],
};

const BY_NEXT_WORD: Sketch = Sketch {
    body: "
%dp = {init}
for i in range(len($0)):
    for %w in $1:
        j = i + len(%w)
        if {fits}:
            %dp[j] = {step}
return %dp[-1]
",
    choices: &[
        INIT,
        Choice {
            name: "fits",
            options: &[
                right("$0[i:j] == %w", 40),
                wrong("$0[:j] == %w", 45),
                wrong("%w in $0[i:]", 15),
            ],
        },
        Choice {
            name: "step",
            options: &[
                twist("%dp[j] or %dp[i]", only(WHETHER), 45, 14),
                twist("%dp[j] + %dp[i]", only(WAYS), 45, 14),
                wrong("%dp[i]", 20),
                wrong("True", 10),
                wrong("%dp[j] and %dp[i]", 10),
            ],
        },
    ],
    locals: &[Local("dp", &["dp", "ok", "f"]), Local("w", &["w", "p", "x"])],
};
