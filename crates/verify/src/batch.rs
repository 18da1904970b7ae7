//! Batches: what is judged, what is answered from memory, and what is run without a judge.

use std::collections::HashSet;
use std::time::Duration;

use crate::cache::{self, Key};
use crate::compare::equal;
use crate::judge::Trial;
use crate::pool::lock;
use crate::run::{Answered, Next};
use crate::zygote::Flavour;
use crate::{
    Comparator, Execution, Failure, Job, Judgement, Limits, Submission, Value, Verdict, Verifier,
    VerifyError,
};

/// How often a reference is run to be measured; the slowest run counts.
const REFERENCE_RUNS: usize = 3;
/// What a checker defines.
const CHECKER_ENTRY: &str = "check";

/// A program that was run twice, with other hashes, other random numbers and other addresses.
#[derive(Debug, Clone, PartialEq)]
pub struct Twice {
    /// The first run, on which programs are judged.
    pub first: Execution,
    /// The second.
    pub second: Execution,
}

impl Twice {
    /// Whether both runs gave the same answers and ended alike. Where a limit of wall time was
    /// reached, that says little of the program.
    pub fn is_deterministic(&self) -> bool {
        let kind = |failure: &Failure| failure.verdict;
        let (a, b) = (&self.first, &self.second);
        let alike = |(a, b): (&Answered, &Answered)| match (a, b) {
            (Ok(a), Ok(b)) => equal(a, b, &Comparator::Strict),
            (Err(a), Err(b)) => kind(a) == kind(b),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        a.failure.as_ref().map(kind) == b.failure.as_ref().map(kind)
            && a.answers.len() == b.answers.len()
            && a.answers.iter().zip(&b.answers).all(alike)
    }
}

/// A judgement, and whether judging again would give the same.
#[derive(Debug)]
struct Found {
    judgement: Judgement,
    lasts: bool,
}

impl Verifier {
    /// Judges submissions; the judgements come in their order. Identical ones are judged once,
    /// and answered from memory later, where the verdict cannot depend on a clock.
    ///
    /// # Errors
    /// If no program could pass or fail a submission, or the sandbox failed on more than one in
    /// a hundred of them (and on more than one).
    pub fn judge(&self, submissions: &[Submission]) -> Result<Vec<Judgement>, VerifyError> {
        for (index, submission) in submissions.iter().enumerate() {
            let refused = |reason| VerifyError::Submission { index, reason };
            submission.check().map_err(refused)?;
        }
        let keys = cache::keys(submissions);
        let mut found = self.remembered(&keys);
        // Identical ones wait for the first of them. If its judgement does not last, they are
        // judged for themselves.
        let mut asked = HashSet::new();
        let open = |found: &[Option<Judgement>]| -> Vec<usize> {
            (0..keys.len()).filter(|i| found[*i].is_none()).collect()
        };
        let mut first = |i: &usize| !lock(&self.cache).is_on() || asked.insert(keys[*i]);
        let firsts: Vec<usize> = open(&found).into_iter().filter(&mut first).collect();
        self.judge_all(submissions, &keys, &firsts, &mut found);
        for i in open(&found) {
            found[i] = lock(&self.cache).get(&keys[i]).cloned();
            lock(&self.stats).cache_hits += u64::from(found[i].is_some());
        }
        let rest = open(&found);
        self.judge_all(submissions, &keys, &rest, &mut found);
        refuse_many_faults(found.into_iter().flatten().collect())
    }

    /// Judges one submission in a slot, or answers it from memory. For callers that keep a queue
    /// of their own, with a thread for each of [`SandboxFacts::slots`](crate::SandboxFacts).
    ///
    /// # Errors
    /// If no program could pass or fail it.
    pub fn judge_in(&self, slot: usize, submission: &Submission) -> Result<Judgement, VerifyError> {
        submission.check().map_err(|reason| VerifyError::Submission { index: 0, reason })?;
        let keys = cache::keys(std::slice::from_ref(submission));
        let mut found = self.remembered(&keys);
        let new = || {
            let new = self.judge_one(slot, Flavour::Fixed, submission);
            self.recheck(slot, submission, &keys[0], &new.judgement);
            if new.lasts {
                lock(&self.cache).insert(keys[0], new.judgement.clone());
            }
            new.judgement
        };
        Ok(found.pop().flatten().unwrap_or_else(new))
    }

