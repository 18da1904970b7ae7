//! What composed tasks promise.

use std::collections::HashSet;

use rand::SeedableRng as _;

use super::*;

const SPLITS: [Split; 4] = [Split::Pretrain, Split::Train, Split::Validation, Split::Test];

fn id(difficulty: u8, split: Split, seed: u64) -> TaskId {
    TaskId { family: NAME.to_string(), difficulty, split, seed }
}

fn composition(task: &Task) -> &Composition {
    match &task.source {
        Source::Composed(composition) => composition,
        Source::Algorithm { .. } | Source::Given => unreachable!("a composed task"),
    }
}

/// Tasks of every difficulty.
fn tasks(split: Split, n: u64) -> impl Iterator<Item = Task> {
    (0..n).map(move |i| Task::question(&id((i % 10) as u8 + 1, split, i)).unwrap())
}

#[test]
fn names_are_distinct_and_error_rates_leave_the_right_text_likeliest() {
    let names: HashSet<&str> = primitives().iter().map(|p| p.name).collect();
    assert_eq!(names.len(), primitives().len());
    assert!(primitives().len() >= 44);
    for p in primitives() {
        assert!((0.15..=0.45).contains(&p.error_rate()), "{}", p.name);
        assert!(p.phrases.len() >= 2 && !p.wrong.is_empty(), "{}", p.name);
    }
}

#[test]
fn phrases_name_one_primitive_only() {
    let mut phrases = HashSet::new();
    for p in primitives() {
        assert!(p.phrases.iter().all(|phrase| phrases.insert(*phrase)), "{}", p.name);
    }
}

#[test]
fn a_task_is_a_function_of_its_id() {
    for split in SPLITS {
        for i in 0..50 {
            let id = id((i % 10) as u8 + 1, split, i);
            let (a, b) = (Task::build(&id).unwrap(), Task::build(&id).unwrap());
            assert_eq!(crate::prompt(&a), crate::prompt(&b));
            assert_eq!(a.tests, b.tests);
            assert_eq!(crate::prompt(&a), crate::prompt(&Task::question(&id).unwrap()));
        }
    }
}

#[test]
fn splits_are_told_apart_by_pairs_and_single_steps_by_wording() {
    let mut singles: Vec<HashSet<String>> = Vec::new();
    for split in SPLITS {
        let mut texts = HashSet::new();
        for task in tasks(split, 3_000) {
            let composition = composition(&task);
            assert_eq!(composition.steps.len(), depth(task.id.difficulty, split));
            let pairs: Vec<Pairs> = composition.pairs().collect();
            let ok = match split {
                _ if pairs.is_empty() => {
                    texts.insert(task.statement.replace(&task.params[0], "$0"))
                }
                Split::Pretrain => pairs.iter().all(|p| *p == Pairs::Common),
                Split::Train => {
                    pairs.contains(&Pairs::Train)
                        && pairs.iter().all(|p| matches!(p, Pairs::Train | Pairs::Common))
                }
                Split::Validation => pairs.iter().all(|p| *p == Pairs::Validation),
                Split::Test => pairs.iter().all(|p| *p == Pairs::Test),
            };
            assert!(ok || pairs.is_empty(), "{} {pairs:?}", task.id);
        }
        singles.push(texts);
    }
    let [_, train, validation, test] = &singles[..] else { unreachable!() };
    let pretrain = &singles[0];
    assert!(test.is_disjoint(train) && test.is_disjoint(pretrain) && test.is_disjoint(validation));
    assert!(validation.is_disjoint(train) && validation.is_disjoint(pretrain));
}

