//! When the sandbox itself breaks: zygotes are killed, stopped and dropped, and no program gets
//! a worse verdict for it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use verify::{Limits, Submission, Tier, Verdict, Verifier, VerifierConfig, VerifyError};

use crate::{ALONE, SQUARES, alone, is_alone, judge, part, still_honest, submission};
use crate::{verifier, verifier_in};

const HONEST: &str = "def f(n):\n    return n * n\n";

/// Why a batch has no verdicts.
fn cause(verifier: &Verifier) -> String {
    match verifier.judge(&vec![submission(HONEST, SQUARES); 40]) {
        Err(VerifyError::TooManyJudgeErrors { failed: 40, total: 40, cause }) => cause,
        other => panic!("{other:?}"),
    }
}

/// Runs a test in a process of its own, which must succeed.
fn succeeds_alone(test: &str) {
    let output = alone(test).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

fn signal(pid: u32, signal: libc::c_int) {
    let pid = libc::pid_t::try_from(pid).unwrap();
    // SAFETY: the process is a child of this one, not yet waited for.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// Both slots have their zygotes, which are started when they are needed.
fn verifier_at_work() -> Verifier {
    let verifier = verifier();
    for slot in 0..2 {
        let honest = submission("def f(n):\n    return n * n\n", SQUARES);
        assert_eq!(verifier.judge_in(slot, &honest).unwrap().verdict, Verdict::Accepted);
    }
    assert_eq!(verifier.zygotes().len(), 2);
    verifier
}

#[test]
fn a_zygote_killed_between_runs_is_replaced() {
    let verifier = verifier_at_work();
    let before = verifier.zygotes();
    for pid in &before {
        signal(*pid, libc::SIGKILL);
    }
    let batch = vec![submission("def f(n):\n    return n * n\n", SQUARES); 8];
    for found in verifier.judge(&batch).unwrap() {
        assert_eq!(found.verdict, Verdict::Accepted, "{found:?}");
    }
    assert!(verifier.zygotes().iter().any(|pid| !before.contains(pid)));
}

#[test]
fn a_zygote_killed_during_a_run_costs_the_program_nothing() {
    let verifier = verifier_at_work();
    let zygotes = verifier.zygotes();
    let slow = "import time\ndef f(n):\n    time.sleep(0.3)\n    return n * n\n";
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(250));
            for pid in &zygotes {
                signal(*pid, libc::SIGKILL);
            }
        });
        for found in
            verifier.judge(&[submission(slow, SQUARES), submission(slow, SQUARES)]).unwrap()
        {
            assert_eq!(found.verdict, Verdict::Accepted, "{found:?}");
        }
    });
    still_honest(&verifier, "the death of its zygote");
}

#[test]
fn a_stopped_zygote_is_replaced() {
    let verifier = verifier();
    let stopped = verifier.zygotes()[0];
    signal(stopped, libc::SIGSTOP);
    still_honest(&verifier, "a stop of its zygote");
    assert!(!verifier.zygotes().contains(&stopped));
}

/// The time that a zygote takes is not the program's.
#[test]
fn a_zygote_that_pauses_costs_the_program_nothing() {
    let verifier = verifier();
    let paused = verifier.zygotes()[0];
    signal(paused, libc::SIGSTOP);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(1_500));
            signal(paused, libc::SIGCONT);
        });
        let limits = verify::Limits { wall_ms: 1_000, ..verify::Limits::default() };
        let plain = submission("def f(n):\n    return n * n\n", SQUARES);
        let found = judge(&verifier, &verify::Submission { limits, ..plain });
        assert_eq!(found.verdict, Verdict::Accepted, "{found:?}");
    });
    assert_eq!(verifier.zygotes()[0], paused);
}

#[test]
fn dropping_a_verifier_leaves_no_process() {
    let verifier = verifier_at_work();
    let zygotes = verifier.zygotes();
    drop(verifier);
    for pid in zygotes {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} lives on");
    }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// In a process of its own, where no other test opens any.
