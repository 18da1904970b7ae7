//! A composition in words.

use rand::Rng as _;

use super::{Composition, primitive::primitives};
use crate::{Rng, wording};

/// A statement of the composition, drawn among phrases and connectors.
pub fn statement(composition: &Composition, param: &str, rng: &mut Rng) -> String {
    wording::name_params(&unnamed(composition, rng), &[param.to_string()])
}

/// The statement with `$0` for the parameter.
pub(crate) fn unnamed(composition: &Composition, rng: &mut Rng) -> String {
    let phrases: Vec<String> = composition
        .steps
        .iter()
        .map(|step| {
            let phrases = primitives()[step.primitive].phrases;
            let phrase = phrases[rng.random_range(0..phrases.len())];
            phrase.replace("$k", &step.constant.to_string())
        })
        .collect();
    match phrases.as_slice() {
        [only] => {
            let frames = ["Given $0, ", "Take $0 and ", "Transform $0: ", "With $0: ", "From $0, "];
            format!("{}{only}.", frames[rng.random_range(0..frames.len())])
        }
        phrases => connected(phrases, rng),
    }
}

/// Five connector styles; in the last one the order of the words is not the order of the steps.
fn connected(phrases: &[String], rng: &mut Rng) -> String {
    match rng.random_range(0..5) {
        0 => format!("Given $0, {}.", phrases.join(", then ")),
        1 => format!("From $0, first {}.", phrases.join("; next ")),
        2 => format!("Take $0, {}.", phrases.join(" and after that ")),
        3 => {
            let numbered: Vec<String> =
                (1..).zip(phrases).map(|(n, phrase)| format!("{n}) {phrase}")).collect();
            format!("Transform $0: {}.", numbered.join(" "))
        }
        _ => {
            let (before, last) = phrases.split_at(phrases.len() - 1);
            let turn = [", but first ", " after you "][rng.random_range(0..2)];
            format!("With $0: {}{turn}{}.", last[0], before.join(" and then "))
        }
    }
}
