//! Whether a string reads the same backwards: exactly, or ignoring case or spaces.

use rand::Rng as _;
use verify::Value;

use super::values::{as_text, text, word};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct IsPalindrome;

const EXACT: usize = 0;
const IGNORE_CASE: usize = 1;
const IGNORE_SPACES: usize = 2;

impl Algorithm for IsPalindrome {
    fn name(&self) -> &'static str {
        "is_palindrome"
    }

    fn tier(&self) -> Tier {
        Tier::Basic
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "exact",
                share: 2,
                wordings: &[
                    "[Return|Tell|Say|Decide] whether [the string $0|$0] is [a palindrome|exactly a palindrome|its own reverse].",
                    "[Return True if|Tell whether|Check that] $0 reads [exactly the same|the same] [backwards|in both directions|from both ends].",
                ],
            },
            Variant {
                name: "ignoring case",
                share: 1,
                wordings: &[
                    "[Return|Tell|Say|Decide] whether [the string $0|$0] is a palindrome[, ignoring case| when case is ignored| in lower case].",
                    "[Return True if|Tell whether|Check that] $0 reads the same [backwards|in both directions|from both ends], [ignoring case|in any case].",
                ],
            },
            Variant {
                name: "ignoring spaces",
                share: 1,
                wordings: &[
                    "[Return|Tell|Say|Decide] whether [the string $0|$0] is a palindrome[, ignoring spaces| when spaces are ignored| without its spaces].",
                    "[Return True if|Tell whether|Check that] $0 reads the same [backwards|in both directions|from both ends], [ignoring|apart from] spaces.",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["s"], &["text"], &["string"], &["word"], &["line"]]
    }

    fn inputs(&self, variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = usize::from(difficulty);
        let half = rng.random_range(1 + d / 2..=3 + d);
        vec![text(almost_palindrome(variant, half, rng))]
    }

    fn probes(&self, variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let long = mirrored(&word(4 + usize::from(difficulty), 5, rng), true);
        let folded = match variant {
            EXACT => long,
            IGNORE_CASE => format!("Pq{long}QP"),
            _ => format!("p q{long}qp"),
        };
        vec![
            vec![text("")],
            vec![text("abbca")],
            vec![text("abcdba")],
            vec![text("abA")],
            vec![text("ab a")],
            vec![text(folded)],
        ]
    }

    fn example(&self, variant: usize, rng: &mut Rng) -> Vec<Value> {
        vec![text(almost_palindrome(variant, 2, rng))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let mut s = as_text(&args[0]).as_bytes().to_vec();
        match variant {
            EXACT => {}
            IGNORE_CASE => s.make_ascii_lowercase(),
            _ => s.retain(|&c| c != b' '),
        }
        Value::Bool((0..s.len() / 2).all(|i| s[i] == s[s.len() - 1 - i]))
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        let mut s = as_text(&args[0]).to_string();
        match variant {
            EXACT => {}
            IGNORE_CASE => s = s.to_lowercase(),
            _ => s = s.replace(' ', ""),
        }
        Value::Bool(s.chars().rev().collect::<String>() == s)
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

/// `half` and its mirror image; with `odd`, they share the middle letter.
fn mirrored(half: &str, odd: bool) -> String {
    let back: String = half.chars().rev().skip(usize::from(odd)).collect();
    format!("{half}{back}")
}

/// A palindrome of the variant, spoilt half of the time: one letter changed, or a difference
/// that another variant would ignore.
fn almost_palindrome(variant: usize, half: usize, rng: &mut Rng) -> String {
    let mut s = mirrored(&word(half, 4, rng), rng.random());
    let at = rng.random_range(0..s.len());
    let (upper, space, change) = match rng.random_range(0..6) {
        0 => (true, false, false),
        1 => (false, true, false),
        2 => (false, false, true),
        _ => (variant == IGNORE_CASE, variant == IGNORE_SPACES, false),
    };
    if change {
        s.replace_range(at..=at, "z");
    }
    if upper {
        s[..=at / 2].make_ascii_uppercase();
    }
    if space {
        s.insert(at, ' ');
    }
    s
}

const SKETCHES: &[Sketch] = &[
    Sketch {
        body: "
%t = {clean}
return {same}
",
        choices: &[
            CLEAN,
            Choice {
                name: "same",
                options: &[
                    right("%t == %t[::-1]", 12),
                    wrong("%t == reversed(%t)", 2),
                    wrong("%t[0] == %t[-1]", 1),
                    wrong("%t[1:] == %t[:0:-1]", 1),
                ],
            },
        ],
        locals: &[Local("t", &["t", "u", "w"])],
    },
    Sketch {
        body: "
%t = {clean}
for %i in range({half}):
    if %t[%i] != %t[{mirror}]:
        return False
return {end}
",
        choices: &[
            CLEAN,
            Choice {
                name: "half",
                options: &[
                    right("len(%t) // 2", 12),
                    wrong("len(%t) // 2 - 1", 1),
                    wrong("len(%t) // 3", 1),
                ],
            },
            Choice {
                name: "mirror",
                options: &[right("-%i - 1", 12), wrong("-%i", 1), wrong("len(%t) - %i", 1)],
            },
            Choice { name: "end", options: &[right("True", 14), wrong("len(%t) > 0", 1)] },
        ],
        locals: &[Local("t", &["t", "u", "w"]), Local("i", &["i", "k"])],
    },
];

const CLEAN: Choice = Choice {
    name: "clean",
    options: &[
        twist("$0", only(EXACT), 12, 2),
        twist("$0.lower()", only(IGNORE_CASE), 12, 1),
        twist("$0.replace(' ', '')", only(IGNORE_SPACES), 12, 1),
    ],
};
