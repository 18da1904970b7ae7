//! The built binary, started as a person would start it, and the folders of its runs.

use std::{
    fs,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
};

use serde_json::Value;
use tempfile::TempDir;

/// What makes `smoke` last a few seconds: long enough to be killed at many different moments.
const LONGER: &[&str] =
    &["steps=8", "eval.every=3", "checkpoint.every=1", "tasks.per_step=6", "tasks.group_size=8"];

/// The two ways to learn.
pub(crate) const METHODS: [&str; 2] = ["grpo", "expert_iteration"];

/// A process of `program`, in a process group of its own, which sees no terminal.
#[expect(clippy::disallowed_methods, reason = "the binary is what is tested")]
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command
}

/// `axiom` with arguments, not yet started.
pub(crate) fn axiom(args: &[&str]) -> Command {
    let mut axiom = command(env!("CARGO_BIN_EXE_axiom"));
    axiom.args(args);
    axiom
}

/// Runs `axiom` to its end.
pub(crate) fn output(args: &[&str]) -> Output {
    axiom(args).output().unwrap()
}

/// Runs `axiom` to its end with `input` on its standard input.
pub(crate) fn output_of(args: &[&str], input: &str) -> Output {
    let mut child = axiom(args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_string();
    // From a thread: the output may fill its pipe before the input is read.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// What a process wrote to its standard output.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a process wrote to its standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What Ctrl-C does: an interrupt for every process of the group.
pub(crate) fn press_ctrl_c(child: &Child) {
    let kill = format!("kill -s INT -- -{}", child.id());
    assert!(command("sh").args(["-c", &kill]).status().unwrap().success());
}

/// The command that runs `smoke`, lengthened, into `out`.
pub(crate) fn start_run(method: &str, out: &Path, threads: &str) -> Command {
    let method = format!("method={method}");
    let out = out.to_str().unwrap();
    let mut run = axiom(&["run", "smoke", "--out", out, "--threads", threads, "--set", &method]);
    for setting in LONGER {
        run.args(["--set", setting]);
    }
    run
}

/// Runs `smoke`, lengthened, into `out` without interruption.
pub(crate) fn run(method: &str, out: &Path, threads: &str) -> Run {
    let output = start_run(method, out, threads).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    Run::read(out)
}

/// A finished run, times aside.
#[derive(Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) weights: Vec<u8>,
    pub(crate) events: Vec<String>,
    pub(crate) summary: Value,
}

impl Run {
    /// Reads the folder of a finished run.
    pub(crate) fn read(dir: &Path) -> Self {
        let mut summary: Value =
            serde_json::from_slice(&fs::read(dir.join("summary.json")).unwrap()).unwrap();
        for what in ["wall_seconds", "memory_peak_bytes"] {
            assert!(summary.as_object_mut().unwrap().remove(what).is_some());
        }
        let events = fs::read_to_string(dir.join("events.jsonl")).unwrap();
        Self {
            weights: fs::read(dir.join("model/model.safetensors")).unwrap(),
            events: events.lines().map(runlog::without_times).collect(),
            summary,
        }
    }

    /// Asserts that two runs are the same run.
    pub(crate) fn assert_equals(&self, expected: &Self, what: &str) {
        for (i, (got, want)) in self.events.iter().zip(&expected.events).enumerate() {
            assert_eq!(got, want, "{what}: line {} of the log", i + 1);
        }
        assert_eq!(self.events.len(), expected.events.len(), "{what}: lines of the log");
        assert_eq!(self.summary, expected.summary, "{what}: summary");
        assert!(self.weights == expected.weights, "{what}: weights differ");
    }
}

/// The run of `method` that nothing interrupted; made once for all tests.
pub(crate) fn uninterrupted(method: &str) -> &'static Run {
    static RUNS: [OnceLock<Run>; 2] = [OnceLock::new(), OnceLock::new()];
    let at = METHODS.iter().position(|m| *m == method).unwrap();
    RUNS[at].get_or_init(|| {
        let (_dir, out) = folder();
        run(method, &out, "2")
    })
}

/// A place for a run that does not exist yet; gone with the first value.
pub(crate) fn folder() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    (dir, run)
}
