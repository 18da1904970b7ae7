//! Every family against its promises: answers, programs, mistakes, wordings, shares.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rand::SeedableRng as _;
use tasks::{
    Algorithm, Local, Pick, Rng, Sketch, Source, Split, Task, TaskId, Tier, complaint, families,
    hint, program, prompt, prompt_with,
};
use verify::{Judgement, Submission, Value, Verdict, Verifier, VerifierConfig};

const SPLITS: [Split; 4] = [Split::Pretrain, Split::Train, Split::Validation, Split::Test];

type Family = &'static dyn Algorithm;

/// Every family with each of its variants.
fn variants() -> impl Iterator<Item = (Family, usize)> {
    families::all().iter().flat_map(|&f| (0..f.variants().len()).map(move |v| (f, v)))
}

fn id(family: Family, difficulty: u8, split: Split, seed: u64) -> TaskId {
    TaskId { family: family.name().to_string(), difficulty, split, seed }
}

/// The first task of `family` at `difficulty`, from `seed` on, that is about `variant`.
fn task(family: Family, variant: usize, difficulty: u8, seed: u64) -> Task {
    (seed..seed + 400)
        .map(|seed| {
            Task::build(&id(family, difficulty, Split::Train, seed)).expect("the family exists")
        })
        .find(|t| matches!(t.source, Source::Algorithm { variant: v, .. } if v == variant))
        .expect("400 tasks cover every variant")
}

fn sketches(family: Family) -> impl Iterator<Item = (usize, &'static Sketch)> {
    family.sketches().iter().enumerate()
}

/// Programs to be judged in one go, each with its name.
#[derive(Default)]
struct Bench {
    names: Vec<String>,
    submissions: Vec<Submission>,
}

impl Bench {
    fn add(&mut self, name: String, task: &Task, body: &str) {
        self.names.push(name);
        self.submissions.push(task.submission(program(task, body), true));
    }

    fn judge(self) -> Vec<Judged> {
        let config = VerifierConfig { slots: 2, ..VerifierConfig::default() };
        let verifier = Verifier::start(config).expect("the sandbox starts");
        let judgements = verifier.judge(&self.submissions).expect("the sandbox works");
        assert_eq!(judgements.len(), self.submissions.len());
        let programs = self.submissions.into_iter().map(|s| s.program);
        let all = self.names.into_iter().zip(judgements).zip(programs);
        all.map(|((name, judgement), program)| Judged { name, judgement, program }).collect()
    }
}

struct Judged {
    name: String,
    judgement: Judgement,
    program: String,
}

/// Asserts that nothing is left, and shows what is.
fn none(left: impl Iterator<Item = Judged>) {
    let shown: Vec<String> = left
        .map(|j| {
            format!("{}: {} {}\n{}", j.name, j.judgement.verdict, j.judgement.detail, j.program)
        })
        .collect();
    assert!(shown.is_empty(), "{} programs:\n{}", shown.len(), shown.join("\n"));
}

#[test]
fn solve_agrees_with_the_oracle() {
    for (family, variant) in variants() {
        let mut rng = Rng::seed_from_u64(variant as u64);
        for round in 0..2_000 {
            let difficulty = (round % 10 + 1) as u8;
            let mut cases = vec![family.inputs(variant, difficulty, &mut rng)];
            if round < 50 {
                cases.push(family.example(variant, &mut rng));
                cases.extend(family.probes(variant, difficulty, &mut rng));
            }
            for args in cases {
                let (fast, slow) = (family.solve(variant, &args), family.oracle(variant, &args));
                assert_eq!(fast, slow, "{}#{variant} on {args:?}", family.name());
            }
        }
    }
}

#[test]
fn references_are_accepted() {
    let mut bench = Bench::default();
    for (family, variant) in variants() {
        for difficulty in [1, 5, 10] {
            let task = task(family, variant, difficulty, 0);
            for (i, sketch) in sketches(family) {
                let name = format!("{}#{variant} sketch {i} at {difficulty}", family.name());
                bench.add(name, &task, &sketch.reference(variant, &task.params));
            }
        }
    }
    none(bench.judge().into_iter().filter(|j| j.judgement.verdict != Verdict::Accepted));
}

/// What the references cost here stays within what the limits were derived from.
#[test]
fn limits_suit_the_slowest_reference() {
    let verifier = Verifier::start(VerifierConfig { slots: 2, ..VerifierConfig::default() })
        .expect("the sandbox starts");
    for (family, variant) in variants() {
        let task = task(family, variant, 10, 0);
        let (_, sketch) = sketches(family).next().expect("a family has a sketch");
        let body = sketch.reference(variant, &task.params);
        let found = verifier
            .limits_for(&task.submission(program(&task, &body), false))
            .expect("the reference is accepted");
        let most = Task::limits().cpu_ms;
        assert!(found.cpu_ms <= most, "{}#{variant}: {} ms", family.name(), found.cpu_ms);
    }
}

