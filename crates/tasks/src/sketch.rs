//! A program with its choice points.
//!
//! A sketch is the body of a function in which `{name}` stands for a [`Choice`]: the right
//! text and the ways to get it wrong, each with a weight. One definition gives the reference
//! program (every choice right), the mutants (one choice wrong) and the programs of the
//! pretraining corpus (choices drawn by weight): fluent, and often wrong.

use rand::Rng as _;

use crate::{Rng, family::Mask};

/// The body of a function, indented from column zero, with `{choice}` points, parameters
/// `$0`, `$1`, ... and locals `%name`. A line that expands to nothing is left out; an option
/// of several lines takes the indentation of its place.
#[derive(Debug, Clone, Copy)]
pub struct Sketch {
    /// The text.
    pub body: &'static str,
    /// Its choice points, by name. An option may itself contain parameters and locals.
    pub choices: &'static [Choice],
    /// Alternative names of its locals.
    pub locals: &'static [Local],
}

/// One place of a sketch where a program can go right or wrong.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// The name between braces in the body.
    pub name: &'static str,
    /// What may stand there.
    pub options: &'static [Pick],
}

/// One option of a choice.
#[derive(Debug, Clone, Copy)]
pub struct Pick {
    /// The Python text.
    pub text: &'static str,
    /// The variants for which this text is right.
    pub right: Mask,
    /// Weight in the corpus for variants where it is right.
    pub weight_right: u32,
    /// Weight in the corpus for variants where it is wrong.
    pub weight_wrong: u32,
}

/// Names a local variable may have: the placeholder after `%`, then the alternatives.
#[derive(Debug, Clone, Copy)]
pub struct Local(pub &'static str, pub &'static [&'static str]);

/// An option that is right for every variant.
pub const fn right(text: &'static str, weight: u32) -> Pick {
    Pick { text, right: Mask::MAX, weight_right: weight, weight_wrong: 0 }
}

/// An option that is wrong for every variant.
pub const fn wrong(text: &'static str, weight: u32) -> Pick {
    Pick { text, right: 0, weight_right: 0, weight_wrong: weight }
}

/// An option that is right for the variants in `mask` only.
pub const fn twist(text: &'static str, mask: Mask, weight_right: u32, weight_wrong: u32) -> Pick {
    Pick { text, right: mask, weight_right, weight_wrong }
}

impl Pick {
    fn is_right(&self, variant: usize) -> bool {
        self.right >> variant & 1 == 1
    }

    fn weight(&self, variant: usize) -> u32 {
        if self.is_right(variant) { self.weight_right } else { self.weight_wrong }
    }
}

/// A program drawn from a sketch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// The body of the function, indented by four spaces, ending in a newline.
    pub body: String,
    /// The variants for which every choice is right.
    pub right: Mask,
}

impl Sketch {
    /// Every choice right: the first right option of each. Locals take their first names.
    pub fn reference(&self, variant: usize, params: &[String]) -> String {
        let texts: Vec<&str> = self.choices.iter().map(|c| c.right_option(variant).text).collect();
        self.render(&texts, &self.first_locals(), params)
    }

    /// Every program with exactly one choice wrong, named `choice: text`.
    pub fn mutants(&self, variant: usize, params: &[String]) -> Vec<(String, String)> {
        let right: Vec<&str> = self.choices.iter().map(|c| c.right_option(variant).text).collect();
        let mut mutants = Vec::new();
        for (i, choice) in self.choices.iter().enumerate() {
            for option in choice.options.iter().filter(|o| !o.is_right(variant)) {
                let mut texts = right.clone();
                texts[i] = option.text;
                let name = format!("{}: {:?}", choice.name, option.text);
                mutants.push((name, self.render(&texts, &self.first_locals(), params)));
            }
        }
        mutants
    }

    /// A program of the corpus. With `clean`, every choice is right (styles still vary).
    pub fn draw(&self, variant: usize, params: &[String], clean: bool, rng: &mut Rng) -> Draw {
        let mut right = Mask::MAX;
        let mut texts = Vec::with_capacity(self.choices.len());
        for choice in self.choices {
            let pick = choice.draw(variant, clean, rng);
            right &= pick.right;
            texts.push(pick.text);
        }
        let locals: Vec<(&str, &str)> =
            self.locals.iter().map(|l| (l.0, l.1[rng.random_range(0..l.1.len())])).collect();
        Draw { body: self.render(&texts, &locals, params), right }
    }

    fn first_locals(&self) -> Vec<(&'static str, &'static str)> {
        self.locals.iter().map(|l| (l.0, l.1[0])).collect()
    }

    fn render(&self, texts: &[&str], locals: &[(&str, &str)], params: &[String]) -> String {
        let mut body = String::new();
        for line in self.body.trim_matches('\n').lines() {
            let indent = &line[..line.len() - line.trim_start().len()];
            let mut line = line.to_string();
            for (choice, text) in self.choices.iter().zip(texts) {
                let text = text.replace('\n', &format!("\n{indent}"));
                line = line.replace(&format!("{{{}}}", choice.name), &text);
            }
            for line in line.lines().filter(|l| !l.trim().is_empty()) {
                body.push_str("    ");
                body.push_str(line);
                body.push('\n');
            }
        }
        for (placeholder, name) in locals {
            body = body.replace(&format!("%{placeholder}"), name);
        }
        crate::wording::name_params(&body, params)
    }
}

impl Choice {
    fn right_option(&self, variant: usize) -> &Pick {
        self.options
            .iter()
            .find(|o| o.is_right(variant))
            .unwrap_or_else(|| unreachable!("choice {} has a right option", self.name))
    }

    fn draw(&self, variant: usize, clean: bool, rng: &mut Rng) -> &Pick {
        let weight = |o: &Pick| if clean && !o.is_right(variant) { 0 } else { o.weight(variant) };
        let total: u32 = self.options.iter().map(weight).sum();
        if total == 0 {
            // A choice whose right option never occurs in the corpus.
            return self.right_option(variant);
        }
        let mut at = rng.random_range(0..total);
        for option in self.options {
            let w = weight(option);
            if at < w {
                return option;
            }
            at -= w;
        }
        unreachable!("the draw is below the total weight")
    }
}
