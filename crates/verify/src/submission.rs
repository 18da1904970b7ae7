//! What the judge receives: a program, the test cases of its task, and its limits.

use std::sync::Arc;

use crate::{Limits, Value};

/// One hidden test: the arguments of a call and the value it must return.
#[derive(Debug, Clone, PartialEq)]
pub struct TestCase {
    /// Positional arguments; in [`Mode::Stdio`] one string or `bytes`, the standard input.
    pub args: Vec<Value>,
    /// What the call must return, under the submission's [`Comparator`].
    pub expected: Value,
}

/// How a program is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// The entry point is a function, or else a method of a class `Solution`; with a dot in its
    /// name, as in `Solver.solve`, a method of that class. Each test gets a fresh instance.
    #[default]
    Function,
    /// The entry point is a method, of `Solution` where it names no class.
    Method,
    /// The program reads standard input and prints, in a process of its own for each test.
    /// The entry point is ignored.
    Stdio,
}

/// What counts as the answer of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Answer {
    /// What it returns.
    #[default]
    Returned,
    /// The argument at this position, as the call leaves it: tasks that ask to change it.
    Argument(usize),
}

/// Which values a program may answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Containers {
    /// Exact builtin types only.
    Builtin,
    /// Subclasses of builtin types too, as what they extend: `Counter` and `defaultdict` as
    /// dictionaries, `namedtuple` as tuples; and `deque` as a list.
    #[default]
    Library,
    /// Whatever can be iterated over too, as a list: generators, `map`, `range`, views.
    Iterable,
}

/// How a program is asked, and what of its doing is its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Call {
    /// How it is asked.
    pub mode: Mode,
    /// What counts as its answer.
    pub answer: Answer,
    /// Which values it may answer with.
    pub containers: Containers,
}

/// When a returned value counts as the expected one.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Comparator {
    /// Same type and same value; a tuple may stand for a list and the reverse.
    #[default]
    Exact,
    /// As `Exact`, and a tuple is not a list.
    Strict,
    /// As `Exact`, but numbers (int or float) may differ by `abs + rel * |expected|`.
    Float {
        /// Absolute tolerance.
        abs: f64,
        /// Relative tolerance.
        rel: f64,
    },
    /// The elements of the outermost list in any order: a multiset.
    AnyOrder,
    /// As `AnyOrder`, and the elements of each inner list in any order too.
    AnyOrderTwice,
    /// `expected` is a list of acceptable values; any one of them will do.
    AnyOf,
    /// Texts, line by line, without spaces at the end of a line or empty lines at the end.
    Lines,
    /// Texts, word by word. Words that are numbers may differ by `abs + rel * |expected|`.
    Tokens {
        /// Absolute tolerance.
        abs: f64,
        /// Relative tolerance.
        rel: f64,
    },
    /// A Python program of the task's author that defines `check(input, expected, output)` and
    /// returns a bool. `input` is the tuple of arguments, or the standard input. It runs after
    /// the program has ended, in a process that no program shares. Whatever else it does is
    /// [`Verdict::JudgeError`](crate::Verdict), so it has to answer `False` to an output whose
    /// type it does not expect.
    Checker(Arc<str>),
}

/// A program with everything needed to judge it.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// Python source.
    pub program: String,
    /// The function that the tests call.
    pub entry_point: String,
    /// The hidden tests, shared between the submissions of one task.
    pub tests: Arc<[TestCase]>,
    /// When a returned value counts as right.
    pub comparator: Comparator,
    /// What the program may use.
    pub limits: Limits,
    /// Stop at the first failing test: enough where the reward is binary.
    pub stop_at_first_failure: bool,
    /// How the program is asked.
    pub call: Call,
}