#[test]
fn descriptors_do_not_leak() {
    if !is_alone() {
        return succeeds_alone("faults::descriptors_do_not_leak");
    }
    let empty = open_descriptors();
    let verifier = verifier_at_work();
    let before = open_descriptors();
    let batch: Vec<_> = (0..500)
        .map(|n| match n % 5 {
            0 => submission("def f(\n", SQUARES),
            1 => submission("import os\nos._exit(1)\n", SQUARES),
            2 => submission("import os\nos.execv('/bin/true', ['true'])\n", SQUARES),
            _ => submission("def f(n):\n    return n * n\n", SQUARES),
        })
        .collect();
    verifier.judge(&batch).unwrap();
    assert_eq!(open_descriptors(), before);
    signal(verifier.zygotes()[0], libc::SIGKILL);
    verifier.judge(&batch[..8]).unwrap();
    assert_eq!(open_descriptors(), before);
    drop(verifier);
    assert_eq!(open_descriptors(), empty);
    // SAFETY: asks for any child, of which there is none, not even an ended one.
    assert_eq!(unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) }, -1);
}

/// The zygote moves the descriptors that it is handed to places of their own, whatever their
/// numbers are.
#[test]
fn a_verifier_starts_whatever_is_open() {
    if !is_alone() {
        return succeeds_alone("faults::a_verifier_starts_whatever_is_open");
    }
    if let Err(e) = verifier_in(Tier::Landlocked, 1) {
        eprintln!("SKIPPED: {e}");
        return;
    }
    let mut open = Vec::new();
    while open.len() < 32 {
        open.push(std::fs::File::open("/dev/null").unwrap());
        let verifier = verifier_in(Tier::Landlocked, 1).unwrap();
        still_honest(&verifier, &format!("{} open files", open.len()));
    }
}

#[test]
fn a_zygote_stopped_during_a_run_costs_the_program_nothing() {
    let verifier = verifier_in(Tier::NoFiles, 1).unwrap();
    let zygote = verifier.zygotes()[0];
    let slow = "import time\ndef f(n):\n    time.sleep(0.2)\n    return n * n\n";
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            signal(zygote, libc::SIGSTOP);
        });
        let found = judge(&verifier, &submission(slow, SQUARES));
        assert_eq!(found.verdict, Verdict::Accepted, "{found:?}");
    });
    assert_ne!(verifier.zygotes()[0], zygote);
}

fn set_limit(resource: libc::__rlimit_resource_t, soft: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid pointer to a local.
    unsafe {
        assert_eq!(libc::getrlimit(resource, &raw mut limit), 0);
        let before = std::mem::replace(&mut limit.rlim_cur, soft);
        assert_eq!(libc::setrlimit(resource, &raw const limit), 0);
        before
    }
}

/// No submission gets a verdict, the cause is named, and all is well when there are some again.
#[test]
fn running_out_of_descriptors_is_no_fault_of_the_program() {
    if !is_alone() {
        return succeeds_alone("faults::running_out_of_descriptors_is_no_fault_of_the_program");
    }
    let verifier = verifier_in(Tier::NoFiles, 1).unwrap();
    let before = set_limit(libc::RLIMIT_NOFILE, 3);
    let start = Instant::now();
    let cause = cause(&verifier);
    assert!(cause.contains("Too many open files"), "{cause}");
    assert!(start.elapsed() < Duration::from_secs(2), "each submission was tried in full");
    set_limit(libc::RLIMIT_NOFILE, before);
    std::thread::sleep(Duration::from_millis(150));
    still_honest(&verifier, "a lack of descriptors");
}

#[test]
fn a_zygote_out_of_descriptors_is_replaced() {
    let verifier = verifier_in(Tier::NoFiles, 1).unwrap();
    let zygote = verifier.zygotes()[0];
    let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
    let pid = libc::pid_t::try_from(zygote).unwrap();
    // SAFETY: the limit is a valid local, and nothing is written back.
    let done =
        unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()) };
    if done < 0 {
        eprintln!("SKIPPED: the limits of another process cannot be changed here");
        return;
    }
    still_honest(&verifier, "a zygote without descriptors");
    assert_ne!(verifier.zygotes()[0], zygote);
}

