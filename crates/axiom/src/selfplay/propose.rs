//! The proposer: prompts from the buffers, completions, and what is wrong with them.
//!
//! A proposal is valid if its program, called with its inputs behind the sandbox's walls,
//! returns literals, the same in two processes with other hash seeds, and if no puzzle of the
//! buffers is the same up to names and layout. The list of modules is advice to the policy; it
//! protects nothing.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Result, ensure};
use generate::{Completion, Request};
use tasks::selfplay::{
    ENTRY_POINT, Puzzle, TaskKind, Unreadable, VALUE_BYTES_MAX, ask_proposal, ask_questions,
    held_out, induction_proposal, proposal,
};
use verify::{Answer, Call, Containers, Job, Mode, TestCase, Twice, Value, Verdict};

use super::{buffer::Kept, recipe::SelfplayRecipe};
use crate::{clock::Clock, loops::Ending, rig::Rig, seed::Seed};

/// A completion of the proposer, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Proposal {
    pub(crate) kind: TaskKind,
    pub(crate) prompt: Vec<u32>,
    pub(crate) completion: Completion,
    pub(crate) text: String,
    /// The programs that the prompt shows.
    pub(crate) references: Vec<String>,
    pub(crate) found: Found,
}

/// What a proposal turned out to be.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// A new puzzle.
    Valid(Kept),
    /// It can be read, and is no valid puzzle.
    Invalid(Flaw, String),
    /// It cannot be read.
    Unreadable(Unreadable),
    /// It is of the kind that the solver is measured on: not practised, and no fault of the
    /// proposer's.
    HeldOut,
    /// The sandbox failed; it says nothing of the proposal.
    JudgeError(String),
}

/// Why a proposal is no valid puzzle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The program did not return a literal; the verdict says how.
    Failed(Verdict),
    /// It does not do the same twice.
    NotDeterministic,
    /// What it returns is larger than a puzzle may hold.
    TooLarge,
    /// It imports what it should not.
    ForbiddenModule,
    /// It is in the buffer already, or twice in this step.
    Duplicate,
    /// Its program has as many puzzles as it may.
    CommonProgram,
    /// Induction: two inputs are equal, so that a table of the shown ones would do.
    RepeatedInput,
    /// Induction: the message holds code, or nothing.
    Message,
}

impl Found {
    /// Its name in logs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Valid(_) => "valid",
            Self::Unreadable(_) => "unreadable",
            Self::HeldOut => "held_out",
            Self::JudgeError(_) => "judge_error",
            Self::Invalid(flaw, _) => match flaw {
                Flaw::Failed(verdict) => verdict.name(),
                Flaw::NotDeterministic => "not_deterministic",
                Flaw::TooLarge => "too_large",
                Flaw::ForbiddenModule => "forbidden_module",
                Flaw::Duplicate => "duplicate",
                Flaw::CommonProgram => "common_program",
                Flaw::RepeatedInput => "repeated_input",
                Flaw::Message => "message",
            },
        }
    }

    /// More about it, for people.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Valid(_) | Self::HeldOut => String::new(),
            Self::Invalid(_, detail) | Self::JudgeError(detail) => detail.clone(),
            Self::Unreadable(why) => why.to_string(),
        }
    }
}

impl Proposal {
    /// The puzzle, if it is one.
    pub(crate) fn puzzle(&self) -> Option<&Puzzle> {
        match &self.found {
            Found::Valid(kept) => Some(&kept.puzzle),
            Found::Invalid(..) | Found::Unreadable(_) | Found::HeldOut | Found::JudgeError(_) => {
                None
            }
        }
    }
}

/// A prompt of the proposer: what is asked, and the programs that it shows.
struct Asked {
    kind: TaskKind,
    prompt: Vec<u32>,
    references: Vec<String>,
    /// Induction: inputs of other puzzles, of which some are hidden in the place of its own.
    borrowed: Vec<Vec<Value>>,
}

/// What a completion asks the verifier to run: its program with its inputs.
struct Draft {
    kind: TaskKind,
    program: String,
    message: String,
    /// Its own inputs, then those it borrows.
    inputs: Vec<Vec<Value>>,
    own: usize,
}

