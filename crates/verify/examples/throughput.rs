//! Verifications per second, next to the designs of others rebuilt in `peers.py`.
//!
//! `cargo run --release -p verify --example throughput [-- FLAGS]`:
//! `--full` takes the peers through every program and number of tests, and not only through the
//! edit distance; `--no-loops` leaves out the programs that loop; `--only PROGRAM` takes one of the
//! programs; `--json FILE` writes the figures as lines of JSON too; `--seconds S` is the time for
//! each cell (1 by default); `--evalplus PYTHON` runs EvalPlus itself as well, in an interpreter
//! that has it (`pip install --no-deps evalplus` and `pip install numpy psutil`).
//!
//! What a cell is: a program, its number of tests, and the share of runs that loop without end,
//! judged for S seconds on as many slots as there are processors. Runs per second are of wall
//! time. CPU time is that of all processes together, from `/proc`, in ticks of 10 ms. Every way
//! has its usual time limit: the peers those that their authors chose, ours one that follows
//! from what the reference takes.

#![expect(clippy::print_stdout, reason = "an example prints")]

mod peers;
mod processes;
mod programs;

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use verify::{Limits, Submission, Verdict, Verifier, VerifierConfig};

use peers::{EVAL_PLUS, PEERS, Peer};
use processes::Processes;
use programs::{ENDLESS, PROGRAMS, Program};

const N_TESTS: [usize; 3] = [1, 10, 100];
const LOOP_PERCENTS: [usize; 3] = [0, 5, 20];
const COLD_STARTS: usize = 5;
/// Enough for shares of 5 and 20 in a hundred.
const BATCH: usize = 100;

struct Flags {
    full: bool,
    no_loops: bool,
    only: Option<String>,
    json: Option<std::fs::File>,
    time: Duration,
    /// An interpreter that has EvalPlus.
    eval_plus: Option<PathBuf>,
}

impl Flags {
    fn read() -> Result<Self, Box<dyn Error>> {
        let mut flags = Self {
            full: false,
            no_loops: false,
            only: None,
            json: None,
            time: Duration::from_secs(1),
            eval_plus: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(flag) = arguments.next() {
            match flag.as_str() {
                "--full" => flags.full = true,
                "--no-loops" => flags.no_loops = true,
                "--only" => flags.only = Some(arguments.next().ok_or("--only needs a program")?),
                "--json" => {
                    let path = arguments.next().ok_or("--json needs a file")?;
                    flags.json = Some(std::fs::File::create(path)?);
                }
                "--seconds" => {
                    let seconds = arguments.next().ok_or("--seconds needs a number")?;
                    flags.time = Duration::from_secs_f64(seconds.parse()?);
                }
                "--evalplus" => {
                    flags.eval_plus =
                        Some(arguments.next().ok_or("--evalplus needs a python")?.into());
                }
                other => return Err(format!("unknown flag `{other}`").into()),
            }
        }
        Ok(flags)
    }
}

/// One cell of the table.
#[derive(Debug, Clone, Copy)]
struct Cell {
    program: Program,
    n_tests: usize,
    loop_percent: usize,
}

/// What was measured in it.
#[derive(Debug)]
struct Figures {
    per_second: f64,
    cpu_ms: f64,
    /// Wall times of the runs, in milliseconds, sorted.
    wall_ms: Vec<f64>,
}

impl Figures {
    fn new(
        start: Instant,
        ticks_before: &Processes,
        mut wall_ms: Vec<f64>,
    ) -> std::io::Result<Self> {
        let seconds = start.elapsed().as_secs_f64();
        let spent = Processes::of_this_and_below()?.cpu_ms() - ticks_before.cpu_ms();
        wall_ms.sort_by(f64::total_cmp);
        let n = wall_ms.len().max(1) as f64;
        Ok(Self { per_second: n / seconds, cpu_ms: spent / n, wall_ms })
    }

