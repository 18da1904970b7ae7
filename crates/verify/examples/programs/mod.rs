//! The programs of the throughput figures, with their tests.

use serde_json::{Value as Json, json};
use verify::{Limits, Submission, TestCase, Value};

/// A program and what it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) source: &'static str,
    /// The arguments and the right answer of a test.
    case: fn(i64) -> (Json, i64),
}

/// What never ends.
pub(crate) const ENDLESS: &str = "def f(*args):\n    while True:\n        pass\n";

/// From the least work to the most.
pub(crate) const PROGRAMS: [Program; 4] = [
    Program { name: "noop", source: "def f(n):\n    return n\n", case: |n| (json!([n]), n) },
    Program { name: "two-sum", source: TWO_SUM, case: two_sum },
    Program { name: "edit distance", source: EDIT_DISTANCE, case: edit_distance },
    Program { name: "n-queens 8", source: N_QUEENS, case: |_| (json!([8]), 92) },
];

const TWO_SUM: &str = "\
def f(numbers, target):
    seen = {}
    for at, number in enumerate(numbers):
        if target - number in seen:
            return seen[target - number] * 1000 + at
        seen[number] = at
    return -1
";

/// The last two of fifty numbers are the ones.
fn two_sum(n: i64) -> (Json, i64) {
    let mut numbers: Vec<i64> = (0..48).map(|i| 3 * i + n % 7).collect();
    numbers.extend([1_000, 2_000]);
    (json!([numbers, 3_000]), 48 * 1_000 + 49)
}

const EDIT_DISTANCE: &str = "\
def f(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]
";

fn edit_distance(n: i64) -> (Json, i64) {
    let word = |k: i64| -> String {
        (0..12 + n % 5).map(|i| char::from(b'a' + ((i * k + n) % 7) as u8)).collect()
    };
    let (a, b) = (word(3), word(5));
    let mut row: Vec<i64> = (0..=b.len() as i64).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut last = std::mem::replace(&mut row[0], i as i64 + 1);
        for (j, y) in b.bytes().enumerate() {
            let best = (row[j + 1] + 1).min(row[j] + 1).min(last + i64::from(x != y));
            last = std::mem::replace(&mut row[j + 1], best);
        }
    }
    (json!([a, b]), row[b.len()])
}

const N_QUEENS: &str = "\
def f(n):
    def place(row, columns, up, down):
        if row == n:
            return 1
        found = 0
        for column in range(n):
            if column not in columns and row + column not in up and row - column not in down:
                found += place(row + 1, columns | {column}, up | {row + column}, down | {row - column})
        return found
    return place(0, frozenset(), frozenset(), frozenset())
";

/// A right submission.
pub(crate) fn submission(program: Program, n_tests: usize, limits: Limits) -> Submission {
    let case = |n| {
        let (args, expected) = (program.case)(n);
        let args = args.as_array().map(|args| args.iter().map(Value::from_json).collect());
        let args = args.and_then(Result::ok).unwrap_or_default();
        TestCase { args, expected: Value::Int(expected) }
    };
    Submission {
        program: program.source.to_string(),
        entry_point: "f".to_string(),
        tests: (0..n_tests as i64).map(case).collect(),
        limits,
        ..Submission::default()
    }
}

/// The same for a peer.
pub(crate) fn order(program: Program, n_tests: usize, seconds: f64) -> Json {
    let tests: Vec<(Json, i64)> = (0..n_tests as i64).map(program.case).collect();
    json!({ "program": program.source, "tests": tests, "seconds": seconds })
}
