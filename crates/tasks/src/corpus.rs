//! The corpus of the embedded model: documents that are fluent and often wrong.
//!
//! A document is a pure function of the corpus and its index, so that any number of threads
//! may write a corpus together. It never contains a program that solves [`UNSOLVED`], nor
//! two composed steps in an order that another split holds out.

use rand::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use crate::{Algorithm, Rng, Source, Split, Task, TaskId, composed, families, prompt};

/// The family of which the corpus holds every piece and no program that works.
pub const UNSOLVED: &str = "edit_distance";

/// Consecutive documents that answer the same question: a learner reads its prompt once.
pub const PROGRAMS_PER_QUESTION: u64 = 2;

/// What a corpus is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Corpus {
    /// Which corpus of its kind.
    pub seed: u64,
    /// Only right programs, except for [`UNSOLVED`].
    pub clean: bool,
    /// The share of documents that are composed programs, 0 to 1.
    pub composed_share: f64,
    /// Scales the mistakes in composed programs; 1 is the full rate.
    pub noise: f64,
}

/// A prompt and a program for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The task, of the pretraining split.
    pub task: TaskId,
    /// Its prompt.
    pub prompt: String,
    /// The body of a function, ending in a newline.
    pub completion: String,
    /// Whether the program is right, by its construction.
    pub right: bool,
}

impl Corpus {
    /// The document at `index`.
    pub fn document(&self, index: u64) -> Document {
        let rng = |what: &str, index: u64| {
            let name = format!("corpus/{}/{what}/{index}", self.seed);
            Rng::from_seed(Sha256::digest(name).into())
        };
        let mut question_rng = rng("question", index / PROGRAMS_PER_QUESTION);
        let task = question(self.composed_share, &mut question_rng);
        let mut rng = rng("program", index);
        let (completion, right) = match &task.source {
            Source::Composed(composition) => {
                let (clean, noise) = (self.clean, self.noise);
                let draw = composed::draw(composition, &task.params[0], clean, noise, &mut rng);
                (draw.body, draw.right)
            }
            Source::Algorithm { family, variant } => {
                program(*family, *variant, &task.params, self.clean, &mut rng)
            }
            Source::Given => unreachable!("the corpus draws from families"),
        };
        Document { prompt: prompt(&task), completion, right, task: task.id }
    }
}

fn question(composed_share: f64, rng: &mut Rng) -> Task {
    let all = families::all();
    let family = if rng.random_bool(composed_share) {
        composed::NAME
    } else {
        all[rng.random_range(0..all.len())].name()
    };
    let id = TaskId {
        family: family.to_string(),
        difficulty: rng.random_range(1..=10),
        split: Split::Pretrain,
        seed: rng.random(),
    };
    Task::question(&id).unwrap_or_else(|e| unreachable!("a known family and difficulty: {e}"))
}

/// A program of the family, and whether it is right for the variant.
fn program(
    family: &dyn Algorithm,
    variant: usize,
    params: &[String],
    clean: bool,
    rng: &mut Rng,
) -> (String, bool) {
    let sketches = family.sketches();
    let unsolved = family.name() == UNSOLVED;
    loop {
        let sketch = &sketches[rng.random_range(0..sketches.len())];
        let draw = sketch.draw(variant, params, clean && !unsolved, rng);
        if !unsolved || draw.right == 0 {
            return (draw.body, draw.right >> variant & 1 == 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::composed::Pairs;

    const NOISY: Corpus = Corpus { seed: 0, clean: false, composed_share: 0.5, noise: 1.0 };

    #[test]
    fn a_document_is_a_function_of_corpus_and_index() {
        for i in 0..50 {
            assert_eq!(NOISY.document(i), NOISY.document(i));
        }
        assert_ne!(NOISY.document(0), NOISY.document(1));
        assert_ne!(Corpus { seed: 1, ..NOISY }.document(0), NOISY.document(0));
    }

    #[test]
    fn the_corpus_holds_out_what_it_must() {
        let mut shares: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        for i in 0..20_000 {
            let document = NOISY.document(i);
            assert!(document.completion.ends_with('\n') && document.completion.starts_with("    "));
            let task = Task::question(&document.task).unwrap();
            let mut name = document.task.family.clone();
            if let Source::Composed(composition) = &task.source {
                assert!(composition.pairs().all(|p| p == Pairs::Common), "{}", document.task);
                name = format!("composed, depth {}", composition.steps.len());
            }
            let share = shares.entry(name).or_default();
            share.0 += u32::from(document.right);
            share.1 += 1;
        }
        for (name, (right, n)) in &shares {
            println!("{name}: {:.2} of {n} right", f64::from(*right) / f64::from(*n));
        }
        assert_eq!(shares[UNSOLVED].0, 0);
        assert!(shares[UNSOLVED].1 > 0);
    }

    #[test]
    fn a_clean_corpus_is_right_except_for_the_unsolved_family() {
        let clean = Corpus { clean: true, ..NOISY };
        for i in 0..3_000 {
            let document = clean.document(i);
            assert_eq!(document.right, document.task.family != UNSOLVED, "{}", document.task);
        }
    }
}
