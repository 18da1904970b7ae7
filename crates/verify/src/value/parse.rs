//! Values as Python programs write them: literals, read without running any Python.
//!
//! What [`Value`] displays, [`Value::from_literal`] reads back, but for very large
//! integers, which are shown in hexadecimal. There is no arithmetic and there are no names, except
//! `float('nan')` and its like, `set()` and `set([…])`.

use num_bigint::BigInt;

use super::Value;

/// Deeper literals are refused, so that no reader of them can exhaust its stack.
const DEPTH_MAX: usize = 256;

/// Why a text is not a literal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no literal at character {at}: {what}")]
pub struct LiteralError {
    /// Bytes before the place.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl Value {
    /// Reads a literal, and nothing but spaces around it.
    ///
    /// # Errors
    /// Where it stops being one.
    pub fn from_literal(text: &str) -> Result<Self, LiteralError> {
        let mut reader = Reader::new(text);
        let value = reader.value(0)?;
        reader.end()?;
        Ok(value)
    }

    /// Reads an assertion about a call: `assert f(1, [2]) == 3`, also with `is` and a constant,
    /// or with nothing or `not` for a bool, and with a message at the end. Returns the name of
    /// what is called, its arguments, and what it is asserted to return.
    ///
    /// # Errors
    /// Where the text stops being one.
    pub fn from_assertion(text: &str) -> Result<(&str, Vec<Self>, Self), LiteralError> {
        let mut reader = Reader::new(text);
        reader.word("assert")?;
        let negated = reader.word("not").is_ok();
        let name = reader.name()?;
        reader.expect("(")?;
        let args = reader.items(")", 0)?;
        let compared = !negated && (reader.take("==") || reader.word("is").is_ok());
        let expected = if compared { reader.value(0)? } else { Self::Bool(!negated) };
        if reader.take(",") {
            reader.value(0)?;
        }
        reader.end()?;
        Ok((name, args, expected))
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

type Read<T> = Result<T, LiteralError>;

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn fail<T>(&self, what: &'static str) -> Read<T> {
        Err(LiteralError { at: self.at, what })
    }

    fn skip_spaces(&mut self) {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            if !self.rest().starts_with('#') {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_spaces();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn expect(&mut self, token: &'static str) -> Read<()> {
        if self.take(token) { Ok(()) } else { self.fail(token_missing(token)) }
    }

    fn end(&mut self) -> Read<()> {
        self.skip_spaces();
        if self.rest().is_empty() { Ok(()) } else { self.fail("something after the end") }
    }

    /// The longest word here, which may hold dots.
    fn peek_word(&mut self) -> &'a str {
        self.skip_spaces();
        let rest = self.rest();
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())]
    }

    fn word(&mut self, word: &'static str) -> Read<()> {
        if self.peek_word() != word {
            return self.fail(token_missing(word));
        }
        self.at += word.len();
        Ok(())
    }

