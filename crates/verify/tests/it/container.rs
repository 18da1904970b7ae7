//! The host in a sandbox that another program builds: bubblewrap, gVisor, or none at all. The
//! same code judges what comes back.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use verify::{SandboxCommand, Verdict, Verifier, VerifierConfig, VerifyError};

use crate::{ALONE, SQUARES, escapes, judge, part, still_honest, submission};

const BWRAP: &str =
    "bwrap --unshare-all --die-with-parent --new-session --ro-bind / / --proc /proc --dev /dev";
/// Version 20221219, which Debian has, needs the overlay off to find its own files.
const RUNSC: &str =
    "runsc --platform=ptrace --network=none --ignore-cgroups do --force-overlay=false";

/// This test binary is the host: it runs the test below and nothing else.
fn command(sandbox: &str) -> SandboxCommand {
    let exe = std::env::current_exe().unwrap().display().to_string();
    let words = [&exe, "container::host", "--exact", "--nocapture", "--test-threads=1"];
    SandboxCommand {
        template: format!("{sandbox} env {ALONE}=host {{host}}"),
        host: words.map(str::to_string).to_vec(),
    }
}

fn start(sandbox: SandboxCommand) -> Result<Verifier, VerifyError> {
    Verifier::start(VerifierConfig {
        slots: 2,
        sandbox: Some(sandbox),
        ..VerifierConfig::default()
    })
}

/// A host with no sandbox around it but its own.
pub(crate) fn plain_host() -> Verifier {
    start(command("")).unwrap()
}

#[test]
fn host() {
    if part().is_some_and(|role| role == "host") {
        verify::serve_host(None).unwrap();
    }
}

fn is_installed(program: &str) -> bool {
    ["/usr/local/bin", "/usr/bin", "/bin"].iter().any(|bin| Path::new(bin).join(program).exists())
}

/// `(program, verdict, tests passed)`.
const PROGRAMS: [(&str, Verdict, usize); 9] = [
    ("def f(n):\n    return n * n\n", Verdict::Accepted, 2),
    ("def f(n):\n    return 9\n", Verdict::WrongAnswer, 1),
    ("def f(n):\n    return {n: [n / 2, None, 'é', 10 ** 30]}\n", Verdict::WrongAnswer, 0),
    ("def f(n):\n    while True:\n        pass\n", Verdict::TimeLimit, 0),
    ("def f(n):\n    return len(bytearray(1 << 30))\n", Verdict::MemoryLimit, 0),
    ("def f(n):\n    return bytes(5 << 20)\n", Verdict::OutputLimit, 0),
    ("def f(:\n", Verdict::CompileError, 0),
    ("import os\ndef f(n):\n    os._exit(0)\n", Verdict::RuntimeError, 0),
    ("import os\ndef f(n):\n    os.execv('/bin/true', ['true'])\n", Verdict::Violation, 0),
];

/// Every kind of verdict, and an honest program after each.
fn judges_well(verifier: &Verifier) {
    for (program, verdict, passed) in PROGRAMS {
        let limits = verify::Limits { cpu_ms: 300, ..verify::Limits::default() };
        let asked = verify::Submission { limits, ..submission(program, SQUARES) };
        let found = judge(verifier, &asked);
        assert_eq!((found.verdict, found.passed), (verdict, passed), "{found:?} for\n{program}");
        still_honest(verifier, program);
    }
}

#[test]
fn a_host_without_a_sandbox_of_its_own_judges_well() {
    judges_well(&plain_host());
}

#[test]
fn bubblewrap() {
    if !is_installed("bwrap") {
        eprintln!("SKIPPED: bwrap is not installed");
        return;
    }
    match start(command(BWRAP)) {
        Ok(verifier) => {
            assert!(verifier.facts().command.as_ref().unwrap().starts_with("bwrap"));
            judges_well(&verifier);
        }
        // Where namespaces are refused, it says so itself.
        Err(e) => {
            assert!(e.to_string().contains("bwrap: "), "{e}");
            eprintln!("SKIPPED: {e}");
        }
    }
}

