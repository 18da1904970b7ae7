//! A Python value, as data.
//!
//! Only the literal types: what a test passes in and what a program may hand back. How a
//! value travels to the program is in `marshal.rs`; when two values count as equal is in
//! `judge.rs`.

mod json;
mod literal;
mod parse;

pub use json::JsonError;
pub use parse::LiteralError;

use num_bigint::BigInt;

/// A Python value of a literal type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`; never equal to an integer here.
    Bool(bool),
    /// An integer that fits 64 bits. The canonical form of every such integer.
    Int(i64),
    /// An integer that does not fit 64 bits.
    BigInt(BigInt),
    /// A float, compared by value (NaN equals NaN in the judge, not here).
    Float(f64),
    /// A string.
    Str(String),
    /// `bytes`.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A set, in no particular order.
    Set(Vec<Value>),
    /// A dictionary, in insertion order.
    Dict(Vec<(Value, Value)>),
}

impl Value {
    /// An integer in its canonical form: [`Value::Int`] whenever it fits 64 bits.
    pub fn int(number: BigInt) -> Self {
        i64::try_from(&number).map_or_else(|_| Self::BigInt(number), Self::Int)
    }
}
