//! The values that flow through a composition.

use verify::Value;

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    List,
    Int,
    Text,
}

/// A value between two steps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Data {
    List(Vec<i64>),
    Int(i64),
    Text(String),
}

/// The largest magnitude a step may return. Its square still fits 64 bits, so that no step
/// overflows.
const MAGNITUDE_MAX: u64 = 1_000_000_000;

impl Data {
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::List(xs) => Value::List(xs.iter().copied().map(Value::Int).collect()),
            Self::Int(n) => Value::Int(*n),
            Self::Text(s) => Value::Str(s.clone()),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::List(xs) => xs.is_empty(),
            Self::Int(_) => false,
            Self::Text(s) => s.is_empty(),
        }
    }

    pub(crate) fn is_small(&self) -> bool {
        match self {
            Self::List(xs) => xs.iter().all(|x| x.unsigned_abs() <= MAGNITUDE_MAX),
            Self::Int(n) => n.unsigned_abs() <= MAGNITUDE_MAX,
            Self::Text(_) => true,
        }
    }
}
