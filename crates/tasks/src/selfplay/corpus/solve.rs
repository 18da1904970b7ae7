//! What a solver writes: the values between the steps, then the answer; or a program. A step
//! is sometimes carried out as one of its wrong texts has it.

use rand::Rng as _;

use super::Subject;
use crate::{
    Rng,
    composed::{self, Data, Line, SLIP_MAX},
    selfplay::{
        TaskKind,
        backward::undone,
        held_out,
        short::{PARAM, Short, program},
    },
};

/// A solution of the subject's puzzle.
pub(super) fn completion(subject: &Subject, noise: f64, rng: &mut Rng) -> String {
    match (subject.puzzle.kind, &subject.short) {
        (TaskKind::Induction, None) => blocked("python", &subject.puzzle.program),
        (TaskKind::Induction, Some(short)) => blocked("python", &induced(short, noise, rng)),
        (TaskKind::Deduction, short) => {
            let lines = slipped(short.as_ref(), noise, rng);
            let values = forward(&lines, &subject.trace);
            traced(&values) + &answer("output", values.last())
        }
        (TaskKind::Abduction, short) => {
            let mut values = backward(short.as_ref(), &subject.trace, noise, rng);
            values.reverse();
            let shown = &values[..values.len() - usize::from(values.len() > 1)];
            traced(shown) + &answer("input", values.last())
        }
    }
}

fn traced(values: &[Data]) -> String {
    values.iter().map(|data| format!("# {}\n", data.value())).collect()
}

fn answer(label: &str, data: Option<&Data>) -> String {
    blocked(label, &data.map_or_else(String::new, |data| data.value().to_string()))
}

fn blocked(label: &str, text: &str) -> String {
    format!("```{label}\n{}\n```\n", text.trim_end())
}

/// The steps as this solver carries them out.
fn slipped(short: Option<&Short>, noise: f64, rng: &mut Rng) -> Vec<Line> {
    let mut lines = short.map(Short::lines).unwrap_or_default();
    for line in &mut lines {
        if rng.random_bool((line.error_rate() * noise).clamp(0.0, SLIP_MAX)) {
            let mistakes: Vec<Line> = line.mistakes().collect();
            *line = mistakes[rng.random_range(0..mistakes.len())];
        }
    }
    lines
}

fn forward(lines: &[Line], trace: &[Data]) -> Vec<Data> {
    let mut values = trace[..1].to_vec();
    for line in lines {
        let value = &values[values.len() - 1];
        let next = line.run(value).unwrap_or_else(|| value.clone());
        values.push(next);
    }
    values
}

/// The values that lead to the output of `trace`, by steps of which some may be misread.
fn backward(short: Option<&Short>, trace: &[Data], noise: f64, rng: &mut Rng) -> Vec<Data> {
    let output = &trace[trace.len() - 1];
    let lines = slipped(short, noise, rng);
    let right = short.map(Short::lines).unwrap_or_default();
    let found = if lines == right { None } else { undone(&lines, output, &[]) };
    found.or_else(|| undone(&right, output, trace)).unwrap_or_else(|| trace.to_vec())
}

fn induced(short: &Short, noise: f64, rng: &mut Rng) -> String {
    loop {
        let draw = composed::draw(&short.composition, PARAM, false, noise, rng);
        let text = program(&draw.body);
        if !held_out(&text) {
            return text;
        }
    }
}
