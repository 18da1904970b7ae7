//! Runs that are killed, interrupted and resumed are the runs that were left alone.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::binary::{
    METHODS, Run, axiom, folder, press_ctrl_c, start_run, stderr, stdout, uninterrupted,
};

/// Longest wait for a log to grow.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until the run's log has `n_lines`, and then for `pause`. Whether it still runs.
fn wait_for(child: &mut Child, dir: &Path, n_lines: usize, pause: Duration) -> bool {
    let start = Instant::now();
    let log = dir.join("events.jsonl");
    while fs::read(&log).map_or(0, |text| text.iter().filter(|b| **b == b'\n').count()) < n_lines {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(start.elapsed() < PATIENCE, "the log never had {n_lines} lines");
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(pause);
    child.try_wait().unwrap().is_none()
}

fn resume(dir: &Path) -> Command {
    axiom(&["resume", dir.to_str().unwrap(), "--threads", "2"])
}

/// Starts `command` and kills it without a warning, at its log's `n_lines` and a `pause` more.
/// Whether it did: the run may be over before.
pub(crate) fn kill_at(mut command: Command, dir: &Path, n_lines: usize, pause: Duration) -> bool {
    let mut child = command.spawn().unwrap();
    let ran = wait_for(&mut child, dir, n_lines, pause);
    if ran {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    if ran {
        assert_eq!(output.status.signal(), Some(9), "{}", stderr(&output));
    } else {
        assert!(output.status.success(), "{}", stderr(&output));
    }
    ran
}

/// Resumes the run until it is over, and compares.
fn finish(method: &str, dir: &Path, what: &str) {
    let output = resume(dir).output().unwrap();
    assert!(output.status.success(), "{what}: {}", stderr(&output));
    Run::read(dir).assert_equals(uninterrupted(method), what);
}

/// Kills a run at a random place in each of its first three quarters and once more after its
/// last step, and lets it finish.
fn kill_and_resume(method: &str, seed: u64) {
    let whole = uninterrupted(method).events.len();
    let (_dir, dir) = folder();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut places = Vec::new();
    for quarter in 0..3 {
        let n_lines = 1 + whole * quarter / 4 + rng.random_range(0..whole / 4);
        let pause = Duration::from_millis(rng.random_range(0..300));
        let command = if quarter == 0 { start_run(method, &dir, "2") } else { resume(&dir) };
        places.push((n_lines, pause));
        let killed = kill_at(command, &dir, n_lines, pause);
        assert!(killed, "{method}: over before it was killed at {places:?} of {whole} lines");
    }
    // In the measurement after the last step. It may be over first: that is no failure.
    places.push((whole - 2, Duration::ZERO));
    let what = format!("{method}, killed at {places:?} of {whole} lines");
    if kill_at(resume(&dir), &dir, whole - 2, Duration::ZERO) {
        finish(method, &dir, &what);
    } else {
        Run::read(&dir).assert_equals(uninterrupted(method), &what);
    }
}

#[test]
fn a_killed_grpo_run_resumes_to_the_same_end() {
    kill_and_resume("grpo", 1);
    kill_and_resume("grpo", 2);
}

#[test]
fn a_killed_expert_iteration_resumes_to_the_same_end() {
    kill_and_resume("expert_iteration", 3);
}

#[test]
fn a_run_killed_before_its_first_checkpoint_starts_again() {
    for method in METHODS {
        let (_dir, dir) = folder();
        kill_at(start_run(method, &dir, "2"), &dir, 0, Duration::ZERO);
        // A moment later there is a log, and still no checkpoint; or there is no run at all.
        let again = if dir.join("events.jsonl").exists() {
            resume(&dir)
        } else {
            start_run(method, &dir, "2")
        };
        assert!(kill_at(again, &dir, 1, Duration::ZERO));
        let checkpoints = fs::read_dir(dir.join("checkpoints")).unwrap();
        assert_eq!(checkpoints.count(), 0, "the first measurement takes longer than that");
        finish(method, &dir, &format!("{method}, killed before its first checkpoint"));
    }
}

#[test]
fn ctrl_c_stops_between_two_steps_and_says_how_to_go_on() {
    for (method, share) in METHODS.into_iter().zip([3, 2]) {
        let (_dir, dir) = folder();
        let n_lines = uninterrupted(method).events.len() / share;
        let mut child = start_run(method, &dir, "2").spawn().unwrap();
        assert!(wait_for(&mut child, &dir, n_lines, Duration::from_millis(50)));
        press_ctrl_c(&child);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
        let said = stdout(&output);
        assert!(said.contains(&format!("axiom resume {}", dir.display())), "{said}");
        let log = fs::read_to_string(dir.join("events.jsonl")).unwrap();
        assert!(log.lines().last().unwrap().contains("\"interrupted\""), "{log}");
        finish(method, &dir, &format!("{method}, interrupted"));
    }
}

#[test]
fn a_finished_run_is_not_resumed() {
    let (_dir, dir) = folder();
    crate::binary::run("grpo", &dir, "2");
    let before = fs::read(dir.join("events.jsonl")).unwrap();
    let output = resume(&dir).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is finished"), "{}", stderr(&output));
    assert_eq!(fs::read(dir.join("events.jsonl")).unwrap(), before);
}