/// Proposals of every kind, validated.
pub(crate) fn propose(rig: &Rig, seed: Seed, clock: &mut Clock) -> Result<Vec<Proposal>> {
    let s = &rig.recipe.selfplay;
    let mut asked = Vec::new();
    for kind in TaskKind::ALL.into_iter().filter(|kind| s.has(*kind)) {
        let seed = seed.child(kind.name(), 0);
        for i in 0..s.proposals as u64 {
            asked.extend(ask(rig, kind, seed.child("references", i))?);
        }
    }
    let sample = |i: usize| vec![seed.child("sample", i as u64).0];
    let request = |(i, a): (usize, &Asked)| Request { prompt: a.prompt.clone(), seeds: sample(i) };
    let requests: Vec<Request> = asked.iter().enumerate().map(request).collect();
    let completions = rig.complete(&requests)?;
    let texts: Result<Vec<String>> =
        completions.iter().flatten().map(|c| rig.policy.text(&c.tokens)).collect();
    let texts = texts?;
    clock.generated();
    let found = validate(rig, &asked, &texts)?;
    clock.verified();
    let each = asked.into_iter().zip(completions.into_iter().flatten()).zip(texts).zip(found);
    Ok(each
        .map(|(((asked, completion), text), found)| {
            let Asked { kind, prompt, references, .. } = asked;
            Proposal { kind, prompt, completion, text, references, found }
        })
        .collect())
}

/// Fills the buffers from the identity, without learning, until each holds the puzzles of a few
/// batches or the policy has had its rounds. A run that is stopped here begins anew.
pub(crate) fn bootstrap(rig: &mut Rig) -> Result<Ending> {
    let s = rig.recipe.selfplay.clone();
    let wanted = s.proposals * s.seed_factor;
    rig.buffers = super::Buffers::identity(&s.kinds);
    let mut clock = Clock::start();
    let bar = rig.machine.progress.bar((wanted * s.kinds.len()) as u64, "seed puzzles");
    for round in 0..s.seed_rounds_max {
        let have: usize = s.kinds.iter().map(|k| rig.buffers.len(*k).min(wanted)).sum();
        bar.set(have as u64, "");
        if have == wanted * s.kinds.len() {
            break;
        }
        if rig.stop_requested() {
            return Ok(Ending::Interrupted);
        }
        let seed = rig.seed.child("bootstrap", round);
        let proposals = propose(rig, seed, &mut clock)?;
        rig.totals.tokens_generated +=
            proposals.iter().map(|p| p.completion.tokens.len() as u64).sum::<u64>();
        rig.totals.verifications += proposals.len() as u64;
        keep(rig, proposals, seed);
    }
    bar.finish();
    rig.totals.timing += clock.timing();
    let sizes: Vec<String> =
        s.kinds.iter().map(|k| format!("{} {k}", rig.buffers.len(*k))).collect();
    rig.machine.progress.line(&format!("buffers: {}", sizes.join(", ")));
    ensure!(
        s.kinds.iter().any(|k| rig.buffers.len(*k) > 1),
        "the policy proposed no valid puzzle in {} rounds: it does not know the format (a model \
         that follows instructions needs selfplay.style = \"instructed\")",
        s.seed_rounds_max
    );
    Ok(Ending::Finished)
}

/// Adds the valid ones to the buffers.
pub(crate) fn keep(rig: &mut Rig, proposals: Vec<Proposal>, seed: Seed) {
    let valid = proposals.into_iter().filter_map(|p| match p.found {
        Found::Valid(kept) => Some(kept),
        Found::Invalid(..) | Found::Unreadable(_) | Found::HeldOut | Found::JudgeError(_) => None,
    });
    let s = &rig.recipe.selfplay;
    rig.buffers.add(valid.collect(), s.buffer_max, s.eviction, seed.child("evict", 0));
}

