//! The primitives that take a list of integers.

use super::primitive::{NONE, Primitive, li, ll, lt};

fn map(xs: &[i64], f: impl Fn(i64) -> i64) -> Vec<i64> {
    xs.iter().map(|&x| f(x)).collect()
}

fn keep(xs: &[i64], f: impl Fn(i64) -> bool) -> Vec<i64> {
    xs.iter().copied().filter(|&x| f(x)).collect()
}

fn sorted(xs: &[i64]) -> Vec<i64> {
    let mut xs = xs.to_vec();
    xs.sort_unstable();
    xs
}

fn reversed(xs: &[i64]) -> Vec<i64> {
    xs.iter().rev().copied().collect()
}

/// `xs[k:]`.
fn from(xs: &[i64], k: usize) -> Vec<i64> {
    xs[k.min(xs.len())..].to_vec()
}

/// `xs[:k]`.
fn upto(xs: &[i64], k: usize) -> Vec<i64> {
    xs[..k.min(xs.len())].to_vec()
}

/// `xs[:-k]`.
fn without_last(xs: &[i64], k: usize) -> Vec<i64> {
    upto(xs, xs.len().saturating_sub(k))
}

/// `xs[-k:]`.
fn last(xs: &[i64], k: usize) -> Vec<i64> {
    from(xs, xs.len().saturating_sub(k))
}

fn every_other(xs: &[i64], start: usize) -> Vec<i64> {
    xs.iter().skip(start).step_by(2).copied().collect()
}

fn unique(xs: &[i64]) -> Vec<i64> {
    let mut kept = Vec::new();
    for x in xs {
        if !kept.contains(x) {
            kept.push(*x);
        }
    }
    kept
}

fn indexed(xs: &[i64], f: impl Fn(i64, i64) -> i64) -> Vec<i64> {
    (0..).zip(xs).map(|(i, &x)| f(i, x)).collect()
}

fn neighbours(xs: &[i64], f: impl Fn(i64, i64) -> i64) -> Vec<i64> {
    xs.windows(2).map(|w| f(w[0], w[1])).collect()
}

fn prefix_sums(xs: &[i64]) -> Vec<i64> {
    xs.iter()
        .scan(0, |sum, x| {
            *sum += x;
            Some(*sum)
        })
        .collect()
}

fn chained(mut a: Vec<i64>, b: Vec<i64>) -> Vec<i64> {
    a.extend(b);
    a
}

fn max(xs: &[i64]) -> i64 {
    xs.iter().copied().max().unwrap_or(0)
}

fn min(xs: &[i64]) -> i64 {
    xs.iter().copied().min().unwrap_or(0)
}

fn count(xs: &[i64], f: impl Fn(i64) -> bool) -> i64 {
    keep(xs, f).len() as i64
}

fn joined(xs: &[i64], separator: &str) -> String {
    xs.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}

