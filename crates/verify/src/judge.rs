//! From what a candidate sent to a verdict. Nothing that it says can choose anything but which
//! failure it gets; to be accepted it must send, for every test, a value equal to the expected.

use std::time::Duration;

use crate::{Comparator, Judgement, Submission, Value, Verdict, marshal};

/// Longest text of a detail, in characters.
const DETAIL_MAX: usize = 160;

/// How a run came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Every result is in, or the first failure where no more is wanted.
    Complete,
    /// The program's end of the socket closed before that.
    Closed,
    /// A time limit: which clock.
    Time(&'static str),
    /// Too many bytes.
    Output,
    /// Frames that no honest run sends.
    Protocol(&'static str),
    /// The program never got to its tests.
    NotLoaded(Verdict, String),
}

/// A judged run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) judgement: Judgement,
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

/// The tests of a run as their results come in.
#[derive(Debug)]
pub(crate) struct Trial<'a> {
    submission: &'a Submission,
    results: usize,
    passed: usize,
    /// The worst failure of a test, and the first of that kind in words.
    failure: Option<(Verdict, String)>,
}

impl<'a> Trial<'a> {
    pub(crate) fn new(submission: &'a Submission) -> Self {
        Self { submission, results: 0, passed: 0, failure: None }
    }

    /// Takes a frame; says when nothing more is wanted.
    pub(crate) fn frame(&mut self, kind: u8, payload: &[u8]) -> Option<Ended> {
        let text = || String::from_utf8_lossy(payload).chars().take(DETAIL_MAX).collect::<String>();
        let early = self.results == 0;
        match kind {
            1 => self.value(payload),
            3 => self.fail(Verdict::RuntimeError, text()),
            4 if early && self.submission.tests.is_empty() => None,
            4 => self.fail(Verdict::MemoryLimit, "out of memory".to_string()),
            2 if early => Some(Ended::NotLoaded(Verdict::CompileError, text())),
            5 if early => Some(Ended::NotLoaded(Verdict::RuntimeError, text())),
            6 if early => {
                let name = &self.submission.entry_point;
                Some(Ended::NotLoaded(Verdict::NoProgram, format!("no function `{name}`")))
            }
            _ => Some(Ended::Protocol("an unexpected frame")),
        }
    }

    fn value(&mut self, payload: &[u8]) -> Option<Ended> {
        match marshal::decode(payload) {
            Err(marshal::DecodeError::Malformed(what)) => Some(Ended::Protocol(what)),
            Err(unsupported) => self.fail(Verdict::RuntimeError, unsupported.to_string()),
            Ok(value) => {
                let test = &self.submission.tests[self.results];
                if equal(&test.expected, &value, &self.submission.comparator) {
                    self.passed += 1;
                    return self.counted();
                }
                let wanted = match &self.submission.comparator {
                    Comparator::AnyOf => "one of ",
                    _ => "",
                };
                self.fail(
                    Verdict::WrongAnswer,
                    format!("got {value}, expected {wanted}{}", test.expected),
                )
            }
        }
    }

    fn fail(&mut self, verdict: Verdict, what: String) -> Option<Ended> {
        let worse = self.failure.as_ref().is_none_or(|(v, _)| severity(verdict) > severity(*v));
        if worse {
            let what: String = what.chars().take(DETAIL_MAX).collect();
            self.failure = Some((verdict, format!("test {}: {what}", self.results + 1)));
        }
        let ended = self.counted();
        if self.submission.stop_at_first_failure { Some(Ended::Complete) } else { ended }
    }

    fn counted(&mut self) -> Option<Ended> {
        self.results += 1;
        (self.results == self.submission.tests.len()).then_some(Ended::Complete)
    }

    /// The judgement, given how the run ended and the candidate's wait status.
    pub(crate) fn verdict(self, ended: Ended, status: i32) -> Judgement {
        let total = self.submission.tests.len();
        let found = match ended {
            Ended::Complete => self.failure,
            Ended::Closed => Some(died(status)),
            Ended::Time(clock) => Some((Verdict::TimeLimit, format!("{clock} time limit"))),
            Ended::Output => Some((Verdict::OutputLimit, "too many bytes returned".to_string())),
            Ended::Protocol(what) => Some((Verdict::Violation, what.to_string())),
            Ended::NotLoaded(verdict, what) => Some((verdict, what)),
        };
        let accepted = self.passed == total && found.is_none();
        let (verdict, detail) = match found {
            Some(found) => found,
            None if accepted => (Verdict::Accepted, String::new()),
            None => (Verdict::Violation, "results are missing".to_string()),
        };
        let passed = self.passed;
        Judgement { verdict, passed, total, detail, cpu_ms: 0.0, wall_ms: 0.0 }
    }
}

