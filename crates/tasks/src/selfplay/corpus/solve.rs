//! What a solver writes: its steps, number by number where that can be, then the answer; or a
//! program. A step is sometimes carried out as one of its wrong texts has it.

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
            traced(&steps(&lines, &values)) + &answer("output", values.last())
        }
        (TaskKind::Abduction, short) => {
            let (lines, values) = backward(short.as_ref(), &subject.trace, noise, rng);
            traced_back(&steps(&lines, &values)) + &answer("input", values.first())
        }
    }
}

/// The work of each step, and what it gives where another follows.
fn traced(steps: &[(Line, [Data; 2])]) -> String {
    let mut text = String::new();
    for (i, (line, [from, to])) in steps.iter().enumerate() {
        if let Some(work) = work(*line, from, to) {
            text.push_str(&format!("# {work}\n"));
        }
        if i + 1 < steps.len() {
            text.push_str(&format!("# {}\n", to.value()));
        }
    }
    text
}

/// A step number by number: what becomes of each, `x` where it is dropped, or what the step
/// would return if the list ended here. So each answer stands beside what it is made of, which
/// is what models of this size fail to find in a list.
fn work(line: Line, from: &Data, to: &Data) -> Option<String> {
    let Data::List(xs) = from else { return None };
    let single = |x: &i64| line.run(&Data::List(vec![*x]));
    let pairs: Vec<String> = match to {
        Data::List(ys) => {
            let each: Option<Vec<Vec<i64>>> = xs.iter().map(|x| numbers(single(x))).collect();
            let each = each.filter(|each| each.concat() == *ys && line.is_elementwise())?;
            let said = |y: &Vec<i64>| y.first().map_or("x".to_string(), ToString::to_string);
            xs.iter().zip(&each).map(|(x, y)| format!("{x}:{}", said(y))).collect()
        }
        Data::Int(_) => {
            let upto = |i: usize| line.run(&Data::List(xs[..=i].to_vec()));
            let pair = |(i, x): (usize, &i64)| Some(format!("{x}:{}", upto(i)?.value()));
            xs.iter().enumerate().map(pair).collect::<Option<_>>()?
        }
        Data::Text(_) => return None,
    };
    Some(pairs.join(" "))
}

fn numbers(data: Option<Data>) -> Option<Vec<i64>> {
    match data {
        Some(Data::List(xs)) => Some(xs),
        Some(Data::Int(_) | Data::Text(_)) | None => None,
    }
}

/// As [`traced`], backwards: steps that keep every number are undone number by number.
fn traced_back(steps: &[(Line, [Data; 2])]) -> String {
    let mut text = String::new();
    for (i, (line, [from, to])) in steps.iter().enumerate().rev() {
        if let (Data::List(xs), Data::List(ys)) = (from, to)
            && line.is_elementwise()
            && xs.len() == ys.len()
            && xs != ys
        {
            let pairs: Vec<String> = ys.iter().zip(xs).map(|(y, x)| format!("{y}:{x}")).collect();
            text.push_str(&format!("# {}\n", pairs.join(" ")));
        }
        if i > 0 {
            text.push_str(&format!("# {}\n", from.value()));
        }
    }
    text
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

/// Each step with what it was given and what it gave.
fn steps(lines: &[Line], values: &[Data]) -> Vec<(Line, [Data; 2])> {
    let pairs = values.windows(2).map(|w| [w[0].clone(), w[1].clone()]);
    lines.iter().copied().zip(pairs).collect()
}

/// The steps, of which some may be misread, and values that lead by them to the output of
/// `trace`.
fn backward(
    short: Option<&Short>,
    trace: &[Data],
    noise: f64,
    rng: &mut Rng,
) -> (Vec<Line>, Vec<Data>) {
    let output = &trace[trace.len() - 1];
    let lines = slipped(short, noise, rng);
    let right = short.map(Short::lines).unwrap_or_default();
    if lines != right
        && let Some(values) = undone(&lines, output, &[])
    {
        return (lines, values);
    }
    let values = undone(&right, output, trace).unwrap_or_else(|| trace.to_vec());
    (right, values)
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
