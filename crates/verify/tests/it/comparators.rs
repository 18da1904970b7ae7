//! The comparators, judged through the sandbox: what a program returns against what a test
//! expects.

use verify::{Comparator, Submission, Verdict};

use crate::{judge, submission, verifier};

const NEAR: Comparator = Comparator::Float { abs: 1e-6, rel: 1e-6 };

const WORDS: Comparator = Comparator::Tokens { abs: 0.0, rel: 0.0 };
const NEAR_WORDS: Comparator = Comparator::Tokens { abs: 1e-6, rel: 1e-6 };

/// `(comparator, expected, returned by Python, whether they count as equal)`.
const CASES: [(Comparator, &str, &str, bool); 76] = [
    (Comparator::Exact, "1", "1", true),
    (Comparator::Exact, "1", "1.0", false),
    (Comparator::Exact, "1.0", "1", false),
    (Comparator::Exact, "1", "True", false),
    (Comparator::Exact, "true", "1", false),
    (Comparator::Exact, "true", "True", true),
    (Comparator::Exact, "null", "None", true),
    (Comparator::Exact, "null", "0", false),
    (Comparator::Exact, "0.0", "-0.0", true),
    (Comparator::Exact, r#"{"$float": "nan"}"#, "float('nan')", true),
    (Comparator::Exact, "1.0", "float('nan')", false),
    (Comparator::Exact, r#""a""#, "b'a'", false),
    (Comparator::Exact, "[1, 2]", "(1, 2)", true),
    (Comparator::Exact, r#"{"$tuple": [1, [2]]}"#, "[1, (2,)]", true),
    (Comparator::Exact, "[1, 2]", "[2, 1]", false),
    (Comparator::Exact, "[1, 2]", "[1, 2, 3]", false),
    (Comparator::Exact, "[1, 2]", "{1, 2}", false),
    (Comparator::Exact, r#"{"$set": [1, 2, 3]}"#, "{3, 2, 1}", true),
    (Comparator::Exact, r#"{"$set": [1, 2]}"#, "{1, 2, 3}", false),
    (Comparator::Exact, r#"{"$set": [1, 2]}"#, "{1, 2.0}", false),
    (Comparator::Exact, r#"{"$set": [[1, 2]]}"#, "{(1, 2)}", true),
    (Comparator::Exact, r#"{"$set": [{"$set": [1, 2]}]}"#, "{frozenset([2, 1])}", true),
    (Comparator::Exact, r#"{"$set": [{"$float": "nan"}, 1]}"#, "{1, float('nan')}", true),
    (Comparator::Exact, r#"{"a": 1, "b": 2}"#, "{'b': 2, 'a': 1}", true),
    (Comparator::Exact, r#"{"a": 1, "b": 2}"#, "{'b': 1, 'a': 2}", false),
    (Comparator::Exact, r#"{"a": 1}"#, "{'a': 1, 'b': 2}", false),
    (Comparator::Exact, r#"[{"a": {"$set": [1, 2]}}]"#, "[{'a': {2, 1}}]", true),
    (Comparator::Strict, "[1, 2]", "[1, 2]", true),
    (Comparator::Strict, "[1, 2]", "(1, 2)", false),
    (Comparator::Strict, r#"[{"$tuple": [1]}]"#, "[[1]]", false),
    (Comparator::Strict, r#"{"$set": [{"$tuple": [1]}]}"#, "{(1,)}", true),
    (NEAR, "1.0", "1.0000001", true),
    (NEAR, "1.0", "1.001", false),
    (NEAR, "1.0", "1", true),
    (NEAR, "1", "1.0", true),
    (NEAR, "1", "True", false),
    (NEAR, "[1.0, [2.0]]", "(1, (2,))", true),
    (NEAR, r#"{"$float": "inf"}"#, "1.0", false),
    (NEAR, r#"{"$float": "inf"}"#, "float('-inf')", false),
    (NEAR, r#"{"$float": "inf"}"#, "float('inf')", true),
    (NEAR, "1.0", "float('inf')", false),
    (NEAR, "1.0", "float('nan')", false),
    (NEAR, "1e30", "10 ** 30", true),
    (NEAR, r#"{"$set": [[0.0, 2], [1e-9, 1]]}"#, "{(1e-9, 2), (0.0, 1)}", true),
    (NEAR, r#"{"x": 0.1}"#, "{'x': 0.1 + 1e-9}", true),
    (Comparator::AnyOrder, "[1, 2, 2]", "[2, 1, 2]", true),
    (Comparator::AnyOrder, "[1, 2, 2]", "[2, 1, 1]", false),
    (Comparator::AnyOrder, "[[1, 2], [3]]", "[[3], (1, 2)]", true),
    (Comparator::AnyOrder, "[[1, 2], [3]]", "[[3], [2, 1]]", false),
    (Comparator::AnyOrder, "[1]", "{1}", false),
    (Comparator::AnyOrderTwice, "[[1, 2], [3]]", "[[3], [2, 1]]", true),
    (Comparator::AnyOrderTwice, "[[1, 2], [3]]", "[(3,), (2, 1)]", true),
    (Comparator::AnyOrderTwice, "[[1, 2], [1, 3]]", "[[1, 1], [2, 3]]", false),
    (Comparator::AnyOrderTwice, "[[1, 1], [2]]", "[[2], [1]]", false),
    (Comparator::AnyOrderTwice, "[1, [2, 3]]", "[[3, 2], 1]", true),
    (Comparator::AnyOrderTwice, "[[[1, 2]]]", "[[[2, 1]]]", false),
    (Comparator::AnyOrderTwice, "[[1, 2]]", "[{1, 2}]", false),
    (Comparator::Lines, r#""1 2\n3""#, "'1 2  \\n3\\n\\n'", true),
    (Comparator::Lines, r#""1 2\n3\n""#, "'1 2\\r\\n3'", true),
    (Comparator::Lines, r#""1 2\n3""#, "'1  2\\n3'", false),
    (Comparator::Lines, r#""1\n2""#, "'1 2'", false),
    (Comparator::Lines, r#""1\n2""#, "'1\\n\\n2'", false),
    (Comparator::Lines, r#""1""#, "' 1'", false),
    (Comparator::Lines, r#""1""#, "b'1'", false),
    (WORDS, r#""1 2\n3""#, "'1\\n2   3\\n'", true),
    (WORDS, r#""1 2 3""#, "'1 2'", false),
    (WORDS, r#""1 2""#, "'1 2 3'", false),
    (WORDS, r#""1.0""#, "'1'", false),
    (WORDS, r#""Yes""#, "'YES'", false),
    (NEAR_WORDS, r#""x 1.0 2""#, "'x 1.0000001 2.0'", true),
    (NEAR_WORDS, r#""1.0""#, "'1.1'", false),
    (NEAR_WORDS, r#""1.0 x""#, "'1.0 y'", false),
    (NEAR_WORDS, r#""inf""#, "'1e300'", false),
    (NEAR_WORDS, r#""1.0""#, "'nan'", false),
    (Comparator::AnyOf, "[1, [2, 3]]", "(2, 3)", true),
    (Comparator::AnyOf, "[1, [2, 3]]", "[1, [2, 3]]", false),
];

#[test]
fn values_count_as_equal_as_the_comparator_says() {
    let verifier = verifier();
    let batch: Vec<Submission> = CASES
        .iter()
        .map(|(comparator, expected, returned, _)| {
            let program = format!("def f():\n    return {returned}\n");
            let plain = submission(&program, &format!("[[[], {expected}]]"));
            Submission { comparator: comparator.clone(), ..plain }
        })
        .collect();
    for (case, found) in CASES.iter().zip(verifier.judge(&batch).unwrap()) {
        let verdict = if case.3 { Verdict::Accepted } else { Verdict::WrongAnswer };
        assert_eq!(found.verdict, verdict, "{case:?}: {found:?}");
    }
}

/// A quadratic comparison of these would take minutes.
#[test]
fn large_values_are_compared_in_time() {
    let verifier = verifier();
    let numbers: Vec<String> = (0..60_000).map(|n| (n * 7919 % 60_000).to_string()).collect();
    let all = numbers.join(",");
    let pairs: Vec<String> = numbers.iter().map(|n| format!("[{n}, 0]")).collect();
    let cases = [
        (Comparator::Exact, format!(r#"{{"$set": [{all}]}}"#), "set(range(60_000))"),
        (Comparator::AnyOrder, format!("[{all}]"), "list(range(60_000))"),
        (NEAR, format!(r#"{{"$set": [{all}]}}"#), "set(map(float, range(60_000)))"),
        (
            Comparator::Exact,
            format!(r#"{{"$dict": [{}]}}"#, pairs.join(",")),
            "dict.fromkeys(range(60_000), 0)",
        ),
    ];
    for (comparator, expected, returned) in cases {
        let program = format!("def f():\n    return {returned}\n");
        let plain = submission(&program, &format!("[[[], {expected}]]"));
        let limits = verify::Limits { wall_ms: 20_000, ..plain.limits };
        let spent = crate::own_cpu(|| {
            let found = judge(&verifier, &Submission { comparator, limits, ..plain });
            assert_eq!(found.verdict, Verdict::Accepted, "{returned}: {found:?}");
        });
        assert!(spent.as_millis() < 2_000, "{returned}: {spent:?}");
    }
}
