//! Puzzles against the verifier: what cheated the prior executors is wrong here.

use tasks::selfplay::{Puzzle, TaskKind};
use verify::{Submission, Value, Verdict, Verifier, VerifierConfig};

fn verifier() -> Verifier {
    Verifier::start(VerifierConfig { slots: 2, ..VerifierConfig::default() })
        .expect("the sandbox starts")
}

fn verdicts(submissions: &[Submission]) -> Vec<Verdict> {
    verifier()
        .judge(submissions)
        .expect("the sandbox works")
        .into_iter()
        .map(|j| j.verdict)
        .collect()
}

/// `x + 1`, with cases 0 to 5 of which the last three are hidden.
fn successor() -> Puzzle {
    let given = |i: i64| {
        let program = "def f(x):\n    return x + 1\n";
        Puzzle::given(TaskKind::Induction, program, &i.to_string(), &(i + 1).to_string())
            .expect("they are literals")
    };
    let cases = (0..6).flat_map(|i| given(i).cases.to_vec()).collect();
    Puzzle { cases, ..given(0) }
}

#[test]
fn an_induced_program_is_judged_on_what_it_was_not_shown() {
    let puzzle = successor();
    let honest = "def f(x):\n    return x + 1\n";
    let table = "def f(x):\n    return {0: 1, 1: 2, 2: 3}[x]\n";
    let equal_to_all = "class E:\n    def __eq__(self, other):\n        return True\n    \
                        __hash__ = None\ndef f(x):\n    return E()\n";
    let equal_int = "class E(int):\n    def __eq__(self, other):\n        return True\n    \
                     __hash__ = None\ndef f(x):\n    return E(0)\n";
    let frames = "import sys\ndef f(x):\n    g = sys._getframe(1)\n    \
                  return g.f_locals.get('expected', 0)\n";
    let tuple = "def f(x):\n    return (x + 1,)\n";
    let lists = [honest, table, equal_to_all, equal_int, frames, tuple];
    let found = verdicts(&lists.map(|program| puzzle.induced(program.to_string())));
    assert_eq!(found[0], Verdict::Accepted);
    assert!(found[1..].iter().all(|v| !matches!(v, Verdict::Accepted)), "{found:?}");
}

#[test]
fn an_abduced_input_is_run_and_any_that_fits_is_right() {
    let square = |output| Puzzle::given(TaskKind::Abduction, SQUARE, "3", output).unwrap();
    let found = verdicts(&[
        square("9").abduced(vec![Value::Int(3)]),
        square("9").abduced(vec![Value::Int(-3)]),
        square("9").abduced(vec![Value::Int(4)]),
        square("9").abduced(vec![Value::Int(3), Value::Int(3)]),
        square("9.0").abduced(vec![Value::Int(3)]),
    ]);
    assert_eq!(found[..2], [Verdict::Accepted; 2]);
    assert!(found[2..].iter().all(|v| *v != Verdict::Accepted), "{found:?}");
}

const SQUARE: &str = "def f(x):\n    return x * x\n";

#[test]
fn outputs_are_values_and_not_texts_that_are_evaluated() {
    let given = |output| Puzzle::given(TaskKind::Deduction, SQUARE, "3", output).unwrap();
    // Two ways to write one value, which a comparison of texts would tell apart; and two values
    // that Python calls equal.
    assert!(given("[1, 'a']").deduced(&Value::from_literal("[1,\"a\"]").unwrap()));
    assert!(!given("1").deduced(&Value::from_literal("True").unwrap()));
    assert!(given("{1: 2, 3: 4}").deduced(&Value::from_literal("{3: 4, 1: 2}").unwrap()));
    assert!(given("{'x', 'y'}").deduced(&Value::from_literal("{'y', 'x'}").unwrap()));
    assert!(given("float('nan')").deduced(&Value::from_literal("float('nan')").unwrap()));
    // Longer than the 400 characters at which the paper's code cuts, and still solvable.
    let long = format!("'{}'", "x".repeat(900));
    assert!(given(&long).deduced(&Value::from_literal(&long).unwrap()));
}
