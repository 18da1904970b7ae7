//! How values cross the wall: Python's marshal format, version 2, the literal types only.
//!
//! Every CPython reads and writes it in C. Version 2 has no references, so a value is a tree.
//! The encoder's output is read by the candidate; the decoder reads what a candidate wrote and
//! trusts nothing: depth, node count and every length are bounded before anything is
//! allocated, integers have one spelling, and nothing may follow the value.

use num_bigint::{BigInt, Sign};

use crate::Value;

const DEPTH_MAX: usize = 256;
const NODES_MAX: usize = 1_000_000;
/// Marshal writes big integers in digits of this many bits.
const DIGIT_BITS: usize = 15;

/// Why bytes are not a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// No honest interpreter writes this.
    #[error("malformed value: {0}")]
    Malformed(&'static str),
    /// Well-formed, but not a value that a test could expect.
    #[error("not a literal value: {0}")]
    Unsupported(&'static str),
}

/// Appends the encoding of `value`.
pub(crate) fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::None => out.push(b'N'),
        Value::Bool(true) => out.push(b'T'),
        Value::Bool(false) => out.push(b'F'),
        Value::Int(number) => encode_int(*number, out),
        Value::BigInt(number) => encode_big(number, out),
        Value::Float(number) => {
            out.push(b'g');
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Str(text) => encode_sized(b'u', text.as_bytes(), out),
        Value::Bytes(bytes) => encode_sized(b's', bytes, out),
        Value::List(items) => encode_items(b'[', items, out),
        Value::Tuple(items) => encode_items(b'(', items, out),
        Value::Set(items) => encode_items(b'<', items, out),
        Value::Dict(entries) => {
            out.push(b'{');
            for (key, value) in entries {
                encode(key, out);
                encode(value, out);
            }
            out.push(b'0');
        }
    }
}

fn encode_length(length: usize, out: &mut Vec<u8>) {
    let length = i32::try_from(length).expect("a value has fewer than 2^31 parts");
    out.extend_from_slice(&length.to_le_bytes());
}

fn encode_sized(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    encode_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn encode_items(tag: u8, items: &[Value], out: &mut Vec<u8>) {
    out.push(tag);
    encode_length(items.len(), out);
    for item in items {
        encode(item, out);
    }
}

fn encode_int(number: i64, out: &mut Vec<u8>) {
    match i32::try_from(number) {
        Ok(small) => {
            out.push(b'i');
            out.extend_from_slice(&small.to_le_bytes());
        }
        Err(_) => encode_big(&BigInt::from(number), out),
    }
}

fn encode_big(number: &BigInt, out: &mut Vec<u8>) {
    let digits = digits_of(&number.magnitude().to_bytes_le());
    let count = i32::try_from(digits.len()).expect("an integer has fewer than 2^31 digits");
    let signed = if number.sign() == Sign::Minus { -count } else { count };
    out.push(b'l');
    out.extend_from_slice(&signed.to_le_bytes());
    for digit in digits {
        out.extend_from_slice(&digit.to_le_bytes());
    }
}

fn digits_of(bytes: &[u8]) -> Vec<u16> {
    let mut digits = Vec::with_capacity(bytes.len() * 8 / DIGIT_BITS + 1);
    let (mut window, mut filled) = (0_u32, 0);
    for &byte in bytes {
        window |= u32::from(byte) << filled;
        filled += 8;
        if filled >= DIGIT_BITS {
            digits.push((window & 0x7fff) as u16);
            window >>= DIGIT_BITS;
            filled -= DIGIT_BITS;
        }
    }
    digits.push(window as u16);
    while digits.last() == Some(&0) {
        digits.pop();
    }
    digits
}

/// Reads one value and refuses anything after it.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    let mut decoder = Decoder { rest: bytes, nodes: 0 };
    let value = decoder.value(0)?;
    if decoder.rest.is_empty() {
        Ok(value)
    } else {
        Err(DecodeError::Malformed("bytes after the value"))
    }
}

struct Decoder<'a> {
    rest: &'a [u8],
    nodes: usize,
}

