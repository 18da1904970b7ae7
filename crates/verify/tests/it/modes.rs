//! The ways in which programs are asked: functions, methods, programs that read and print, and
//! calls that change their arguments.

use verify::{Answer, Call, Comparator, Containers, Job, Limits, Mode, Submission};
use verify::{Script, ScriptEnd, Verdict, Verifier};

use crate::{container, judge, submission, verifier, verifiers};

const STDIO: Call =
    Call { mode: Mode::Stdio, answer: Answer::Returned, containers: Containers::Library };

/// A program against `(standard input, standard output)`, by lines.
fn printing(program: &str, cases: &[(&str, &str)]) -> Submission {
    let cases: Vec<_> = cases.iter().map(|(stdin, stdout)| ([stdin], stdout)).collect();
    let plain = submission(program, &serde_json::to_string(&cases).unwrap());
    Submission { call: STDIO, comparator: Comparator::Lines, ..plain }
}

/// In every tier, and in a host as another program would start it; all at once.
fn everywhere(test: impl Fn(&Verifier) + Sync) {
    let all = verifiers().into_iter().chain([container::plain_host()]);
    std::thread::scope(|s| {
        for verifier in all {
            let test = &test;
            s.spawn(move || test(&verifier));
        }
    });
}

fn check(verifier: &Verifier, submission: &Submission, verdict: Verdict, detail: &str) {
    let found = judge(verifier, submission);
    assert_eq!(
        (found.verdict, found.detail.as_str()),
        (verdict, detail),
        "{found:?} for\n{}",
        submission.program
    );
}

#[test]
fn programs_that_read_and_print_are_accepted_in_every_common_shape() {
    everywhere(|verifier| {
        let cases = [("2\n3 4\n", "7\n"), ("3\n1 1 1\n", "3\n")];
        let programs = [
            "n = int(input())\nprint(sum(map(int, input().split())))\n",
            "import sys\nn, *a = map(int, sys.stdin.read().split())\nprint(sum(a))\n",
            "import sys\ninput = sys.stdin.readline\ninput()\nprint(sum(map(int, input().split())))\n",
            "import sys\nlines = [l for l in sys.stdin]\nsys.stdout.write(str(sum(map(int, lines[1].split()))))\n",
            "import sys\nlines = sys.stdin.buffer.read().split()\nsys.stdout.buffer.write(b'%d\\n' % sum(map(int, lines[1:])))\n",
            "n, *a = map(int, open(0).read().split())\nprint(sum(a))\n",
            "import os\nn, *a = map(int, os.read(0, 10 ** 6).split())\nos.write(1, str(sum(a)).encode())\n",
            "import os\na = os.read(0, os.fstat(0).st_size).split()\nprint(sum(map(int, a[1:])))\n",
            "import os, io\ninput = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline\ninput()\nprint(sum(map(int, input().split())))\n",
            "def main():\n    input()\n    print(sum(map(int, input().split())))\nif __name__ == '__main__':\n    main()\n",
            "import sys\ninput()\nprint(sum(map(int, input().split())))\nsys.exit(0)\n",
            "import sys\ninput()\nprint(sum(map(int, input().split())))\nsys.exit()\n",
            "input()\nprint(sum(map(int, input().split())))\nraise SystemExit\n",
            "import os\ninput()\nprint(sum(map(int, input().split())), flush=True)\nos._exit(0)\n",
            "import sys, threading\nsys.setrecursionlimit(10 ** 6)\nthreading.stack_size(2 ** 26)\ndef deep(n):\n    return n and 1 + deep(n - 1)\ndef main():\n    input()\n    print(sum(map(int, input().split())) + deep(3000) - 3000)\nt = threading.Thread(target=main)\nt.start()\nt.join()\n",
            "import atexit\nout = []\natexit.register(lambda: print('\\n'.join(out)))\ninput()\nout.append(str(sum(map(int, input().split()))))\n",
            "from __future__ import annotations\nimport sys\nfor i, line in enumerate(sys.stdin):\n    if i:\n        print(*[sum(map(int, line.split()))], '  ', sep='')\nprint()\n",
            "import sys\nprint('a note', file=sys.stderr)\ninput()\nprint(sum(map(int, input().split())))\n",
            "import sys\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nassert sys.modules['__main__'].P is P\ninput()\nprint(P(sum(map(int, input().split()))).x)\n",
            "input()\ntry:\n    while True:\n        print(sum(map(int, input().split())))\nexcept EOFError:\n    pass\n",
        ];
        for program in programs {
            check(verifier, &printing(program, &cases), Verdict::Accepted, "");
        }
        let long = "1 ".repeat(200_000);
        let program = "print(len(input().split()))\nprint('x' * 300000)\n";
        let expected = format!("200000\n{}", "x".repeat(300_000));
        check(verifier, &printing(program, &[(&long, &expected)]), Verdict::Accepted, "");
    });
}