    fn name(&mut self) -> Read<&'a str> {
        let name = self.peek_word();
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return self.fail("a call is missing");
        }
        self.at += name.len();
        Ok(name)
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        if depth > DEPTH_MAX {
            return self.fail("nested too deep");
        }
        self.skip_spaces();
        match self.rest().chars().next() {
            None => self.fail("a value is missing"),
            Some('[') => {
                self.at += 1;
                Ok(Value::List(self.items("]", depth)?))
            }
            Some('(') => self.tuple(depth),
            Some('{') => self.braces(depth),
            Some('-' | '+' | '.' | '0'..='9') => self.number(depth),
            Some('\'' | '"') => self.string(),
            Some(_) => self.named(depth),
        }
    }

    /// Values up to `close`, with commas between them.
    fn items(&mut self, close: &'static str, depth: usize) -> Read<Vec<Value>> {
        let mut items = Vec::new();
        while !self.take(close) {
            items.push(self.value(depth + 1)?);
            if !self.take(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn tuple(&mut self, depth: usize) -> Read<Value> {
        self.at += 1;
        if self.take(")") {
            return Ok(Value::Tuple(Vec::new()));
        }
        let first = self.value(depth + 1)?;
        if self.take(")") {
            return Ok(first);
        }
        self.expect(",")?;
        let mut items = vec![first];
        items.extend(self.items(")", depth)?);
        Ok(Value::Tuple(items))
    }

    fn braces(&mut self, depth: usize) -> Read<Value> {
        self.at += 1;
        if self.take("}") {
            return Ok(Value::Dict(Vec::new()));
        }
        let first = self.value(depth + 1)?;
        if !self.take(":") {
            let mut items = vec![first];
            if self.take(",") {
                items.extend(self.items("}", depth)?);
            } else {
                self.expect("}")?;
            }
            return Ok(Value::Set(items));
        }
        let mut entries = vec![(first, self.value(depth + 1)?)];
        while self.take(",") && !self.rest().trim_start().starts_with('}') {
            let key = self.value(depth + 1)?;
            self.expect(":")?;
            entries.push((key, self.value(depth + 1)?));
        }
        self.expect("}")?;
        Ok(Value::Dict(entries))
    }

    fn number(&mut self, depth: usize) -> Read<Value> {
        let mut negative = false;
        while let Some(sign @ ('-' | '+')) = self.rest().chars().next() {
            negative ^= sign == '-';
            self.at += 1;
        }
        if negative && self.peek_word() == "float" {
            return self.call("float", depth).map(negated);
        }
        let rest = self.rest();
        let mut previous = ' ';
        let end = rest.find(|c: char| {
            let hex = rest.starts_with("0x") || rest.starts_with("0X");
            let signs = !hex && matches!(previous, 'e' | 'E') && matches!(c, '+' | '-');
            previous = c;
            !(c.is_ascii_alphanumeric() || c == '_' || c == '.' || signs)
        });
        let digits = rest[..end.unwrap_or(rest.len())].replace('_', "").to_ascii_lowercase();
        let Some(value) = read_number(&digits, negative) else {
            return self.fail("a malformed number");
        };
        self.at += end.unwrap_or(rest.len());
        Ok(value)
    }

    fn named(&mut self, depth: usize) -> Read<Value> {
        let word = self.peek_word();
        let rest = &self.rest()[word.len()..];
        if rest.starts_with(['\'', '"']) {
            return self.string();
        }
        let constant = match word {
            "None" => Value::None,
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            "set" | "frozenset" | "float" => return self.call(word, depth),
            _ => return self.fail("neither a literal nor a name that stands for one"),
        };
        self.at += word.len();
        Ok(constant)
    }

    /// `float('inf')`, `set()`, `set([1, 2])`.
    fn call(&mut self, name: &str, depth: usize) -> Read<Value> {
        self.at += name.len();
        self.expect("(")?;
        let args = self.items(")", depth)?;
        match (name, args.as_slice()) {
            ("float", [Value::Str(text)]) => match text.to_lowercase().as_str() {
                "nan" => Ok(Value::Float(f64::NAN)),
                "inf" | "infinity" => Ok(Value::Float(f64::INFINITY)),
                "-inf" | "-infinity" => Ok(Value::Float(f64::NEG_INFINITY)),
                _ => self.fail("a float of this text"),
            },
            ("set" | "frozenset", []) => Ok(Value::Set(Vec::new())),
            (
                "set" | "frozenset",
                [Value::List(items) | Value::Tuple(items) | Value::Set(items)],
            ) => Ok(Value::Set(items.clone())),
            _ => self.fail("a call"),
        }
    }

    /// One string, or several side by side.
    fn string(&mut self) -> Read<Value> {
        let (mut text, is_bytes) = self.one_string()?;
        loop {
            let word = self.peek_word();
            let next = &self.rest()[word.len()..];
            if word.len() > 2 || !next.starts_with(['\'', '"']) {
                break;
            }
            let (more, bytes_too) = self.one_string()?;
            if bytes_too != is_bytes {
                return self.fail("bytes and text side by side");
            }
            text.push_str(&more);
        }
        if !is_bytes {
            return Ok(Value::Str(text));
        }
        let bytes = text.chars().map(|c| u8::try_from(u32::from(c))).collect::<Result<_, _>>();
        bytes.map_or_else(|_| self.fail("bytes beyond 255"), |bytes| Ok(Value::Bytes(bytes)))
    }

    fn one_string(&mut self) -> Read<(String, bool)> {
        let prefix = self.peek_word().to_ascii_lowercase();
        let (raw, is_bytes) = match prefix.as_str() {
            "" | "u" => (false, false),
            "r" => (true, false),
            "b" => (false, true),
            "rb" | "br" => (true, true),
            _ => return self.fail("an unknown kind of string"),
        };
        self.at += prefix.len();
        let quote = &self.rest()[..1];
        let triple = quote.repeat(3);
        let close = if self.rest().starts_with(&triple) { triple } else { quote.to_string() };
        self.at += close.len();
        let mut text = String::new();
        loop {
            let rest = self.rest();
            if rest.starts_with(&close) {
                self.at += close.len();
                return Ok((text, is_bytes));
            }
            match rest.chars().next() {
                None => return self.fail("a string without an end"),
                Some('\n') if close.len() == 1 => return self.fail("a string without an end"),
                Some('\\') if raw => {
                    let pair = rest.chars().take(2);
                    self.at += pair.clone().map(char::len_utf8).sum::<usize>();
                    text.extend(pair);
                }
                Some('\\') => self.escape(&mut text, is_bytes)?,
                Some(c) => {
                    self.at += c.len_utf8();
                    text.push(c);
                }
            }
        }
    }

    fn escape(&mut self, text: &mut String, is_bytes: bool) -> Read<()> {
        let Some(kind) = self.rest()[1..].chars().next() else {
            return self.fail("a string without an end");
        };
        let plain = match kind {
            'n' => "\n",
            't' => "\t",
            'r' => "\r",
            'a' => "\x07",
            'b' => "\x08",
            'f' => "\x0c",
            'v' => "\x0b",
            '\\' => "\\",
            '\'' => "'",
            '"' => "\"",
            '\n' => "",
            '0'..='7' => return self.code(text, 1, 8, 3),
            'x' => return self.code(text, 2, 16, 2),
            'u' if !is_bytes => return self.code(text, 2, 16, 4),
            'U' if !is_bytes => return self.code(text, 2, 16, 8),
            'N' => return self.fail("a character by its name"),
            _ => {
                text.push('\\');
                self.at += 1;
                return Ok(());
            }
        };
        text.push_str(plain);
        self.at += 1 + kind.len_utf8();
        Ok(())
    }

    /// A character by its number: octal ones may have fewer digits than `digits_max`.
    fn code(&mut self, text: &mut String, skip: usize, radix: u32, digits_max: usize) -> Read<()> {
        let digits: String = self.rest()[skip..]
            .chars()
            .take(digits_max)
            .take_while(|c| c.is_digit(radix))
            .collect();
        let code = u32::from_str_radix(&digits, radix).ok().and_then(char::from_u32);
        let whole = radix == 8 || digits.len() == digits_max;
        match code {
            Some(c) if whole => {
                text.push(c);
                self.at += skip + digits.len();
                Ok(())
            }
            _ => self.fail("a malformed escape"),
        }
    }
}

fn negated(value: Value) -> Value {
    match value {
        Value::Float(number) => Value::Float(-number),
        other => other,
    }
}

fn token_missing(token: &'static str) -> &'static str {
    match token {
        ")" => "`)` or `,` is missing",
        "]" => "`]` or `,` is missing",
        "}" => "`}` or `,` is missing",
        "(" => "`(` is missing",
        "," => "`,` is missing",
        ":" => "`:` is missing",
        "assert" => "`assert` is missing",
        _ => "a word is missing",
    }
}

fn read_number(digits: &str, negative: bool) -> Option<Value> {
    let radix = match digits.get(..2) {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => 10,
    };
    let whole = if radix == 10 { digits } else { &digits[2..] };
    if whole.chars().all(|c| c.is_digit(radix)) && !whole.is_empty() {
        let number = BigInt::parse_bytes(whole.as_bytes(), radix)?;
        return Some(Value::int(if negative { -number } else { number }));
    }
    let is_float = digits.chars().all(|c| matches!(c, '0'..='9' | '.' | 'e' | '+' | '-'));
    let number: f64 = digits.parse().ok().filter(|_| is_float)?;
    Some(Value::Float(if negative { -number } else { number }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_python_reads_them() {
        let cases = [
            ("None", "None"),
            (" True ", "True"),
            ("-12_000", "-12000"),
            ("0xFF", "255"),
            ("0b101", "5"),
            ("0o17", "15"),
            ("--1", "1"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("1e3", "1000.0"),
            (".5", "0.5"),
            ("1.", "1.0"),
            ("-2.5E-3", "-0.0025"),
            ("float('inf')", "inf"),
            ("float(\"-inf\")", "-inf"),
            ("-float('inf')", "-inf"),
            ("'a\\'b'", "\"a'b\""),
            ("\"it's\"", "\"it's\""),
            ("'''a\n'b'''", "\"a\\n'b\""),
            ("'\\x41\\u00e9\\t\\101\\q'", "'Aé\\tA\\\\q'"),
            ("r'\\n\\''", "\"\\\\n\\\\'\""),
            ("'a' \"b\"\n 'c'", "'abc'"),
            ("b'\\xff\\0a'", "b'\\xff\\x00a'"),
            ("()", "()"),
            ("(1)", "1"),
            ("(1,)", "(1,)"),
            ("(1, (2, 3),)", "(1, (2, 3))"),
            ("[1, [2], # two\n]", "[1, [2]]"),
            ("{}", "{}"),
            ("{1, 2,}", "{1, 2}"),
            ("{'a': [1], (1, 2): None,}", "{'a': [1], (1, 2): None}"),
            ("set()", "set()"),
            ("set([1, 2])", "{1, 2}"),
        ];
        for (text, shown) in cases {
            let value = Value::from_literal(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(value.to_string(), shown, "{text}");
            if !shown.contains("inf") {
                assert_eq!(Value::from_literal(shown), Ok(value), "{shown}");
            }
        }
    }

    #[test]
    fn what_is_no_literal_is_refused() {
        let deep = "[".repeat(100_000);
        let cases = [
            "",
            "x",
            "1 2",
            "[1",
            "[1 2]",
            "(1",
            "{1: }",
            "{1: 2, 3}",
            "'a",
            "'a\nb'",
            "'\\x4'",
            "1 + 2",
            "f(1)",
            "__import__('os')",
            "12abc",
            "1_e",
            "--",
            "b'é' 'a'",
            "b'\u{100}'",
            "'\\ud800'",
            "f'a'",
            "'\\N{DOT}'",
            "float('1')",
            "0x",
            "set(1)",
            "0b12",
            "\\",
            "'\\",
        ];
        for text in cases.into_iter().chain([deep.as_str()]) {
            assert!(Value::from_literal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn assertions_are_read_as_tests() {
        let read = |text| {
            let (name, args, expected) = Value::from_assertion(text).ok()?;
            Some(format!("{name}{} -> {expected}", Value::List(args)))
        };
        let cases = [
            ("assert f(1, 'a') == [2]", Some("f[1, 'a'] -> [2]")),
            ("assert f() == {'a': 1}, 'why'", Some("f[] -> {'a': 1}")),
            (" assert f([1],) is None\n", Some("f[[1]] -> None")),
            ("assert f(1)", Some("f[1] -> True")),
            ("assert not f(1), \"why\"", Some("f[1] -> False")),
            ("assert S.g((1, 2)) == -1.5", Some("S.g[(1, 2)] -> -1.5")),
            ("assert f(x) == 1", None),
            ("assert f(g(1)) == 1", None),
            ("assert f(1) == 1 and f(2) == 2", None),
            ("assert not f(1) == 2", None),
            ("assert abs(f(1) - 2) < 1e-6", None),
            ("assert 1 == f(1)", None),
            ("f(1) == 1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }
}
