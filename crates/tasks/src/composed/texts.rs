//! The primitives that take a text. Texts are ASCII; words are what `split()` gives.

use super::primitive::{NONE, Primitive, tl, tt};

fn reversed(s: &str) -> String {
    s.chars().rev().collect()
}

fn words(s: &str) -> Vec<&str> {
    s.split_ascii_whitespace().collect()
}

fn keep(s: &str, f: impl Fn(char) -> bool) -> String {
    s.chars().filter(|&c| f(c.to_ascii_lowercase())).collect()
}

/// Python's `title()`: each run of letters capitalised.
fn title(s: &str) -> String {
    let mut inside = false;
    s.chars()
        .map(|c| {
            let first = !inside;
            inside = c.is_ascii_alphabetic();
            if first { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
        })
        .collect()
}

fn capitalize(s: &str) -> String {
    let mut s = s.to_ascii_lowercase();
    if let Some(first) = s.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    s
}

fn repeated(s: &str, n: usize) -> String {
    s.chars().flat_map(|c| std::iter::repeat_n(c, n)).collect()
}

fn lengths(s: &str, f: impl Fn(usize) -> i64) -> Vec<i64> {
    words(s).iter().map(|w| f(w.len())).collect()
}

/// Text to text, and text to list.
pub(super) static FROM_TEXT: &[Primitive] = &[
    Primitive {
        name: "word_lengths",
        phrases: &["list the length of each word", "replace the text by its word lengths"],
        constants: NONE,
        right: tl("[len(w) for w in $0.split()]", |s| lengths(s, |n| n as i64)),
        wrong: &[
            tl("[len(w) for w in $0]", |s| vec![1; s.len()]),
            tl("[len(w) - 1 for w in $0.split()]", |s| lengths(s, |n| n as i64 - 1)),
        ],
    },
    Primitive {
        name: "upper",
        phrases: &["make the text upper case", "put all letters in capitals"],
        constants: NONE,
        right: tt("$0.upper()", |s| s.to_ascii_uppercase()),
        wrong: &[tt("$0.lower()", |s| s.to_ascii_lowercase()), tt("$0.title()", title)],
    },
    Primitive {
        name: "reverse_text",
        phrases: &["reverse the text", "write the text backwards", "spell the text from its end"],
        constants: NONE,
        right: tt("$0[::-1]", reversed),
        wrong: &[
            tt("$0[::2]", |s| s.chars().step_by(2).collect()),
            tt("$0[:-1]", |s| s[..s.len().saturating_sub(1)].to_string()),
        ],
    },
    Primitive {
        name: "strip_vowels",
        phrases: &["remove the vowels", "delete every vowel", "leave out all vowels"],
        constants: NONE,
        right: tt("\"\".join(c for c in $0 if c.lower() not in \"aeiou\")", |s| {
            keep(s, |c| !"aeiou".contains(c))
        }),
        wrong: &[
            tt("\"\".join(c for c in $0 if c.lower() in \"aeiou\")", |s| {
                keep(s, |c| "aeiou".contains(c))
            }),
            tt("\"\".join(c for c in $0 if c.lower() not in \"aeo\")", |s| {
                keep(s, |c| !"aeo".contains(c))
            }),
        ],
    },
    Primitive {
        name: "double_letters",
        phrases: &["double each character", "write every character twice"],
        constants: NONE,
        right: tt("\"\".join(c * 2 for c in $0)", |s| repeated(s, 2)),
        wrong: &[
            tt("$0 * 2", |s| s.repeat(2)),
            tt("\"\".join(c * 3 for c in $0)", |s| repeated(s, 3)),
        ],
    },
    Primitive {
        name: "title_case",
        phrases: &["capitalise each word", "put the text in title case"],
        constants: NONE,
        right: tt("$0.title()", title),
        wrong: &[tt("$0.capitalize()", capitalize), tt("$0.upper()", |s| s.to_ascii_uppercase())],
    },
    Primitive {
        name: "reverse_words",
        phrases: &["reverse the order of the words", "put the last word first"],
        constants: NONE,
        right: tt("\" \".join($0.split()[::-1])", |s| {
            words(s).into_iter().rev().collect::<Vec<_>>().join(" ")
        }),
        wrong: &[
            tt("\"\".join($0.split()[::-1])", |s| words(s).into_iter().rev().collect::<String>()),
            tt("\" \".join(w[::-1] for w in $0.split())", |s| {
                words(s).into_iter().map(reversed).collect::<Vec<_>>().join(" ")
            }),
        ],
    },
    Primitive {
        name: "drop_spaces",
        phrases: &["remove the spaces", "close up all spaces", "delete every space"],
        constants: NONE,
        right: tt("$0.replace(\" \", \"\")", |s| s.replace(' ', "")),
        wrong: &[
            tt("$0.strip()", |s| s.trim().to_string()),
            tt("$0.replace(\" \", \"-\")", |s| s.replace(' ', "-")),
        ],
    },
    Primitive {
        name: "initials",
        phrases: &["take the first letter of each word", "keep only the initials of the words"],
        constants: NONE,
        right: tt("\"\".join(w[0] for w in $0.split())", |s| {
            words(s).iter().filter_map(|w| w.chars().next()).collect()
        }),
        wrong: &[
            tt("\"\".join(w[-1] for w in $0.split())", |s| {
                words(s).iter().filter_map(|w| w.chars().last()).collect()
            }),
            tt("\"\".join(w[:2] for w in $0.split())", |s| {
                words(s).iter().flat_map(|w| w.chars().take(2)).collect()
            }),
        ],
    },
];
