//! The solver: attempts at puzzles, and whether they are right.

use anyhow::Result;
use generate::{Completion, Request, Sampling};
use tasks::selfplay::{Format, Puzzle, Solved, Style, TaskKind, ask_puzzle, program, value};
use verify::{Limits, Submission, Verdict, Verifier};

use super::{Proposal, SolverBatch};
use crate::{clock::Clock, policy::Policy, rig::Rig, seed::Seed};

/// A completion of the solver.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) completion: Completion,
    pub(crate) text: String,
    /// None where the sandbox failed.
    pub(crate) solved: Option<Solved>,
}

/// A puzzle and the attempts at it.
#[derive(Debug, Clone)]
pub(crate) struct Solving {
    pub(crate) puzzle: Puzzle,
    pub(crate) prompt: Vec<u32>,
    pub(crate) attempts: Vec<Attempt>,
}

/// The attempts of a step.
#[derive(Debug, Default)]
pub(crate) struct Solvings {
    /// At the valid proposals, in their order: how learnable they are.
    pub(crate) estimates: Vec<Solving>,
    /// At what else the solver learns from.
    pub(crate) practice: Vec<Solving>,
}

impl Solving {
    /// Whether all its attempts, or none, are right.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.rate(), None | Some(0.0 | 1.0))
    }

    /// The share of its attempts that are right; none where none could be judged.
    pub(crate) fn rate(&self) -> Option<f64> {
        let judged = self.attempts.iter().filter(|a| a.solved.is_some()).count();
        let right = self.attempts.iter().filter(|a| a.solved == Some(Solved::Right)).count();
        (judged > 0).then(|| right as f64 / judged as f64)
    }
}

impl Solvings {
    /// What the solver learns from.
    pub(crate) fn learnt(&self, batch: SolverBatch) -> impl Iterator<Item = &Solving> {
        let estimates = match batch {
            SolverBatch::Fresh => &[][..],
            SolverBatch::Estimates => &self.estimates,
        };
        estimates.iter().chain(&self.practice)
    }

    /// All.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Solving> {
        self.estimates.iter().chain(&self.practice)
    }
}

/// Attempts at the valid proposals, several at each, and at the rest of the solver's batch.
pub(crate) fn solve(
    rig: &Rig,
    proposals: &[Proposal],
    seed: Seed,
    clock: &mut Clock,
) -> Result<Solvings> {
    let s = &rig.recipe.selfplay;
    let new: Vec<Puzzle> = proposals.iter().filter_map(|p| p.puzzle().cloned()).collect();
    let (first, n) = match s.solver_batch {
        SolverBatch::Fresh => (new.clone(), 1),
        SolverBatch::Estimates => (Vec::new(), s.rollouts),
    };
    let mut practice = Vec::new();
    for kind in TaskKind::ALL.into_iter().filter(|kind| s.has(*kind)) {
        let of_kind = |p: &&Puzzle| p.kind == kind;
        let missing = s.proposals.saturating_sub(new.iter().filter(of_kind).count());
        practice.extend(first.iter().filter(of_kind).cloned());
        let old = rig.buffers.draw(kind, missing, seed.child("practice", kind as u64));
        practice.extend(old.into_iter().cloned());
    }
    let (n_new, rollouts) = (new.len(), s.rollouts);
    let each = |i: usize| if i < n_new { rollouts } else { n };
    let puzzles = new.into_iter().chain(practice).collect();
    let mut all = Solver::of(rig).attempt(puzzles, each, seed, clock)?;
    let practice = all.split_off(n_new);
    Ok(Solvings { estimates: all, practice })
}

/// Who solves, and by which rules.
#[derive(Debug)]
pub(crate) struct Solver<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) verifier: &'a Verifier,
    pub(crate) sampling: Sampling,
    pub(crate) style: Style,
    pub(crate) format: Format,
    pub(crate) limits: Limits,
    pub(crate) threads: usize,
}