/// List to list.
pub(super) static TO_LIST: &[Primitive] = &[
    Primitive {
        name: "keep_evens",
        phrases: &["keep the even numbers", "drop the odd numbers", "leave only even values"],
        constants: NONE,
        right: ll("[x for x in $0 if x % 2 == 0]", |xs, _| keep(xs, |x| x % 2 == 0)),
        wrong: &[
            ll("[x for x in $0 if x % 2 == 1]", |xs, _| keep(xs, |x| x % 2 != 0)),
            ll("[x for x in $0 if x // 2 == 0]", |xs, _| keep(xs, |x| x.div_euclid(2) == 0)),
        ],
    },
    Primitive {
        name: "keep_odds",
        phrases: &["keep the odd numbers", "drop the even numbers", "leave only odd values"],
        constants: NONE,
        right: ll("[x for x in $0 if x % 2 == 1]", |xs, _| keep(xs, |x| x % 2 != 0)),
        wrong: &[
            ll("[x for x in $0 if x % 2 == 0]", |xs, _| keep(xs, |x| x % 2 == 0)),
            ll("[x for x in $0 if x % 3 == 1]", |xs, _| keep(xs, |x| x.rem_euclid(3) == 1)),
        ],
    },
    Primitive {
        name: "keep_above",
        phrases: &[
            "keep the numbers above $k",
            "keep what is greater than $k",
            "leave only values over $k",
        ],
        constants: (0, 6),
        right: ll("[x for x in $0 if x > $k]", |xs, k| keep(xs, |x| x > k)),
        wrong: &[
            ll("[x for x in $0 if x >= $k]", |xs, k| keep(xs, |x| x >= k)),
            ll("[x for x in $0 if x < $k]", |xs, k| keep(xs, |x| x < k)),
        ],
    },
    Primitive {
        name: "keep_below",
        phrases: &[
            "keep the numbers below $k",
            "keep what is less than $k",
            "leave only values under $k",
        ],
        constants: (2, 9),
        right: ll("[x for x in $0 if x < $k]", |xs, k| keep(xs, |x| x < k)),
        wrong: &[
            ll("[x for x in $0 if x <= $k]", |xs, k| keep(xs, |x| x <= k)),
            ll("[x for x in $0 if x > $k]", |xs, k| keep(xs, |x| x > k)),
        ],
    },
    Primitive {
        name: "drop_multiples",
        phrases: &["drop the multiples of $k", "remove what $k divides"],
        constants: (3, 5),
        right: ll("[x for x in $0 if x % $k != 0]", |xs, k| keep(xs, |x| x % k != 0)),
        wrong: &[
            ll("[x for x in $0 if x % $k == 0]", |xs, k| keep(xs, |x| x % k == 0)),
            ll("[x for x in $0 if x != $k]", |xs, k| keep(xs, |x| x != k)),
        ],
    },
    Primitive {
        name: "drop_value",
        phrases: &["drop every $k", "remove all values equal to $k", "take out each $k"],
        constants: (0, 4),
        right: ll("[x for x in $0 if x != $k]", |xs, k| keep(xs, |x| x != k)),
        wrong: &[
            ll("[x for x in $0 if x == $k]", |xs, k| keep(xs, |x| x == k)),
            ll("[x for x in $0 if x > $k]", |xs, k| keep(xs, |x| x > k)),
        ],
    },
    Primitive {
        name: "double",
        phrases: &[
            "double each number",
            "multiply every number by two",
            "make each value twice as large",
        ],
        constants: NONE,
        right: ll("[x * 2 for x in $0]", |xs, _| map(xs, |x| x * 2)),
        wrong: &[
            ll("[x + 2 for x in $0]", |xs, _| map(xs, |x| x + 2)),
            ll("[x * x for x in $0]", |xs, _| map(xs, |x| x * x)),
        ],
    },
    Primitive {
        name: "multiply",
        phrases: &["multiply each number by $k", "scale every value by $k"],
        constants: (3, 9),
        right: ll("[x * $k for x in $0]", |xs, k| map(xs, |x| x * k)),
        wrong: &[
            ll("[x + $k for x in $0]", |xs, k| map(xs, |x| x + k)),
            ll("[x * $j for x in $0]", |xs, k| map(xs, |x| x * (k + 1))),
        ],
    },
    Primitive {
        name: "add",
        phrases: &[
            "add $k to each number",
            "increase every value by $k",
            "raise each number by $k",
        ],
        constants: (1, 9),
        right: ll("[x + $k for x in $0]", |xs, k| map(xs, |x| x + k)),
        wrong: &[
            ll("[x - $k for x in $0]", |xs, k| map(xs, |x| x - k)),
            ll("[x + $j for x in $0]", |xs, k| map(xs, |x| x + k + 1)),
        ],
    },
    Primitive {
        name: "subtract",
        phrases: &["subtract $k from each number", "lower every value by $k"],
        constants: (1, 9),
        right: ll("[x - $k for x in $0]", |xs, k| map(xs, |x| x - k)),
        wrong: &[
            ll("[$k - x for x in $0]", |xs, k| map(xs, |x| k - x)),
            ll("[x + $k for x in $0]", |xs, k| map(xs, |x| x + k)),
        ],
    },
    Primitive {
        name: "square",
        phrases: &["square each number", "multiply every number by itself"],
        constants: NONE,
        right: ll("[x * x for x in $0]", |xs, _| map(xs, |x| x * x)),
        wrong: &[
            ll("[x * 2 for x in $0]", |xs, _| map(xs, |x| x * 2)),
            ll("[x + x for x in $0[1:]]", |xs, _| map(&from(xs, 1), |x| x + x)),
        ],
    },
    Primitive {
        name: "negate",
        phrases: &["negate each number", "flip the sign of every value"],
        constants: NONE,
        right: ll("[-x for x in $0]", |xs, _| map(xs, |x| -x)),
        wrong: &[
            ll("[abs(x) for x in $0]", |xs, _| map(xs, i64::abs)),
            ll("[1 - x for x in $0]", |xs, _| map(xs, |x| 1 - x)),
        ],
    },
    Primitive {
        name: "absolute",
        phrases: &[
            "take absolute values",
            "make every number non-negative",
            "remove the minus signs",
        ],
        constants: NONE,
        right: ll("[abs(x) for x in $0]", |xs, _| map(xs, i64::abs)),
        wrong: &[
            ll("[-x for x in $0]", |xs, _| map(xs, |x| -x)),
            ll("[max(x, 0) for x in $0]", |xs, _| map(xs, |x| x.max(0))),
        ],
    },
    Primitive {
        name: "halve",
        phrases: &["halve each number rounding down", "floor-divide every value by two"],
        constants: NONE,
        right: ll("[x // 2 for x in $0]", |xs, _| map(xs, |x| x.div_euclid(2))),
        wrong: &[
            ll("[x % 2 for x in $0]", |xs, _| map(xs, |x| x.rem_euclid(2))),
            ll("[x // 2 + 1 for x in $0]", |xs, _| map(xs, |x| x.div_euclid(2) + 1)),
        ],
    },
    Primitive {
        name: "remainder",
        phrases: &["take each number modulo $k", "replace every value by its remainder mod $k"],
        constants: (4, 9),
        right: ll("[x % $k for x in $0]", |xs, k| map(xs, |x| x.rem_euclid(k))),
        wrong: &[
            ll("[x // $k for x in $0]", |xs, k| map(xs, |x| x.div_euclid(k))),
            ll("[x % $j for x in $0]", |xs, k| map(xs, |x| x.rem_euclid(k + 1))),
        ],
    },
    Primitive {
        name: "cap",
        phrases: &["cap each number at $k", "cut every value down to at most $k"],
        constants: (3, 9),
        right: ll("[min(x, $k) for x in $0]", |xs, k| map(xs, |x| x.min(k))),
        wrong: &[
            ll("[max(x, $k) for x in $0]", |xs, k| map(xs, |x| x.max(k))),
            ll("[x for x in $0 if x <= $k]", |xs, k| keep(xs, |x| x <= k)),
        ],
    },
    Primitive {
        name: "sort",
        phrases: &[
            "sort in ascending order",
            "sort from small to large",
            "put the numbers in increasing order",
        ],
        constants: NONE,
        right: ll("sorted($0)", |xs, _| sorted(xs)),
        wrong: &[
            ll("sorted($0, reverse=True)", |xs, _| reversed(&sorted(xs))),
            ll("sorted($0, key=abs)", |xs, _| {
                let mut xs = xs.to_vec();
                xs.sort_by_key(|x| x.abs());
                xs
            }),
        ],
    },
    Primitive {
        name: "sort_down",
        phrases: &[
            "sort in descending order",
            "sort from large to small",
            "put the numbers in decreasing order",
        ],
        constants: NONE,
        right: ll("sorted($0, reverse=True)", |xs, _| reversed(&sorted(xs))),
        wrong: &[ll("sorted($0)", |xs, _| sorted(xs)), ll("$0[::-1]", |xs, _| reversed(xs))],
    },
    Primitive {
        name: "reverse",
        phrases: &["reverse the list", "turn the list around", "put the list back to front"],
        constants: NONE,
        right: ll("$0[::-1]", |xs, _| reversed(xs)),
        wrong: &[
            ll("$0[:-1]", |xs, _| without_last(xs, 1)),
            ll("sorted($0, reverse=True)", |xs, _| reversed(&sorted(xs))),
        ],
    },
    Primitive {
        name: "drop_first",
        phrases: &["drop the first element", "remove the leading element", "skip the first item"],
        constants: NONE,
        right: ll("$0[1:]", |xs, _| from(xs, 1)),
        wrong: &[ll("$0[:-1]", |xs, _| without_last(xs, 1)), ll("$0[2:]", |xs, _| from(xs, 2))],
    },
    Primitive {
        name: "drop_last",
        phrases: &["drop the last element", "remove the final element", "leave off the last item"],
        constants: NONE,
        right: ll("$0[:-1]", |xs, _| without_last(xs, 1)),
        wrong: &[ll("$0[1:]", |xs, _| from(xs, 1)), ll("$0[-1:]", |xs, _| last(xs, 1))],
    },
    Primitive {
        name: "take_first",
        phrases: &["take the first $k", "keep only the first $k elements"],
        constants: (2, 4),
        right: ll("$0[:$k]", |xs, k| upto(xs, k as usize)),
        wrong: &[
            ll("$0[:$j]", |xs, k| upto(xs, k as usize + 1)),
            ll("$0[$k:]", |xs, k| from(xs, k as usize)),
        ],
    },
    Primitive {
        name: "take_last",
        phrases: &["take the last $k", "keep only the last $k elements"],
        constants: (2, 4),
        right: ll("$0[-$k:]", |xs, k| last(xs, k as usize)),
        wrong: &[
            ll("$0[:-$k]", |xs, k| without_last(xs, k as usize)),
            ll("$0[$k:]", |xs, k| from(xs, k as usize)),
        ],
    },
    Primitive {
        name: "every_other",
        phrases: &[
            "take every second element from the first on",
            "keep the elements at even positions",
        ],
        constants: NONE,
        right: ll("$0[::2]", |xs, _| every_other(xs, 0)),
        wrong: &[ll("$0[1::2]", |xs, _| every_other(xs, 1)), ll("$0[:2]", |xs, _| upto(xs, 2))],
    },
    Primitive {
        name: "unique",
        phrases: &["remove duplicates keeping the order", "keep the first of equal values"],
        constants: NONE,
        right: ll("list(dict.fromkeys($0))", |xs, _| unique(xs)),
        wrong: &[
            ll("sorted(set($0))", |xs, _| unique(&sorted(xs))),
            ll("[x for x in $0 if $0.count(x) == 1]", |xs, _| {
                keep(xs, |x| xs.iter().filter(|y| **y == x).count() == 1)
            }),
        ],
    },
    Primitive {
        name: "running_sums",
        phrases: &["take running sums", "replace each number by the sum so far"],
        constants: NONE,
        right: ll("[sum($0[:i + 1]) for i in range(len($0))]", |xs, _| prefix_sums(xs)),
        wrong: &[
            ll("[sum($0[:i]) for i in range(len($0))]", |xs, _| {
                chained(vec![0], prefix_sums(xs))[..xs.len()].to_vec()
            }),
            ll("[sum($0[i:]) for i in range(len($0))]", |xs, _| {
                reversed(&prefix_sums(&reversed(xs)))
            }),
        ],
    },
    Primitive {
        name: "differences",
        phrases: &["take the differences of neighbours", "subtract each number from the next one"],
        constants: NONE,
        right: ll("[b - a for a, b in zip($0, $0[1:])]", |xs, _| neighbours(xs, |a, b| b - a)),
        wrong: &[
            ll("[a - b for a, b in zip($0, $0[1:])]", |xs, _| neighbours(xs, |a, b| a - b)),
            ll("[a + b for a, b in zip($0, $0[1:])]", |xs, _| neighbours(xs, |a, b| a + b)),
        ],
    },
    Primitive {
        name: "rotate",
        phrases: &["move the first element to the end", "rotate the list left by one"],
        constants: NONE,
        right: ll("$0[1:] + $0[:1]", |xs, _| chained(from(xs, 1), upto(xs, 1))),
        wrong: &[
            ll("$0[-1:] + $0[:-1]", |xs, _| chained(last(xs, 1), without_last(xs, 1))),
            ll("$0[1:] + $0[:2]", |xs, _| chained(from(xs, 1), upto(xs, 2))),
        ],
    },
    Primitive {
        name: "times_index",
        phrases: &[
            "multiply each number by its index",
            "weight every value by its position from 0",
        ],
        constants: NONE,
        right: ll("[i * x for i, x in enumerate($0)]", |xs, _| indexed(xs, |i, x| i * x)),
        wrong: &[
            ll("[i * x for i, x in enumerate($0, 1)]", |xs, _| indexed(xs, |i, x| (i + 1) * x)),
            ll("[i + x for i, x in enumerate($0)]", |xs, _| indexed(xs, |i, x| i + x)),
        ],
    },
];

