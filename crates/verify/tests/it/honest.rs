//! Honest programs in the many shapes that a model writes them are judged by what they return.

use verify::{Submission, Verdict, Verifier};

use crate::{judge, submission, verifier};

fn check(verifier: &Verifier, program: &str, cases: &str, expected: Verdict) {
    let found = judge(verifier, &submission(program, cases));
    assert_eq!(found.verdict, expected, "{found:?} for\n{program}");
    if expected == Verdict::Accepted {
        assert_eq!((found.passed, found.detail.as_str()), (found.total, ""));
    }
}

#[test]
fn every_shape_of_program_is_accepted() {
    let verifier = verifier();
    let programs = [
        "def f(n):\n    return n * n\n",
        "f = lambda n: n * n\n",
        "class Solution:\n    def f(self, n: int) -> int:\n        return n * n\n",
        "class Solution:\n    @staticmethod\n    def f(n):\n        return n * n\n",
        "class Solution:\n    def __init__(self):\n        self.k = 2\n    def f(self, n):\n        self.k += 1\n        return n * n * self.k // 3\n",
        "from __future__ import annotations\ndef f(n: Unknown) -> int:\n    return n * n\n",
        "def g(n, k):\n    return 0 if k == 0 else n + g(n, k - 1)\ndef f(n):\n    return g(n, n)\n",
        "import math, collections, itertools, functools, heapq, bisect, re, string\nfrom typing import List, Optional\ndef f(n):\n    return math.prod([n, n])\n",
        "import json, decimal, fractions, datetime, statistics\ndef f(n):\n    return int(decimal.Decimal(n) ** 2)\n",
        "def f(n):\n    return n * n\nif __name__ == '__main__':\n    raise SystemExit('a demo')\n",
        "def f(n):\n    print('working on', n, '…' * 1000)\n    return n * n\nprint(f(2))\n",
        "import sys\nsys.setrecursionlimit(10**6)\ndef g(n):\n    return 0 if n == 0 else 1 + g(n - 1)\ndef f(n):\n    return g(20_000) - 20_000 + n * n\n",
        "from functools import lru_cache\n@lru_cache(None)\ndef f(n):\n    return n * n\n",
        "import dataclasses, enum\n@dataclasses.dataclass\nclass P:\n    x: int\nclass E(enum.IntEnum):\n    NINE = 9\n    SIXTEEN = 16\ndef f(n):\n    return E(P(n).x ** 2)\n",
        "import collections\nT = collections.namedtuple('T', 'a b')\ndef f(n):\n    t = T(n, n)\n    return t.a * t.b\n",
        "def f(n):\n    try:\n        return input()\n    except EOFError:\n        return n * n\n",
        "def f(n):\n    try:\n        open('/etc/passwd')\n    except OSError:\n        return n * n\n",
        "def f(n):\r\n    return n * n\r\n",
        "# -*- coding: latin-1 -*-\ndef f(n):\n    größe = n\n    return größe ** 2\n",
    ];
    for program in programs {
        check(&verifier, program, crate::SQUARES, Verdict::Accepted);
    }
}

#[test]
fn values_of_every_type_come_and_go() {
    let verifier = verifier();
    let identity = "def f(x):\n    return x\n";
    let values = [
        "null",
        "true",
        "-1",
        "2147483648",
        "-9223372036854775808",
        r#"{"$int": "123456789012345678901234567890"}"#,
        r#"{"$int": "-18446744073709551616"}"#,
        "0.1",
        r#"{"$float": "nan"}"#,
        r#"{"$float": "-inf"}"#,
        r#""""#,
        r#""it's \"quoted\"\n\t\\ '''x''' {} %s""#,
        r#""žluťoučký 🦀 \u0000 \u2028""#,
        r#"{"$bytes": [0, 255, 10]}"#,
        "[]",
        "[[1, [2, [3, [null]]]], {}]",
        r#"{"$tuple": [1, {"$tuple": []}]}"#,
        r#"{"$set": [3, 1, 2]}"#,
        r#"{"b": 1, "a": {"c": [true]}}"#,
        r#"{"$dict": [[1, "x"], [{"$tuple": [1, 2]}, "y"]]}"#,
    ];
    for value in values {
        check(&verifier, identity, &format!("[[[{value}], {value}]]"), Verdict::Accepted);
    }
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    check(&verifier, identity, &format!("[[[{deep}], {deep}]]"), Verdict::Accepted);
    check(&verifier, "def f():\n    return 7\n", "[[[], 7]]", Verdict::Accepted);
    check(&verifier, "def f(a, b=2, *c):\n    return c\n", "[[[1, 2, 3], [3]]]", Verdict::Accepted);
    check(
        &verifier,
        "def f(n):\n    return n ** 100\n",
        r#"[[[10], {"$int": "1"}]]"#,
        Verdict::WrongAnswer,
    );
}

