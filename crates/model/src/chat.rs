//! Chat templates: how a model wants a conversation written, as the Jinja program that comes
//! with its tokenizer.
//!
//! Templates are rendered as `transformers` renders them: blocks trimmed, Python's methods on
//! strings and dictionaries, `raise_exception`, and `tojson` without escapes. Unlike there,
//! `strftime_now` is not defined: a prompt must not change with the day of a run, and the
//! templates that print a date have one for this case.

use std::{fs, path::Path};

use minijinja::{Environment, Error, ErrorKind, Value, context, value::Kwargs};
use serde::Serialize;

use crate::ModelError;

/// A turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What it says.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: &str, content: impl Into<String>) -> Self {
        Self { role: role.to_string(), content: content.into() }
    }
}

/// A compiled template and the special tokens that it may name.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    source: String,
    env: Environment<'static>,
    special: serde_json::Map<String, serde_json::Value>,
}

const NAME: &str = "chat";

impl ChatTemplate {
    /// The template of a directory: `chat_template.jinja`, or `chat_template` in
    /// `tokenizer_config.json`. None where there is none.
    ///
    /// # Errors
    /// If a file cannot be read or the template is not one.
    pub fn load(dir: &Path) -> Result<Option<Self>, ModelError> {
        let read = |name: &str| {
            let path = dir.join(name);
            match fs::read_to_string(&path) {
                Ok(text) => Ok(Some(text)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(ModelError::io(&path, e)),
            }
        };
        let config = read("tokenizer_config.json")?.unwrap_or_else(|| "{}".to_string());
        let config: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&config)
            .map_err(|e| ModelError::Chat(format!("tokenizer_config.json: {e}")))?;
        let source = match read("chat_template.jinja")? {
            Some(text) => Some(text),
            None => named_default(config.get("chat_template"))?,
        };
        source.map(|source| Self::new(&source, &config)).transpose()
    }

    /// Compiles a template; `config` is what `tokenizer_config.json` says.
    ///
    /// # Errors
    /// If the template is not one.
    pub fn new(
        source: &str,
        config: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, ModelError> {
        let mut env = Environment::new();
        env.set_trim_blocks(true);
        env.set_lstrip_blocks(true);
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        env.add_function("raise_exception", raise_exception);
        env.add_filter("tojson", tojson);
        env.add_template_owned(NAME, source.to_string())
            .map_err(|e| ModelError::Chat(describe(&e)))?;
        Ok(Self { source: source.to_string(), env, special: special_tokens(config) })
    }

    /// The template itself.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text of a conversation, and of the opening of the assistant's answer where
    /// `add_generation_prompt` says so. Special tokens are in it: nothing is to be added.
    ///
    /// # Errors
    /// If the template refuses the conversation; the message is the template's own.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, ModelError> {
        let special = Value::from_serialize(&self.special);
        let template = self.env.get_template(NAME).map_err(|e| ModelError::Chat(describe(&e)))?;
        template
            .render(context! { messages, add_generation_prompt, ..special })
            .map_err(|e| ModelError::Chat(describe(&e)))
    }
}

/// `chat_template` is a text, or a list of named ones.
fn named_default(value: Option<&serde_json::Value>) -> Result<Option<String>, ModelError> {
    match value {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(text.clone())),
        Some(serde_json::Value::Array(named)) => {
            let default = named.iter().find(|t| t["name"] == "default");
            let text = default.and_then(|t| t["template"].as_str());
            let missing = || ModelError::Chat("no template is named `default`".to_string());
            text.map(|t| Some(t.to_string())).ok_or_else(missing)
        }
        Some(other) => Err(ModelError::Chat(format!("`chat_template` is {other}"))),
    }
}

/// The special tokens of a tokenizer, which are texts or objects that hold one.
fn special_tokens(
    config: &serde_json::Map<String, serde_json::Value>,
) -> serde_json::Map<String, serde_json::Value> {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => Some(text.clone()),
        other => other["content"].as_str().map(str::to_string),
    };
    config
        .iter()
        .filter(|(key, _)| key.ends_with("_token") && !key.starts_with("add_"))
        .filter_map(|(key, value)| Some((key.clone(), text(value)?.into())))
        .collect()
}

fn raise_exception(message: String) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// JSON as Python's `json.dumps` spaces it, with no escapes for HTML.
fn tojson(value: Value, options: Kwargs) -> Result<Value, Error> {
    let bad = |e: serde_json::Error| Error::new(ErrorKind::BadSerialization, e.to_string());
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let mut out = Vec::new();
    match indent {
        Some(n) => {
            let spaces = vec![b' '; n];
            let pretty = serde_json::ser::PrettyFormatter::with_indent(&spaces);
            let mut writer = serde_json::Serializer::with_formatter(&mut out, pretty);
            value.serialize(&mut writer).map_err(bad)?;
        }
        None => {
            let mut writer = serde_json::Serializer::with_formatter(&mut out, Spaced);
            value.serialize(&mut writer).map_err(bad)?;
        }
    }
    Ok(Value::from_safe_string(String::from_utf8_lossy(&out).into_owned()))
}

/// A space after each comma and colon.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

/// A template's error with its line, and the message of a `raise_exception` alone.
fn describe(error: &Error) -> String {
    match (error.kind(), error.detail(), error.line()) {
        (ErrorKind::InvalidOperation, Some(detail), _) => detail.to_string(),
        (kind, detail, line) => {
            let at = line.map(|l| format!(" in line {l}")).unwrap_or_default();
            format!("{kind}{at}: {}", detail.unwrap_or("no detail"))
        }
    }
}
