//! From what a candidate sent to a verdict. Nothing that it says can choose anything but which
//! failure it gets; to be accepted it must send, for every test, a value equal to the expected.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::compare::{canonical, equal};
use crate::{Comparator, Judgement, Submission, Tier, Value, Verdict, marshal};

/// Longest text of a detail, in characters.
const DETAIL_MAX: usize = 160;
/// Longest text of one value in a detail, in characters.
const VALUE_MAX: usize = 60;

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
        let text = || clean(&String::from_utf8_lossy(payload));
        let early = self.results == 0;
        match kind {
            1 => self.value(payload),
            3 => self.fail(Verdict::RuntimeError, text()),
            4 => self.fail(Verdict::MemoryLimit, "out of memory".to_string()),
            2 if early => Some(Ended::NotLoaded(Verdict::CompileError, text())),
            5 if early => Some(Ended::NotLoaded(Verdict::RuntimeError, text())),
            6 if early => {
                let name = &self.submission.entry_point;
                Some(Ended::NotLoaded(Verdict::NoProgram, format!("no function `{}`", clean(name))))
            }
            7 if early => Some(Ended::NotLoaded(Verdict::MemoryLimit, "out of memory".to_string())),
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
                let (got, expected) = (brief(&value), brief(&test.expected));
                self.fail(Verdict::WrongAnswer, format!("got {got}, expected {wanted}{expected}"))
            }
        }
    }

    fn fail(&mut self, verdict: Verdict, what: String) -> Option<Ended> {
        let worse = self.failure.as_ref().is_none_or(|(v, _)| severity(verdict) > severity(*v));
        if worse {
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
            Ended::Closed => Some(match (died(status), self.failure) {
                // With its memory used up, a program may not even get to its next result.
                ((Verdict::RuntimeError, _), Some((Verdict::MemoryLimit, what))) => {
                    (Verdict::MemoryLimit, what)
                }
                (died, _) => died,
            }),
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
        Judgement { verdict, passed, total, detail, cpu_ms: 0.0, wall_ms: 0.0, tier: Tier::None }
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

/// A program that is gone before its results are in. One that merely closed its channel is
/// killed by the verifier, so that signal says no more than an exit does.
fn died(status: i32) -> (Verdict, String) {
    let ended = || (Verdict::RuntimeError, "the program ended before its results".to_string());
    if !libc::WIFSIGNALED(status) {
        return ended();
    }
    match libc::WTERMSIG(status) {
        libc::SIGKILL => ended(),
        libc::SIGSYS => (Verdict::Violation, "a forbidden system call".to_string()),
        libc::SIGXCPU => (Verdict::TimeLimit, "CPU time limit".to_string()),
        signal => (Verdict::RuntimeError, format!("killed by signal {signal}")),
    }
}

/// Text of the program, fit for a terminal and for comparing logs: in one line, without control
/// characters, and without addresses.
fn clean(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
        if shown.ends_with(" at 0x") {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            shown.push('…');
        }
    }
    shown.chars().take(DETAIL_MAX).collect()
}

/// A value in few characters. Nothing beyond them is written out, however large it is.
fn brief(value: &Value) -> String {
    let mut shown = Brief { text: String::new(), left: VALUE_MAX };
    let whole = write!(shown, "{}", canonical(value)).is_ok();
    if !whole {
        shown.text.push('…');
    }
    shown.text
}

struct Brief {
    text: String,
    left: usize,
}

impl fmt::Write for Brief {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(c);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, TestCase};

    fn submission(n_tests: i64) -> Submission {
        let test = |n| TestCase { args: Vec::new(), expected: Value::Int(n) };
        Submission {
            program: String::new(),
            entry_point: "f".to_string(),
            tests: (0..n_tests).map(test).collect::<Vec<_>>().into(),
            comparator: Comparator::Exact,
            limits: Limits::default(),
            stop_at_first_failure: false,
        }
    }

    /// Feeds frames to a trial of two tests, which expect 0 and 1.
    fn judged(frames: &[(u8, &[u8])], ended: Ended, status: i32) -> (Verdict, usize, String) {
        let submission = submission(2);
        let mut trial = Trial::new(&submission);
        let early = frames.iter().find_map(|(kind, payload)| trial.frame(*kind, payload));
        let found = trial.verdict(early.unwrap_or(ended), status);
        (found.verdict, found.passed, found.detail)
    }

    const ZERO: (u8, &[u8]) = (1, b"i\0\0\0\0");
    const ONE: (u8, &[u8]) = (1, b"i\x01\0\0\0");

    #[test]
    fn only_a_right_value_for_every_test_is_accepted() {
        let ends = [Ended::Closed, Ended::Time("CPU"), Ended::Output, Ended::Protocol("x")];
        for ended in ends {
            for frames in [vec![], vec![ZERO], vec![ONE], vec![(0, &b""[..])]] {
                assert_ne!(judged(&frames, ended.clone(), 0).0, Verdict::Accepted, "{ended:?}");
            }
        }
        assert_eq!(judged(&[ZERO, ONE], Ended::Closed, 9), (Verdict::Accepted, 2, String::new()));
        for kind in (0..=255).filter(|kind| *kind != 1) {
            assert_ne!(judged(&[ZERO, (kind, b"")], Ended::Closed, 0).0, Verdict::Accepted);
            assert_ne!(judged(&[(kind, b""), ONE], Ended::Closed, 0).0, Verdict::Accepted);
        }
    }

    #[test]
    fn of_several_failures_the_gravest_is_reported() {
        let memory = "test 2: out of memory".to_string();
        let closed = judged(&[ONE, (4, b"")], Ended::Closed, 0);
        assert_eq!(closed, (Verdict::MemoryLimit, 0, memory.clone()));
        let raised = judged(&[(3, b"E"), ONE], Ended::Closed, 0);
        assert_eq!(raised, (Verdict::RuntimeError, 1, "test 1: E".to_string()));
        let gone = judged(&[(4, b"")], Ended::Closed, 0);
        assert_eq!(gone, (Verdict::MemoryLimit, 0, "test 1: out of memory".to_string()));
        let forbidden = judged(&[(4, b"")], Ended::Closed, libc::SIGSYS);
        assert_eq!(forbidden.0, Verdict::Violation);
        assert_eq!(judged(&[(4, b"")], Ended::Time("CPU"), 0).0, Verdict::TimeLimit);
    }

    #[test]
    fn text_of_the_program_is_made_harmless() {
        let cases = [
            ("it's \"x\" \\ é", "it's \"x\" \\ é"),
            ("a\n\x1b[2J\u{202e}\u{9b}", "a\\n\\u{1b}[2J\\u{202e}\\u{9b}"),
            ("<A at 0x7ffff7d0> <B at 0x1>", "<A at 0x…> <B at 0x…>"),
            ("0x10 at 10", "0x10 at 10"),
        ];
        for (text, shown) in cases {
            assert_eq!(clean(text), shown);
        }
        assert_eq!(clean(&"é".repeat(1000)).chars().count(), DETAIL_MAX);
    }

    #[test]
    fn long_values_are_shown_in_part() {
        let long = Value::List(vec![Value::Int(1); 100_000]);
        assert_eq!(brief(&long).chars().count(), VALUE_MAX + 1);
        assert_eq!(brief(&Value::Set(vec![Value::Int(10), Value::Int(9)])), "{9, 10}");
    }
}
