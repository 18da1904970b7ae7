//! Values as Python writes them: `repr`, for prompts and for people.

use std::fmt::{self, Display, Formatter, Write};

use super::Value;

/// About 4,300 decimal digits.
const DECIMAL_BITS_MAX: u64 = 14_284;

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(number) => write!(f, "{number}"),
            // Writing decimals takes quadratic time; Python itself refuses beyond this.
            Self::BigInt(number) if number.bits() > DECIMAL_BITS_MAX => write!(f, "{number:#x}"),
            Self::BigInt(number) => write!(f, "{number}"),
            Self::Float(number) => write_float(f, *number),
            Self::Str(text) => write_str(f, text),
            Self::Bytes(bytes) => write_bytes(f, bytes),
            Self::List(items) => write_items(f, "[", items, "]"),
            Self::Tuple(items) if items.len() == 1 => write_items(f, "(", items, ",)"),
            Self::Tuple(items) => write_items(f, "(", items, ")"),
            Self::Set(items) if items.is_empty() => f.write_str("set()"),
            Self::Set(items) => write_items(f, "{", items, "}"),
            Self::Dict(entries) => write_entries(f, entries),
        }
    }
}

fn write_items(f: &mut Formatter<'_>, open: &str, items: &[Value], close: &str) -> fmt::Result {
    f.write_str(open)?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{item}")?;
    }
    f.write_str(close)
}

fn write_entries(f: &mut Formatter<'_>, entries: &[(Value, Value)]) -> fmt::Result {
    f.write_str("{")?;
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{key}: {value}")?;
    }
    f.write_str("}")
}

/// Python and Rust agree on the shortest digits that read back as the same float, but not on
/// where the exponent starts: Python uses one from 1e16 up and below 1e-4.
fn write_float(f: &mut Formatter<'_>, number: f64) -> fmt::Result {
    if number.is_nan() {
        return f.write_str("nan");
    }
    if number.is_infinite() {
        return f.write_str(if number > 0.0 { "inf" } else { "-inf" });
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return write!(f, "{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{number}");
    f.write_str(&plain)?;
    if plain.contains('.') { Ok(()) } else { f.write_str(".0") }
}

/// The quote Python chooses: single, unless that alone would need escaping.
fn quote_of(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

fn write_str(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    let quote = quote_of(text.contains('\''), text.contains('"'));
    f.write_char(quote)?;
    for c in text.chars() {
        let code = u32::from(c);
        match c {
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            _ if c == quote => write!(f, "\\{c}")?,
            _ if is_printable(c) => f.write_char(c)?,
            _ if code < 0x100 => write!(f, "\\x{code:02x}")?,
            _ if code < 0x1_0000 => write!(f, "\\u{code:04x}")?,
            _ => write!(f, "\\U{code:08x}")?,
        }
    }
    f.write_char(quote)
}

/// Python's `str.isprintable` for one character. Rust's debug output of a string draws the
/// same line, except that it escapes a combining mark at the very start: hence the letter.
fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\0'..='\x7f' => false,
        _ => {
            let mut shown = String::from("a");
            shown.push(c);
            !format!("{shown:?}").contains("\\u{")
        }
    }
}

fn write_bytes(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let quote = quote_of(bytes.contains(&b'\''), bytes.contains(&b'"'));
    write!(f, "b{quote}")?;
    for &byte in bytes {
        let c = char::from(byte);
        match byte {
            b'\\' => f.write_str("\\\\")?,
            b'\n' => f.write_str("\\n")?,
            b'\r' => f.write_str("\\r")?,
            b'\t' => f.write_str("\\t")?,
            _ if c == quote => write!(f, "\\{c}")?,
            b' '..=b'~' => f.write_char(c)?,
            _ => write!(f, "\\x{byte:02x}")?,
        }
    }
    f.write_char(quote)
}
