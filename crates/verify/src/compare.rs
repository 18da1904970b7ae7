//! When a returned value counts as the expected one.
//!
//! The expected value leads, and a program chooses the other one, so every comparison takes
//! time close to linear: what has no order is sorted first, and then compared in that order.
//! Types count: `True` is not `1`, and `1` is not `1.0` unless the comparator is about numbers.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

use crate::{Comparator, Value};

/// Sets of this many elements at most are matched by trying all pairs, where sorting alone
/// cannot match them: inexact numbers inside their elements.
const PAIRS_MAX: usize = 256;
/// Integers beyond this many bits are larger than any float.
const FLOAT_BITS_MAX: u64 = 1024;

/// Whether a returned value counts as the expected one.
pub fn equal(expected: &Value, got: &Value, how: &Comparator) -> bool {
    let exact = Rules { numbers: Numbers::Exact, tuple_is_list: true };
    match how {
        Comparator::Exact => exact.hold(expected, got),
        Comparator::Strict => Rules { tuple_is_list: false, ..exact }.hold(expected, got),
        Comparator::Float { abs, rel } => {
            Rules { numbers: Numbers::Near { abs: *abs, rel: *rel }, ..exact }.hold(expected, got)
        }
        Comparator::AnyOrder => match (items(expected), items(got)) {
            (Some(e), Some(g)) => e.len() == g.len() && exact.all(&sorted(e), &sorted(g)),
            _ => false,
        },
        Comparator::AnyOrderTwice => match (items(expected), items(got)) {
            (Some(e), Some(g)) => {
                e.len() == g.len() && exact.all(&sorted_twice(e), &sorted_twice(g))
            }
            _ => false,
        },
        Comparator::AnyOf => {
            items(expected).is_some_and(|all| all.iter().any(|e| exact.hold(e, got)))
        }
        Comparator::Lines => texts(expected, got).is_some_and(|(e, g)| lines(e).eq(lines(g))),
        Comparator::Tokens { abs, rel } => {
            let numbers = Numbers::Near { abs: *abs, rel: *rel };
            texts(expected, got).is_some_and(|(e, g)| same_tokens(e, g, &numbers))
        }
        // Judged by its program, never here.
        Comparator::Checker(_) => false,
    }
}

impl Comparator {
    /// Whether two answers of programs count as the same where neither is the expected one.
    /// What needs an expected value, or a program of its own, is compared exactly.
    pub fn alike(&self, one: &Value, other: &Value) -> bool {
        match self {
            Self::AnyOf | Self::Checker(_) => equal(one, other, &Self::Exact),
            Self::Exact
            | Self::Strict
            | Self::Float { .. }
            | Self::AnyOrder
            | Self::AnyOrderTwice
            | Self::Lines
            | Self::Tokens { .. } => equal(one, other, self),
        }
    }
}

/// The same value with its sets and dictionaries sorted, so that equal ones are alike.
pub(crate) fn canonical(value: &Value) -> Value {
    match value {
        Value::List(items) => Value::List(items.iter().map(canonical).collect()),
        Value::Tuple(items) => Value::Tuple(items.iter().map(canonical).collect()),
        Value::Set(items) => Value::Set(sorted(items)),
        Value::Dict(entries) => {
            let mut entries: Vec<_> =
                entries.iter().map(|(k, v)| (canonical(k), canonical(v))).collect();
            entries.sort_by(|(a, _), (b, _)| order(a, b));
            Value::Dict(entries)
        }
        other => other.clone(),
    }
}

fn sorted(items: &[Value]) -> Vec<Value> {
    let mut items: Vec<_> = items.iter().map(canonical).collect();
    items.sort_by(order);
    items
}

/// As `sorted`, the items of each item sorted first.
fn sorted_twice(outer: &[Value]) -> Vec<Value> {
    let inner = |item: &Value| items(item).map_or_else(|| item.clone(), |i| Value::List(sorted(i)));
    sorted(&outer.iter().map(inner).collect::<Vec<_>>())
}

fn texts<'a>(expected: &'a Value, got: &'a Value) -> Option<(&'a str, &'a str)> {
    match (expected, got) {
        (Value::Str(e), Value::Str(g)) => Some((e, g)),
        _ => None,
    }
}

/// The lines of a text without what cannot be seen at their ends and at its end.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.trim_end().lines().map(str::trim_end)
}

fn same_tokens(expected: &str, got: &str, numbers: &Numbers) -> bool {
    let number = |token: &str| token.parse::<f64>().ok();
    let mut got = got.split_whitespace();
    let same = |e: &str, g: &str| {
        e == g || number(e).zip(number(g)).is_some_and(|(e, g)| numbers.near(e, g))
    };
    expected.split_whitespace().all(|e| got.next().is_some_and(|g| same(e, g)))
        && got.next().is_none()
}

fn items(value: &Value) -> Option<&[Value]> {
    match value {
        Value::List(items) | Value::Tuple(items) => Some(items),
        _ => None,
    }
}

/// How numbers are compared.
enum Numbers {
    Exact,
    Near { abs: f64, rel: f64 },
}

impl Numbers {
    fn same(&self, expected: f64, got: f64) -> bool {
        if expected == got || (expected.is_nan() && got.is_nan()) {
            return true;
        }
        match self {
            Self::Exact => false,
            // Nothing is near an infinity, though its relative tolerance is infinite.
            Self::Near { abs, rel } => {
                expected.is_finite() && (expected - got).abs() <= abs + rel * expected.abs()
            }
        }
    }

    /// As `same`, where there is a tolerance; without one, words are compared as words.
    fn near(&self, expected: f64, got: f64) -> bool {
        match self {
            Self::Exact => false,
            Self::Near { abs, rel } => (*abs > 0.0 || *rel > 0.0) && self.same(expected, got),
        }
    }