/// A prompt with as many references as fit; none where there is no program to ask about.
fn ask(rig: &Rig, kind: TaskKind, seed: Seed) -> Result<Option<Asked>> {
    let s = &rig.recipe.selfplay;
    if kind == TaskKind::Induction {
        let Some(program) = rig.buffers.program(seed) else { return Ok(None) };
        let prompt = rig.policy.ask(&ask_questions(program, s.inputs, s.style))?;
        let references = vec![program.to_string()];
        // Twice as many as are needed: a program need not take every input of another.
        let n = if s.borrow_inputs { 2 * s.inputs } else { 0 };
        let borrowed = rig.buffers.inputs(n, seed.child("borrow", 0));
        return Ok(Some(Asked { kind, prompt, references, borrowed }));
    }
    let mut references = rig.buffers.draw(kind, s.references, seed);
    loop {
        let prompt = rig.policy.ask(&ask_proposal(kind, &references, s.style))?;
        if prompt.len() <= s.prompt_tokens_max || references.pop().is_none() {
            let references = references.iter().map(|p| p.program.clone()).collect();
            return Ok(Some(Asked { kind, prompt, references, borrowed: Vec::new() }));
        }
    }
}

/// What each text is.
fn validate(rig: &Rig, asked: &[Asked], texts: &[String]) -> Result<Vec<Found>> {
    let s = &rig.recipe.selfplay;
    let drafts: Vec<Result<Draft, Found>> =
        asked.iter().zip(texts).map(|(asked, text)| Draft::read(asked, text, s)).collect();
    let readable = || drafts.iter().filter_map(|draft| draft.as_ref().ok());
    let jobs: Vec<Job> = readable().map(|draft| draft.job(s)).collect();
    let programs: Vec<String> = readable().map(|draft| draft.program.clone()).collect();
    let runs = rig.verifier.execute_twice(&jobs)?;
    let forms = rig.verifier.normal_forms(&programs)?;
    let mut runs = runs.into_iter().zip(forms);
    let mut new = BTreeSet::new();
    Ok(drafts
        .into_iter()
        .map(|draft| match draft {
            Err(found) => found,
            Ok(draft) => match runs.next() {
                Some((twice, form)) => judge(rig, draft, &twice, form, &mut new),
                None => Found::JudgeError("the sandbox did not answer".to_string()),
            },
        })
        .collect())
}

/// Whether a proposal that was run is a new puzzle.
fn judge(
    rig: &Rig,
    draft: Draft,
    twice: &Twice,
    form: Option<String>,
    new: &mut BTreeSet<String>,
) -> Found {
    let invalid = |flaw, detail: &str| Found::Invalid(flaw, detail.to_string());
    let (first, second) = (&twice.first, &twice.second);
    let failure = |run: &verify::Execution| {
        let own = run.answers.iter().take(draft.own);
        let answers = own.filter_map(|answer| answer.as_ref().err());
        run.failure.as_ref().into_iter().chain(answers).next().cloned()
    };
    match (failure(first), failure(second)) {
        (Some(f), _) | (None, Some(f)) if f.verdict == Verdict::JudgeError => {
            return Found::JudgeError(f.detail);
        }
        (Some(f), Some(_)) => return invalid(Flaw::Failed(f.verdict), &f.detail),
        (Some(f), None) | (None, Some(f)) => return invalid(Flaw::NotDeterministic, &f.detail),
        (None, None) if !twice.is_deterministic() => {
            return invalid(Flaw::NotDeterministic, "two runs returned other values");
        }
        (None, None) => {}
    }
    let is_large = |value: &Value| value.to_string().len() > VALUE_BYTES_MAX;
    if first.answers.iter().take(draft.own).flatten().any(is_large) {
        return invalid(Flaw::TooLarge, "an output is too large");
    }
    let Some(form) = form else { return invalid(Flaw::TooLarge, "the program is too large") };
    let answers = first.answers.iter().map(|a| a.clone().ok().filter(|value| !is_large(value)));
    let cases = draft.inputs.into_iter().zip(answers);
    let case = |(args, expected): (_, Option<Value>)| Some(TestCase { args, expected: expected? });
    let cases = with_borrowed(cases.map(case).collect(), draft.own);
    let puzzle = Puzzle { kind: draft.kind, program: draft.program, message: draft.message, cases };
    let kept = Kept::new(puzzle, &form);
    if rig.buffers.contains(&kept) || !new.insert(format!("{}{}", kept.puzzle.kind, kept.key())) {
        return invalid(Flaw::Duplicate, "");
    }
    let most = rig.recipe.selfplay.puzzles_per_program;
    // The proposer does not choose the program of an induction puzzle.
    let chosen = kept.puzzle.kind != TaskKind::Induction;
    if chosen && most > 0 && rig.buffers.with_program_of(&kept) >= most {
        return invalid(Flaw::CommonProgram, "");
    }
    Found::Valid(kept)
}

