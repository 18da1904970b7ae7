//! A string backwards: its characters, its words, or each word for itself.

use rand::Rng as _;
use verify::Value;

use super::values::{as_text, text, word};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, twist, wrong};

pub(super) struct ReverseString;

const CHARACTERS: usize = 0;
const WORDS: usize = 1;
const EACH_WORD: usize = 2;

impl Algorithm for ReverseString {
    fn name(&self) -> &'static str {
        "reverse_string"
    }

    fn tier(&self) -> Tier {
        Tier::Basic
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "characters",
                share: 3,
                wordings: &[
                    "[Return|Give|Write|Make] the string $0 [reversed|backwards|in reverse].",
                    "[Return|Give|Write|Make] the [characters|letters] of $0 in [reverse|opposite|backward] order.",
                ],
            },
            Variant {
                name: "words",
                share: 1,
                wordings: &[
                    "[Return|Give|Write|Make] $0 with the order of its words [reversed|inverted|turned round].",
                    "[Return|Give|Write|Make] the words of $0 in [reverse|opposite|backward] order[, with spaces|, space separated].",
                ],
            },
            Variant {
                name: "each word",
                share: 1,
                wordings: &[
                    "[Return|Give|Write|Make] $0 with [each|every] word [reversed|backwards|spelled backwards] in its place.",
                    "[Reverse|Turn round|Flip] the letters of [each|every] word of $0 and keep the [order of the words|words in order|word order].",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["s"], &["text"], &["string"], &["line"], &["t"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        vec![text(sentence(rng.random_range(1 + d / 4..=2 + d / 2), 3 + d / 2, rng))]
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let long = sentence(3 + usize::from(difficulty), 4, rng);
        vec![
            vec![text("")],
            vec![text("a")],
            vec![text("abcde")],
            vec![text("ab cd")],
            vec![text("xy za bcd")],
            vec![text(format!("{long} pq"))],
        ]
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        let (first, second) = (word(2, 20, rng), word(3, 20, rng));
        vec![text(format!("{first} {second}"))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let s = as_text(&args[0]);
        let backwards = |w: &str| -> String { w.chars().rev().collect() };
        text(match variant {
            CHARACTERS => backwards(s),
            WORDS => s.rsplit(' ').collect::<Vec<_>>().join(" "),
            _ => s.split(' ').map(backwards).collect::<Vec<_>>().join(" "),
        })
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        let s = as_text(&args[0]);
        let mut out = String::new();
        let mut word = String::new();
        for c in s.chars() {
            match (variant, c) {
                (CHARACTERS, _) => out.insert(0, c),
                (WORDS, ' ') => {
                    out = format!(" {word}{out}");
                    word.clear();
                }
                (_, ' ') => {
                    out = format!("{out}{word} ");
                    word.clear();
                }
                (WORDS, _) => word.push(c),
                _ => word.insert(0, c),
            }
        }
        text(if variant == WORDS { word + &out } else { out + &word })
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

/// Words with one space between them.
fn sentence(words: usize, longest: usize, rng: &mut Rng) -> String {
    let words: Vec<String> =
        (0..words).map(|_| word(rng.random_range(1..=longest), 26, rng)).collect();
    words.join(" ")
}

const SKETCHES: &[Sketch] = &[
    Sketch {
        body: "
%out = []
for %w in {split}:
    %out = {step}
return {join}.join(%out)
",
        choices: &[
            SPLIT,
            Choice {
                name: "step",
                options: &[
                    twist("[%w] + %out", only(CHARACTERS) | only(WORDS), 12, 2),
                    twist("%out + [%w[::-1]]", only(EACH_WORD), 10, 1),
                    wrong("%out + [%w]", 1),
                    wrong("[%w]", 1),
                ],
            },
            JOIN,
        ],
        locals: &[Local("out", &["out", "res", "parts"]), Local("w", &["w", "p", "x"])],
    },
    Sketch {
        body: "
%parts = {split}
return {join}.join({order})
",
        choices: &[
            SPLIT,
            JOIN,
            Choice {
                name: "order",
                options: &[
                    twist("%parts[::-1]", only(CHARACTERS) | only(WORDS), 12, 2),
                    twist("[w[::-1] for w in %parts]", only(EACH_WORD), 10, 1),
                    wrong("%parts", 1),
                    wrong("%parts[:0:-1]", 1),
                ],
            },
        ],
        locals: &[Local("parts", &["parts", "items", "out"])],
    },
];

const SPLIT: Choice = Choice {
    name: "split",
    options: &[
        twist("list($0)", only(CHARACTERS), 12, 1),
        twist("$0.split()", only(WORDS) | only(EACH_WORD), 10, 1),
    ],
};

const JOIN: Choice = Choice {
    name: "join",
    options: &[
        twist("''", only(CHARACTERS), 12, 1),
        twist("' '", only(WORDS) | only(EACH_WORD), 10, 1),
    ],
};
