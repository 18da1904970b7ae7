//! Verifications per second, next to starting an interpreter for every run.
//!
//! `cargo run --release -p verify --example throughput`. Two programs with ten tests each, on
//! two slots; rounds of both ways take turns, so that a busy machine is busy for both, and the
//! median round is shown.

#![expect(clippy::print_stdout, reason = "an example prints")]
#![expect(clippy::disallowed_methods, reason = "the interpreters to compare with")]

use std::process::{Command, Stdio};
use std::time::Instant;

use verify::{Comparator, Limits, Submission, TestCase, Value, Verdict, Verifier, VerifierConfig};

const SLOTS: usize = 2;
const ROUNDS: usize = 7;
const RUNS_PER_ROUND: usize = 500;
const SPAWNS_PER_ROUND: usize = 20;
const N_TESTS: i64 = 10;

const TRIVIAL: &str = "def f(a, b):\n    return len(a) + len(b)\n";
const EDIT_DISTANCE: &str = "\
def f(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]
";

/// What a round took.
struct Round {
    per_second: f64,
    /// Wall times of the runs, in milliseconds, sorted.
    wall_ms: Vec<f64>,
    /// CPU time of a run's own process, in milliseconds, where it is known.
    cpu_ms: Option<f64>,
    /// Likewise, with its share of the zygotes and of the verifier.
    cpu_all_ms: Option<f64>,
}

impl Round {
    fn at(&self, share: f64) -> f64 {
        self.wall_ms[((self.wall_ms.len() - 1) as f64 * share) as usize]
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = VerifierConfig { slots: SLOTS, ..VerifierConfig::default() };
    let start = Instant::now();
    let verifier = Verifier::start(config)?;
    let facts = verifier.facts();
    let (version, tier) = (&facts.python.version, facts.tier);
    println!("Python {version}, tier {tier}, {SLOTS} slots, started in {:.0?}", start.elapsed());
    println!(
        "{:<16} {:<14} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "program", "way", "runs/s", "p50 ms", "p99 ms", "CPU ms", "all CPU"
    );
    for (name, program) in [("trivial", TRIVIAL), ("edit distance", EDIT_DISTANCE)] {
        let submission = submission(program);
        let (mut ours, mut spawned) = (Vec::new(), Vec::new());
        verify(&verifier, &submission)?;
        for _ in 0..ROUNDS {
            ours.push(verify(&verifier, &submission)?);
            spawned.push(spawn(&facts.python.path, program)?);
        }
        show(name, "verifier", ours);
        show(name, "python3 -I -S", spawned);
    }
    Ok(())
}

fn words(n: i64) -> (String, String) {
    let word =
        |k: i64| (0..12 + n % 5).map(|i| char::from(b'a' + ((i * k + n) % 7) as u8)).collect();
    (word(3), word(5))
}

fn submission(program: &str) -> Submission {
    let case = |n| {
        let (a, b) = words(n);
        let expected = match program {
            TRIVIAL => (a.len() + b.len()) as i64,
            _ => edit_distance(a.as_bytes(), b.as_bytes()),
        };
        TestCase { args: vec![Value::Str(a), Value::Str(b)], expected: Value::Int(expected) }
    };
    Submission {
        program: program.to_string(),
        entry_point: "f".to_string(),
        tests: (0..N_TESTS).map(case).collect(),
        comparator: Comparator::Exact,
        limits: Limits::default(),
        stop_at_first_failure: false,
    }
}

fn edit_distance(a: &[u8], b: &[u8]) -> i64 {
    let mut row: Vec<i64> = (0..=b.len() as i64).collect();
    for (i, x) in a.iter().enumerate() {
        let mut last = std::mem::replace(&mut row[0], i as i64 + 1);
        for (j, y) in b.iter().enumerate() {
            let best = (row[j + 1] + 1).min(row[j] + 1).min(last + i64::from(x != y));
            last = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}

fn verify(verifier: &Verifier, submission: &Submission) -> Result<Round, String> {
    let batch = vec![submission.clone(); RUNS_PER_ROUND];
    let start = Instant::now();
    let before = cpu_ms_beside(verifier);
    let found = verifier.judge(&batch).map_err(|e| e.to_string())?;
    let wall = start.elapsed().as_secs_f64();
    let beside_ms = (cpu_ms_beside(verifier) - before) / found.len() as f64;
    if let Some(wrong) = found.iter().find(|j| j.verdict != Verdict::Accepted) {
        return Err(format!("{wrong:?}"));
    }
    let mut wall_ms: Vec<f64> = found.iter().map(|j| j.wall_ms).collect();
    wall_ms.sort_by(f64::total_cmp);
    let cpu_ms = found.iter().map(|j| j.cpu_ms).sum::<f64>() / found.len() as f64;
    let per_second = found.len() as f64 / wall;
    let cpu_all_ms = Some(cpu_ms + beside_ms);
    Ok(Round { per_second, wall_ms, cpu_ms: Some(cpu_ms), cpu_all_ms })
}

/// CPU time so far of the zygotes and of this process.
fn cpu_ms_beside(verifier: &Verifier) -> f64 {
    const PROCESS_CLOCK: libc::clockid_t = 2;
    let clock_of = |pid: u32| (!pid.cast_signed() << 3) | PROCESS_CLOCK;
    let pids = verifier.zygotes().into_iter().chain([std::process::id()]);
    pids.map(|pid| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call writes one timespec.
        unsafe { libc::clock_gettime(clock_of(pid), &raw mut time) };
        time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
    })
    .sum()
}

/// Starts an interpreter for each run, as many at a time as there are slots.
fn spawn(python: &std::path::Path, program: &str) -> Result<Round, String> {
    let calls: String = (0..N_TESTS)
        .map(|n| {
            let (a, b) = words(n);
            format!("f('{a}', '{b}')\n")
        })
        .collect();
    let script = format!("{program}{calls}");
    let start = Instant::now();
    let one = || {
        let start = Instant::now();
        let status = Command::new(python)
            .args(["-I", "-S", "-c", &script])
            .stdin(Stdio::null())
            .status()
            .map_err(|e| e.to_string())?;
        let wall_ms = start.elapsed().as_secs_f64() * 1e3;
        if status.success() { Ok(wall_ms) } else { Err(status.to_string()) }
    };
    let mut wall_ms = Vec::new();
    std::thread::scope(|scope| {
        let worker =
            || (0..SPAWNS_PER_ROUND / SLOTS).map(|_| one()).collect::<Result<Vec<_>, String>>();
        let workers: Vec<_> = (0..SLOTS).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            wall_ms.extend(worker.join().map_err(|_| "a worker panicked".to_string())??);
        }
        Ok::<(), String>(())
    })?;
    let per_second = wall_ms.len() as f64 / start.elapsed().as_secs_f64();
    wall_ms.sort_by(f64::total_cmp);
    Ok(Round { per_second, wall_ms, cpu_ms: None, cpu_all_ms: None })
}

fn show(name: &str, way: &str, mut rounds: Vec<Round>) {
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    let Some(median) = rounds.get(rounds.len() / 2) else { return };
    println!(
        "{name:<16} {way:<14} {:>8.0} {:>8.2} {:>8.2} {:>8} {:>8}",
        median.per_second,
        median.at(0.5),
        median.at(0.99),
        shown(median.cpu_ms),
        shown(median.cpu_all_ms),
    );
}

fn shown(ms: Option<f64>) -> String {
    ms.map_or("-".to_string(), |ms| format!("{ms:.2}"))
}
