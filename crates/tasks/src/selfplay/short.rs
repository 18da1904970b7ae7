//! Short programs: composed steps over a short list of small numbers.
//!
//! What evaluations own never mixes with the corpus: neighbouring steps by their pair, as in the
//! composed family, and programs of one step by a hash of their text, so that the step, or its
//! constant, is known from longer programs only.

use rand::Rng as _;
use verify::{TestCase, Value};

use super::ENTRY_POINT;
use crate::{
    Rng, Split,
    composed::{self, Composition, Data, Line, Pairs},
    wording,
};

/// What every program here calls its parameter: one thing less to bind.
pub(super) const PARAM: &str = "xs";
/// Steps that are left out: arithmetic that a model of this size learns late or never.
const LEFT_OUT: [&str; 7] =
    ["multiply", "square", "remainder", "running_sums", "differences", "times_index", "spread"];
/// The largest magnitude of a number while a program runs.
const MAGNITUDE_MAX: i64 = 40;

/// A program that is right for its composition.
#[derive(Debug)]
pub(super) struct Short {
    pub(super) composition: Composition,
}

impl Short {
    /// A program of `depth` steps that the split owns.
    pub(super) fn draw(split: Split, depth: usize, rng: &mut Rng) -> Self {
        loop {
            let short = Self { composition: composed::draw_chain(split, depth, rng) };
            if short.is_easy() && owner(&short.program()) == Some(split) {
                return short;
            }
        }
    }

    fn is_easy(&self) -> bool {
        let mut names =
            self.composition.steps.iter().map(|step| composed::primitives()[step.primitive].name);
        self.composition.is_numeric() && names.all(|name| !LEFT_OUT.contains(&name))
    }

    pub(super) fn program(&self) -> String {
        program(&composed::reference(&self.composition, PARAM))
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        composed::right_lines(&self.composition)
    }

    /// What the program does, in words that the split owns (of one step; more steps are told
    /// apart by their pairs); `None` if the step is never described so.
    pub(super) fn statement(&self, split: Split, rng: &mut Rng) -> Option<String> {
        let several = self.composition.steps.len() > 1;
        let mut texts = (0..60).map(|_| composed::unnamed(&self.composition, rng));
        let text = texts.find(|text| several || split.owns(wording::class(text)))?;
        Some(wording::name_params(&text, &[PARAM.to_string()]))
    }

    /// The values between the steps for a random input, the input first; `None` where none was
    /// found that stays small and never empty.
    pub(super) fn trace(&self, rng: &mut Rng) -> Option<Vec<Data>> {
        (0..20).find_map(|_| trace(&self.lines(), input(rng)))
    }

    /// The case of a random input.
    pub(super) fn case(&self, rng: &mut Rng) -> Option<TestCase> {
        self.trace(rng).map(|values| case(&values))
    }
}

/// The function with this body.
pub(super) fn program(body: &str) -> String {
    format!("def {ENTRY_POINT}({PARAM}):\n{body}")
}

/// The case of a trace: what goes in and what comes out.
pub(super) fn case(values: &[Data]) -> TestCase {
    let value = |data: Option<&Data>| data.map_or(Value::None, Data::value);
    TestCase { args: vec![value(values.first())], expected: value(values.last()) }
}

/// Two to four numbers, nearly all of one digit.
pub(super) fn input(rng: &mut Rng) -> Data {
    let len = rng.random_range(2..=4);
    let low = if rng.random_bool(0.15) { -5 } else { 0 };
    composed::list(len, low..=9, rng)
}

fn trace(lines: &[Line], input: Data) -> Option<Vec<Data>> {
    let mut values = vec![input];
    for line in lines {
        let next = line.run(&values[values.len() - 1])?;
        values.push(next);
    }
    values.iter().all(is_short).then_some(values)
}

pub(super) fn is_short(data: &Data) -> bool {
    match data {
        Data::List(xs) => !xs.is_empty() && xs.iter().all(|x| x.abs() <= MAGNITUDE_MAX),
        Data::Int(n) => n.abs() <= MAGNITUDE_MAX,
        Data::Text(_) => false,
    }
}

