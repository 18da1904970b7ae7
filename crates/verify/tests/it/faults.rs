//! When the sandbox itself breaks: zygotes are killed, stopped and dropped, and no program gets
//! a worse verdict for it.

use std::path::Path;
use std::time::Duration;

use verify::Verdict;

use crate::{SQUARES, alone, is_alone, judge, still_honest, submission, verifier};

fn signal(pid: u32, signal: libc::c_int) {
    let pid = libc::pid_t::try_from(pid).unwrap();
    // SAFETY: the process is a child of this one, not yet waited for.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

#[test]
fn a_zygote_killed_between_runs_is_replaced() {
    let verifier = verifier();
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
    let verifier = verifier();
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
    let verifier = verifier();
    let zygotes = verifier.zygotes();
    assert_eq!(zygotes.len(), 2);
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
        let output = alone("faults::descriptors_do_not_leak").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let empty = open_descriptors();
    let verifier = verifier();
    judge(&verifier, &submission("def f(n):\n    return n\n", SQUARES));
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
}