#[test]
fn containers_of_the_library_count_as_plain_ones() {
    let verifier = verifier();
    let results = [
        ("collections.Counter('aab')", r#"{"a": 2, "b": 1}"#),
        ("collections.OrderedDict(a=1)", r#"{"a": 1}"#),
        ("collections.deque([1, 2])", "[1, 2]"),
        ("[collections.deque([1]), {2: collections.Counter()}]", r#"[[1], {"$dict": [[2, {}]]}]"#),
        ("collections.namedtuple('P', 'x y')(1, 2)", r#"{"$tuple": [1, 2]}"#),
        ("frozenset([1, 2])", r#"{"$set": [1, 2]}"#),
        ("{frozenset([1]), frozenset()}", r#"{"$set": [{"$set": [1]}, {"$set": []}]}"#),
        ("type('S', (str,), {})('x')", r#""x""#),
        ("type('I', (int,), {})(5)", "5"),
        ("type('F', (float,), {})(0.5)", "0.5"),
    ];
    for (result, expected) in results {
        let program = format!("import collections\ndef f():\n    return {result}\n");
        check(&verifier, &program, &format!("[[[], {expected}]]"), Verdict::Accepted);
    }
    let defaults = "from collections import defaultdict\ndef f(words):\n    found = defaultdict(list)\n    for word in words:\n        found[len(word)].append(word)\n    return found\n";
    let cases = r#"[[[["a", "bb", "c"]], {"$dict": [[2, ["bb"]], [1, ["a", "c"]]]}]]"#;
    check(&verifier, defaults, cases, Verdict::Accepted);
}

#[test]
fn what_is_not_a_value_is_refused() {
    let verifier = verifier();
    for result in [
        "(x for x in [1])",
        "map(str, [1])",
        "range(3)",
        "{}.keys()",
        "object()",
        "f",
        "1j",
        "...",
        "'\\ud800'",
    ] {
        let program = format!("def f():\n    return {result}\n");
        check(&verifier, &program, "[[[], [1]]]", Verdict::RuntimeError);
    }
}

#[test]
fn tests_do_not_see_each_others_arguments() {
    let program = "def f(items):\n    items.append(0)\n    return len(items)\n";
    check(&verifier(), program, "[[[[1]], 2], [[[1]], 2], [[[1, 2]], 3]]", Verdict::Accepted);
}

#[test]
fn a_large_job_goes_through() {
    let row = (0..20_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let case = format!("[[[{row}]], [{row}]]");
    let cases = format!("[{}]", vec![case; 10].join(","));
    let verifier = verifier();
    check(&verifier, "def f(x):\n    return x\n", &cases, Verdict::Accepted);
    let many = format!("[{}]", vec!["[[2], 4]"; 20_000].join(","));
    check(&verifier, "def f(n):\n    return n * n\n", &many, Verdict::Accepted);
}

#[test]
fn a_batch_keeps_its_order() {
    let verifier = verifier();
    let batch: Vec<Submission> = (0..60)
        .map(|n| submission(&format!("def f():\n    return {n}\n"), &format!("[[[], {}]]", n % 3)))
        .collect();
    for (n, found) in verifier.judge(&batch).unwrap().into_iter().enumerate() {
        let expected = if n < 3 { Verdict::Accepted } else { Verdict::WrongAnswer };
        assert_eq!(found.verdict, expected, "{n}: {found:?}");
        assert!(n < 3 || found.detail.contains(&format!("got {n}, expected {}", n % 3)));
    }
    assert!(verifier.judge(&[]).unwrap().is_empty());
}