impl<'a> Decoder<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or(DecodeError::Malformed("cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| DecodeError::Malformed("cut short"))
    }

    fn length(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(i32::from_le_bytes(self.array()?))
            .map_err(|_| DecodeError::Malformed("negative length"))
    }

    fn value(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let [tag] = self.array()?;
        self.tagged(tag, depth)
    }

    fn tagged(&mut self, tag: u8, depth: usize) -> Result<Value, DecodeError> {
        self.nodes += 1;
        if depth > DEPTH_MAX {
            return Err(DecodeError::Unsupported("nested too deep"));
        }
        if self.nodes > NODES_MAX {
            return Err(DecodeError::Unsupported("too many parts"));
        }
        match tag {
            b'N' => Ok(Value::None),
            b'T' => Ok(Value::Bool(true)),
            b'F' => Ok(Value::Bool(false)),
            b'i' => Ok(Value::Int(i32::from_le_bytes(self.array()?).into())),
            b'l' => self.big(),
            b'g' => Ok(Value::Float(f64::from_le_bytes(self.array()?))),
            b'u' => self.text(),
            b's' => {
                let length = self.length()?;
                Ok(Value::Bytes(self.take(length)?.to_vec()))
            }
            b'[' => Ok(Value::List(self.items(depth)?)),
            b'(' => Ok(Value::Tuple(self.items(depth)?)),
            b'<' | b'>' => Ok(Value::Set(self.items(depth)?)),
            b'{' => self.dict(depth),
            b'y' => Err(DecodeError::Unsupported("complex")),
            b'.' => Err(DecodeError::Unsupported("Ellipsis")),
            b'c' | b'S' | b':' => Err(DecodeError::Unsupported("an object of the interpreter")),
            _ => Err(DecodeError::Malformed("unknown tag")),
        }
    }

    /// Python strings may hold lone surrogates; no expected value does.
    fn text(&mut self) -> Result<Value, DecodeError> {
        let length = self.length()?;
        match std::str::from_utf8(self.take(length)?) {
            Ok(text) => Ok(Value::Str(text.to_owned())),
            Err(_) => Err(DecodeError::Unsupported("a string with lone surrogates")),
        }
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Value>, DecodeError> {
        let length = self.length()?;
        // Every item takes a byte or more, so a longer claim is a lie.
        if length > self.rest.len() {
            return Err(DecodeError::Malformed("cut short"));
        }
        (0..length).map(|_| self.value(depth + 1)).collect()
    }

    fn dict(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let mut entries = Vec::new();
        loop {
            let [tag] = self.array()?;
            if tag == b'0' {
                return Ok(Value::Dict(entries));
            }
            let key = self.tagged(tag, depth + 1)?;
            entries.push((key, self.value(depth + 1)?));
        }
    }

    fn big(&mut self) -> Result<Value, DecodeError> {
        let count = i32::from_le_bytes(self.array()?);
        let length = usize::try_from(count.unsigned_abs())
            .ok()
            .and_then(|count| count.checked_mul(2))
            .ok_or(DecodeError::Malformed("cut short"))?;
        let digits: Vec<u16> =
            self.take(length)?.chunks_exact(2).map(|d| u16::from_le_bytes([d[0], d[1]])).collect();
        if digits.iter().any(|digit| *digit > 0x7fff) || digits.last().is_none_or(|d| *d == 0) {
            return Err(DecodeError::Malformed("integer digits"));
        }
        let sign = if count < 0 { Sign::Minus } else { Sign::Plus };
        let number = BigInt::from_bytes_le(sign, &bytes_of(&digits));
        if i32::try_from(&number).is_ok() {
            return Err(DecodeError::Malformed("small integer in the large form"));
        }
        Ok(Value::int(number))
    }
}

fn bytes_of(digits: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(digits.len() * 2);
    let (mut window, mut filled) = (0_u32, 0);
    for &digit in digits {
        window |= u32::from(digit) << filled;
        filled += DIGIT_BITS;
        while filled >= 8 {
            bytes.push((window & 0xff) as u8);
            window >>= 8;
            filled -= 8;
        }
    }
    bytes.push(window as u8);
    bytes
}