#[test]
fn what_is_printed_is_judged_and_how_the_program_ends() {
    everywhere(|verifier| {
        let cases = [("1", "1"), ("2", "2")];
        let programs = [
            ("print(1)\n", Verdict::WrongAnswer, "test 2: got '1\\n', expected '2'"),
            (
                "print(input())\nraise SystemExit(3)\n",
                Verdict::RuntimeError,
                "test 1: exit status 3",
            ),
            (
                "print(input())\nraise SystemExit('no')\n",
                Verdict::RuntimeError,
                "test 1: exit status 1",
            ),
            (
                "n = input()\nprint(n)\n1 // (2 - int(n))\n",
                Verdict::RuntimeError,
                "test 2: ZeroDivisionError: integer division or modulo by zero",
            ),
            ("print(input()\n", Verdict::CompileError, "SyntaxError: '(' was never closed"),
            ("x = bytearray(1 << 40)\n", Verdict::MemoryLimit, "test 1: out of memory"),
            (
                "while True:\n    print('x' * 4000)\n",
                Verdict::OutputLimit,
                "too many bytes returned",
            ),
            (
                "if input() == '2':\n    while True: pass\nprint(1)\n",
                Verdict::TimeLimit,
                "CPU time limit",
            ),
            (
                "import os\nprint(input())\nos.execv('/bin/true', ['true'])\n",
                Verdict::Violation,
                "a forbidden system call",
            ),
            (
                "import ctypes\nctypes.string_at(0)\n",
                Verdict::RuntimeError,
                "test 1: killed by signal 11",
            ),
            (
                "import os\nos.write(4, b'\\1\\0\\0\\0\\1N')\n",
                Verdict::WrongAnswer,
                "test 1: got '\\x01\\x00\\x00\\x00\\x01N', expected '1'",
            ),
            ("print('\\ud800')\n", Verdict::RuntimeError, ""),
        ];
        let limits = Limits { cpu_ms: 200, wall_ms: 30_000, ..Limits::default() };
        for (program, verdict, detail) in programs {
            let found = judge(verifier, &Submission { limits, ..printing(program, &cases) });
            assert_eq!(found.verdict, verdict, "{found:?} for\n{program}");
            assert!(found.detail == detail || detail.is_empty(), "{found:?} for\n{program}");
        }
        crate::still_honest(verifier, "programs that print");
    });
}

#[test]
fn each_test_of_a_printing_program_is_alone() {
    let verifier = verifier();
    let program = "import sys, builtins, os\nn = int(input())\nassert not hasattr(builtins, 'mark')\nbuiltins.mark = 1\nif n == 1:\n    os._exit(1)\nif n == 2:\n    while True: pass\nsys.stdout.write(str(n))\n";
    let cases = [("0", "0"), ("1", "1"), ("2", "2"), ("3", "3"), ("4", "4")];
    let limits = Limits { test_cpu_ms: 100, wall_ms: 30_000, ..Limits::default() };
    let found = judge(&verifier, &Submission { limits, ..printing(program, &cases) });
    assert_eq!((found.verdict, found.passed), (Verdict::TimeLimit, 3), "{found:?}");
    assert_eq!(found.detail, "test 3: CPU time limit");
    let stops = Submission { limits, stop_at_first_failure: true, ..printing(program, &cases) };
    let found = judge(&verifier, &stops);
    assert_eq!((found.verdict, found.passed), (Verdict::RuntimeError, 1), "{found:?}");
}