/// Slow, because every system call of a zygote takes a detour, and so with few programs.
#[test]
fn gvisor() {
    // SAFETY: reads a number of this process.
    if !is_installed("runsc") || unsafe { libc::geteuid() } != 0 {
        eprintln!("SKIPPED: runsc is not installed, or this is not root");
        return;
    }
    let config = VerifierConfig { sandbox: Some(command(RUNSC)), ..VerifierConfig::default() };
    // That version now and then ends by itself while it starts.
    let again = |_| Verifier::start(config.clone());
    match again(()).or_else(|_| again(())).or_else(|_| again(())) {
        Ok(verifier) => {
            assert_eq!(verifier.facts().tier, verify::Tier::NoFiles);
            let wrong = judge(&verifier, &submission("def f(n):\n    return 9\n", SQUARES));
            assert_eq!((wrong.verdict, wrong.passed), (Verdict::WrongAnswer, 1));
            still_honest(&verifier, "a start in gVisor");
        }
        Err(e) => panic!("{e}"),
    }
}

/// What an image must hold is little: the programs and libraries of this machine are lent to it.
const USR: &str = "for l in bin sbin lib lib64; do ln -s usr/$l $l; done; mkdir usr tmp proc dev";
/// The engine's default profile; the limits only because it may not raise those of a machine.
const IN_ENGINE: &str = "run -i --rm --network none --ulimit nofile=1024:1024 \
     --ulimit nproc=4096:4096 -v /usr:/usr:ro -v {exe}:{exe}:ro axiom-usr";

/// Judges, and resists all escapes, in a container engine; or says why it is not here.
#[expect(clippy::disallowed_methods, reason = "an engine is started as its users start it")]
fn stands_in_engine(engine: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let shell = |script: String| {
        let mut shell = Command::new("sh");
        shell.current_dir(folder.path()).args(["-ec", &script]).output().unwrap()
    };
    let made = shell(format!("{USR}; tar -c . | {engine} import - axiom-usr"));
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned());
    }
    let template = format!("{engine} {IN_ENGINE}");
    judges_well(&start(command(&template)).unwrap());
    let one = || VerifierConfig { sandbox: Some(command(&template)), ..VerifierConfig::default() };
    escapes::run_all_in(engine, || Verifier::start(one()));
    let left = || shell(format!("{engine} ps -aq --filter ancestor=axiom-usr")).stdout;
    // An engine removes a container after the command that ran it has ended.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !left().is_empty() {
        assert!(Instant::now() < deadline, "containers are left: {:?}", left());
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[test]
fn docker() {
    if let Err(why) = stands_in_engine("docker") {
        eprintln!("SKIPPED: {why}");
    }
}

/// With a store of its own, which only root may mount.
#[test]
fn podman() {
    let store = tempfile::tempdir().unwrap();
    let folder = store.path().display();
    let runtime = if is_installed("runc") { "runc" } else { "crun" };
    let engine = format!(
        "podman --storage-driver=vfs --root={folder}/root --runroot={folder}/run \
         --cgroup-manager=cgroupfs --runtime={runtime}"
    );
    if let Err(why) = stands_in_engine(&engine) {
        eprintln!("SKIPPED: {why}");
    }
}

#[test]
fn a_host_that_is_killed_is_replaced() {
    let verifier = plain_host();
    let pid = libc::pid_t::try_from(verifier.zygotes()[0]).unwrap();
    // SAFETY: the process is a child of this one, not yet waited for.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    still_honest(&verifier, "the death of its host");
    let start = Instant::now();
    drop(verifier);
    assert!(start.elapsed() < Duration::from_secs(2), "a host does not end with its input");
}

#[test]
fn a_sandbox_command_that_fails_is_named() {
    let cases = [
        ("/nothing/like/bwrap {host}", "/nothing/like/bwrap"),
        ("sh -c exit {host}", "the host is gone"),
        ("ls /nothing {host}", "--help"),
        ("echo {host}", "the host"),
        ("bwrap --unshare-all", "lacks {host}"),
    ];
    for (template, reason) in cases {
        let sandbox = SandboxCommand { template: template.into(), ..command("") };
        match start(sandbox) {
            Err(VerifyError::NoSandbox { reason: said }) => {
                assert!(said.contains(reason), "{template}: {said}");
            }
            other => panic!("{template}: {other:?}"),
        }
    }
}