/// Nothing is ever written to a disk, so a full one changes nothing.
#[test]
fn a_full_disk_changes_nothing() {
    if !is_alone() {
        return succeeds_alone("faults::a_full_disk_changes_nothing");
    }
    set_limit(libc::RLIMIT_FSIZE, 0);
    still_honest(&verifier(), "its start on a full disk");
}

/// A copy of the interpreter that a test may replace.
fn copy_python(from: &Path, to: &Path) {
    let fresh = to.with_extension("new");
    std::fs::copy(from, &fresh).unwrap();
    std::fs::rename(&fresh, to).unwrap();
}

#[test]
fn a_replaced_python_is_noticed() {
    let original = verifier().facts().python.path.clone();
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let python = folder.path().join("python3");
    copy_python(&original, &python);
    let config = VerifierConfig { python: Some(python.clone()), ..VerifierConfig::default() };
    let verifier = Verifier::start(config).unwrap();
    let first = verifier.zygotes();
    still_honest(&verifier, "the start of a copied python");
    assert_eq!(verifier.zygotes(), first);

    copy_python(&original, &python);
    still_honest(&verifier, "a new python");
    assert_ne!(verifier.zygotes(), first, "the zygote of the old python goes on");

    std::fs::write(python.with_extension("new"), "#!/bin/false\n").unwrap();
    std::fs::rename(python.with_extension("new"), &python).unwrap();
    let cause = cause(&verifier);
    assert!(cause.contains("no usable Python"), "{cause}");

    copy_python(&original, &python);
    std::thread::sleep(Duration::from_millis(150));
    still_honest(&verifier, "a python that works again");
}

#[test]
fn a_zygote_is_replaced_after_so_many_runs() {
    let config = VerifierConfig { runs_per_zygote: Some(3), ..VerifierConfig::default() };
    let verifier = Verifier::start(config).unwrap();
    let mut seen = Vec::new();
    for _ in 0..7 {
        still_honest(&verifier, "a run");
        seen.extend(verifier.zygotes());
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

/// The process to be killed: says which zygotes it has, and judges a program that never ends.
#[expect(clippy::print_stdout, reason = "the process that started this one reads it")]
fn judge_forever(tier: Tier) {
    let verifier = verifier_in(tier, 1).unwrap();
    println!("zygotes={} ", verifier.zygotes()[0]);
    let endless = submission("def f(n):\n    while True:\n        pass\n", SQUARES);
    let limits = Limits { cpu_ms: 60_000, wall_ms: 60_000, ..Limits::default() };
    judge(&verifier, &Submission { limits, ..endless });
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // What has ended waits for process 1 to notice.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn children(pid: u32) -> Vec<u32> {
    crate::escapes::children(pid)
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn nothing_outlives_a_verifier_that_is_killed() {
    if let Some(tier) = part().and_then(|name| Tier::safe_from_name(&name)) {
        return judge_forever(tier);
    }
    for tier in Tier::SAFE {
        if verifier_in(tier, 1).is_err() {
            eprintln!("SKIPPED: {tier} does not stand");
            continue;
        }
        let mut command = alone("faults::nothing_outlives_a_verifier_that_is_killed");
        let mut victim = command.env(ALONE, tier.name()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let zygote = lines
            .filter_map(|line| line.unwrap().split("zygotes=").nth(1)?.trim().parse().ok())
            .next()
            .unwrap();
        wait_until("no candidate", || !children(zygote).is_empty());
        let mut left = children(zygote);
        left.push(zygote);
        victim.kill().unwrap();
        victim.wait().unwrap();
        wait_until("something outlives the verifier", || !left.iter().any(|pid| lives(*pid)));
    }
}