#[test]
fn a_hint_is_a_right_program_in_comments() {
    let mut bench = Bench::default();
    for name in ["lcs/3/train/1", "composed/7/train/2", "two_sum/5/train/3"] {
        let task = Task::build(&name.parse().unwrap()).unwrap();
        let reference = task.reference();
        let body = reference.split_once('\n').unwrap().1;
        bench.add(name.to_string(), &task, body);
        let (plain, hinted) = (prompt(&task), prompt_with(&task, &hint(&task)));
        let opening = reference.lines().next().unwrap();
        assert!(
            plain.ends_with(&format!("{opening}\n")) && hinted.ends_with(&format!("{opening}\n"))
        );
        let comments = hinted.lines().filter(|line| line.starts_with('#')).count();
        assert_eq!(comments + 1, hinted.lines().count(), "{hinted}");
        assert!(reference.lines().all(|line| hinted.contains(&format!("# {line}\n"))), "{hinted}");
    }
    none(bench.judge().into_iter().filter(|j| j.judgement.verdict != Verdict::Accepted));
}

#[test]
fn a_complaint_knows_the_visible_examples_only() {
    let task = Task::build(&"fibonacci/4/train/1".parse().unwrap()).unwrap();
    let verifier = Verifier::start(VerifierConfig::default()).unwrap();
    let complaint_of = |body: &str| {
        let submission = task.visible(program(&task, body));
        assert_eq!(submission.tests.len(), task.examples.len());
        complaint(&verifier.judge(&[submission]).unwrap()[0])
    };
    let shown = &task.examples[0].expected;
    let said = complaint_of("    return None\n");
    assert!(said.ends_with(&format!("test 1: got None, expected {shown}")), "{said}");
    let mut lookup = String::new();
    for example in &task.examples {
        let (param, arg) = (&task.params[0], &example.args[0]);
        lookup += &format!("    if {param} == {arg}:\n        return {}\n", example.expected);
    }
    assert_eq!(complaint_of(&lookup), "It is wrong for inputs that the examples do not show.");
}

#[test]
fn mutants_are_rejected_at_every_difficulty() {
    let mut bench = Bench::default();
    for (family, variant) in variants() {
        let mut mistakes = 0;
        for difficulty in 1..=10 {
            let task = task(family, variant, difficulty, 100);
            for (i, sketch) in sketches(family) {
                for (mistake, body) in sketch.mutants(variant, &task.params) {
                    let family = family.name();
                    bench.add(
                        format!("{family}#{variant} sketch {i} at {difficulty}, {mistake}"),
                        &task,
                        &body,
                    );
                    mistakes += usize::from(difficulty == 1);
                }
            }
        }
        let enough = if family.tier() == Tier::Hard { 5 } else { 1 };
        assert!(mistakes >= enough, "{}#{variant}: {mistakes} mutants", family.name());
    }
    let survived = [Verdict::Accepted, Verdict::JudgeError];
    none(bench.judge().into_iter().filter(|j| survived.contains(&j.judgement.verdict)));
}

#[test]
fn hard_programs_are_right_exactly_where_their_mask_says_so() {
    let mut bench = Bench::default();
    let mut masks = Vec::new();
    for (family, variant) in variants().filter(|(f, _)| f.tier() == Tier::Hard) {
        let tasks: Vec<Task> =
            (0..family.variants().len()).map(|v| task(family, v, 3, 200)).collect();
        let mut rng = Rng::seed_from_u64(7);
        for (i, sketch) in sketches(family) {
            let mut seen = HashSet::new();
            for _ in 0..600 {
                let params = &tasks[variant].params;
                let draw = first_names(sketch).draw(variant, params, false, &mut rng);
                if !seen.insert(draw.body.clone()) {
                    continue;
                }
                for (v, task) in tasks.iter().enumerate() {
                    if v == variant || task.params == *params {
                        bench.add(format!("{}#{v} sketch {i}", family.name()), task, &draw.body);
                        masks.push(draw.right >> v & 1 == 1);
                    }
                }
            }
        }
    }
    let odd = bench.judge().into_iter().zip(masks).filter(|(j, right)| match j.judgement.verdict {
        Verdict::Accepted => !right,
        Verdict::WrongAnswer | Verdict::RuntimeError => *right,
        _ => true,
    });
    none(odd.map(|(judged, _)| judged));
}

/// The sketch without alternative names.
fn first_names(sketch: &Sketch) -> Sketch {
    let locals: Vec<Local> = sketch.locals.iter().map(|l| Local(l.0, &l.1[..1])).collect();
    Sketch { locals: locals.leak(), ..*sketch }
}