/// List to integer, and list to text. All are total: the maximum of nothing is 0.
pub(super) static TO_OTHER: &[Primitive] = &[
    Primitive {
        name: "sum",
        phrases: &["add everything up", "return the sum", "compute the total"],
        constants: NONE,
        right: li("sum($0)", |xs, _| xs.iter().sum()),
        wrong: &[
            li("len($0)", |xs, _| xs.len() as i64),
            li("sum($0[1:])", |xs, _| from(xs, 1).iter().sum()),
        ],
    },
    Primitive {
        name: "max",
        phrases: &["return the largest or 0", "find the maximum or 0 if none"],
        constants: NONE,
        right: li("max($0, default=0)", |xs, _| max(xs)),
        wrong: &[
            li("min($0, default=0)", |xs, _| min(xs)),
            li("max($0[1:], default=0)", |xs, _| max(&from(xs, 1))),
        ],
    },
    Primitive {
        name: "min",
        phrases: &["return the smallest or 0", "find the minimum or 0 if none"],
        constants: NONE,
        right: li("min($0, default=0)", |xs, _| min(xs)),
        wrong: &[
            li("max($0, default=0)", |xs, _| max(xs)),
            li("min($0[1:], default=0)", |xs, _| min(&from(xs, 1))),
        ],
    },
    Primitive {
        name: "length",
        phrases: &["return the length", "count the elements", "say how many there are"],
        constants: NONE,
        right: li("len($0)", |xs, _| xs.len() as i64),
        wrong: &[
            li("sum($0)", |xs, _| xs.iter().sum()),
            li("len($0) - 1", |xs, _| xs.len() as i64 - 1),
        ],
    },
    Primitive {
        name: "count_odds",
        phrases: &["count the odd numbers", "return how many are odd"],
        constants: NONE,
        right: li("sum(x % 2 == 1 for x in $0)", |xs, _| count(xs, |x| x % 2 != 0)),
        wrong: &[
            li("sum(x % 2 == 0 for x in $0)", |xs, _| count(xs, |x| x % 2 == 0)),
            li("sum(x for x in $0 if x % 2 == 1)", |xs, _| keep(xs, |x| x % 2 != 0).iter().sum()),
        ],
    },
    Primitive {
        name: "spread",
        phrases: &["return largest minus smallest or 0", "find the spread or 0 if empty"],
        constants: NONE,
        right: li("max($0, default=0) - min($0, default=0)", |xs, _| max(xs) - min(xs)),
        wrong: &[
            li("max($0, default=0) - len($0)", |xs, _| max(xs) - xs.len() as i64),
            li("max($0, default=0) + min($0, default=0)", |xs, _| max(xs) + min(xs)),
        ],
    },
    Primitive {
        name: "join",
        phrases: &[
            "join the numbers with spaces",
            "write the numbers as one text",
            "make a space separated text",
        ],
        constants: NONE,
        right: lt("\" \".join(str(x) for x in $0)", |xs| joined(xs, " ")),
        wrong: &[
            lt("\"\".join(str(x) for x in $0)", |xs| joined(xs, "")),
            lt("\",\".join(str(x) for x in $0)", |xs| joined(xs, ",")),
        ],
    },
];
