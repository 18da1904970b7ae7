//! From what a program answered to a verdict. Nothing that it says can choose anything but which
//! failure it gets; to be accepted it must send, for every test, a value equal to the expected.

use crate::compare::equal;
use crate::detail::brief;
use crate::run::{Answered, Next, Outcome};
use crate::{Comparator, Failure, Judgement, Submission, Tier, Value, Verdict};

/// The tests of a run as their answers come in.
#[derive(Debug)]
pub(crate) struct Trial<'a> {
    submission: &'a Submission,
    /// How many answers are in.
    seen: usize,
    passed: usize,
    /// The gravest failure so far, and the first of that kind.
    failure: Option<Failure>,
    /// The first test that failed without a checker.
    failed_at: Option<usize>,
    /// Answers that wait for a checker, with their tests.
    pending: Vec<(usize, Value)>,
}

impl<'a> Trial<'a> {
    pub(crate) fn new(submission: &'a Submission) -> Self {
        Self { submission, seen: 0, passed: 0, failure: None, failed_at: None, pending: Vec::new() }
    }

    /// Takes the answer to the next test.
    pub(crate) fn take(&mut self, answer: Answered) -> Next {
        let at = self.seen;
        let Some(test) = self.submission.tests.get(at) else { return Next::Enough };
        self.seen += 1;
        let comparator = &self.submission.comparator;
        let failure = match answer {
            Err(failure) => failure,
            Ok(value) if matches!(comparator, Comparator::Checker(_)) => {
                self.pending.push((at, value));
                return Next::More;
            }
            Ok(value) if equal(&test.expected, &value, comparator) => {
                self.passed += 1;
                return Next::More;
            }
            Ok(value) => wrong(&test.expected, &value, comparator),
        };
        self.fail(at, failure);
        if self.submission.stop_at_first_failure { Next::Enough } else { Next::More }
    }

    fn fail(&mut self, at: usize, failure: Failure) {
        self.failed_at.get_or_insert(at);
        let detail = format!("test {}: {}", at + 1, failure.detail);
        self.note(Failure { detail, ..failure });
    }

    fn note(&mut self, failure: Failure) {
        let graver = |known: &Failure| failure.verdict.severity() > known.verdict.severity();
        if self.failure.as_ref().is_none_or(graver) {
            self.failure = Some(failure);
        }
    }

    /// The answers that a checker has to look at.
    pub(crate) fn pending(&self) -> &[(usize, Value)] {
        &self.pending
    }

    /// Takes what the checker said of each of them.
    pub(crate) fn checked(&mut self, findings: Vec<Answered>) {
        let pending = std::mem::take(&mut self.pending);
        let stops = self.submission.stop_at_first_failure;
        let mut findings = findings.into_iter();
        for (at, value) in pending {
            let finding = findings.next();
            if stops && self.failed_at.is_some_and(|failed| failed < at) {
                break;
            }
            match finding {
                Some(Ok(Value::Bool(true))) => self.passed += 1,
                Some(Ok(Value::Bool(false))) => {
                    let detail = format!("the checker refuses {}", brief(&value));
                    if stops {
                        // What came after this test decides nothing.
                        (self.failed_at, self.failure) = (None, None);
                    }
                    self.fail(at, Failure::new(Verdict::WrongAnswer, detail));
                }
                other => return self.note(broken_checker(at, other)),
            }
        }
    }

    /// The judgement of a run that has ended.
    pub(crate) fn verdict(mut self, outcome: Outcome, tier: Tier) -> Judgement {
        let stopped = self.submission.stop_at_first_failure && self.failed_at.is_some();
        match outcome.failure {
            // Where a checker found the first failure, what ended the run came after it.
            Some(_) if stopped => {}
            Some(failure) => self.note(failure),
            None => {}
        }
        let total = self.submission.tests.len();
        let Failure { verdict, detail } = match self.failure {
            Some(failure) => failure,
            None if self.passed == total => Failure::new(Verdict::Accepted, ""),
            None => Failure::new(Verdict::Violation, "results are missing"),
        };
        let cpu_ms = outcome.cpu.as_secs_f64() * 1e3;
        let wall_ms = outcome.wall.as_secs_f64() * 1e3;
        Judgement { verdict, passed: self.passed, total, detail, cpu_ms, wall_ms, tier }
    }
}

fn wrong(expected: &Value, got: &Value, comparator: &Comparator) -> Failure {
    let wanted = match comparator {
        Comparator::AnyOf => "one of ",
        _ => "",
    };
    let detail = format!("got {}, expected {wanted}{}", brief(got), brief(expected));
    Failure::new(Verdict::WrongAnswer, detail)
}

