//! Statements in words.
//!
//! A wording is a text in which `[one|other]` stands for a choice. Expansions fall into
//! classes by a hash of their text, and each split draws from its own classes, so that no two
//! of train, validation and test ever share a statement.

use rand::Rng as _;

use crate::{Rng, Split};

/// Draws an expansion of one of `wordings` that belongs to `split`.
///
/// # Panics
/// If no expansion in the split's classes turns up; a test holds every family to enough of them.
pub(crate) fn draw(wordings: &[&str], split: Split, rng: &mut Rng) -> String {
    for _ in 0..2_000 {
        let wording = wordings[rng.random_range(0..wordings.len())];
        let text = expand(wording, |n| rng.random_range(0..n));
        if split.owns(class(&text)) {
            return text;
        }
    }
    unreachable!("a wording has expansions in every class: {wordings:?}")
}

/// The class of a text, 0 to 15.
pub(crate) fn class(text: &str) -> u8 {
    ((hash(text) >> 32) % 16) as u8
}

/// A hash that is the same on every platform and forever: FNV-1a of the bytes.
pub(crate) fn hash(text: &str) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}

/// Replaces each `[..|..]` by the alternative that `pick` chooses among `n`.
fn expand(wording: &str, mut pick: impl FnMut(usize) -> usize) -> String {
    let mut text = String::new();
    let mut rest = wording;
    while let Some((before, after)) = rest.split_once('[') {
        text.push_str(before);
        let (choice, after) = after.split_once(']').unwrap_or((after, ""));
        let alternatives: Vec<&str> = choice.split('|').collect();
        text.push_str(alternatives[pick(alternatives.len())]);
        rest = after;
    }
    text.push_str(rest);
    text
}

/// Puts the parameter names in the place of `$0`, `$1`, ...
pub(crate) fn name_params(text: &str, params: &[String]) -> String {
    let mut named = text.to_string();
    for (i, param) in params.iter().enumerate() {
        named = named.replace(&format!("${i}"), param);
    }
    named
}