    /// A number as a float, where ints and floats may stand for each other.
    fn number(&self, value: &Value) -> Option<f64> {
        match (self, value) {
            (_, Value::Float(x)) => Some(*x),
            (Self::Near { .. }, Value::Int(n)) => Some(*n as f64),
            (Self::Near { .. }, Value::BigInt(n)) if n.bits() < FLOAT_BITS_MAX => {
                n.to_string().parse().ok()
            }
            _ => None,
        }
    }
}

/// A comparator without its outermost layer.
struct Rules {
    numbers: Numbers,
    tuple_is_list: bool,
}

impl Rules {
    fn hold(&self, expected: &Value, got: &Value) -> bool {
        if has_order(expected) {
            return self.same(expected, got);
        }
        self.same(&canonical(expected), &canonical(got))
    }

    /// Compares canonical values.
    fn same(&self, expected: &Value, got: &Value) -> bool {
        if let (Some(e), Some(g)) = (self.numbers.number(expected), self.numbers.number(got)) {
            return self.numbers.same(e, g);
        }
        match (expected, got) {
            (Value::List(e), Value::List(g)) | (Value::Tuple(e), Value::Tuple(g)) => self.all(e, g),
            (Value::List(e), Value::Tuple(g)) | (Value::Tuple(e), Value::List(g)) => {
                self.tuple_is_list && self.all(e, g)
            }
            (Value::Set(e), Value::Set(g)) => self.all(e, g) || self.pairs(e, g, Self::same),
            (Value::Dict(e), Value::Dict(g)) => {
                let entry = |rules: &Self, (a, x): &(_, _), (b, y): &(_, _)| {
                    rules.same(a, b) && rules.same(x, y)
                };
                let in_order =
                    e.len() == g.len() && e.iter().zip(g).all(|(e, g)| entry(self, e, g));
                in_order || self.pairs(e, g, entry)
            }
            (e, g) => e == g,
        }
    }

    fn all(&self, expected: &[Value], got: &[Value]) -> bool {
        expected.len() == got.len() && expected.iter().zip(got).all(|(e, g)| self.same(e, g))
    }

    /// Matches each element with one of the others. Sorting has settled it for exact numbers.
    fn pairs<T>(&self, expected: &[T], got: &[T], same: impl Fn(&Self, &T, &T) -> bool) -> bool {
        let inexact = matches!(self.numbers, Numbers::Near { .. });
        if !inexact || expected.len() != got.len() || expected.len() > PAIRS_MAX {
            return false;
        }
        let mut left: Vec<&T> = got.iter().collect();
        expected.iter().all(|e| {
            let found = left.iter().position(|g| same(self, e, g));
            found.map(|i| left.swap_remove(i)).is_some()
        })
    }
}

/// Whether there is nothing to sort in it.
fn has_order(value: &Value) -> bool {
    match value {
        Value::Set(_) | Value::Dict(_) => false,
        Value::List(items) | Value::Tuple(items) => items.iter().all(has_order),
        _ => true,
    }
}

/// A total order of canonical values, in which a list and a tuple of the same items are equal.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Str(a), Value::Str(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Set(a), Value::Set(b)) => order_all(a, b),
        (Value::Dict(a), Value::Dict(b)) => {
            let each =
                a.iter().zip(b).map(|((k, v), (l, w))| order(k, l).then_with(|| order(v, w)));
            first_unequal(each).then(a.len().cmp(&b.len()))
        }
        _ => match (items(a), items(b), rank(a), rank(b)) {
            (Some(a), Some(b), ..) => order_all(a, b),
            (_, _, NUMBER, NUMBER) => order_numbers(a, b),
            (_, _, a, b) => a.cmp(&b),
        },
    }
}

fn order_all(a: &[Value], b: &[Value]) -> Ordering {
    first_unequal(a.iter().zip(b).map(|(a, b)| order(a, b))).then(a.len().cmp(&b.len()))
}

fn first_unequal(mut each: impl Iterator<Item = Ordering>) -> Ordering {
    each.find(|found| found.is_ne()).unwrap_or(Ordering::Equal)
}

const NUMBER: u8 = 2;

fn rank(value: &Value) -> u8 {
    match value {
        Value::None => 0,
        Value::Bool(_) => 1,
        Value::Int(_) | Value::BigInt(_) | Value::Float(_) => NUMBER,
        Value::Str(_) => 3,
        Value::Bytes(_) => 4,
        Value::List(_) | Value::Tuple(_) => 5,
        Value::Set(_) => 6,
        Value::Dict(_) => 7,
    }
}

/// By size, whatever the type; then integers before floats.
fn order_numbers(a: &Value, b: &Value) -> Ordering {
    let exact = match (a, b) {
        (Value::Float(_), Value::Float(_)) => Ordering::Equal,
        (Value::Float(_), _) => Ordering::Greater,
        (_, Value::Float(_)) => Ordering::Less,
        _ => whole(a).cmp(&whole(b)),
    };
    size(a).total_cmp(&size(b)).then(exact)
}

fn size(value: &Value) -> f64 {
    match value {
        Value::Int(n) => *n as f64,
        Value::BigInt(n) if n.sign() == Sign::Minus => f64::NEG_INFINITY,
        Value::BigInt(_) => f64::INFINITY,
        Value::Float(x) if x.is_nan() => f64::NAN,
        // Turns -0.0 into 0.0, to which it is equal.
        Value::Float(x) => x + 0.0,
        _ => 0.0,
    }
}

fn whole(value: &Value) -> BigInt {
    match value {
        Value::Int(n) => BigInt::from(*n),
        Value::BigInt(n) => n.clone(),
        _ => BigInt::ZERO,
    }
}
