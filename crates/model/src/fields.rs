//! A JSON object that is read strictly: every key is understood, known to be harmless, or an
//! error that names it. A null is an absent key.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The keys of an object that nobody has read yet.
#[derive(Debug)]
pub(crate) struct Fields {
    /// What stands before a key in an error, e.g. `rope_scaling.`.
    prefix: String,
    map: Map<String, Value>,
}

impl Fields {
    /// The fields of `value`, which must be an object.
    pub(crate) fn new(prefix: &str, value: Value) -> Result<Self, String> {
        match value {
            Value::Object(map) => Ok(Self { prefix: prefix.to_string(), map }),
            other => Err(format!("`{}` is not an object: {other}", prefix.trim_end_matches('.'))),
        }
    }

    /// Takes a field.
    pub(crate) fn get<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, String> {
        match self.map.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|e| format!("`{}{key}`: {e}", self.prefix)),
        }
    }

    /// Takes a field that must be there.
    pub(crate) fn require<T: DeserializeOwned>(&mut self, key: &str) -> Result<T, String> {
        self.get(key)?.ok_or_else(|| format!("no `{}{key}`", self.prefix))
    }

    /// Takes a field that, if it is there, must say what this engine does anyway.
    pub(crate) fn only(&mut self, key: &str, supported: &Value) -> Result<(), String> {
        match self.map.remove(key) {
            None | Some(Value::Null) => Ok(()),
            Some(value) if same(&value, supported) => Ok(()),
            Some(value) => {
                Err(format!("`{}{key}` is {value}; only {supported} is supported", self.prefix))
            }
        }
    }

    /// Takes a field that must be empty: null, false, `[]` or `{}`.
    pub(crate) fn empty(&mut self, key: &str) -> Result<(), String> {
        match self.map.remove(key) {
            None => Ok(()),
            Some(value) if is_empty(&value) => Ok(()),
            Some(value) => Err(format!("`{}{key}` is {value}; it is not supported", self.prefix)),
        }
    }

    /// Takes fields that change nothing here.
    pub(crate) fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            self.map.remove(*key);
        }
    }

    /// What is left, unless it is null.
    pub(crate) fn finish(self) -> Result<(), String> {
        match self.map.iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((key, value)) => {
                Err(format!("unknown key `{}{key}` (it is {value})", self.prefix))
            }
        }
    }
}

fn same(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().is_some_and(|x| b.as_f64() == Some(x))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
