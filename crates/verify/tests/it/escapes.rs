//! Hostile programs, in every tier that stands here. Each file of `tests/escapes` states in its
//! first line the verdicts that it may get. None is ever accepted, none harms the next program
//! on the same zygote, and nothing of any is left.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use verify::{Limits, Tier, Verdict, Verifier, VerifyError};

use crate::{SQUARES, judge, still_honest, submission, verifier_in};

/// Escapes that run at the same time: most of them wait for a limit.
const LANES: usize = 6;
/// Where those that write files would write them.
const TRACES: [&str; 4] =
    ["/tmp/axiom-escape", "/dev/shm/axiom-escape", "/tmp/axiom-canary", "/core"];

struct Escape {
    name: String,
    expected: Vec<String>,
    program: String,
}

fn all() -> Vec<Escape> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/escapes");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let program = std::fs::read_to_string(path).unwrap();
        let first = program.lines().next().unwrap();
        let expected = first.strip_prefix("# expect: ").expect("a first line with verdicts");
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Escape { name, expected: expected.split(',').map(str::to_string).collect(), program }
    };
    paths.iter().map(read).collect()
}

/// Runs every escape in `tier`, each with an honest program after it.
pub(crate) fn run_all(tier: Tier) {
    run_all_in(tier.name(), || verifier_in(tier, 1));
}

/// The same in sandboxes of one slot that `start` starts.
pub(crate) fn run_all_in(place: &str, start: impl Fn() -> Result<Verifier, VerifyError> + Sync) {
    let escapes = all();
    assert!(escapes.len() >= 130);
    let next = AtomicUsize::new(0);
    let lane = || {
        let verifier = match start() {
            Ok(verifier) => verifier,
            Err(e) => return vec![format!("it does not stand: {e}")],
        };
        let zygotes = verifier.zygotes();
        let mut wrong = Vec::new();
        while let Some(escape) = escapes.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong.extend(try_one(&verifier, escape));
        }
        assert_eq!(verifier.zygotes(), zygotes, "a program broke its zygote");
        // An engine's command may have processes of its own.
        let is_ours = verifier.facts().command.is_none();
        assert!(!is_ours || children(zygotes[0]).is_empty(), "a program outlives its run");
        wrong
    };
    let wrong: Vec<String> = std::thread::scope(|s| {
        let lanes: Vec<_> = (0..LANES).map(|_| s.spawn(lane)).collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{place}:\n{}", wrong.join("\n"));
    for trace in TRACES {
        assert!(!Path::new(trace).exists(), "{trace}");
    }
}

fn try_one(verifier: &Verifier, escape: &Escape) -> Option<String> {
    let limits = Limits { cpu_ms: 500, wall_ms: 5_000, ..Limits::default() };
    let Escape { name, expected, program } = escape;
    let found = judge(verifier, &crate::Submission { limits, ..submission(program, SQUARES) });
    assert_ne!(found.verdict, Verdict::Accepted, "{name}");
    assert_eq!(found.tier, verifier.facts().tier);
    assert!(!found.detail.contains(char::is_control), "{name}: {:?}", found.detail);
    still_honest(verifier, name);
    let as_expected = expected.iter().any(|e| e == found.verdict.name());
    (!as_expected).then(|| format!("{name}: {found:?}, expected {expected:?}"))
}

/// The processes whose parent is `pid`.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let child = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let parent: u32 = rest.split(' ').nth(1)?.parse().ok()?;
        (parent == pid).then(|| entry.file_name().to_string_lossy().parse().ok())?
    };
    std::fs::read_dir("/proc").unwrap().filter_map(child).collect()
}

#[test]
fn in_namespaces_no_escape_is_accepted_and_none_harms_the_next() {
    match verifier_in(Tier::Namespaces, 1) {
        Ok(_) => run_all(Tier::Namespaces),
        Err(VerifyError::NoSandbox { reason }) => eprintln!("SKIPPED: {reason}"),
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn landlocked_no_escape_is_accepted_and_none_harms_the_next() {
    match verifier_in(Tier::Landlocked, 1) {
        Ok(_) => run_all(Tier::Landlocked),
        Err(VerifyError::NoSandbox { reason }) => eprintln!("SKIPPED: {reason}"),
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn without_files_no_escape_is_accepted_and_none_harms_the_next() {
    run_all(Tier::NoFiles);
}
