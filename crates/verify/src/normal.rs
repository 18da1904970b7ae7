//! Normal forms of programs: when two texts are the same program.
//!
//! A normal form is the syntax tree as text (`normal.py`): comments, layout and docstrings are
//! gone, and the program's own names are numbers. Equal forms do the same when they are called
//! by position; programs that do the same may well have different forms. Two versions of Python
//! may write the same tree differently.

use crate::zygote::Flavour;
use crate::{Execution, Failure, Job, Limits, Value, Verdict, Verifier, VerifyError};

/// What parses programs, in the sandbox: a parser is not safe from what it reads.
const PARSER: &str = include_str!("normal.py");
/// Programs of one process.
const PROGRAMS_PER_JOB: usize = 256;
/// A longer program has no normal form.
const PROGRAM_BYTES_MAX: usize = 64 << 10;

impl Verifier {
    /// The normal form of each program; none where it does not parse, or not within limits
    /// that are far from those of any honest program.
    ///
    /// # Errors
    /// If the sandbox failed.
    pub fn normal_forms(&self, programs: &[String]) -> Result<Vec<Option<String>>, VerifyError> {
        let jobs: Vec<&[String]> = programs.chunks(PROGRAMS_PER_JOB).collect();
        let found = self.each(jobs.len(), |slot, i| self.forms(slot, jobs[i]));
        let mut forms = Vec::with_capacity(programs.len());
        for part in found {
            forms.extend(part.map_err(|cause| {
                let total = programs.len();
                VerifyError::TooManyJudgeErrors { failed: total - forms.len(), total, cause }
            })?);
        }
        Ok(forms)
    }

    /// The normal forms of a job's programs. Where one ends the run, those behind it get
    /// another; an error is how the sandbox failed.
    fn forms(&self, slot: usize, programs: &[String]) -> Result<Vec<Option<String>>, String> {
        let mut forms = Vec::with_capacity(programs.len());
        while forms.len() < programs.len() {
            let Execution { answers, failure, .. } =
                self.execute_one(slot, Flavour::Fixed, &job(&programs[forms.len()..]));
            let is_fault = |f: &Failure| f.verdict == Verdict::JudgeError;
            forms.extend(answers.into_iter().map(|answer| match answer {
                Ok(Value::Str(form)) => Some(form),
                Ok(_) | Err(_) => None,
            }));
            match failure {
                Some(fault) if is_fault(&fault) => return Err(fault.detail),
                Some(_) => forms.push(None),
                None => {}
            }
        }
        Ok(forms)
    }
}

/// A call of the parser for each program.
fn job(programs: &[String]) -> Job {
    let short = |program: &&String| program.len() <= PROGRAM_BYTES_MAX;
    let input = |program: &String| {
        let program = Some(program).filter(short);
        vec![Value::Str(program.cloned().unwrap_or_else(|| "(".to_string()))]
    };
    Job {
        program: PARSER.to_string(),
        entry_point: "normal_form_or_none".to_string(),
        inputs: programs.iter().map(input).collect(),
        limits: Limits {
            cpu_ms: 120_000,
            test_cpu_ms: 4_000,
            wall_ms: 480_000,
            output_bytes: Limits::CAPS.output_bytes,
            ..Limits::default()
        },
        ..Job::default()
    }
}
