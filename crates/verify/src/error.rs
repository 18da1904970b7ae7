//! When the verifier itself fails. A program that fails is a verdict, never one of these.

use crate::Verdict;

/// Why no judgement could be given.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// No usable interpreter.
    #[error(
        "no usable Python: {reason}; install Python 3.9 or newer (for example `apt install python3`) or name one in the configuration"
    )]
    Python {
        /// What was tried and how it failed.
        reason: String,
    },
    /// The walls do not stand here.
    #[error("no safe sandbox here: {reason}")]
    NoSandbox {
        /// The missing wall, and how it failed.
        reason: String,
    },
    /// A submission that no program could pass or fail.
    #[error("submission {index}: {reason}")]
    Submission {
        /// Its place in the batch.
        index: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A reference solution that is not accepted measures nothing.
    #[error("the reference solution is not accepted: {verdict} ({detail})")]
    Reference {
        /// What it got.
        verdict: Verdict,
        /// Why.
        detail: String,
    },
    /// The sandbox failed on more of a batch than can be masked.
    #[error("the sandbox failed on {failed} of {total} submissions: {cause}")]
    TooManyJudgeErrors {
        /// Submissions without a verdict.
        failed: usize,
        /// Submissions in the batch.
        total: usize,
        /// How the first of them failed.
        cause: String,
    },
    /// The operating system refused something the verifier itself needs.
    #[error("the verifier could not start a slot")]
    Start(#[source] std::io::Error),
}