    fn remembered(&self, keys: &[Key]) -> Vec<Option<Judgement>> {
        let cache = lock(&self.cache);
        let found: Vec<_> = keys.iter().map(|key| cache.get(key).cloned()).collect();
        lock(&self.stats).cache_hits += found.iter().flatten().count() as u64;
        found
    }

    /// Judges the submissions at `which`, and remembers what lasts.
    fn judge_all(
        &self,
        submissions: &[Submission],
        keys: &[Key],
        which: &[usize],
        found: &mut [Option<Judgement>],
    ) {
        let new = self.each(which.len(), |slot, i| {
            let at = which[i];
            let new = self.judge_one(slot, Flavour::Fixed, &submissions[at]);
            self.recheck(slot, &submissions[at], &keys[at], &new.judgement);
            new
        });
        for (at, Found { judgement, lasts }) in which.iter().copied().zip(new) {
            if lasts {
                lock(&self.cache).insert(keys[at], judgement.clone());
            }
            found[at] = Some(judgement);
        }
    }

    fn judge_one(&self, slot: usize, flavour: Flavour, submission: &Submission) -> Found {
        lock(&self.stats).judged += u64::from(flavour == Flavour::Fixed);
        if submission.program.trim().is_empty() {
            let failure = Failure::new(Verdict::NoProgram, "there is no program");
            return Found { judgement: self.unjudged(submission, failure), lasts: true };
        }
        let order = submission.into();
        let run = self.on(slot, flavour, |runner| {
            let mut trial = Trial::new(submission);
            let outcome = runner.run(&order, &mut |answer| trial.take(answer))?;
            Ok((trial, outcome))
        });
        let (mut trial, outcome) = match run {
            Ok(run) => run,
            Err(cause) => {
                let failure = Failure::new(Verdict::JudgeError, cause);
                lock(&self.stats).judge_errors += 1;
                return Found { judgement: self.unjudged(submission, failure), lasts: false };
            }
        };
        if let Comparator::Checker(program) = &submission.comparator {
            let findings = self.check(slot, program, submission, trial.pending());
            trial.checked(findings);
        }
        let by_wall_clock = outcome.by_wall_clock;
        let judgement = trial.verdict(outcome, self.facts().tier);
        let faulty = judgement.verdict == Verdict::JudgeError;
        lock(&self.stats).judge_errors += u64::from(faulty);
        Found { judgement, lasts: !by_wall_clock && !faulty }
    }

    fn unjudged(&self, submission: &Submission, failure: Failure) -> Judgement {
        let (tier, total) = (self.facts().tier, submission.tests.len());
        let Failure { verdict, detail } = failure;
        Judgement { verdict, passed: 0, total, detail, cpu_ms: 0.0, wall_ms: 0.0, tier }
    }

    /// What the checker says of each answer.
    fn check(
        &self,
        slot: usize,
        program: &str,
        submission: &Submission,
        answers: &[(usize, Value)],
    ) -> Vec<Answered> {
        let ask = |(at, output): &(usize, Value)| {
            let test = &submission.tests[*at];
            let input = match (submission.call.mode, test.args.as_slice()) {
                (crate::Mode::Stdio, [text]) => text.clone(),
                (_, args) => Value::Tuple(args.to_vec()),
            };
            vec![input, test.expected.clone(), output.clone()]
        };
        let job = Job {
            program: program.to_string(),
            entry_point: CHECKER_ENTRY.to_string(),
            inputs: answers.iter().map(ask).collect(),
            limits: Limits { cpu_ms: 10_000, wall_ms: 40_000, ..Limits::default() },
            ..Job::default()
        };
        let execution = self.execute_one(slot, Flavour::Trusted, &job);
        let mut findings = execution.answers;
        findings.extend(execution.failure.map(Err));
        findings
    }

    /// Runs a share of the accepted submissions again. Which ones is decided by what they are.
    fn recheck(&self, slot: usize, submission: &Submission, key: &Key, found: &Judgement) {
        let [a, b, c, d, ..] = *key;
        let place = f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX);
        if found.verdict != Verdict::Accepted || place >= self.recheck_share {
            return;
        }
        let again = self.judge_one(slot, Flavour::Varied, submission);
        if !again.lasts {
            return;
        }
        let mut stats = lock(&self.stats);
        stats.rechecked += 1;
        stats.flaky += u64::from(again.judgement.verdict != Verdict::Accepted);
    }

