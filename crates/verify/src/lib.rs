//! Submissions in, verdicts out: the sandbox for model-written Python.
//!
//! This crate is the trust boundary of axiom-rl. It runs programs that a language model
//! wrote, in processes behind walls, on inputs that it sends, and compares the values that
//! come back with expected values that never leave this process. It knows nothing of models,
//! prompts or rewards.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "the sandbox is built from Linux walls (seccomp, Landlock): build on Linux, or in a Linux container or virtual machine"
);

mod batch;
mod cache;
mod canary;
mod compare;
mod container;
mod detail;
mod error;
mod frames;
#[doc(hidden)]
pub mod fuzz;
mod host;
mod jail;
mod judge;
mod limits;
mod marshal;
mod meter;
mod normal;
mod pool;
mod probe;
mod process;
mod python;
mod remote;
mod run;
mod runner;
mod script;
mod slot;
mod socket;
mod spawner;
mod submission;
mod value;
mod verdict;
mod wire;
mod worker;
mod zygote;

pub use batch::Twice;
pub use compare::equal;
pub use container::SandboxCommand;
pub use error::VerifyError;
pub use host::serve_host;
pub use jail::Tier;
pub use limits::Limits;
pub use pool::{SandboxFacts, Stats, Verifier, VerifierConfig};
pub use probe::{Probe, Wall, probe};
pub use python::{PythonInfo, find_python};
pub use remote::{PostError, Remote};
pub use script::{Script, ScriptEnd, ScriptRun};
pub use submission::{Answer, Call, Comparator, Containers, Job, Mode, Submission, TestCase};
pub use value::{JsonError, LiteralError, Value};
pub use verdict::{Execution, Failure, Judgement, Verdict};
