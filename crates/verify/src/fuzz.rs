//! What must hold for any bytes that a program may send: for `examples/fuzz_decoder.rs`, and
//! for the tests below, which do a little of the same in every test run.
//!
//! A broken promise is a panic here, and so are a crash of the decoder and a stack overflow.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::compare::equal;
use crate::frames::{self, TooLarge};
use crate::judge::Trial;
use crate::run::{End, Run};
use crate::{Comparator, Submission, TestCase, Tier, Value, Verdict, marshal};

/// Values that show every tag, as first inputs.
pub fn seeds() -> Vec<Vec<u8>> {
    let int = Value::Int;
    let text = |s: &str| Value::Str(s.to_string());
    let values = [
        Value::None,
        Value::Tuple(vec![Value::Bool(true), Value::Bool(false), int(-1)]),
        Value::List(vec![int(i64::MAX), int(1 << 31), Value::Float(f64::NAN)]),
        Value::Set(vec![text("é"), text(""), Value::Bytes(vec![0, 255])]),
        Value::Dict(vec![(text("a"), Value::List(vec![])), (int(3), Value::Tuple(vec![]))]),
        Value::Dict(vec![(text("$x"), Value::None)]),
        Value::int(num_bigint::BigInt::from(7).pow(90)),
        (0..40).fold(int(1), |inner, _| Value::List(vec![inner])),
    ];
    let mut seeds: Vec<Vec<u8>> = values.iter().map(encoded).collect();
    seeds.extend(values.iter().map(|value| value.to_json().to_string().into_bytes()));
    seeds.extend((1..9).map(|kind| frame(kind, b"i\x07\0\0\0")));
    seeds.push([frame(1, b"i\x07\0\0\0"), frame(1, b"i\x07\0\0\0")].concat());
    seeds
}

/// Tries one input. Returns what it looked like to the code that read it: two inputs with the
/// same look went much the same way.
///
/// # Panics
/// If a promise is broken.
pub fn check(bytes: &[u8]) -> u64 {
    let mut look = DefaultHasher::new();
    match marshal::decode(bytes) {
        Err(e) => e.to_string().hash(&mut look),
        Ok(value) => {
            spelled_alike(bytes, &value);
            usable(&value);
            shape(&value, 0, &mut look);
        }
    }
    json(bytes).hash(&mut look);
    judged(bytes).hash(&mut look);
    bytes.len().next_power_of_two().hash(&mut look);
    look.finish()
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    marshal::encode(value, &mut bytes);
    bytes
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).expect("a short payload").to_le_bytes();
    [&size[..], &[kind], payload].concat()
}

/// A value has one spelling, but for the two tags of sets.
fn spelled_alike(bytes: &[u8], value: &Value) {
    let same = |(a, b): (&u8, &u8)| a == b || (*a == b'>' && *b == b'<');
    let again = encoded(value);
    let alike = bytes.len() == again.len() && bytes.iter().zip(&again).all(same);
    assert!(alike, "{bytes:?} is read as {value:?}, which is written {again:?}");
}

/// Whatever is read can be compared, shown and stored.
fn usable(value: &Value) {
    for comparator in [Comparator::Exact, Comparator::Strict, Comparator::AnyOrder] {
        let listed = !matches!(comparator, Comparator::AnyOrder)
            || matches!(value, Value::List(_) | Value::Tuple(_));
        assert_eq!(equal(value, value, &comparator), listed, "{comparator:?} {value:?}");
    }
    equal(value, value, &Comparator::Float { abs: 1e-9, rel: 1e-9 });
    let stored = Value::from_json(&value.to_json()).map(|read| encoded(&read));
    match stored {
        Ok(stored) => assert_eq!(stored.len(), encoded(value).len(), "{value:?}"),
        // A dictionary costs JSON more levels than it has.
        Err(e) => assert_eq!(e, crate::JsonError::TooDeep, "{value:?}"),
    }
    assert!(!value.to_string().is_empty());
}

fn shape(value: &Value, depth: usize, look: &mut DefaultHasher) {
    std::mem::discriminant(value).hash(look);
    depth.min(8).hash(look);
    match value {
        Value::List(items) | Value::Tuple(items) | Value::Set(items) => {
            items.iter().take(8).for_each(|item| shape(item, depth + 1, look));
        }
        Value::Dict(entries) => entries.iter().take(8).for_each(|(key, item)| {
            shape(key, depth + 1, look);
            shape(item, depth + 1, look);
        }),
        _ => {}
    }
}