#[test]
fn methods_are_called_on_the_class_that_is_named() {
    let verifier = verifier();
    let solver = "class Solver:\n    def __init__(self):\n        self.n = 0\n    def f(self, n):\n        self.n += 1\n        return n * n * self.n\n";
    let both =
        "def f(n):\n    return 0\nclass Solution:\n    def f(self, n):\n        return n * n\n";
    let cases = [
        (solver, "Solver.f", Mode::Function, Verdict::Accepted, ""),
        (solver, "Solver.f", Mode::Method, Verdict::Accepted, ""),
        (solver, "f", Mode::Function, Verdict::NoProgram, "no function `f`"),
        (solver, "f", Mode::Method, Verdict::NoProgram, "no method `Solution.f`"),
        (solver, "Solver.g", Mode::Method, Verdict::NoProgram, "no method `Solver.g`"),
        (both, "f", Mode::Method, Verdict::Accepted, ""),
        (both, "f", Mode::Function, Verdict::WrongAnswer, "test 1: got 0, expected 9"),
    ];
    for (program, entry_point, mode, verdict, detail) in cases {
        let call = Call { mode, ..Call::default() };
        let plain = submission(program, crate::SQUARES);
        let entry_point = entry_point.to_string();
        check(&verifier, &Submission { entry_point, call, ..plain }, verdict, detail);
    }
}

#[test]
fn a_changed_argument_can_be_the_answer() {
    let verifier = verifier();
    let cases = r#"[[[[3, 1, 2], "x"], [1, 2, 3]], [[[], "x"], []]]"#;
    let call = Call { answer: Answer::Argument(0), ..Call::default() };
    let programs = [
        ("def f(a, x):\n    a.sort()\n", Verdict::Accepted),
        ("def f(a, x):\n    a[:] = sorted(a)\n    return 'ignored'\n", Verdict::Accepted),
        ("class Solution:\n    def f(self, a, x):\n        a.sort()\n", Verdict::Accepted),
        ("def f(a, x):\n    return sorted(a)\n", Verdict::WrongAnswer),
        ("def f(a, x):\n    a = sorted(a)\n", Verdict::WrongAnswer),
    ];
    for (program, verdict) in programs {
        let found = judge(&verifier, &Submission { call, ..submission(program, cases) });
        assert_eq!(found.verdict, verdict, "{found:?} for\n{program}");
    }
}

#[test]
fn containers_are_taken_or_refused_as_asked() {
    let verifier = verifier();
    let (yes, no) = (Verdict::Accepted, Verdict::RuntimeError);
    // The verdicts with `Builtin`, `Library` and `Iterable`.
    let results = [
        ("[1, 2]", [yes, yes, yes]),
        ("deque([1, 2])", [no, yes, yes]),
        ("type('L', (list,), {})([1, 2])", [no, yes, yes]),
        ("namedtuple('P', 'x y')(1, 2)", [no, yes, yes]),
        ("(x for x in [1, 2])", [no, no, yes]),
        ("range(1, 3)", [no, no, yes]),
        ("map(int, '12')", [no, no, yes]),
        ("{1: 0, 2: 0}.keys()", [no, no, yes]),
        ("[1, *iter([2])]", [yes, yes, yes]),
        ("object()", [no, no, no]),
    ];
    for (result, verdicts) in results {
        let program = format!("from collections import *\ndef f():\n    return {result}\n");
        let all = [Containers::Builtin, Containers::Library, Containers::Iterable];
        for (containers, verdict) in all.into_iter().zip(verdicts) {
            let call = Call { containers, ..Call::default() };
            let found =
                judge(&verifier, &Submission { call, ..submission(&program, "[[[], [1, 2]]]") });
            assert_eq!(found.verdict, verdict, "{result}, {containers:?}: {found:?}");
        }
    }
    let nested = "def f():\n    return {'a': map(str, [1]), 'b': [zip('x', [2])]}\n";
    let expected = r#"[[[], {"a": ["1"], "b": [[{"$tuple": ["x", 2]}]]}]]"#;
    let call = Call { containers: Containers::Iterable, ..Call::default() };
    check(&verifier, &Submission { call, ..submission(nested, expected) }, yes, "");
}