impl Submission {
    /// Whether some program could pass.
    ///
    /// # Errors
    /// What is wrong with the tests.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.tests.is_empty() {
            return Err("it has no tests");
        }
        check_inputs(&self.call, self.tests.iter().map(|test| test.args.as_slice()))?;
        let all = |holds: fn(&Value) -> bool| self.tests.iter().all(|t| holds(&t.expected));
        match &self.comparator {
            Comparator::Lines | Comparator::Tokens { .. } if !all(is_text) => {
                Err("its comparator is for texts, and an expected value is none")
            }
            Comparator::AnyOrder | Comparator::AnyOrderTwice | Comparator::AnyOf
                if !all(|v| matches!(v, Value::List(_) | Value::Tuple(_))) =>
            {
                Err("its comparator is for lists, and an expected value is none")
            }
            Comparator::Float { abs, rel } | Comparator::Tokens { abs, rel }
                if !(*abs >= 0.0 && *rel >= 0.0) =>
            {
                Err("a tolerance is negative or not a number")
            }
            _ => Ok(()),
        }
    }
}

fn is_text(value: &Value) -> bool {
    matches!(value, Value::Str(_))
}

fn check_inputs<'a>(
    call: &Call,
    mut inputs: impl Iterator<Item = &'a [Value]>,
) -> Result<(), &'static str> {
    match (call.mode, call.answer) {
        (Mode::Stdio, Answer::Argument(_)) => Err("a program that prints has no arguments"),
        (Mode::Stdio, Answer::Returned) => {
            let fits = |args: &[Value]| matches!(args, [Value::Str(_) | Value::Bytes(_)]);
            if inputs.all(fits) { Ok(()) } else { Err("its standard input is not one text") }
        }
        (Mode::Function | Mode::Method, Answer::Argument(at)) if inputs.any(|a| a.len() <= at) => {
            Err("a test lacks the argument that is the answer")
        }
        (Mode::Function | Mode::Method, _) => Ok(()),
    }
}

/// A program to run on inputs, with nothing to compare its answers with.
#[derive(Debug, Clone, Default)]
pub struct Job {
    /// Python source.
    pub program: String,
    /// The function that is called.
    pub entry_point: String,
    /// The arguments of each call, or one text for each run of a program that prints.
    pub inputs: Vec<Vec<Value>>,
    /// What the program may use.
    pub limits: Limits,
    /// How the program is asked.
    pub call: Call,
}

impl Job {
    /// Whether it can be run.
    ///
    /// # Errors
    /// What is wrong with the inputs.
    pub fn check(&self) -> Result<(), &'static str> {
        check_inputs(&self.call, self.inputs.iter().map(Vec::as_slice))
    }
}

/// What crosses the wall: never an expected value.
#[derive(Debug, Clone)]
pub(crate) struct Order<'a> {
    pub(crate) program: &'a str,
    pub(crate) entry_point: &'a str,
    pub(crate) inputs: Vec<&'a [Value]>,
    /// Within the caps.
    pub(crate) limits: Limits,
    pub(crate) call: Call,
    /// Whether tests after one that ends its process are of interest.
    pub(crate) goes_on: bool,
}

impl<'a> From<&'a Submission> for Order<'a> {
    fn from(submission: &'a Submission) -> Self {
        Self {
            program: &submission.program,
            entry_point: &submission.entry_point,
            inputs: submission.tests.iter().map(|test| test.args.as_slice()).collect(),
            limits: submission.limits.within_caps(),
            call: submission.call,
            goes_on: !submission.stop_at_first_failure,
        }
    }
}

impl<'a> From<&'a Job> for Order<'a> {
    fn from(job: &'a Job) -> Self {
        Self {
            program: &job.program,
            entry_point: &job.entry_point,
            inputs: job.inputs.iter().map(Vec::as_slice).collect(),
            limits: job.limits.within_caps(),
            call: job.call,
            goes_on: true,
        }
    }
}

impl Order<'_> {
    /// The class and the name of what is called; no class for a function.
    pub(crate) fn callee(&self) -> (&str, &str) {
        match self.entry_point.split_once('.') {
            Some(parts) => parts,
            None if self.call.mode == Mode::Method => ("Solution", self.entry_point),
            None => ("", self.entry_point),
        }
    }
}
