//! The verifier from outside: programs in, judgements out, with real walls.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test, what cannot be is a failure")]

#[cfg(not(target_os = "linux"))]
compile_error!("the sandbox needs Linux");

mod comparators;
mod container;
mod determinism;
mod escapes;
mod executions;
mod faults;
mod honest;
mod language;
mod modes;
mod normal;
mod remote;
mod tiers;
mod verdicts;

use std::process::Command;
use std::sync::Arc;

use verify::{Judgement, Submission, TestCase, Tier, Value, Verdict};
use verify::{Verifier, VerifierConfig, VerifyError};

/// Each test has its own, so that dropping it is tested everywhere.
fn verifier() -> Verifier {
    Verifier::start(VerifierConfig { slots: 2, ..VerifierConfig::default() }).unwrap()
}

/// One for each tier that can be had here.
fn verifiers() -> Vec<Verifier> {
    let all: Vec<_> = Tier::SAFE.into_iter().filter_map(|tier| verifier_in(tier, 2).ok()).collect();
    assert!(all.len() >= 2, "the tiers without privileges stand wherever this runs");
    all
}

/// One in this tier or none.
fn verifier_in(tier: Tier, slots: usize) -> Result<Verifier, VerifyError> {
    Verifier::start(VerifierConfig { slots, tier: Some(tier), ..VerifierConfig::default() })
}

/// Tests from JSON, with `$tuple` and its like: `[[arguments, expected], …]`.
fn tests(json: &str) -> Arc<[TestCase]> {
    let pairs: Vec<(Vec<serde_json::Value>, serde_json::Value)> =
        serde_json::from_str(json).unwrap();
    let read = |json: &serde_json::Value| Value::from_json(json).unwrap();
    pairs
        .iter()
        .map(|(args, expected)| TestCase {
            args: args.iter().map(read).collect(),
            expected: read(expected),
        })
        .collect()
}

fn submission(program: &str, cases: &str) -> Submission {
    Submission {
        program: program.to_string(),
        entry_point: "f".to_string(),
        tests: tests(cases),
        ..Submission::default()
    }
}

fn judge(verifier: &Verifier, submission: &Submission) -> Judgement {
    verifier.judge(std::slice::from_ref(submission)).unwrap().remove(0)
}

const SQUARES: &str = "[[[3], 9], [[4], 16]]";

/// What judging one submission costs the verifier itself: this thread does it.
fn own_cpu(work: impl FnOnce()) -> std::time::Duration {
    let read = || {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call writes one timespec.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        std::time::Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
    };
    let before = read();
    work();
    read() - before
}

/// The same slot still judges well.
fn still_honest(verifier: &Verifier, after: &str) {
    let found = judge(verifier, &submission("def f(n):\n    return n * n\n", SQUARES));
    assert_eq!(found.verdict, Verdict::Accepted, "after {after}: {found:?}");
}

/// Set in a process that was started to run a single test.
const ALONE: &str = "VERIFY_TEST_ALONE";

fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// The part that this process was started for, if it is not the whole test.
fn part() -> Option<String> {
    std::env::var_os(ALONE).map(|part| part.to_string_lossy().into_owned())
}

/// This test binary, to run one test in a process of its own.
#[expect(clippy::disallowed_methods, reason = "the process is this test itself")]
fn alone(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env_clear().envs([(ALONE, "1"), ("PATH", "/usr/local/bin:/usr/bin:/bin")]);
    command.current_dir("/");
    command
}