/// Whether a program is one that evaluations own, or has steps side by side that they own.
pub fn held_out(program: &str) -> bool {
    let steps = steps(program);
    let pair = |w: &[Step]| match (w[0].primitive, w[1].primitive) {
        (Some(a), Some(b)) => Some(Pairs::of(a, b)),
        _ => None,
    };
    matches!(owner(program), Some(Split::Validation | Split::Test))
        || steps
            .windows(2)
            .filter_map(pair)
            .any(|pair| matches!(pair, Pairs::Validation | Pairs::Test))
}

/// The split that a program belongs to; `None` where its steps are of several.
fn owner(program: &str) -> Option<Split> {
    let steps = steps(program);
    if let [only] = steps.as_slice() {
        return Some(match (wording::hash(&only.text) >> 32) % 100 {
            ..15 => Split::Test,
            15..25 => Split::Validation,
            _ => Split::Pretrain,
        });
    }
    let mut splits = steps.windows(2).map(|w| {
        let (Some(a), Some(b)) = (w[0].primitive, w[1].primitive) else {
            return Split::Pretrain;
        };
        match Pairs::of(a, b) {
            Pairs::Test => Split::Test,
            Pairs::Validation => Split::Validation,
            Pairs::Train => Split::Train,
            Pairs::Common => Split::Pretrain,
        }
    });
    let first = splits.next().unwrap_or(Split::Pretrain);
    splits.all(|split| split == first).then_some(first)
}

/// A step as a program has it.
struct Step {
    /// The parameter and the expression.
    text: String,
    /// The primitive that is written so.
    primitive: Option<usize>,
}

/// The steps of a program that is written as those here are; of others, what can be read.
fn steps(program: &str) -> Vec<Step> {
    let mut lines = program.lines().map(str::trim).filter(|line| !line.is_empty());
    let head = lines.find_map(|line| line.strip_prefix("def "));
    let param = head.and_then(|rest| rest.split(['(', ')']).nth(1)).unwrap_or_default().trim();
    let step = |line: &str| {
        let assigned = line.strip_prefix(param).and_then(|rest| rest.trim().strip_prefix("= "));
        let expression = assigned.or_else(|| line.strip_prefix("return "))?.trim();
        let bare = without_name(expression, param);
        (bare != "$0").then(|| Step {
            text: format!("{param} {expression}"),
            primitive: composed::written(&bare),
        })
    };
    lines.filter_map(step).collect()
}

/// The expression with `$0` for the name.
fn without_name(expression: &str, name: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut text = String::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let end = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, after) = rest.split_at(end);
        text.push_str(if word == name { "$0" } else { word });
        rest = after;
    }
    text
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn every_step_that_is_drawn_is_read_back() {
        let mut rng = Rng::seed_from_u64(0);
        for split in [Split::Pretrain, Split::Validation, Split::Test] {
            for depth in [1, 1, 2, 3].repeat(50) {
                let short = Short::draw(split, depth, &mut rng);
                let read: Vec<_> = steps(&short.program()).iter().map(|s| s.primitive).collect();
                let drawn: Vec<_> =
                    short.composition.steps.iter().map(|s| Some(s.primitive)).collect();
                assert_eq!(read, drawn, "{}", short.program());
                assert_eq!(held_out(&short.program()), split != Split::Pretrain);
            }
        }
    }

    #[test]
    fn names_and_styles_do_not_hide_a_composition() {
        let mut rng = Rng::seed_from_u64(1);
        let short = Short::draw(Split::Test, 2, &mut rng);
        let text = short.program().replace(PARAM, "zs");
        assert!(held_out(&text), "{text}");
        let named = text.replace("return ", "zs = ") + "    return zs\n";
        assert!(held_out(&named), "{named}");
        assert!(!held_out("def f(x):\n    return x\n"));
        assert!(!held_out("not a program"));
    }
}
