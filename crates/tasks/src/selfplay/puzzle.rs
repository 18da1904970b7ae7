//! A puzzle: a program and what it does to some inputs.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use verify::{Call, Comparator, Containers, Limits, Submission, TestCase, Value};

use super::{ENTRY_POINT, answer};

/// What a puzzle hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// The output.
    Deduction,
    /// An input. Any that gives the output will do.
    Abduction,
    /// The program, of which a message and some inputs with their outputs are shown.
    Induction,
}

impl TaskKind {
    /// All, in the order in which a step takes them.
    pub const ALL: [Self; 3] = [Self::Deduction, Self::Abduction, Self::Induction];

    /// Its name in recipes and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deduction => "deduction",
            Self::Abduction => "abduction",
            Self::Induction => "induction",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who the policy is while it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It makes puzzles.
    Proposer,
    /// It solves them.
    Solver,
}

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Proposer, Self::Solver];

    /// Its name in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proposer => "propose",
            Self::Solver => "solve",
        }
    }

    /// The number of this role with this kind of task: 0 to 5, one for each of the baselines
    /// of TRR++.
    pub const fn index(self, kind: TaskKind) -> usize {
        kind as usize * Self::ALL.len() + self as usize
    }
}

/// A program with inputs and the outputs that it was seen to give. Deduction and abduction have
/// one case; induction has several, of which the first half is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Puzzle {
    /// What it hides.
    pub kind: TaskKind,
    /// Its source, which defines [`ENTRY_POINT`].
    pub program: String,
    /// What the proposer says of the program; empty but for induction.
    pub message: String,
    /// What it does.
    pub cases: Arc<[TestCase]>,
}

impl Puzzle {
    /// The identity on a greeting: all that self-play starts from.
    pub fn identity(kind: TaskKind) -> Self {
        let case = |value: Value| TestCase { args: vec![value.clone()], expected: value };
        let text = |text: &str| Value::Str(text.to_string());
        let (message, values) = match kind {
            TaskKind::Deduction | TaskKind::Abduction => ("", vec![text("Hello world")]),
            TaskKind::Induction => (
                "return the input as it is",
                vec![
                    text("Hello world"),
                    Value::Int(1),
                    Value::List(vec![Value::Int(1), Value::Int(2), Value::Int(3)]),
                    Value::Bool(true),
                    Value::List(Vec::new()),
                    Value::Tuple(vec![Value::Int(4), text("b")]),
                ],
            ),
        };
        Self {
            kind,
            program: format!("def {ENTRY_POINT}(x):\n    return x\n"),
            message: message.to_string(),
            cases: values.into_iter().map(case).collect(),
        }
    }

    /// A puzzle from texts: the arguments as they stand between the parentheses of a call, and
    /// the output.
    ///
    /// # Errors
    /// If they are no literals.
    pub fn given(
        kind: TaskKind,
        program: &str,
        input: &str,
        output: &str,
    ) -> Result<Self, answer::Unreadable> {
        let case = TestCase { args: answer::args(input)?, expected: answer::literal(output)? };
        let (program, message) = (program.to_string(), String::new());
        Ok(Self { kind, program, message, cases: [case].into() })
    }

    /// The cases that a solver is shown: of induction, the first half.
    pub fn shown(&self) -> &[TestCase] {
        &self.cases[..self.cases.len() / 2]
    }

    /// The cases that a solver is judged on: of induction, the other half.
    pub fn hidden(&self) -> &[TestCase] {
        match self.kind {
            TaskKind::Deduction | TaskKind::Abduction => &self.cases,
            TaskKind::Induction => &self.cases[self.cases.len() / 2..],
        }
    }

    /// What is run to judge an induced program: it meets the hidden cases only, so that a table
    /// of the shown ones fails.
    pub fn induced(&self, program: String) -> Submission {
        submission(program, self.hidden().into())
    }

    /// What is run to judge an abduced input: the puzzle's own program must give the output.
    pub fn abduced(&self, args: Vec<Value>) -> Submission {
        let expected = self.cases[0].expected.clone();
        submission(self.program.clone(), [TestCase { args, expected }].into())
    }

    /// Whether this is the output: the same type and value.
    pub fn deduced(&self, output: &Value) -> bool {
        verify::equal(&self.cases[0].expected, output, &Comparator::Strict)
    }
}

/// What programs of puzzles return is a literal; nothing else counts as one.
fn submission(program: String, tests: Arc<[TestCase]>) -> Submission {
    Submission {
        program,
        entry_point: ENTRY_POINT.to_string(),
        tests,
        comparator: Comparator::Strict,
        limits: Limits::default(),
        stop_at_first_failure: true,
        call: Call { containers: Containers::Builtin, ..Call::default() },
    }
}

/// A puzzle as a file holds it: values as literals.
#[derive(Serialize, Deserialize)]
struct Written {
    kind: TaskKind,
    program: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    message: String,
    /// Arguments as they stand between the parentheses of a call, and the output.
    cases: Vec<(String, String)>,
}

impl From<Puzzle> for Written {
    fn from(puzzle: Puzzle) -> Self {
        let case = |case: &TestCase| (answer::args_text(&case.args), case.expected.to_string());
        let cases = puzzle.cases.iter().map(case).collect();
        Self { kind: puzzle.kind, program: puzzle.program, message: puzzle.message, cases }
    }
}

impl TryFrom<Written> for Puzzle {
    type Error = answer::Unreadable;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let case = |(args, expected): &(String, String)| {
            Ok(TestCase { args: answer::args(args)?, expected: answer::literal(expected)? })
        };
        let cases: Result<Vec<TestCase>, Self::Error> = written.cases.iter().map(case).collect();
        let cases = cases?.into();
        Ok(Self { kind: written.kind, program: written.program, message: written.message, cases })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_kinds_have_six_numbers() {
        let mut all: Vec<usize> =
            TaskKind::ALL.iter().flat_map(|k| Role::ALL.map(|r| r.index(*k))).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_puzzle_survives_a_file() {
        for kind in TaskKind::ALL {
            let puzzle = Puzzle::identity(kind);
            let text = serde_json::to_string(&puzzle).unwrap();
            assert_eq!(serde_json::from_str::<Puzzle>(&text).unwrap(), puzzle);
        }
    }

    #[test]
    fn half_of_the_cases_of_an_induction_stay_hidden() {
        let puzzle = Puzzle::identity(TaskKind::Induction);
        assert_eq!((puzzle.shown().len(), puzzle.hidden().len()), (3, 3));
        assert!(puzzle.hidden().iter().all(|case| !puzzle.shown().contains(case)));
    }

    #[test]
    fn an_output_must_have_the_type_too() {
        let mut puzzle = Puzzle::identity(TaskKind::Deduction);
        let output = Value::List(vec![Value::Int(1)]);
        puzzle.cases = [TestCase { args: vec![], expected: output.clone() }].into();
        assert!(puzzle.deduced(&output));
        assert!(!puzzle.deduced(&Value::Tuple(vec![Value::Int(1)])));
        assert!(!puzzle.deduced(&Value::List(vec![Value::Bool(true)])));
    }
}