/// Which failure of several is reported.
fn severity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::MemoryLimit => 2,
        Verdict::RuntimeError => 1,
        _ => 0,
    }
}

/// A program that is gone before its results are in.
fn died(status: i32) -> (Verdict, String) {
    if !libc::WIFSIGNALED(status) {
        return (Verdict::RuntimeError, "the program ended before its results".to_string());
    }
    match libc::WTERMSIG(status) {
        libc::SIGSYS => (Verdict::Violation, "a forbidden system call".to_string()),
        libc::SIGXCPU => (Verdict::TimeLimit, "CPU time limit".to_string()),
        signal => (Verdict::RuntimeError, format!("killed by signal {signal}")),
    }
}

/// Whether a returned value counts as the expected one.
pub(crate) fn equal(expected: &Value, got: &Value, how: &Comparator) -> bool {
    match how {
        Comparator::Exact => same(expected, got, &Numbers::Exact, true),
        Comparator::Strict => same(expected, got, &Numbers::Exact, false),
        Comparator::Float { abs, rel } => {
            same(expected, got, &Numbers::Near { abs: *abs, rel: *rel }, true)
        }
        Comparator::AnyOrder => match (items(expected), items(got)) {
            (Some(expected), Some(got)) => any_order(expected, got),
            _ => false,
        },
        Comparator::AnyOf => items(expected)
            .is_some_and(|all| all.iter().any(|e| same(e, got, &Numbers::Exact, true))),
    }
}

/// How numbers are compared.
enum Numbers {
    Exact,
    Near { abs: f64, rel: f64 },
}

impl Numbers {
    fn same(&self, expected: f64, got: f64) -> bool {
        if expected.is_nan() || got.is_nan() || expected == got {
            return expected == got || (expected.is_nan() && got.is_nan());
        }
        match self {
            Self::Exact => false,
            Self::Near { abs, rel } => (expected - got).abs() <= abs + rel * expected.abs(),
        }
    }

    /// A number as a float, where ints and floats may stand for each other.
    fn number(&self, value: &Value) -> Option<f64> {
        match (self, value) {
            (_, Value::Float(x)) => Some(*x),
            (Self::Near { .. }, Value::Int(n)) => Some(*n as f64),
            _ => None,
        }
    }
}

fn items(value: &Value) -> Option<&[Value]> {
    match value {
        Value::List(items) | Value::Tuple(items) => Some(items),
        _ => None,
    }
}

fn same(expected: &Value, got: &Value, numbers: &Numbers, tuple_is_list: bool) -> bool {
    if let (Some(e), Some(g)) = (numbers.number(expected), numbers.number(got)) {
        return numbers.same(e, g);
    }
    let all = |e: &[Value], g: &[Value]| {
        e.len() == g.len() && e.iter().zip(g).all(|(e, g)| same(e, g, numbers, tuple_is_list))
    };
    match (expected, got) {
        (Value::List(e), Value::List(g)) | (Value::Tuple(e), Value::Tuple(g)) => all(e, g),
        (Value::List(e), Value::Tuple(g)) | (Value::Tuple(e), Value::List(g)) => {
            tuple_is_list && all(e, g)
        }
        // The elements of a set differ from one another, so one direction is enough.
        (Value::Set(e), Value::Set(g)) => {
            e.len() == g.len()
                && e.iter().all(|e| g.iter().any(|g| same(e, g, numbers, tuple_is_list)))
        }
        (Value::Dict(e), Value::Dict(g)) => {
            let has = |key: &Value, value: &Value| {
                g.iter().any(|(k, v)| {
                    same(key, k, numbers, tuple_is_list) && same(value, v, numbers, tuple_is_list)
                })
            };
            e.len() == g.len() && e.iter().all(|(k, v)| has(k, v))
        }
        (e, g) => e == g,
    }
}

/// Whether two lists hold the same elements as often.
fn any_order(expected: &[Value], got: &[Value]) -> bool {
    let mut left: Vec<&Value> = got.iter().collect();
    expected.len() == got.len()
        && expected.iter().all(|e| {
            let found = left.iter().position(|g| same(e, g, &Numbers::Exact, true));
            found.map(|i| left.swap_remove(i)).is_some()
        })
}
