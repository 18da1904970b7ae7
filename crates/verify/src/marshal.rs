//! How values cross the wall: Python's marshal format, version 2, the literal types only.
//!
//! Every CPython reads and writes it in C. Version 2 has no references, so a value is a tree.
//! The encoder's output is read by the candidate; the decoder reads what a candidate wrote and
//! trusts nothing: depth, node count and every length are bounded before anything is
//! allocated, integers have one spelling, and nothing may follow the value.

use std::io;

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

/// The encoding of `value` behind its length (4 bytes), as it goes through a stream. An error if
/// that does not fit.
pub(crate) fn framed(value: &Value) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    encode(value, &mut bytes);
    let size = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&size.to_le_bytes());
    Ok(bytes)
}

/// Appends the encoding of the tuple of `items`.
pub(crate) fn encode_tuple(items: &[Value], out: &mut Vec<u8>) {
    encode_items(b'(', items, out);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::Random;

    /// What the tests draw.
    impl Random {
        fn bytes(&mut self, n: usize) -> Vec<u8> {
            (0..n).map(|_| self.next() as u8).collect()
        }

        fn values(&mut self, depth: usize) -> Vec<Value> {
            (0..self.below(5)).map(|_| self.value(depth + 1)).collect()
        }

        fn value(&mut self, depth: usize) -> Value {
            match self.below(if depth < 6 { 11 } else { 7 }) {
                0 => Value::None,
                1 => Value::Bool(self.below(2) == 0),
                2 => Value::Int((self.next() as i64) >> self.below(64)),
                3 => {
                    let length = self.below(40);
                    let sign = if self.below(2) == 0 { Sign::Plus } else { Sign::Minus };
                    Value::int(BigInt::from_bytes_le(sign, &self.bytes(length)))
                }
                4 => Value::Float(f64::from_bits(self.next() & !(1 << 62))),
                5 => Value::Str((0..self.below(9)).map(|_| self.character()).collect()),
                6 => {
                    let length = self.below(9);
                    Value::Bytes(self.bytes(length))
                }
                7 => Value::List(self.values(depth)),
                8 => Value::Tuple(self.values(depth)),
                9 => Value::Set(self.values(depth)),
                _ => {
                    let keys = self.values(depth);
                    Value::Dict(keys.into_iter().map(|k| (k, self.value(depth + 1))).collect())
                }
            }
        }

        fn character(&mut self) -> char {
            char::from_u32(self.next() as u32 % 0x11_0000).unwrap_or('é')
        }
    }

    fn encoded(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(value, &mut bytes);
        bytes
    }

    /// What `marshal.dumps(value, 2)` of Python 3.11 writes.
    #[test]
    fn encoding_is_that_of_python() {
        let cases: [(Value, &[u8]); 8] = [
            (Value::Int(-2), b"i\xfe\xff\xff\xff"),
            (Value::Int(1 << 31), b"l\x03\0\0\0\0\0\0\0\x02\0"),
            (Value::Int(-(1 << 40)), b"l\xfd\xff\xff\xff\0\0\0\0\0\x04"),
            (Value::Float(1.5), b"g\0\0\0\0\0\0\xf8?"),
            (Value::Str("é".into()), b"u\x02\0\0\0\xc3\xa9"),
            (Value::Bytes(vec![0]), b"s\x01\0\0\0\0"),
            (Value::Tuple(vec![Value::None, Value::Bool(true)]), b"(\x02\0\0\0NT"),
            (Value::Dict(vec![(Value::Bool(false), Value::List(vec![]))]), b"{F[\0\0\0\x000"),
        ];
        for (value, bytes) in cases {
            assert_eq!(encoded(&value), bytes, "{value}");
            assert_eq!(decode(bytes), Ok(value));
        }
    }

    #[test]
    fn values_survive_the_round_trip() {
        let mut random = Random(1);
        for _ in 0..5_000 {
            let value = random.value(0);
            assert_eq!(decode(&encoded(&value)).as_ref(), Ok(&value));
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic() {
        let mut random = Random(2);
        let tags = b"NTFilgus([<>{0ySc.r?";
        for round in 0..60_000 {
            let length = random.below(40);
            let mut bytes = match round % 2 {
                0 => random.bytes(length),
                _ => encoded(&random.value(0)),
            };
            for _ in 0..random.below(4) {
                if bytes.is_empty() {
                    break;
                }
                let at = random.below(bytes.len());
                match random.below(5) {
                    0 => bytes[at] = random.next() as u8,
                    1 => bytes[at] ^= 1 << random.below(8),
                    2 => bytes[at] = tags[random.below(tags.len())],
                    3 => bytes.truncate(at),
                    _ => bytes.extend_from_within(at..),
                }
            }
            // What is accepted has one spelling only, but for the two tags of sets.
            if let Ok(value) = decode(&bytes) {
                let plain: Vec<u8> =
                    bytes.iter().map(|b| if *b == b'>' { b'<' } else { *b }).collect();
                let again: Vec<u8> =
                    encoded(&value).iter().map(|b| if *b == b'>' { b'<' } else { *b }).collect();
                assert_eq!(plain, again, "{value:?}");
            }
        }
    }

    #[test]
    fn lies_are_refused_before_anything_is_allocated() {
        let deep = [b"(\x01\0\0\0".repeat(300), b"N".to_vec()].concat();
        let wide = [b"[\x81\x96\x98\0".to_vec(), b"N".repeat(10_000_001)].concat();
        let cases: [(&[u8], DecodeError); 14] = [
            (b"", DecodeError::Malformed("cut short")),
            (b"NN", DecodeError::Malformed("bytes after the value")),
            (b"?", DecodeError::Malformed("unknown tag")),
            (b"r\0\0\0\0", DecodeError::Malformed("unknown tag")),
            (b"i\0\0\0", DecodeError::Malformed("cut short")),
            (b"[\xff\xff\xff\x7f", DecodeError::Malformed("cut short")),
            (b"[\xff\xff\xff\xff", DecodeError::Malformed("negative length")),
            (b"u\x01\0\0\0\xff", DecodeError::Unsupported("a string with lone surrogates")),
            (b"l\x01\0\0\0\x05\0", DecodeError::Malformed("small integer in the large form")),
            (b"l\0\0\0\0", DecodeError::Malformed("integer digits")),
            (b"l\0\0\0\x80", DecodeError::Malformed("cut short")),
            (b"l\x03\0\0\0\0\0\0\0\0\x80", DecodeError::Malformed("integer digits")),
            (&deep, DecodeError::Unsupported("nested too deep")),
            (&wide, DecodeError::Unsupported("too many parts")),
        ];
        for (bytes, error) in cases {
            assert_eq!(decode(bytes), Err(error), "{:?}", &bytes[..bytes.len().min(12)]);
        }
    }
}