impl<'a> Solver<'a> {
    /// The run's policy by the run's rules.
    pub(crate) fn of(rig: &'a Rig) -> Self {
        let s = &rig.recipe.selfplay;
        Self {
            policy: &rig.policy,
            verifier: &rig.verifier,
            sampling: rig.sampling(),
            style: s.style,
            format: s.format,
            limits: s.limits(),
            threads: rig.machine.threads,
        }
    }

    /// `n(i)` attempts at the i-th puzzle, judged.
    pub(crate) fn attempt(
        &self,
        puzzles: Vec<Puzzle>,
        n: impl Fn(usize) -> usize,
        seed: Seed,
        clock: &mut Clock,
    ) -> Result<Vec<Solving>> {
        let mut requests = Vec::with_capacity(puzzles.len());
        for (i, puzzle) in puzzles.iter().enumerate() {
            let seed = seed.child("solve", i as u64);
            let seeds = (0..n(i) as u64).map(|k| seed.child("sample", k).0).collect();
            let prompt = self.policy.ask(&ask_puzzle(puzzle, self.style))?;
            requests.push(Request { prompt, seeds });
        }
        let (model, threads) = (&self.policy.model, self.threads);
        let completions = generate::generate(model, &requests, &self.sampling, threads)?;
        clock.generated();
        let mut solvings = Vec::with_capacity(puzzles.len());
        for ((puzzle, request), completions) in puzzles.into_iter().zip(requests).zip(completions) {
            let mut attempts = Vec::with_capacity(completions.len());
            for completion in completions {
                let text = self.policy.text(&completion.tokens)?;
                attempts.push(Attempt { completion, text, solved: None });
            }
            solvings.push(Solving { puzzle, prompt: request.prompt, attempts });
        }
        self.judge(&mut solvings)?;
        clock.verified();
        Ok(solvings)
    }

    fn judge(&self, solvings: &mut [Solving]) -> Result<()> {
        let rules = (self.format, self.limits);
        let pending: Vec<Pending> = solvings
            .iter()
            .flat_map(|s| s.attempts.iter().map(|a| Pending::of(&s.puzzle, &a.text, rules)))
            .collect();
        let submissions: Vec<Submission> = pending
            .iter()
            .filter_map(|p| match p {
                Pending::Run(submission) => Some((**submission).clone()),
                Pending::Done(_) => None,
            })
            .collect();
        let mut judgements = self.verifier.judge(&submissions)?.into_iter();
        let attempts = solvings.iter_mut().flat_map(|s| &mut s.attempts);
        for (attempt, pending) in attempts.zip(pending) {
            attempt.solved = match pending {
                Pending::Done(solved) => Some(solved),
                Pending::Run(_) => judgements.next().and_then(|found| solved(found.verdict)),
            };
        }
        Ok(())
    }
}

/// None where the sandbox failed.
fn solved(verdict: Verdict) -> Option<Solved> {
    match verdict {
        Verdict::Accepted => Some(Solved::Right),
        Verdict::JudgeError => None,
        Verdict::WrongAnswer
        | Verdict::RuntimeError
        | Verdict::TimeLimit
        | Verdict::MemoryLimit
        | Verdict::OutputLimit
        | Verdict::Violation
        | Verdict::CompileError
        | Verdict::NoProgram => Some(Solved::Wrong),
    }
}

/// What an attempt needs to be judged.
enum Pending {
    /// Nothing more.
    Done(Solved),
    /// The verdict on this.
    Run(Box<Submission>),
}

impl Pending {
    fn of(puzzle: &Puzzle, text: &str, (format, limits): (Format, Limits)) -> Self {
        let run = |submission| Self::Run(Box::new(Submission { limits, ..submission }));
        let read = match puzzle.kind {
            TaskKind::Deduction => value(text, "output", format).map(|output| {
                let right = output.first().is_some_and(|output| puzzle.deduced(output));
                Self::Done(if right { Solved::Right } else { Solved::Wrong })
            }),
            TaskKind::Abduction => {
                value(text, "input", format).map(|args| run(puzzle.abduced(args)))
            }
            TaskKind::Induction => program(text, format).map(|text| run(puzzle.induced(text))),
        };
        read.unwrap_or(Self::Done(Solved::Unreadable))
    }
}
