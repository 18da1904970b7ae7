//! The designs of others: workers of `peers.py`, one for each slot, as their trainers run them.
//! All are rebuilt but one, which runs if its package is at hand.

#![expect(clippy::disallowed_methods, reason = "the interpreters to compare with")]

use std::error::Error;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::processes::Processes;
use super::programs::{self, ENDLESS};
use super::{Cell, Figures};

/// A style, and the time limit that its authors give a program by default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    style: &'static str,
    seconds: f64,
}

impl Way {
    /// Without one, it cannot be asked about loops.
    pub(crate) fn has_time_limit(self) -> bool {
        self.seconds.is_finite()
    }
}

/// From the slowest to the ceiling.
pub(crate) const PEERS: [Way; 5] = [
    Way { name: "file and spawn", style: "temporary_file", seconds: 10.0 },
    Way { name: "spawn -I -S", style: "spawn", seconds: 10.0 },
    Way { name: "HumanEval style", style: "human_eval", seconds: 3.0 },
    Way { name: "EvalPlus style", style: "eval_plus", seconds: 1.0 },
    Way { name: "in process", style: "in_process", seconds: f64::INFINITY },
];

/// Not rebuilt: the package as it is published, in a Python that has it.
pub(crate) const EVAL_PLUS: Way =
    Way { name: "EvalPlus itself", style: "installed_eval_plus", seconds: 1.0 };

/// Not a peer: the fork alone.
pub(crate) const WARM_FORK: &str = "bare_fork";

const SCRIPT: &str = include_str!("peers.py");

/// A worker in some style.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    pub(crate) fn start(python: &Path, style: &str) -> io::Result<Self> {
        let mut child = Command::new(python)
            .args(["-c", SCRIPT, style])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (orders, answers) = pipes.ok_or_else(|| io::Error::other("no pipes"))?;
        Ok(Self { child, orders, answers: BufReader::new(answers) })
    }

    /// Whether every test passed, and the wall time in milliseconds.
    fn ask(&mut self, order: &Json) -> Result<(bool, f64), String> {
        writeln!(self.orders, "{order}").map_err(|e| e.to_string())?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|e| e.to_string())?;
        let (passed, ms) = line.trim().split_once(' ').ok_or("a peer has died")?;
        Ok((passed == "1", ms.parse().map_err(|_| format!("a peer said {line}"))?))
    }

    /// The median wall time of `n` runs, in milliseconds.
    pub(crate) fn median(&mut self, order: &Json, n: usize) -> Result<f64, String> {
        let mut all =
            (0..n).map(|_| Ok(self.ask(order)?.1)).collect::<Result<Vec<f64>, String>>()?;
        all.sort_by(f64::total_cmp);
        Ok(all[n / 2])
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a peer, in as many workers as there are slots, for the time of a cell; with loops, for
/// as many runs as it takes to have the right share of them.
pub(crate) fn measure(
    python: &Path,
    way: Way,
    cell: Cell,
    (slots, time): (usize, Duration),
) -> Result<Figures, Box<dyn Error>> {
    let seconds = if way.has_time_limit() { way.seconds } else { 10.0 };
    let right = programs::order(cell.program, cell.n_tests, seconds);
    let mut endless = right.clone();
    endless["program"] = json!(ENDLESS);
    let period = 100usize.checked_div(cell.loop_percent);
    let mut peers =
        (0..slots).map(|_| Peer::start(python, way.style)).collect::<io::Result<Vec<_>>>()?;
    for peer in &mut peers {
        peer.ask(&right)?;
    }
    let before = Processes::of_this_and_below()?;
    let start = Instant::now();
    let work = |mut peer: Peer| -> Result<(Peer, Vec<f64>), String> {
        let mut all = Vec::new();
        while start.elapsed() < time || period.is_some_and(|period| all.len() % period != 0) {
            let is_loop = period.is_some_and(|period| all.len() % period == 0);
            let (passed, ms) = peer.ask(if is_loop { &endless } else { &right })?;
            if passed == is_loop {
                return Err(format!("{} judged wrongly", way.name));
            }
            all.push(ms);
        }
        Ok((peer, all))
    };
    let done: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = peers.drain(..).map(|peer| scope.spawn(move || work(peer))).collect();
        workers.into_iter().map(|worker| worker.join()).collect()
    });
    // The workers are kept until their time has been read.
    let (mut kept, mut wall_ms) = (Vec::new(), Vec::new());
    for worker in done {
        let (peer, all) = worker.map_err(|_| "a worker panicked")??;
        kept.push(peer);
        wall_ms.extend(all);
    }
    Ok(Figures::new(start, &before, wall_ms)?)
}

/// What a fork, an exit and a wait cost this process, in microseconds: the mean of `n`.
pub(crate) fn bare_fork_us(n: u32) -> io::Result<f64> {
    let start = Instant::now();
    for _ in 0..n {
        // SAFETY: this process has one thread, and the child only exits.
        let pid = unsafe { libc::fork() };
        match pid {
            0 => {
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(0) }
            }
            ..0 => return Err(io::Error::last_os_error()),
            // SAFETY: waits for the child that was just made; its status is not wanted.
            _ => drop(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) }),
        }
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(n))
}
