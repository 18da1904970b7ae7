//! What a deterministic program could see differ between runs does not: hashes, the random
//! generator and addresses are the same in every slot and after every restart.

use verify::{Judgement, Submission};

use crate::{judge, submission, verifier};

/// Each returns something that an ordinary Python varies.
const PROGRAMS: [&str; 6] = [
    "def f():\n    return [hash('a'), hash(b'b'), hash((1, 'c'))]\n",
    "def f():\n    return list({'x', 'y', 'z', 'longer', 'words', 'too'})\n",
    "import random\ndef f():\n    return [random.random(), random.randrange(10**9)]\n",
    "def f():\n    xs = [object() for _ in range(200)]\n    return sorted(range(200), key=lambda i: id(xs[i]))\n",
    "class A:\n    pass\ndef f():\n    return [str(len(list({A() for _ in range(9)}))), hash(None)]\n",
    "def f():\n    raise ValueError(str(object()), id(object()))\n",
];

fn batch() -> Vec<Submission> {
    let each = PROGRAMS.iter().map(|program| submission(program, "[[[], 0], [[], 1]]"));
    each.cycle().take(PROGRAMS.len() * 4).collect()
}

/// Everything but the times.
fn seen(found: &[Judgement]) -> Vec<String> {
    found.iter().map(|j| format!("{} {}/{} {}", j.verdict, j.passed, j.total, j.detail)).collect()
}

#[test]
fn runs_are_equal_across_slots_and_restarts() {
    let first = verifier();
    let expected = seen(&first.judge(&batch()).unwrap());
    let (a, b) = expected.split_at(PROGRAMS.len());
    assert_eq!(a, &b[..a.len()], "runs differ on one verifier");
    assert_eq!(seen(&first.judge(&batch()).unwrap()), expected);
    drop(first);
    assert_eq!(seen(&verifier().judge(&batch()).unwrap()), expected);
}

#[test]
fn one_run_leaves_nothing_for_the_next() {
    let verifier = verifier();
    let vandal = "import random, builtins, math\nrandom.seed(7)\nbuiltins.len = lambda x: 0\nmath.pi = 3\ndef f():\n    return 0\n";
    let witness = submission(
        "import random, math\ndef f():\n    return [len('abc'), math.floor(math.pi * 100), random.random()]\n",
        "[[[], 0]]",
    );
    let before = judge(&verifier, &witness);
    judge(&verifier, &submission(vandal, "[[[], 0]]"));
    assert_eq!(seen(&[judge(&verifier, &witness)]), seen(std::slice::from_ref(&before)));
    assert!(before.detail.contains("got [3, 314, "), "{before:?}");
}