#[test]
fn runs_practise_and_test_every_primitive() {
    for split in SPLITS {
        let mut counts = vec![[0_u32; 4]; primitives().len()];
        let n = 4_000;
        for task in tasks(split, n) {
            let steps = &composition(&task).steps;
            for step in steps {
                counts[step.primitive][steps.len() - 1] += 1;
            }
        }
        let mut rare: Vec<(u32, &str)> =
            counts.iter().zip(primitives()).map(|(c, p)| (c[1] + c[2] + c[3], p.name)).collect();
        rare.sort_unstable();
        let depth_4 = counts.iter().filter(|c| c[3] > 0).count();
        println!("{split:?}: rarest in pairs {:?}, at depth 4: {depth_4}", &rare[..8]);
        // Validation owns one pair in twelve: too few for every primitive to be in one.
        let reached = counts.iter().filter(|c| c.iter().sum::<u32>() >= 5).count();
        let all = if split == Split::Validation { 35 } else { primitives().len() };
        assert!(reached >= all, "{split:?} {reached}");
        for (c, p) in counts.iter().zip(primitives()) {
            assert!(split != Split::Train || c[1] + c[2] + c[3] >= 40, "{} {c:?}", p.name);
        }
        assert!(split == Split::Pretrain || depth_4 >= 20, "{split:?}");
    }
}

#[test]
fn hidden_tests_vary_and_reject_every_mutant() {
    let (mut mutants, mut alive, mut weak) = (0, 0, Vec::new());
    for split in SPLITS {
        for i in 0..300 {
            let task = Task::build(&id((i % 10) as u8 + 1, split, i)).unwrap();
            let composition = composition(&task);
            assert_eq!(task.tests.len(), HIDDEN_TESTS);
            assert!(task.tests.iter().all(|t| task.examples.iter().all(|e| e.args != t.args)));
            let outputs: HashSet<String> =
                task.tests.iter().map(|t| format!("{:?}", t.expected)).collect();
            assert!(outputs.len() >= 4, "{} {outputs:?}", task.id);
            for v in variations(composition) {
                mutants += 1;
                let passes = task.tests.iter().all(|t| {
                    run(&v.lines, &as_data(&t.args[0])).map(|o| o.value())
                        == Some(t.expected.clone())
                });
                if passes {
                    alive += 1;
                    assert!(!v.name.ends_with("forgotten"), "{} {}", task.id, v.name);
                    weak.push(format!("{} {}", task.id, v.name));
                }
            }
        }
    }
    println!("{alive} of {mutants} mutants survive {weak:?}");
    assert!(alive * 500 <= mutants, "{alive} of {mutants}");
}

fn as_data(value: &verify::Value) -> Data {
    match value {
        verify::Value::Str(s) => Data::Text(s.clone()),
        verify::Value::List(xs) => Data::List(
            xs.iter()
                .map(|x| match x {
                    verify::Value::Int(n) => *n,
                    other => unreachable!("an int, not {other:?}"),
                })
                .collect(),
        ),
        other => unreachable!("an argument, not {other:?}"),
    }
}

#[test]
fn constant_answers_fail() {
    let mut worst: f64 = 0.0;
    for i in 0..500 {
        let task = Task::build(&id((i % 10) as u8 + 1, Split::Test, i)).unwrap();
        worst = worst.max(crate::baselines(&task).constant);
    }
    println!("best constant answer: at most {worst:.2} of the tests");
    assert!(worst <= 0.5);
}

#[test]
fn clean_programs_are_right_and_noisy_ones_often_are() {
    let mut rng = Rng::seed_from_u64(1);
    let mut right = [(0_u32, 0_u32); 4];
    for task in tasks(Split::Train, 2_000) {
        let composition = composition(&task);
        assert!(draw(composition, "xs", true, 1.0, &mut rng).right);
        let share = &mut right[composition.steps.len() - 1];
        share.0 += u32::from(draw(composition, "xs", false, 1.0, &mut rng).right);
        share.1 += 1;
    }
    let shares: Vec<f64> = right.iter().map(|(r, n)| f64::from(*r) / f64::from(*n)).collect();
    println!("right by depth: {shares:.2?}");
    assert!(shares[0] > 0.5 && shares[2] > 0.15);
}
