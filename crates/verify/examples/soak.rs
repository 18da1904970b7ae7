//! Very many runs, two in a hundred of them hostile: does anything grow, is anything lost?
//!
//! `cargo run --release -p verify --example soak -- 1000000`. Prints, twenty times on its way,
//! the memory, descriptors and processes of the verifier and of all below it. Ends with an
//! error if a result is lost or wrong, or if one of these grew between the first fifth and the
//! last.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use verify::{Limits, Submission, TestCase, Value, Verdict, Verifier, VerifierConfig};

mod processes;

use processes::Processes;

const BATCH: usize = 500;
const REPORTS: usize = 20;
/// One run in so many is hostile.
const HOSTILE_EVERY: usize = 50;
/// Memory may grow by so much, for what an allocator keeps.
const GROWTH_KIB: u64 = 16 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let wanted = std::env::args().nth(1).map_or(Ok(50_000), |n| n.parse())?;
    let slots = std::thread::available_parallelism().map_or(2, usize::from);
    let verifier = Verifier::start(VerifierConfig { slots, ..VerifierConfig::default() })?;
    let (honest, hostile) = (honest(), hostile()?);
    println!("{wanted} runs, {slots} slots, {} hostile programs", hostile.len());
    println!("{:>9} {:>8} {:>9} {:>6} {:>10}", "runs", "runs/s", "MiB", "files", "processes");

    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut reports: Vec<Processes> = Vec::new();
    let (start, mut done) = (Instant::now(), 0);
    while done < wanted {
        let batch: Vec<&Case> = (done..wanted.min(done + BATCH))
            .map(|n| match n % HOSTILE_EVERY {
                0 => &hostile[n / HOSTILE_EVERY % hostile.len()],
                _ => &honest[n % honest.len()],
            })
            .collect();
        let submissions: Vec<Submission> = batch.iter().map(|c| c.submission.clone()).collect();
        let found = verifier.judge(&submissions)?;
        if found.len() != batch.len() {
            return Err(format!("{} of {} results are lost", found.len(), batch.len()).into());
        }
        for (case, judgement) in batch.iter().zip(&found) {
            if !case.expected.iter().any(|verdict| verdict == judgement.verdict.name()) {
                return Err(format!("{}: {judgement:?}, not {:?}", case.name, case.expected).into());
            }
            *verdicts.entry(judgement.verdict.name()).or_default() += 1;
        }
        done += batch.len();
        if done * REPORTS / wanted > reports.len() {
            let now = Processes::of_this_and_below()?;
            let per_second = done as f64 / start.elapsed().as_secs_f64();
            let mib = now.memory_kib as f64 / 1024.0;
            println!("{done:>9} {per_second:>8.0} {mib:>9.1} {:>6} {:>10}", now.files, now.count);
            reports.push(now);
        }
    }
    println!("{verdicts:?}\nzygotes replaced: {}", verifier.stats().restarts);
    flat(&reports)
}

type Figure = fn(&Processes) -> u64;

/// Compares the last fifth of the reports with the first.
fn flat(reports: &[Processes]) -> Result<(), Box<dyn Error>> {
    let fifth = (reports.len() / 5).max(1);
    let most = |part: &[Processes], of: Figure| part.iter().map(of).max();
    let (first, last) = (&reports[..fifth], &reports[reports.len() - fifth..]);
    let kinds: [(&str, Figure, u64); 3] = [
        ("memory in KiB", |p| p.memory_kib, GROWTH_KIB),
        ("open files", |p| p.files, 0),
        ("processes", |p| p.count, 0),
    ];
    for (what, of, allowed) in kinds {
        let (before, after) = (most(first, of), most(last, of));
        if after > before.map(|n| n + allowed) {
            return Err(format!("{what} grew: {before:?}, then {after:?}").into());
        }
    }
    println!("flat: memory, open files, processes; no result lost, none wrong");
    Ok(())
}

struct Case {
    name: String,
    submission: Submission,
    expected: Vec<String>,
}

fn case(name: &str, program: &str, limits: Limits, expected: &[&str]) -> Case {
    let test = |n: i64| TestCase { args: vec![Value::Int(n)], expected: Value::Int(n * n) };
    let submission = Submission {
        program: program.to_string(),
        entry_point: "f".to_string(),
        tests: [3, 4].map(test).into(),
        limits,
        ..Submission::default()
    };
    let expected = expected.iter().map(|verdict| (*verdict).to_string()).collect();
    Case { name: name.to_string(), submission, expected }
}

fn honest() -> Vec<Case> {
    let programs = [
        ("right", "def f(n):\n    return n * n\n", Verdict::Accepted),
        ("a class", "class Solution:\n    def f(self, n): return n ** 2\n", Verdict::Accepted),
        (
            "a table",
            "def f(n):\n    t = [[i * j for i in range(30)] for j in range(30)]\n    return t[n][n]\n",
            Verdict::Accepted,
        ),
        ("wrong", "def f(n):\n    return n + n\n", Verdict::WrongAnswer),
        ("raises", "def f(n):\n    return {}[n]\n", Verdict::RuntimeError),
        ("does not compile", "def f(n)\n", Verdict::CompileError),
        ("nothing there", "g = 1\n", Verdict::NoProgram),
    ];
    programs
        .into_iter()
        .map(|(name, program, verdict)| case(name, program, Limits::default(), &[verdict.name()]))
        .collect()
}

/// Those of `tests/escapes`. The limits are tight, for they often end only by them.
fn hostile() -> Result<Vec<Case>, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/escapes");
    let limits = Limits { cpu_ms: 100, wall_ms: 1_000, ..Limits::default() };
    let mut paths: Vec<_> =
        std::fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let program = std::fs::read_to_string(&path)?;
        let first = program.lines().next().and_then(|line| line.strip_prefix("# expect: "));
        let expected = first.ok_or("an escape without its verdicts")?;
        // With tighter limits than in their test, some are stopped before they get there.
        let mut expected: Vec<&str> = expected.split(',').map(str::trim).collect();
        expected.push("time_limit");
        cases.push(case(&path.display().to_string(), &program, limits, &expected));
    }
    Ok(cases)
}