fn broken_checker(at: usize, finding: Option<Answered>) -> Failure {
    let what = match finding {
        Some(Ok(value)) => format!("returned {} rather than a bool", brief(&value)),
        Some(Err(failure)) => format!("failed: {}", failure.detail),
        None => "ended before its answer".to_string(),
    };
    Failure::new(Verdict::JudgeError, format!("the checker of test {} {what}", at + 1))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::TestCase;

    fn submission(comparator: Comparator, stops: bool) -> Submission {
        let test = |n| TestCase { args: Vec::new(), expected: Value::Int(n) };
        Submission {
            entry_point: "f".to_string(),
            tests: (0..3).map(test).collect::<Vec<_>>().into(),
            comparator,
            stop_at_first_failure: stops,
            ..Submission::default()
        }
    }

    fn outcome(failure: Option<Failure>) -> Outcome {
        let (cpu, wall) = (Duration::ZERO, Duration::ZERO);
        Outcome { failure, by_wall_clock: false, cpu, wall }
    }

    fn failed(verdict: Verdict) -> Answered {
        Err(Failure::new(verdict, "x"))
    }

    /// What three tests come to, which expect 0, 1 and 2.
    fn judged(answers: &[Answered], end: Option<Failure>) -> (Verdict, usize, String) {
        let submission = submission(Comparator::Exact, false);
        let mut trial = Trial::new(&submission);
        for answer in answers {
            trial.take(answer.clone());
        }
        let found = trial.verdict(outcome(end), Tier::None);
        (found.verdict, found.passed, found.detail)
    }

    #[test]
    fn only_a_right_value_for_every_test_is_accepted() {
        let right: Vec<Answered> = (0..3).map(|n| Ok(Value::Int(n))).collect();
        assert_eq!(judged(&right, None), (Verdict::Accepted, 3, String::new()));
        for n in 0..3 {
            assert_eq!(judged(&right[..n], None).0, Verdict::Violation, "{n} results");
            let mut answers = right.clone();
            answers[n] = Ok(Value::Bool(n == 1));
            assert_eq!(judged(&answers, None).0, Verdict::WrongAnswer);
        }
        for verdict in Verdict::ALL.into_iter().filter(|v| *v != Verdict::Accepted) {
            let end = Some(Failure::new(verdict, "y"));
            assert_eq!(judged(&right, end.clone()), (verdict, 3, "y".to_string()));
            assert_eq!(judged(&[], end).0, verdict);
        }
        // Nothing after the last test counts.
        let more: Vec<Answered> = (0..9).map(|n| Ok(Value::Int(n))).collect();
        assert_eq!(judged(&more, None).0, Verdict::Accepted);
    }

    #[test]
    fn of_several_failures_the_gravest_is_reported_and_the_first_of_its_kind() {
        let order = [
            Verdict::JudgeError,
            Verdict::Violation,
            Verdict::OutputLimit,
            Verdict::TimeLimit,
            Verdict::MemoryLimit,
            Verdict::CompileError,
            Verdict::RuntimeError,
            Verdict::WrongAnswer,
        ];
        for pair in order.windows(2) {
            let (graver, other) = (pair[0], pair[1]);
            let shown = |n| (graver, 0, format!("test {n}: x"));
            assert_eq!(judged(&[failed(graver), failed(other)], None), shown(1));
            assert_eq!(judged(&[failed(other), failed(graver), failed(graver)], None), shown(2));
            let end = Some(Failure::new(graver, "y"));
            assert_eq!(judged(&[failed(other)], end), (graver, 0, "y".to_string()));
        }
    }

    /// `(the checker's findings, whether to stop at a failure, verdict, passed)`, where the
    /// program raises in the second of three tests.
    #[test]
    fn a_checker_decides_what_is_right_and_its_failure_is_no_wrong_answer() {
        let yes = || Ok(Value::Bool(true));
        let no = || Ok(Value::Bool(false));
        let broken = || Ok(Value::Int(1));
        let cases = [
            (vec![yes(), yes()], false, Verdict::RuntimeError, 2),
            (vec![yes(), no()], false, Verdict::RuntimeError, 1),
            (vec![yes(), broken()], false, Verdict::JudgeError, 1),
            (vec![yes(), failed(Verdict::TimeLimit)], false, Verdict::JudgeError, 1),
            (vec![yes()], false, Verdict::JudgeError, 1),
            (vec![yes(), broken()], true, Verdict::RuntimeError, 1),
            (vec![no(), yes()], true, Verdict::WrongAnswer, 0),
            (vec![broken(), yes()], true, Verdict::JudgeError, 0),
        ];
        for (findings, stops, verdict, passed) in cases {
            let submission = submission(Comparator::Checker("".into()), stops);
            let mut trial = Trial::new(&submission);
            trial.take(Ok(Value::Int(7)));
            trial.take(failed(Verdict::RuntimeError));
            trial.take(Ok(Value::Int(7)));
            assert_eq!(trial.pending().len(), 2);
            trial.checked(findings.clone());
            let found = trial.verdict(outcome(None), Tier::None);
            assert_eq!((found.verdict, found.passed), (verdict, passed), "{findings:?}");
        }
    }
}