    /// Runs programs without judging them; what they do comes in the order of the jobs.
    ///
    /// # Errors
    /// If the inputs of a job do not fit how it is called.
    pub fn execute(&self, jobs: &[Job]) -> Result<Vec<Execution>, VerifyError> {
        check_jobs(jobs)?;
        Ok(self.each(jobs.len(), |slot, i| self.execute_one(slot, Flavour::Fixed, &jobs[i])))
    }

    /// Runs one program in a slot without judging it, as [`Verifier::judge_in`] judges one.
    ///
    /// # Errors
    /// As [`Verifier::execute`].
    pub fn execute_in(&self, slot: usize, job: &Job) -> Result<Execution, VerifyError> {
        check_jobs(std::slice::from_ref(job))?;
        Ok(self.execute_one(slot, Flavour::Fixed, job))
    }

    /// Runs programs twice, the second time with other seeds of hashes and of `random`, and
    /// with addresses as they come.
    ///
    /// # Errors
    /// As [`Verifier::execute`].
    pub fn execute_twice(&self, jobs: &[Job]) -> Result<Vec<Twice>, VerifyError> {
        check_jobs(jobs)?;
        Ok(self.each(jobs.len(), |slot, i| Twice {
            first: self.execute_one(slot, Flavour::Fixed, &jobs[i]),
            second: self.execute_one(slot, Flavour::Varied, &jobs[i]),
        }))
    }

    /// Runs a job. A sandbox that fails is a failure with [`Verdict::JudgeError`].
    pub(crate) fn execute_one(&self, slot: usize, flavour: Flavour, job: &Job) -> Execution {
        let order = job.into();
        let run = self.on(slot, flavour, |runner| {
            let mut answers = Vec::new();
            let outcome = runner.run(&order, &mut |answer| {
                answers.push(answer);
                Next::More
            })?;
            Ok((answers, outcome))
        });
        match run {
            Ok((answers, outcome)) => Execution {
                answers,
                failure: outcome.failure,
                cpu_ms: outcome.cpu.as_secs_f64() * 1e3,
                wall_ms: outcome.wall.as_secs_f64() * 1e3,
            },
            Err(cause) => {
                let failure = Some(Failure::new(Verdict::JudgeError, cause));
                Execution { answers: Vec::new(), failure, cpu_ms: 0.0, wall_ms: 0.0 }
            }
        }
    }

    /// Limits for a task, from what its reference solution costs here: those of `reference`,
    /// with times as [`Limits::for_reference`] has them, from the slowest of three runs.
    ///
    /// A limit that is measured differs between machines and, at its edges, between
    /// measurements. Measure a task once and keep the limits with it.
    ///
    /// # Errors
    /// If the reference is not accepted.
    pub fn limits_for(&self, reference: &Submission) -> Result<Limits, VerifyError> {
        let index = 0;
        reference.check().map_err(|reason| VerifyError::Submission { index, reason })?;
        let mut slowest_ms: f64 = 0.0;
        for run in
            self.each(REFERENCE_RUNS, |slot, _| self.judge_one(slot, Flavour::Fixed, reference))
        {
            let found = run.judgement;
            if found.verdict != Verdict::Accepted {
                let Judgement { verdict, detail, .. } = found;
                return Err(VerifyError::Reference { verdict, detail });
            }
            slowest_ms = slowest_ms.max(found.cpu_ms);
        }
        Ok(reference.limits.for_reference(Duration::from_secs_f64(slowest_ms / 1e3)))
    }

    /// What has been done since the start.
    pub fn stats(&self) -> crate::Stats {
        *lock(&self.stats)
    }
}

fn check_jobs(jobs: &[Job]) -> Result<(), VerifyError> {
    for (index, job) in jobs.iter().enumerate() {
        job.check().map_err(|reason| VerifyError::Submission { index, reason })?;
    }
    Ok(())
}

fn refuse_many_faults(found: Vec<Judgement>) -> Result<Vec<Judgement>, VerifyError> {
    let faults = || found.iter().filter(|j| j.verdict == Verdict::JudgeError);
    let (failed, total) = (faults().count(), found.len());
    if failed <= (total / 100).max(1) {
        return Ok(found);
    }
    let cause = faults().next().map(|j| j.detail.clone()).unwrap_or_default();
    Err(VerifyError::TooManyJudgeErrors { failed, total, cause })
}