/// The first half of a draft's own cases and, for the other half, of those that it borrows as many
/// as can be had: none that is there already, and none on which the program fails.
fn with_borrowed(cases: Vec<Option<TestCase>>, own: usize) -> Arc<[TestCase]> {
    let (own, borrowed) = cases.split_at(own);
    let shown = own.len() / 2;
    let mut all: Vec<TestCase> = own[..shown].iter().flatten().cloned().collect();
    for case in borrowed.iter().chain(&own[shown..]).flatten() {
        if all.len() < own.len() && !all.iter().any(|known| known.args == case.args) {
            all.push(case.clone());
        }
    }
    all.into()
}

impl Draft {
    /// The draft in a completion, or why there is none.
    fn read(asked: &Asked, text: &str, s: &SelfplayRecipe) -> Result<Self, Found> {
        let invalid = |flaw, detail: &str| Err(Found::Invalid(flaw, detail.to_string()));
        let kind = asked.kind;
        let mut draft = if kind == TaskKind::Induction {
            let (inputs, message) =
                induction_proposal(text, s.inputs, s.format).map_err(Found::Unreadable)?;
            let program = asked.references.concat();
            Self { kind, program, message, own: inputs.len(), inputs }
        } else {
            let found = proposal(text, s.format).map_err(Found::Unreadable)?;
            let (program, inputs) = (found.program, vec![found.args]);
            Self { kind, program, message: String::new(), inputs, own: 1 }
        };
        if kind == TaskKind::Induction && (draft.message.is_empty() || is_code(&draft.message)) {
            return invalid(Flaw::Message, &draft.message);
        }
        let twice = |i: usize| draft.inputs[..i].contains(&draft.inputs[i]);
        if (1..draft.inputs.len()).any(twice) {
            return invalid(Flaw::RepeatedInput, "");
        }
        if held_out(&draft.program) {
            return Err(Found::HeldOut);
        }
        let forbidden = |module: &&str| s.forbidden_modules.iter().any(|f| f == module);
        if let Some(module) = imports(&draft.program).find(forbidden) {
            return invalid(Flaw::ForbiddenModule, module);
        }
        draft.inputs.extend(asked.borrowed.iter().cloned());
        Ok(draft)
    }

    fn job(&self, s: &SelfplayRecipe) -> Job {
        Job {
            program: self.program.clone(),
            entry_point: ENTRY_POINT.to_string(),
            inputs: self.inputs.clone(),
            limits: s.limits(),
            call: Call {
                mode: Mode::Function,
                answer: Answer::Returned,
                containers: Containers::Builtin,
            },
        }
    }
}

/// Whether a message gives the program away.
fn is_code(message: &str) -> bool {
    ["def ", "lambda", "return ", "```"].iter().any(|code| message.contains(code))
}

/// The modules that lines of a program import.
fn imports(program: &str) -> impl Iterator<Item = &str> {
    program.lines().filter_map(|line| {
        let rest = line.trim_start();
        let rest = rest.strip_prefix("import ").or_else(|| rest.strip_prefix("from "))?;
        rest.split([' ', '.', ',']).next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_inputs_are_borrowed_where_the_program_takes_them() {
        let case = |n: i64| {
            let value = Value::from_json(&serde_json::json!(n)).unwrap();
            Some(TestCase { args: vec![value.clone()], expected: value })
        };
        let numbers = |cases: &[Option<TestCase>], own| -> Vec<String> {
            let all = with_borrowed(cases.to_vec(), own);
            all.iter().map(|case| case.expected.to_string()).collect()
        };
        let own = [case(0), case(1), case(2), case(3)];
        assert_eq!(numbers(&own, 4), ["0", "1", "2", "3"]);
        let more = |borrowed: &[Option<TestCase>]| [&own[..], borrowed].concat();
        assert_eq!(numbers(&more(&[case(7), case(8), case(9)]), 4), ["0", "1", "7", "8"]);
        // One is shown already, and on another the program fails.
        assert_eq!(numbers(&more(&[case(1), None, case(9)]), 4), ["0", "1", "9", "2"]);
    }
}
