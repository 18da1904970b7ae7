//! Every verdict can be reached, with the passed tests counted and the detail as written here.

use verify::{Judgement, Limits, Submission, Verdict, VerifyError};

use crate::{SQUARES, judge, submission, tests, verifier};

const LIMITS: Limits = Limits {
    cpu_ms: 200,
    test_cpu_ms: 200,
    wall_ms: 20_000,
    idle_ms: 1_000,
    memory_mib: 256,
    stack_mib: 256,
    output_bytes: 10_000,
    file_bytes: 1 << 20,
    open_files: 16,
};

/// `(program, verdict, passed, detail)`, with tests that square 3 and 4.
const CASES: [(&str, Verdict, usize, &str); 27] = [
    ("def f(n):\n    return n * n\n", Verdict::Accepted, 2, ""),
    ("def f(n):\n    return 9\n", Verdict::WrongAnswer, 1, "test 2: got 9, expected 16"),
    (
        "def f(n):\n    return [n, 'a\\x1b']\n",
        Verdict::WrongAnswer,
        0,
        "test 1: got [3, 'a\\x1b'], expected 9",
    ),
    (
        "def f(n):\n    return {n, 1, 'x'}\n",
        Verdict::WrongAnswer,
        0,
        "test 1: got {1, 3, 'x'}, expected 9",
    ),
    (
        "def f(n):\n    return 'x' * 1000\n",
        Verdict::WrongAnswer,
        0,
        "test 1: got 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…, expected 9",
    ),
    (
        "def f(n):\n    return n * n if n == 4 else 1 // 0\n",
        Verdict::RuntimeError,
        1,
        "test 1: ZeroDivisionError: integer division or modulo by zero",
    ),
    (
        "def f(n):\n    if n == 3:\n        return 0\n    raise KeyError(n)\n",
        Verdict::RuntimeError,
        0,
        "test 2: KeyError",
    ),
    (
        "def f(n):\n    raise ValueError(f'{object()} and {object()}')\n",
        Verdict::RuntimeError,
        0,
        "test 1: ValueError: <object object at 0x…> and <object object at 0x…>",
    ),
    (
        "def f(n):\n    raise ValueError('a\\nb\\x1b[2J\\u202e')\n",
        Verdict::RuntimeError,
        0,
        "test 1: ValueError: a\\nb\\u{1b}[2J\\u{202e}",
    ),
    (
        "def f(n):\n    raise ValueError('\\ud800')\n",
        Verdict::RuntimeError,
        0,
        "test 1: ValueError: ?",
    ),
    (
        "def f(n):\n    return object()\n",
        Verdict::RuntimeError,
        0,
        "test 1: TypeError: returned a object",
    ),
    (
        "def f(n):\n    return 1j\n",
        Verdict::RuntimeError,
        0,
        "test 1: not a literal value: complex",
    ),
    (
        "def f(n):\n    return f(n)\n",
        Verdict::RuntimeError,
        0,
        "test 1: RecursionError: maximum recursion depth exceeded",
    ),
    (
        "import nothing_like_it\n",
        Verdict::RuntimeError,
        0,
        "ModuleNotFoundError: No module named 'nothing_like_it'",
    ),
    (
        "import os\ndef f(n):\n    if n == 4:\n        os._exit(0)\n    return 9\n",
        Verdict::RuntimeError,
        1,
        "test 2: the program ended before its results",
    ),
    (
        "import ctypes\ndef f(n):\n    return ctypes.string_at(0)\n",
        Verdict::RuntimeError,
        0,
        "test 1: killed by signal 11",
    ),
    (
        "def f(n):\n    while n == 4:\n        pass\n    return 9\n",
        Verdict::TimeLimit,
        1,
        "CPU time limit",
    ),
    ("while True:\n    pass\n", Verdict::TimeLimit, 0, "CPU time limit"),
    ("import time\ndef f(n):\n    time.sleep(9)\n", Verdict::TimeLimit, 0, "idle time limit"),
    (
        "def f(n):\n    return len(bytearray(1 << 30)) if n == 3 else 16\n",
        Verdict::MemoryLimit,
        1,
        "test 1: out of memory",
    ),
    ("x = bytearray(1 << 30)\n", Verdict::MemoryLimit, 0, "out of memory"),
    ("def f(n):\n    return 'x' * 20_000\n", Verdict::OutputLimit, 0, "too many bytes returned"),
    (
        "import os\ndef f(n):\n    os.execv('/bin/true', ['true'])\n",
        Verdict::Violation,
        0,
        "a forbidden system call",
    ),
    (
        "import os\ndef f(n):\n    os.write(4, b'\\0\\0\\0\\0\\x09')\n",
        Verdict::Violation,
        0,
        "an unexpected frame",
    ),
    ("def f(n):\n    return n *\n", Verdict::CompileError, 0, "SyntaxError: invalid syntax"),
    ("def g(n):\n    return n * n\n", Verdict::NoProgram, 0, "no function `f`"),
    (" \n\t\n", Verdict::NoProgram, 0, "there is no program"),
];

#[test]
fn every_verdict_can_be_reached() {
    let verifier = verifier();
    let mut reached = vec![Verdict::JudgeError];
    for (program, verdict, passed, detail) in CASES {
        let found =
            judge(&verifier, &Submission { limits: LIMITS, ..submission(program, SQUARES) });
        let expected = (verdict, passed, 2, detail);
        let Judgement { verdict, passed, total, ref detail, .. } = found;
        assert_eq!((verdict, passed, total, detail.as_str()), expected, "{program}");
        reached.push(verdict);
    }
    for verdict in Verdict::ALL {
        assert!(reached.contains(&verdict), "{verdict}");
    }
}

