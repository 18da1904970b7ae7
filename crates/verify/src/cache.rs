//! Judgements by what was judged: an identical submission is answered once.
//!
//! The key is a hash of all that decides a verdict. What depends on the clock of the machine, or
//! on a fault of the sandbox, is not kept.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::submission::{Answer, Mode};
use crate::{Comparator, Judgement, Submission, TestCase, Value, marshal};

/// What tells a submission from every other.
pub(crate) type Key = [u8; 32];

/// Judgements of earlier submissions, the newest of them.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries_max: usize,
    known: HashMap<Key, Judgement>,
    /// In the order of arrival: the oldest makes room.
    arrivals: VecDeque<Key>,
}

impl Cache {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { entries_max, ..Self::default() }
    }

    /// Whether it keeps anything.
    pub(crate) fn is_on(&self) -> bool {
        self.entries_max > 0
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Judgement> {
        self.known.get(key)
    }

    pub(crate) fn insert(&mut self, key: Key, judgement: Judgement) {
        if !self.is_on() || self.known.insert(key, judgement).is_some() {
            return;
        }
        self.arrivals.push_back(key);
        if self.arrivals.len() > self.entries_max
            && let Some(oldest) = self.arrivals.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// The keys of submissions. Tests that several of them share are hashed once.
pub(crate) fn keys(submissions: &[Submission]) -> Vec<Key> {
    let mut suites: HashMap<*const TestCase, Key> = HashMap::new();
    submissions
        .iter()
        .map(|submission| {
            let tests = Arc::as_ptr(&submission.tests).cast::<TestCase>();
            let suite = *suites.entry(tests).or_insert_with(|| suite(&submission.tests));
            key(submission, &suite)
        })
        .collect()
}

fn suite(tests: &[TestCase]) -> Key {
    let mut bytes = Vec::new();
    for test in tests {
        marshal::encode_tuple(&test.args, &mut bytes);
        marshal::encode(&test.expected, &mut bytes);
    }
    Sha256::digest(bytes).into()
}

fn key(submission: &Submission, suite: &Key) -> Key {
    let Submission { program, entry_point, tests: _, comparator, limits, .. } = submission;
    let mut limits = *limits;
    let number = |n: u64| Value::Bytes(n.to_le_bytes().to_vec());
    let mut parts = vec![
        Value::Bytes(suite.to_vec()),
        Value::Str(program.clone()),
        Value::Str(entry_point.clone()),
        Value::Tuple(limits.named().iter().map(|(_, limit)| number(**limit)).collect()),
        Value::Bool(submission.stop_at_first_failure),
        Value::Int(mode(submission.call.mode)),
        match submission.call.answer {
            Answer::Returned => Value::None,
            Answer::Argument(at) => number(at as u64),
        },
        Value::Int(submission.call.containers as i64),
    ];
    parts.extend(how(comparator));
    let mut bytes = Vec::new();
    marshal::encode_tuple(&parts, &mut bytes);
    Sha256::digest(bytes).into()
}

fn mode(mode: Mode) -> i64 {
    match mode {
        Mode::Function => 0,
        Mode::Method => 1,
        Mode::Stdio => 2,
    }
}

/// A comparator as values.
fn how(comparator: &Comparator) -> Vec<Value> {
    let name = |name: &str| Value::Str(name.to_string());
    match comparator {
        Comparator::Exact => vec![name("exact")],
        Comparator::Strict => vec![name("strict")],
        Comparator::Float { abs, rel } => {
            vec![name("float"), Value::Float(*abs), Value::Float(*rel)]
        }
        Comparator::AnyOrder => vec![name("any_order")],
        Comparator::AnyOrderTwice => vec![name("any_order_twice")],
        Comparator::AnyOf => vec![name("any_of")],
        Comparator::Lines => vec![name("lines")],
        Comparator::Tokens { abs, rel } => {
            vec![name("tokens"), Value::Float(*abs), Value::Float(*rel)]
        }
        Comparator::Checker(program) => vec![name("checker"), name(program)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Call, Containers, Limits, Verdict};

    fn judgement(passed: usize) -> Judgement {
        let detail = String::new();
        Judgement {
            verdict: Verdict::Accepted,
            passed,
            total: 9,
            detail,
            cpu_ms: 0.0,
            tier: crate::Tier::Landlocked,
            wall_ms: 0.0,
        }
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut cache = Cache::new(2);
        for n in [1, 2, 2, 3] {
            cache.insert([n; 32], judgement(n.into()));
        }
        let known: Vec<_> = (1..4).map(|n| cache.get(&[n; 32]).map(|j| j.passed)).collect();
        assert_eq!(known, [None, Some(2), Some(3)]);
        let mut none = Cache::new(0);
        none.insert([1; 32], judgement(1));
        assert!(none.get(&[1; 32]).is_none());
    }

    #[test]
    fn whatever_decides_a_verdict_is_in_the_key() {
        let test = |n, expected| TestCase { args: vec![Value::Int(n)], expected };
        let plain = Submission {
            program: "def f(n): return n".to_string(),
            entry_point: "f".to_string(),
            tests: [test(1, Value::Int(1))].into(),
            ..Submission::default()
        };
        let mut all = vec![
            plain.clone(),
            Submission { program: "def f(n): return  n".to_string(), ..plain.clone() },
            Submission { entry_point: "g".to_string(), ..plain.clone() },
            Submission { tests: [test(2, Value::Int(1))].into(), ..plain.clone() },
            Submission { tests: [test(1, Value::Float(1.0))].into(), ..plain.clone() },
            Submission { tests: [test(1, Value::Bool(true))].into(), ..plain.clone() },
            Submission { stop_at_first_failure: true, ..plain.clone() },
        ];
        let calls = [
            Call { mode: Mode::Method, ..Call::default() },
            Call { mode: Mode::Stdio, ..Call::default() },
            Call { answer: Answer::Argument(0), ..Call::default() },
            Call { containers: Containers::Builtin, ..Call::default() },
            Call { containers: Containers::Iterable, ..Call::default() },
        ];
        all.extend(calls.map(|call| Submission { call, ..plain.clone() }));
        let comparators = [
            Comparator::Strict,
            Comparator::AnyOrder,
            Comparator::AnyOrderTwice,
            Comparator::AnyOf,
            Comparator::Lines,
            Comparator::Float { abs: 0.0, rel: 1.0 },
            Comparator::Float { abs: 1.0, rel: 0.0 },
            Comparator::Tokens { abs: 0.0, rel: 1.0 },
            Comparator::Checker("a".into()),
            Comparator::Checker("b".into()),
        ];
        all.extend(comparators.map(|comparator| Submission { comparator, ..plain.clone() }));
        for at in 0..Limits::default().named().len() {
            let mut limits = Limits::default();
            *limits.named()[at].1 += 1;
            all.push(Submission { limits, ..plain.clone() });
        }
        let mut found = keys(&all);
        assert_eq!(keys(&all[..1]), [found[0]], "a key does not depend on its batch");
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), all.len());
    }
}
