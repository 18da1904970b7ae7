//! A primitive: one step of a composed program, right and wrong.

use std::{collections::HashMap, sync::LazyLock};

use super::{
    data::{Data, Kind},
    lists, texts,
};
use crate::wording;

/// One step: how it is said, how it is written, and how it goes wrong.
#[derive(Debug)]
pub struct Primitive {
    /// Its name, from which its error rate and the classes of its pairs follow.
    pub name: &'static str,
    /// Ways to ask for it; `$k` is the constant.
    pub phrases: &'static [&'static str],
    /// Lowest and highest constant; `NONE` without one.
    pub constants: (i64, i64),
    pub(super) right: Code,
    pub(super) wrong: &'static [Code],
}

/// No constant.
pub(super) const NONE: (i64, i64) = (0, 0);

/// A Python expression and what it computes. In the text, `$0` is the parameter, `$k` the
/// constant and `$j` the constant plus one.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) text: &'static str,
    pub(super) apply: Apply,
}

/// The meaning of an expression, given the value and the constant.
#[derive(Debug)]
pub(super) enum Apply {
    Lists(fn(&[i64], i64) -> Vec<i64>),
    ListInt(fn(&[i64], i64) -> i64),
    ListText(fn(&[i64]) -> String),
    TextList(fn(&str) -> Vec<i64>),
    Texts(fn(&str) -> String),
}

/// List to list.
pub(super) const fn ll(text: &'static str, apply: fn(&[i64], i64) -> Vec<i64>) -> Code {
    Code { text, apply: Apply::Lists(apply) }
}

/// List to integer.
pub(super) const fn li(text: &'static str, apply: fn(&[i64], i64) -> i64) -> Code {
    Code { text, apply: Apply::ListInt(apply) }
}

/// List to text.
pub(super) const fn lt(text: &'static str, apply: fn(&[i64]) -> String) -> Code {
    Code { text, apply: Apply::ListText(apply) }
}

/// Text to list.
pub(super) const fn tl(text: &'static str, apply: fn(&str) -> Vec<i64>) -> Code {
    Code { text, apply: Apply::TextList(apply) }
}

/// Text to text.
pub(super) const fn tt(text: &'static str, apply: fn(&str) -> String) -> Code {
    Code { text, apply: Apply::Texts(apply) }
}

impl Code {
    /// The result, or `None` where the types do not fit or a number grows out of bounds.
    pub(super) fn run(&self, input: &Data, k: i64) -> Option<Data> {
        let output = match (&self.apply, input) {
            (Apply::Lists(f), Data::List(xs)) => Data::List(f(xs, k)),
            (Apply::ListInt(f), Data::List(xs)) => Data::Int(f(xs, k)),
            (Apply::ListText(f), Data::List(xs)) => Data::Text(f(xs)),
            (Apply::TextList(f), Data::Text(s)) => Data::List(f(s)),
            (Apply::Texts(f), Data::Text(s)) => Data::Text(f(s)),
            _ => return None,
        };
        output.is_small().then_some(output)
    }
}

impl Primitive {
    pub(super) fn takes(&self) -> Kind {
        match self.right.apply {
            Apply::Lists(_) | Apply::ListInt(_) | Apply::ListText(_) => Kind::List,
            Apply::TextList(_) | Apply::Texts(_) => Kind::Text,
        }
    }

    pub(super) fn gives(&self) -> Kind {
        match self.right.apply {
            Apply::Lists(_) | Apply::TextList(_) => Kind::List,
            Apply::ListInt(_) => Kind::Int,
            Apply::ListText(_) | Apply::Texts(_) => Kind::Text,
        }
    }

    /// How often the corpus gets it wrong at full noise: .15 to .45, so that the right text
    /// remains the likeliest.
    pub fn error_rate(&self) -> f64 {
        0.15 + 0.30 * (wording::hash(self.name) % 1001) as f64 / 1000.0
    }
}

/// The primitive of lists whose right text this expression is, `$0` standing for the parameter.
pub(crate) fn written(expression: &str) -> Option<usize> {
    static TEXTS: LazyLock<HashMap<String, usize>> = LazyLock::new(|| {
        let texts = |(i, p): (usize, &&Primitive)| {
            let (low, high) = p.constants;
            let text = p.right.text;
            (low..=high).map(move |k| (text.replace("$k", &k.to_string()), i))
        };
        let all = primitives().iter().enumerate();
        all.filter(|(_, p)| p.takes() == Kind::List).flat_map(texts).collect()
    });
    TEXTS.get(expression).copied()
}

/// Every primitive.
pub fn primitives() -> &'static [&'static Primitive] {
    static ALL: LazyLock<Vec<&'static Primitive>> = LazyLock::new(|| {
        [lists::TO_LIST, lists::TO_OTHER, texts::FROM_TEXT].into_iter().flatten().collect()
    });
    &ALL
}