#[test]
fn the_wall_limit_is_kept() {
    let program = "import time\ndef f(n):\n    while True:\n        sum(range(20_000))\n        time.sleep(0.01)\n";
    let limits = Limits { cpu_ms: 10_000, wall_ms: 300, ..LIMITS };
    let found = judge(&verifier(), &Submission { limits, ..submission(program, SQUARES) });
    assert_eq!((found.verdict, found.detail.as_str()), (Verdict::TimeLimit, "wall time limit"));
    assert!((300.0..20_000.0).contains(&found.wall_ms), "{found:?}");
}

type Tighten = fn(&mut Limits);

/// `(what limits it, program, detail)`: each is accepted with the default limits.
#[test]
fn every_limit_bites() {
    let cases: [(Tighten, &str, &str); 8] = [
        (|l| l.cpu_ms = 20, "sum(range(10_000_000))", "CPU time limit"),
        (|l| l.test_cpu_ms = 10, "sum(range(20_000_000))", "test 1: CPU time limit"),
        (|l| l.idle_ms = 50, "import time; time.sleep(0.5)", "idle time limit"),
        (|l| l.memory_mib = 100, "len(bytearray(200 << 20))", "test 1: out of memory"),
        (|l| l.output_bytes = 4, "0", "too many bytes returned"),
        (|l| l.stack_mib = 1, "deep()", "test 1: killed by signal 11"),
        (|l| l.file_bytes = 1_000, "write(500_000)", "test 1: OSError"),
        (|l| l.open_files = 6, "for i in range(4): os.dup(0)", "test 1: OSError"),
    ];
    let verifier = verifier();
    for (tighten, act, detail) in cases {
        let program = format!(
            "import ctypes, os\nclass S(ctypes.Structure):\n    _fields_ = [('a', ctypes.c_char * (4 << 20))]\ndef deep():\n    ctypes.CDLL(None).getpid(S())\ndef write(n):\n    os.write(os.memfd_create('x'), b'x' * 1_000)\n    fd = os.memfd_create('y')\n    os.lseek(fd, n, 0)\n    os.write(fd, b'x')\ndef f(n):\n    {act}\n    return n * n\n"
        );
        let wide = Submission {
            limits: Limits { wall_ms: 30_000, ..Limits::default() },
            ..submission(&program, SQUARES)
        };
        let found = judge(&verifier, &wide);
        assert_eq!(found.verdict, Verdict::Accepted, "{found:?} for {act}");
        let mut limits = wide.limits;
        tighten(&mut limits);
        let found = judge(&verifier, &Submission { limits, ..wide });
        assert_eq!(found.detail, detail, "{found:?} for {act}");
    }
}

#[test]
fn extreme_limits_are_no_fault_of_the_program() {
    let verifier = verifier();
    let mut endless = Limits::default();
    endless.named().into_iter().for_each(|(_, limit)| *limit = u64::MAX);
    let honest = submission("def f(n):\n    return n * n\n", SQUARES);
    let found = judge(&verifier, &Submission { limits: endless, ..honest.clone() });
    assert_eq!(found.verdict, Verdict::Accepted, "{found:?}");
    for (limits, expected) in [
        (Limits { wall_ms: 0, ..LIMITS }, Verdict::TimeLimit),
        (Limits { cpu_ms: 0, ..LIMITS }, Verdict::TimeLimit),
        (Limits { output_bytes: 0, ..LIMITS }, Verdict::OutputLimit),
    ] {
        let found = judge(&verifier, &Submission { limits, ..honest.clone() });
        assert_eq!(found.verdict, expected, "{found:?}");
    }
    crate::still_honest(&verifier, "extreme limits");
}

#[test]
fn a_large_failing_result_costs_the_judge_little() {
    let limits = Limits { cpu_ms: 2_000, wall_ms: 20_000, ..Limits::default() };
    let program = "def f(n):\n    return [1 << 12_000_000, list(range(400_000))]\n";
    let verifier = verifier();
    let spent = crate::own_cpu(|| {
        let submission = Submission { limits, ..submission(program, "[[[1], [2]]]") };
        let found = judge(&verifier, &submission);
        assert_eq!(found.verdict, Verdict::WrongAnswer, "{found:?}");
    });
    assert!(spent.as_millis() < 1_000, "{spent:?}");
}

#[test]
fn stopping_at_the_first_failure_runs_no_more_tests() {
    let program = "def f(n):\n    while n == 5:\n        pass\n    return n * n\n";
    let cases = "[[[3], 9], [[4], 0], [[5], 25]]";
    let verifier = verifier();
    let all = Submission { limits: LIMITS, ..submission(program, cases) };
    let stops = Submission { stop_at_first_failure: true, ..all.clone() };
    let found = judge(&verifier, &stops);
    assert_eq!((found.verdict, found.passed), (Verdict::WrongAnswer, 1), "{found:?}");
    assert_eq!(found.detail, "test 2: got 16, expected 0");
    let found = judge(&verifier, &all);
    assert_eq!((found.verdict, found.passed), (Verdict::TimeLimit, 1), "{found:?}");
}

#[test]
fn a_submission_without_tests_is_an_error() {
    let honest = submission("def f(n):\n    return n * n\n", SQUARES);
    let empty = Submission { tests: tests("[]"), ..honest.clone() };
    match verifier().judge(&[honest, empty]) {
        Err(VerifyError::Submission { index, .. }) => assert_eq!(index, 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_interpreter_is_an_error() {
    let config = verify::VerifierConfig {
        slots: 1,
        python: Some("/nothing/like/python3".into()),
        allow_unsafe: true,
        ..verify::VerifierConfig::default()
    };
    match verify::Verifier::start(config) {
        Err(VerifyError::Python { reason }) => assert!(reason.contains("/nothing/like/python3")),
        other => panic!("{other:?}"),
    }
}
