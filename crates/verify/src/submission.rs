//! What the judge receives: a program, the test cases of its task, and its limits.

use std::sync::Arc;

use crate::{Limits, Value};

/// One hidden test: the arguments of a call and the value it must return.
#[derive(Debug, Clone, PartialEq)]
pub struct TestCase {
    /// Positional arguments.
    pub args: Vec<Value>,
    /// What the call must return, under the submission's [`Comparator`].
    pub expected: Value,
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
    /// The elements of the outermost list in any order.
    AnyOrder,
    /// `expected` is a list of acceptable values; any one of them will do.
    AnyOf,
}

/// A program with everything needed to judge it.
#[derive(Debug, Clone)]
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
}
