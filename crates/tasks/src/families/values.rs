//! Short ways between Rust values and Python values, for the families.

use rand::Rng as _;
use verify::Value;

use crate::Rng;

pub(super) fn int(n: i64) -> Value {
    Value::Int(n)
}

pub(super) fn text(s: impl Into<String>) -> Value {
    Value::Str(s.into())
}

pub(super) fn ints(list: &[i64]) -> Value {
    Value::List(list.iter().copied().map(Value::Int).collect())
}

pub(super) fn as_int(value: &Value) -> i64 {
    match value {
        Value::Int(n) => *n,
        other => unreachable!("an int argument, not {other:?}"),
    }
}

pub(super) fn as_ints(value: &Value) -> Vec<i64> {
    match value {
        Value::List(items) => items.iter().map(as_int).collect(),
        other => unreachable!("a list argument, not {other:?}"),
    }
}

pub(super) fn as_text(value: &Value) -> &str {
    match value {
        Value::Str(s) => s,
        other => unreachable!("a string argument, not {other:?}"),
    }
}

/// A word of `len` letters among the first `letters` of the alphabet.
pub(super) fn word(len: usize, letters: u8, rng: &mut Rng) -> String {
    (0..len).map(|_| char::from(b'a' + rng.random_range(0..letters))).collect()
}

/// A list of `len` integers between `low` and `high`.
pub(super) fn list(len: usize, low: i64, high: i64, rng: &mut Rng) -> Vec<i64> {
    (0..len).map(|_| rng.random_range(low..=high)).collect()
}

pub(super) fn words(list: &[String]) -> Value {
    Value::List(list.iter().map(text).collect())
}

pub(super) fn as_words(value: &Value) -> Vec<&str> {
    match value {
        Value::List(items) => items.iter().map(as_text).collect(),
        other => unreachable!("a list argument, not {other:?}"),
    }
}

pub(super) fn pairs(list: &[(i64, i64)]) -> Value {
    Value::List(list.iter().map(|&(a, b)| ints(&[a, b])).collect())
}

pub(super) fn as_pairs(value: &Value) -> Vec<(i64, i64)> {
    match value {
        Value::List(items) => items.iter().map(as_ints).map(|p| (p[0], p[1])).collect(),
        other => unreachable!("a list argument, not {other:?}"),
    }
}
