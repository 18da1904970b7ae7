//! Values in JSON files.
//!
//! JSON has no tuples, sets, bytes, big integers or non-finite floats. Those are written as an
//! object with one key that starts with a dollar sign: `{"$tuple": [1, 2]}`, `{"$set": []}`,
//! `{"$bytes": [0, 255]}`, `{"$int": "18446744073709551616"}`, `{"$float": "nan"}` and
//! `{"$dict": [[key, value], …]}`. A plain object is a dictionary with string keys. What
//! [`Value::to_json`] writes, [`Value::from_json`] reads back as the same value.

use num_bigint::BigInt;
use serde_json::{Map, Value as Json, json};

use super::Value;

/// Deeper values are refused, so that no reader of them can exhaust its stack.
const DEPTH_MAX: usize = 256;

/// Why a piece of JSON is not a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The JSON nests deeper than a value may.
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// An object whose one key starts with a dollar sign, with contents that do not fit it.
    #[error("malformed `{0}`")]
    Malformed(String),
    /// A number that is neither a 64-bit integer nor a float.
    #[error("number out of range: {0}")]
    Number(String),
}

impl Value {
    /// Reads a value from JSON.
    pub fn from_json(json: &Json) -> Result<Self, JsonError> {
        read(json, 0)
    }

    /// Writes the value as JSON.
    pub fn to_json(&self) -> Json {
        match self {
            Self::None => Json::Null,
            Self::Bool(flag) => json!(flag),
            Self::Int(number) => json!(number),
            Self::BigInt(number) => json!({ "$int": number.to_string() }),
            Self::Float(number) if number.is_finite() => json!(number),
            Self::Float(number) => json!({ "$float": non_finite_name(*number) }),
            Self::Str(text) => json!(text),
            Self::Bytes(bytes) => json!({ "$bytes": bytes }),
            Self::List(items) => write_all(items),
            Self::Tuple(items) => json!({ "$tuple": write_all(items) }),
            Self::Set(items) => json!({ "$set": write_all(items) }),
            Self::Dict(entries) => write_dict(entries),
        }
    }
}

fn write_all(items: &[Value]) -> Json {
    Json::Array(items.iter().map(Value::to_json).collect())
}

/// A plain object where reading it back keeps the order of the keys; pairs otherwise.
fn write_dict(entries: &[(Value, Value)]) -> Json {
    let keys: Option<Vec<&str>> = entries
        .iter()
        .map(|(key, _)| match key {
            Value::Str(text) if !text.starts_with('$') => Some(text.as_str()),
            _ => None,
        })
        .collect();
    match keys {
        Some(keys) if keys.is_sorted_by(|a, b| a < b) => {
            let fields = keys.iter().zip(entries);
            Json::Object(fields.map(|(key, (_, v))| ((*key).to_owned(), v.to_json())).collect())
        }
        _ => {
            let pairs = entries.iter().map(|(key, v)| json!([key.to_json(), v.to_json()]));
            json!({ "$dict": pairs.collect::<Vec<_>>() })
        }
    }
}

fn non_finite_name(number: f64) -> &'static str {
    if number.is_nan() {
        "nan"
    } else if number > 0.0 {
        "inf"
    } else {
        "-inf"
    }
}

fn read(json: &Json, depth: usize) -> Result<Value, JsonError> {
    if depth > DEPTH_MAX {
        return Err(JsonError::TooDeep);
    }
    Ok(match json {
        Json::Null => Value::None,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => read_number(number)?,
        Json::String(text) => Value::Str(text.clone()),
        Json::Array(items) => Value::List(read_all(items, depth)?),
        Json::Object(fields) => read_object(fields, depth)?,
    })
}

fn read_all(items: &[Json], depth: usize) -> Result<Vec<Value>, JsonError> {
    items.iter().map(|item| read(item, depth + 1)).collect()
}

fn read_number(number: &serde_json::Number) -> Result<Value, JsonError> {
    if let Some(number) = number.as_i64() {
        return Ok(Value::Int(number));
    }
    if let Some(number) = number.as_u64() {
        return Ok(Value::BigInt(BigInt::from(number)));
    }
    number.as_f64().map(Value::Float).ok_or_else(|| JsonError::Number(number.to_string()))
}

fn read_object(fields: &Map<String, Json>, depth: usize) -> Result<Value, JsonError> {
    if let Some((key, contents)) = fields.iter().next()
        && fields.len() == 1
        && key.starts_with('$')
    {
        let malformed = || JsonError::Malformed(key.clone());
        return match (key.as_str(), contents) {
            ("$tuple", Json::Array(items)) => Ok(Value::Tuple(read_all(items, depth)?)),
            ("$set", Json::Array(items)) => Ok(Value::Set(read_all(items, depth)?)),
            ("$bytes", Json::Array(items)) => read_bytes(items).ok_or_else(malformed),
            ("$int", Json::String(digits)) => {
                digits.parse().map(Value::int).map_err(|_| malformed())
            }
            ("$float", Json::String(name)) => match name.as_str() {
                "nan" => Ok(Value::Float(f64::NAN)),
                "inf" => Ok(Value::Float(f64::INFINITY)),
                "-inf" => Ok(Value::Float(f64::NEG_INFINITY)),
                _ => Err(malformed()),
            },
            ("$dict", Json::Array(pairs)) => read_pairs(pairs, depth, malformed),
            _ => Err(malformed()),
        };
    }
    let entry =
        |(key, field): (&String, &Json)| Ok((Value::Str(key.clone()), read(field, depth + 1)?));
    fields.iter().map(entry).collect::<Result<_, _>>().map(Value::Dict)
}

fn read_bytes(items: &[Json]) -> Option<Value> {
    let byte = |item: &Json| u8::try_from(item.as_u64()?).ok();
    items.iter().map(byte).collect::<Option<_>>().map(Value::Bytes)
}

fn read_pairs(
    pairs: &[Json],
    depth: usize,
    malformed: impl Fn() -> JsonError,
) -> Result<Value, JsonError> {
    let pair = |pair: &Json| match pair.as_array().map(Vec::as_slice) {
        Some([key, value]) => Ok((read(key, depth + 1)?, read(value, depth + 1)?)),
        _ => Err(malformed()),
    };
    pairs.iter().map(pair).collect::<Result<_, _>>().map(Value::Dict)
}