#[test]
fn one_bad_test_leaves_the_verdicts_of_the_others() {
    let verifier = verifier();
    let cases = "[[[0], 0], [[1], 1], [[2], 4], [[3], 9], [[4], 16], [[5], 25]]";
    let bad = [
        ("import os; os._exit(0)", Verdict::RuntimeError, "the program ended before its results"),
        ("import ctypes; ctypes.string_at(0)", Verdict::RuntimeError, "killed by signal 11"),
        ("raise SystemExit", Verdict::RuntimeError, "SystemExit"),
        ("return bytearray(1 << 40)", Verdict::MemoryLimit, "out of memory"),
        ("[0 for i in iter(int, 1)]", Verdict::TimeLimit, "CPU time limit"),
    ];
    let limits = Limits { test_cpu_ms: 100, wall_ms: 30_000, memory_mib: 256, ..Limits::default() };
    for (bad, verdict, detail) in bad {
        let program = format!("def f(n):\n    if n in (1, 4):\n        {bad}\n    return n * n\n");
        let found = judge(&verifier, &Submission { limits, ..submission(&program, cases) });
        assert_eq!((found.verdict, found.passed), (verdict, 4), "{bad}: {found:?}");
        assert_eq!(found.detail, format!("test 2: {detail}"), "{bad}");
    }
}

#[test]
fn a_submission_that_no_program_could_pass_is_refused() {
    let honest = submission("def f(n):\n    return n\n", crate::SQUARES);
    let argument = Call { answer: Answer::Argument(1), ..Call::default() };
    let cases = [
        Submission { call: STDIO, ..honest.clone() },
        Submission { call: Call { answer: Answer::Argument(0), ..STDIO }, ..honest.clone() },
        Submission { call: argument, ..honest.clone() },
        Submission { comparator: Comparator::Lines, ..honest.clone() },
        Submission { comparator: Comparator::AnyOf, ..honest.clone() },
        Submission { comparator: Comparator::Float { abs: -1.0, rel: 0.0 }, ..honest.clone() },
        Submission { comparator: Comparator::Float { abs: f64::NAN, rel: 0.0 }, ..honest.clone() },
        Submission { tests: [].into(), ..honest.clone() },
    ];
    assert_eq!(honest.check(), Ok(()));
    for wrong in cases {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
}

#[test]
fn scripts_checkers_and_second_flavours_work_everywhere() {
    everywhere(|verifier| {
        let script = Script {
            code: "import sys\nopen('out', 'w').write(input())\nprint(open('in').read())\nsys.exit(3)\n"
                .into(),
            stdin: b"a line".to_vec(),
            files: vec![("in".into(), b"a file".to_vec())],
            fetch: vec!["out".into()],
            limits: Limits::default(),
        };
        let run = verifier.run_script_in(0, &script);
        assert_eq!((run.end, run.stdout), (ScriptEnd::Exited(3), b"a file\n".to_vec()));
        assert_eq!(run.files, [("out".to_string(), b"a line".to_vec())]);

        let square = submission("def f(n):\n    return n * n\n", "[[[3], 9]]");
        let checker = "def check(input, expected, output):\n    return output == expected\n";
        let asked = Submission { comparator: Comparator::Checker(checker.into()), ..square };
        check(verifier, &asked, Verdict::Accepted, "");

        let twice = |program: &str| {
            let inputs = vec![vec![verify::Value::Int(1)]];
            let job =
                Job { program: program.into(), entry_point: "f".into(), inputs, ..<_>::default() };
            verifier.execute_twice(&[job]).unwrap()[0].is_deterministic()
        };
        assert!(twice("def f(n):\n    return n\n"));
        assert!(!twice("def f(n):\n    return hash('a')\n"));
    });
}
