//! Programs for a composition: right, wrong by one thing, or drawn as the corpus has them.

use rand::Rng as _;

use super::{
    Composition, Pairs, Step,
    data::Data,
    inputs,
    primitive::{Code, Primitive, primitives},
};
use crate::Rng;

/// How often the corpus swaps two neighbouring steps, and how often it forgets one, at full
/// noise.
const ORDER_SLIP: f64 = 0.08;
/// The likeliest that any one mistake may become.
pub(crate) const SLIP_MAX: f64 = 0.45;
/// How often a corpus program names its result before it returns it.
const NAMED_RESULT: f64 = 0.15;

/// A program of the corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// The body of the function, indented by four spaces, ending in a newline.
    pub body: String,
    /// Whether it computes the composition (on a fixed battery of inputs).
    pub right: bool,
}

/// One step as written: right, or by one of its wrong texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(super) step: Step,
    wrong: Option<usize>,
}

/// A program with one thing wrong.
#[derive(Debug)]
pub(crate) struct Variation {
    pub(crate) name: String,
    pub(crate) lines: Vec<Line>,
}

impl Line {
    fn primitive(&self) -> &'static Primitive {
        primitives()[self.step.primitive]
    }

    fn code(&self) -> &'static Code {
        let primitive = self.primitive();
        self.wrong.map_or(&primitive.right, |i| &primitive.wrong[i])
    }

    /// The step as each of its wrong texts has it.
    pub(crate) fn mistakes(self) -> impl Iterator<Item = Self> {
        (0..self.primitive().wrong.len()).map(move |i| Self { wrong: Some(i), ..self })
    }

    /// How often the corpus gets the step wrong at full noise.
    pub(crate) fn error_rate(self) -> f64 {
        self.primitive().error_rate()
    }

    /// Whether it takes the numbers of a list one by one.
    pub(crate) fn is_elementwise(self) -> bool {
        self.code().text.contains(" for x in $0")
    }

    /// What it makes of a value; `None` as for [`run`].
    pub(crate) fn run(self, input: &Data) -> Option<Data> {
        self.code().run(input, self.step.constant)
    }

    fn text(&self, param: &str) -> String {
        let k = self.step.constant;
        let text = self.code().text.replace("$k", &k.to_string());
        text.replace("$j", &(k + 1).to_string()).replace("$0", param)
    }
}

/// The right program.
pub fn reference(composition: &Composition, param: &str) -> String {
    render(&right_lines(composition), param, false)
}

/// Every program with one thing wrong (a step's text, two steps swapped, a step forgotten)
/// that computes something else, with a name.
pub fn mutants(composition: &Composition, param: &str) -> Vec<(String, String)> {
    variations(composition).into_iter().map(|v| (v.name, render(&v.lines, param, false))).collect()
}

/// A program of the corpus: each step right or wrong at its own rate, sometimes two steps
/// swapped or one forgotten, all scaled by `noise`. With `clean`, right (styles still vary).
pub fn draw(
    composition: &Composition,
    param: &str,
    clean: bool,
    noise: f64,
    rng: &mut Rng,
) -> Draw {
    let noise = if clean { 0.0 } else { noise };
    let slips = |rate: f64, rng: &mut Rng| rng.random_bool((rate * noise).clamp(0.0, SLIP_MAX));
    let right = right_lines(composition);
    let mut lines = right.clone();
    for line in &mut lines {
        let primitive = line.primitive();
        if slips(primitive.error_rate(), rng) {
            line.wrong = Some(rng.random_range(0..primitive.wrong.len()));
        }
    }
    for slip in [swapped, without] {
        if lines.len() > 1 && slips(ORDER_SLIP, rng) {
            let other = slip(&lines, rng.random_range(0..lines.len()));
            lines = other.filter(|other| fits(other, &lines) && is_public(other)).unwrap_or(lines);
        }
    }
    let body = render(&lines, param, rng.random_bool(NAMED_RESULT));
    Draw { body, right: lines == right || agree(&lines, &right) }
}

/// The value a program returns, or `None` if its types do not fit or a number grows too large.
pub(crate) fn run(lines: &[Line], input: &Data) -> Option<Data> {
    let Some((first, rest)) = lines.split_first() else { return Some(input.clone()) };
    rest.iter().try_fold(first.run(input)?, |data, line| line.run(&data))
}

pub(crate) fn right_lines(composition: &Composition) -> Vec<Line> {
    composition.steps.iter().map(|&step| Line { step, wrong: None }).collect()
}

/// The program without line `at`.
pub(super) fn without(lines: &[Line], at: usize) -> Option<Vec<Line>> {
    let mut lines = lines.to_vec();
    lines.remove(at);
    Some(lines)
}

/// The program with lines `at` and `at + 1` swapped.
fn swapped(lines: &[Line], at: usize) -> Option<Vec<Line>> {
    let mut lines = lines.to_vec();
    (at + 1 < lines.len()).then(|| lines.swap(at, at + 1))?;
    Some(lines)
}

/// Every program with one thing wrong that differs from the right one on the battery. Steps
/// are swapped only where the types still fit: Python reverses a text and a list alike, and
/// would make some other swaps harmless.
pub(crate) fn variations(composition: &Composition) -> Vec<Variation> {
    let right = right_lines(composition);
    let mut all = Vec::new();
    for (i, line) in right.iter().enumerate() {
        let name = line.primitive().name;
        for (wrong, code) in line.primitive().wrong.iter().enumerate() {
            let mut lines = right.clone();
            lines[i].wrong = Some(wrong);
            all.push(Variation { name: format!("{name}: {:?}", code.text), lines });
        }
        let swapped = swapped(&right, i).filter(|lines| fits(lines, &right));
        let orders = [("swapped", swapped), ("forgotten", without(&right, i))];
        for (what, lines) in orders {
            all.extend(lines.map(|lines| Variation { name: format!("{name} {what}"), lines }));
        }
    }
    all.retain(|v| !agree(&v.lines, &right));
    all
}

fn agree(lines: &[Line], right: &[Line]) -> bool {
    let kind = right[0].primitive().takes();
    inputs::battery(kind).iter().all(|input| run(lines, input) == run(right, input))
}

/// Whether the types of `lines` fit, for the same input as `like`.
fn fits(lines: &[Line], like: &[Line]) -> bool {
    lines[0].primitive().takes() == like[0].primitive().takes()
        && lines.windows(2).all(|w| w[0].primitive().gives() == w[1].primitive().takes())
}

/// Whether every neighbouring pair may occur in the corpus.
fn is_public(lines: &[Line]) -> bool {
    lines.windows(2).all(|w| Pairs::of(w[0].step.primitive, w[1].step.primitive) == Pairs::Common)
}

fn render(lines: &[Line], param: &str, named_result: bool) -> String {
    let mut body = String::new();
    for (i, line) in lines.iter().enumerate() {
        let returns = i + 1 == lines.len() && !named_result;
        let head = if returns { "return".to_string() } else { format!("{param} =") };
        body.push_str(&format!("    {head} {}\n", line.text(param)));
    }
    if named_result || lines.is_empty() {
        body.push_str(&format!("    return {param}\n"));
    }
    body
}
