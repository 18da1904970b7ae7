//! What the verifier found.

use crate::{Tier, Value};

/// The outcome of a program. A failing program is data; a failing sandbox is
/// [`Verdict::JudgeError`], which the loops mask from learning and count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Every test returned the expected value.
    Accepted,
    /// A test returned another value.
    WrongAnswer,
    /// A test raised, or the program died.
    RuntimeError,
    /// Too much CPU time, wall time, or idling.
    TimeLimit,
    /// Too much memory.
    MemoryLimit,
    /// Too many bytes returned.
    OutputLimit,
    /// A forbidden system call, or a break of the result protocol.
    Violation,
    /// The program does not compile.
    CompileError,
    /// There is no program, or it lacks the entry point.
    NoProgram,
    /// The sandbox failed, not the program: retried once, then masked.
    JudgeError,
}

impl Verdict {
    /// Every verdict, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Accepted,
        Self::WrongAnswer,
        Self::RuntimeError,
        Self::TimeLimit,
        Self::MemoryLimit,
        Self::OutputLimit,
        Self::Violation,
        Self::CompileError,
        Self::NoProgram,
        Self::JudgeError,
    ];

    /// Which of several findings about one program is its verdict: the gravest.
    pub(crate) fn severity(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::WrongAnswer => 1,
            Self::RuntimeError => 2,
            Self::NoProgram => 3,
            Self::CompileError => 4,
            Self::MemoryLimit => 5,
            Self::TimeLimit => 6,
            Self::OutputLimit => 7,
            Self::Violation => 8,
            Self::JudgeError => 9,
        }
    }

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::WrongAnswer => "wrong_answer",
            Self::RuntimeError => "runtime_error",
            Self::TimeLimit => "time_limit",
            Self::MemoryLimit => "memory_limit",
            Self::OutputLimit => "output_limit",
            Self::Violation => "violation",
            Self::CompileError => "compile_error",
            Self::NoProgram => "no_program",
            Self::JudgeError => "judge_error",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A verdict with its evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What was found.
    pub verdict: Verdict,
    /// Tests that returned the expected value.
    pub passed: usize,
    /// Tests in the submission.
    pub total: usize,
    /// For people: the first failure in one line. Comes partly from the program; never trusted.
    pub detail: String,
    /// CPU time of the child, in milliseconds. A cached judgement keeps that of its only run.
    pub cpu_ms: f64,
    /// Wall time of the run, in milliseconds, the fork of its processes included; cached likewise.
    pub wall_ms: f64,
    /// What held the program while it ran. `Tier::None` stamps a judgement that nothing backs.
    pub tier: Tier,
}

/// How a test, or a whole run, went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What was found; never [`Verdict::Accepted`].
    pub verdict: Verdict,
    /// For people, in one line. Comes partly from the program; never trusted.
    pub detail: String,
}

impl Failure {
    pub(crate) fn new(verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { verdict, detail: detail.into() }
    }
}

/// What a program did with its inputs; nothing in it is compared with anything.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// The answer to each input, in order; fewer than inputs only where `failure` says why.
    pub answers: Vec<Result<Value, Failure>>,
    /// What ended the run as a whole.
    pub failure: Option<Failure>,
    /// CPU time of the child, in milliseconds.
    pub cpu_ms: f64,
    /// Wall time of the run, in milliseconds, the fork of its processes included.
    pub wall_ms: f64,
}