/// The same bytes as JSON: what is read from it is written and read again.
fn json(bytes: &[u8]) -> u8 {
    let Ok(json) = serde_json::from_slice(bytes) else { return 0 };
    let Ok(value) = Value::from_json(&json) else { return 1 };
    let again = Value::from_json(&value.to_json()).expect("what was written can be read");
    assert_eq!(encoded(&again), encoded(&value), "{json}");
    2
}

/// The same bytes as all that a program sends: it is accepted only if they start with the two
/// frames that are right, whatever comes after them and however they are cut.
fn judged(bytes: &[u8]) -> (Verdict, usize) {
    let right = frame(1, b"i\x07\0\0\0").repeat(2);
    let test = || TestCase { args: Vec::new(), expected: Value::Int(7) };
    let submission = Submission {
        entry_point: "f".to_string(),
        tests: [test(), test()].into(),
        ..Submission::default()
    };
    let whole = verdict(&submission, &[bytes]);
    let (a, b) = bytes.split_at(bytes.first().map_or(0, |n| usize::from(*n) % bytes.len()));
    assert_eq!(verdict(&submission, &[a, b]), whole, "{bytes:?}");
    assert_eq!(whole.0 == Verdict::Accepted, bytes.starts_with(&right), "{bytes:?}");
    whole
}

fn verdict(submission: &Submission, pieces: &[&[u8]]) -> (Verdict, usize) {
    let mut trial = Trial::new(submission);
    let order = submission.into();
    let mut take = |answer| trial.take(answer);
    let mut run = Run::new(&order, &mut take);
    let end = read(&mut run, pieces).unwrap_or(End::Complete);
    let outcome = run.outcome(end);
    let found = trial.verdict(outcome, Tier::None);
    (found.verdict, found.passed)
}

fn read(run: &mut Run<'_>, pieces: &[&[u8]]) -> Option<End> {
    let (mut buffer, mut loaded) = (Vec::new(), false);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match frames::next(&mut buffer, run.order.limits.output_bytes) {
                Ok(None) => break,
                Ok(Some((kind, payload))) => {
                    if let Some(end) = run.frame(kind, &payload, &mut loaded) {
                        return Some(end);
                    }
                }
                Err(TooLarge) => return Some(End::too_much()),
            }
        }
    }
    None
}

/// Numbers from a seed (Steele and others' SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// The longest input.
const INPUT_MAX: usize = 512;
const TAGS: &[u8] = b"NTFilgus([<>{0ySc.:r?\"$}],\x01\x02\x03\x04\x05\x06\x07\x08";
/// Numbers at which lengths and integers turn.
const TURNS: [u32; 12] =
    [0, 1, 2, 3, 7, 0x7f, 0x80, 0x7fff, 0x8000, 0x7fff_ffff, 0x8000_0000, u32::MAX];

/// Changes an input in one to four places; `other` lends a piece of itself.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let inside = at < bytes.len();
        match random.below(9) {
            0 if inside => bytes[at] = random.next() as u8,
            1 if inside => bytes[at] ^= 1 << random.below(8),
            2 if inside => bytes[at] = TAGS[random.below(TAGS.len())],
            3 if inside => drop(bytes.remove(at)),
            4 if inside => bytes.truncate(at),
            5 => bytes.insert(at, TAGS[random.below(TAGS.len())]),
            6 => {
                let number = TURNS[random.below(TURNS.len())].to_le_bytes();
                let end = (at + 4).min(bytes.len());
                bytes.splice(at..end, number);
            }
            7 => {
                let from = random.below(other.len() + 1);
                let to = from + random.below(other.len() - from + 1);
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let end = at + random.below(bytes.len() - at + 1);
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
        bytes.truncate(INPUT_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_break_a_promise() {
        let mut random = Random(5);
        let seeds = seeds();
        for _ in 0..40_000 {
            let mut bytes = seeds[random.below(seeds.len())].clone();
            mutate(&mut bytes, &seeds[random.below(seeds.len())], &mut random);
            check(&bytes);
        }
    }

    #[test]
    fn a_broken_promise_is_seen() {
        let broken = |bytes: &[u8]| {
            let value = marshal::decode(bytes).unwrap();
            std::panic::catch_unwind(|| spelled_alike(b"i\x08\0\0\0", &value)).is_err()
        };
        assert!(broken(b"i\x07\0\0\0") && !broken(b"i\x08\0\0\0"));
    }
}