#[test]
fn every_variant_has_enough_wordings() {
    let mut faults = Vec::new();
    for (family, variant) in variants() {
        let wordings = family.variants()[variant].wordings;
        let texts: BTreeSet<String> = wordings.iter().flat_map(|w| expansions(w)).collect();
        if texts.len() < 24 {
            faults.push(format!("{}#{variant}: {} wordings", family.name(), texts.len()));
        }
        for text in texts {
            let named = (0..family.params()[0].len()).all(|i| text.contains(&format!("${i}")));
            if text.split_whitespace().count() > 26 || !named {
                faults.push(format!(
                    "{}#{variant}, long or without parameters: {text}",
                    family.name()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Every text that a wording may become.
fn expansions(wording: &str) -> Vec<String> {
    let Some((before, rest)) = wording.split_once('[') else {
        return vec![wording.to_string()];
    };
    let (choice, after) = rest.split_once(']').expect("brackets are closed");
    let after = expansions(after);
    let ways = choice.split('|').flat_map(|c| after.iter().map(move |a| (c, a)));
    ways.map(|(c, a)| format!("{before}{c}{a}")).collect()
}

#[test]
fn splits_share_no_statement() {
    for &family in families::all() {
        let mut statements: BTreeMap<Split, BTreeSet<String>> = BTreeMap::new();
        let mut drawn = BTreeSet::new();
        for split in SPLITS {
            for seed in 0..300 {
                let task = Task::build(&id(family, 1, split, seed)).unwrap();
                let Source::Algorithm { variant, .. } = task.source else { unreachable!() };
                drawn.insert((split, variant));
                statements.entry(split).or_default().insert(task.statement);
            }
        }
        assert_eq!(drawn.len(), 4 * family.variants().len(), "{}", family.name());
        let disjoint = |a, b| statements[&a].is_disjoint(&statements[&b]);
        for practised in [Split::Pretrain, Split::Train] {
            assert!(disjoint(practised, Split::Validation), "{}", family.name());
            assert!(disjoint(practised, Split::Test), "{}", family.name());
        }
        assert!(disjoint(Split::Validation, Split::Test), "{}", family.name());
    }
}

#[test]
fn a_task_follows_from_its_id() {
    for &family in families::all() {
        for seed in 0..20 {
            let build = |split| Task::build(&id(family, 5, split, seed)).unwrap();
            let (task, again) = (build(Split::Train), build(Split::Train));
            assert_eq!(prompt(&task), prompt(&again));
            assert_eq!(task.tests, again.tests);
            let other = build(Split::Test);
            assert_ne!(prompt(&task), prompt(&other), "{}", family.name());
        }
    }
}

#[test]
fn hidden_tests_are_many_and_hidden() {
    for &family in families::all() {
        for difficulty in 1..=10 {
            for seed in 0..20 {
                let task = Task::build(&id(family, difficulty, Split::Test, seed)).unwrap();
                assert_eq!(task.examples.len(), 2, "{}", task.id);
                assert!(task.tests.len() >= 6, "{}: {} tests", task.id, task.tests.len());
                let shown = |args: &Vec<Value>| task.examples.iter().any(|e| e.args == *args);
                assert!(!task.tests.iter().any(|t| shown(&t.args)), "{}", task.id);
            }
        }
    }
}

#[test]
fn difficulty_makes_inputs_longer() {
    for (family, variant) in variants() {
        let size = |difficulty: u8| -> usize {
            let mut rng = Rng::seed_from_u64(1);
            let mut printed = || format!("{:?}", family.inputs(variant, difficulty, &mut rng));
            (0..200).map(|_| printed().len()).sum()
        };
        let (easy, middle, hard) = (size(1), size(5), size(10));
        assert!(easy != middle && middle != hard, "{}#{variant}", family.name());
        if family.tier() == Tier::Hard {
            assert!(easy < middle && middle < hard, "{}#{variant}", family.name());
        }
    }
}

/// Of a choice or a program, the share that is right in the corpus.
fn right_share(options: &[Pick], variant: usize) -> f64 {
    let (mut right, mut total) = (0, 0);
    for option in options {
        let is_right = option.right >> variant & 1 == 1;
        let weight = if is_right { option.weight_right } else { option.weight_wrong };
        right += if is_right { weight } else { 0 };
        total += weight;
    }
    f64::from(right) / f64::from(total)
}

/// The corpus of a hard family is mostly wrong, and right often enough at each choice.
#[test]
fn hard_families_are_rarely_right_in_the_corpus() {
    for (family, variant) in variants().filter(|(f, _)| f.tier() == Tier::Hard) {
        let name = family.name();
        let (low, high) = match name {
            "lcs" => (0.45, 0.75),
            "word_break" | "merge_intervals" => (0.03, 0.15),
            _ => (0.03, 0.12),
        };
        for (i, sketch) in sketches(family) {
            let shares: Vec<(&str, f64)> =
                sketch.choices.iter().map(|c| (c.name, right_share(c.options, variant))).collect();
            let all: f64 = shares.iter().map(|(_, share)| share).product();
            println!("{name}#{variant} sketch {i}: {all:.3} {shares:.2?}");
            assert!((low..=high).contains(&all), "{name}#{variant} sketch {i}: {all}");
            assert!(shares.iter().all(|(_, s)| *s >= 0.25), "{name}#{variant}: {shares:?}");
        }
    }
}

/// Prints a prompt and a program of each variant, to be read with `--nocapture`.
#[test]
fn prompts_are_short() {
    for (family, variant) in variants() {
        let task = task(family, variant, 5, 0);
        let text = prompt(&task);
        println!("{text}{}", family.sketches()[0].reference(variant, &task.params));
        assert!(text.len() <= 360, "{} characters:\n{text}", text.len());
    }
}