    fn at(&self, share: f64) -> f64 {
        let last = self.wall_ms.len().saturating_sub(1);
        self.wall_ms.get((last as f64 * share) as usize).copied().unwrap_or(f64::NAN)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut flags = Flags::read()?;
    // While this process is small and has one thread.
    let fork_us = peers::bare_fork_us(2_000)?;
    let slots = std::thread::available_parallelism().map_or(2, usize::from);
    let cold_ms = (0..COLD_STARTS).map(|_| cold_ms(slots)).collect::<Result<Vec<_>, _>>()?;
    let verifier = Verifier::start(VerifierConfig { slots, ..VerifierConfig::default() })?;
    let facts = verifier.facts();
    println!("Python {}, tier {}, {slots} slots", facts.python.version, facts.tier);
    println!("from nothing to the first verdict: {} ms", listed(&cold_ms));
    println!("fork, exit and wait of a small process: {fork_us:.0} us");
    let mut warm = Peer::start(&facts.python.path, peers::WARM_FORK)?;
    let warm_ms = warm.median(&programs::order(PROGRAMS[0], 1, 1.0), 500)?;
    println!("the same of a warm interpreter: {:.0} us", warm_ms * 1e3);
    drop(warm);

    println!(
        "{:<14} {:>5} {:>6}  {:<16} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "program", "tests", "loops", "way", "runs/s", "CPU ms", "p50 ms", "p99 ms", "ours is"
    );
    let loops_max = if flags.no_loops { 0 } else { 100 };
    let only = flags.only.clone();
    let wanted = |cell: &Cell| {
        cell.loop_percent <= loops_max && only.as_ref().is_none_or(|name| name == cell.program.name)
    };
    for cell in cells().into_iter().filter(wanted) {
        let ours = verify(&verifier, cell, flags.time)?;
        show(&mut flags, cell, "axiom", &ours, &ours)?;
        let main_one = cell.program.name == "edit distance" && cell.n_tests == 10;
        let with_peers = main_one || (flags.full && cell.loop_percent == 0);
        if !with_peers {
            continue;
        }
        let installed = flags.eval_plus.clone().map(|python| (python, EVAL_PLUS));
        let rebuilt = PEERS.map(|way| (facts.python.path.clone(), way));
        for (python, way) in rebuilt.into_iter().chain(installed) {
            if !way.has_time_limit() && cell.loop_percent != 0 {
                continue;
            }
            let theirs = peers::measure(&python, way, cell, (slots, flags.time))?;
            show(&mut flags, cell, way.name, &theirs, &ours)?;
        }
    }
    Ok(())
}

/// Starts a verifier, and judges a first program.
fn cold_ms(slots: usize) -> Result<f64, Box<dyn Error>> {
    let submission = programs::submission(PROGRAMS[0], 1, Limits::default());
    let start = Instant::now();
    let verifier = Verifier::start(VerifierConfig { slots, ..VerifierConfig::default() })?;
    verifier.judge(&[submission])?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn listed(all: &[f64]) -> String {
    all.iter().map(|ms| format!("{ms:.0}")).collect::<Vec<_>>().join(", ")
}

/// All programs and numbers of tests without loops; loops with ten tests.
fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for program in PROGRAMS {
        for loop_percent in LOOP_PERCENTS {
            let tests = N_TESTS.iter().filter(|n| loop_percent == 0 || **n == 10);
            cells.extend(tests.map(|n_tests| Cell { program, n_tests: *n_tests, loop_percent }));
        }
    }
    cells
}

/// The loops of a batch come first: what takes longest should not begin last.
fn batch(right: &Submission, cell: Cell) -> Vec<Submission> {
    let endless = Submission { program: ENDLESS.to_string(), ..right.clone() };
    let looping = |i: usize| i < BATCH * cell.loop_percent / 100;
    (0..BATCH).map(|i| if looping(i) { endless.clone() } else { right.clone() }).collect()
}

fn verify(verifier: &Verifier, cell: Cell, time: Duration) -> Result<Figures, Box<dyn Error>> {
    let reference = programs::submission(cell.program, cell.n_tests, Limits::default());
    let limits = verifier.limits_for(&reference)?;
    let right = Submission { limits, ..reference };
    let batch = batch(&right, cell);
    verifier.judge(&batch[BATCH / 2..])?;
    let before = Processes::of_this_and_below()?;
    let (start, mut wall_ms) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        let found = verifier.judge(&batch)?;
        for (judgement, submission) in found.iter().zip(&batch) {
            let expected = match submission.program.as_str() {
                ENDLESS => Verdict::TimeLimit,
                _ => Verdict::Accepted,
            };
            if judgement.verdict != expected {
                return Err(format!("{}: {judgement:?}", cell.program.name).into());
            }
        }
        wall_ms.extend(found.iter().map(|judgement| judgement.wall_ms));
    }
    Ok(Figures::new(start, &before, wall_ms)?)
}

fn show(
    flags: &mut Flags,
    cell: Cell,
    way: &str,
    figures: &Figures,
    ours: &Figures,
) -> std::io::Result<()> {
    let Cell { program, n_tests, loop_percent } = cell;
    let ratio = ours.per_second / figures.per_second;
    println!(
        "{:<14} {n_tests:>5} {loop_percent:>4} %  {way:<16} {:>8.1} {:>8.2} {:>8.2} {:>8.2} {ratio:>7.1}x",
        program.name,
        figures.per_second,
        figures.cpu_ms,
        figures.at(0.5),
        figures.at(0.99)
    );
    if let Some(file) = &mut flags.json {
        let line = json!({
            "program": program.name,
            "tests": n_tests,
            "loop_percent": loop_percent,
            "way": way,
            "runs": figures.wall_ms.len(),
            "per_second": figures.per_second,
            "cpu_ms": figures.cpu_ms,
            "p50_ms": figures.at(0.5),
            "p99_ms": figures.at(0.99),
            "ratio": ratio,
        });
        writeln!(file, "{line}")?;
    }
    Ok(())
}
