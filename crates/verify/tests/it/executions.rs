//! Runs without a judge, second opinions, remembered judgements, measured references, checkers.

use std::sync::Arc;

use verify::{
    Call, Comparator, Job, Judgement, Limits, Mode, Submission, Value, Verdict, Verifier,
    VerifierConfig, VerifyError,
};

use crate::{SQUARES, judge, submission, tests, verifier};

fn job(program: &str, inputs: &[i64]) -> Job {
    Job {
        program: program.to_string(),
        entry_point: "f".to_string(),
        inputs: inputs.iter().map(|n| vec![Value::Int(*n)]).collect(),
        ..Job::default()
    }
}

#[test]
fn a_program_can_be_run_without_expected_values() {
    let verifier = verifier();
    let program =
        "def f(n):\n    if n == 2:\n        raise ValueError('two')\n    return (n, {n})\n";
    let looped = "def f(n):\n    while n == 1: pass\n    return n\n";
    let limits = Limits { test_cpu_ms: 100, wall_ms: 30_000, ..Limits::default() };
    let jobs = [
        job(program, &[1, 2, 3]),
        job("def f(:\n", &[1]),
        Job { limits, ..job(looped, &[0, 1, 2]) },
        job(program, &[]),
        Job {
            inputs: vec![vec![Value::Str("5".to_string())]],
            call: Call { mode: Mode::Stdio, ..Call::default() },
            ..job("print(int(input()) + 1)\n", &[])
        },
    ];
    let found = verifier.execute(&jobs).unwrap();
    let pair = |n| Value::Tuple(vec![Value::Int(n), Value::Set(vec![Value::Int(n)])]);
    assert_eq!(found[0].answers[0], Ok(pair(1)));
    let raised = found[0].answers[1].as_ref().unwrap_err();
    assert_eq!(
        (raised.verdict, raised.detail.as_str()),
        (Verdict::RuntimeError, "ValueError: two")
    );
    assert_eq!((&found[0].answers[2], &found[0].failure), (&Ok(pair(3)), &None));
    assert!(found[0].cpu_ms > 0.0);
    assert_eq!(found[1].failure.as_ref().unwrap().verdict, Verdict::CompileError);
    assert!(found[1].answers.is_empty());
    assert_eq!(found[2].answers[1].as_ref().unwrap_err().verdict, Verdict::TimeLimit);
    assert_eq!(
        (&found[2].answers[0], &found[2].answers[2]),
        (&Ok(Value::Int(0)), &Ok(Value::Int(2)))
    );
    assert_eq!((found[3].answers.len(), &found[3].failure), (0, &None));
    assert_eq!(found[4].answers, [Ok(Value::Str("6\n".to_string()))]);
    let call = Call { mode: Mode::Stdio, ..Call::default() };
    let nothing = verifier.execute(&[Job { call, ..job("print(1)\n", &[]) }]).unwrap();
    assert_eq!((nothing[0].answers.len(), &nothing[0].failure), (0, &None));
    let wrong = Job { call: Call { mode: Mode::Stdio, ..Call::default() }, ..job("", &[1]) };
    assert!(matches!(verifier.execute(&[wrong]), Err(VerifyError::Submission { index: 0, .. })));
}

#[test]
fn a_second_flavour_gives_away_what_is_not_deterministic() {
    let verifier = verifier();
    let cases = [
        ("def f(n):\n    return n * n\n", true),
        ("def f(n):\n    return sorted({'a', 'b', 'c'})\n", true),
        ("def f(n):\n    return {'a', 'b', 'c', 'd', 'e'}\n", true),
        ("def f(n):\n    return float('nan')\n", true),
        ("import random\ndef f(n):\n    return random.Random(n).random()\n", true),
        ("def f(n):\n    raise ValueError(hash('a'))\n", true),
        ("def f(n):\n    return hash('a')\n", false),
        ("def f(n):\n    return list({'a', 'b', 'c', 'd', 'e', 'f', 'g'})\n", false),
        ("import random\ndef f(n):\n    return random.random()\n", false),
        ("def f(n):\n    return id(object())\n", false),
        ("import os\ndef f(n):\n    return os.urandom(8)\n", false),
        ("import time\ndef f(n):\n    return time.time_ns()\n", false),
    ];
    let jobs: Vec<Job> = cases.iter().map(|(program, _)| job(program, &[1, 2])).collect();
    for ((program, expected), found) in cases.iter().zip(verifier.execute_twice(&jobs).unwrap()) {
        assert_eq!(found.is_deterministic(), *expected, "{found:?} for\n{program}");
    }
}

fn with(config: VerifierConfig) -> Verifier {
    Verifier::start(VerifierConfig { slots: 2, ..config }).unwrap()
}

/// Everything but the times.
fn seen(found: &[Judgement]) -> Vec<String> {
    found.iter().map(|j| format!("{} {}/{} {}", j.verdict, j.passed, j.total, j.detail)).collect()
}

#[test]
fn a_remembered_judgement_is_the_judgement() {
    let programs = [
        "def f(n):\n    return n * n\n",
        "def f(n):\n    return n\n",
        "def f(n):\n    raise KeyError('k')\n",
        "def f(n):\n    while True: pass\n",
        "import time\ndef f(n):\n    time.sleep(9)\n",
        "",
    ];
    let limits = Limits { cpu_ms: 100, wall_ms: 30_000, idle_ms: 100, ..Limits::default() };
    let each = programs.map(|program| Submission { limits, ..submission(program, SQUARES) });
    let batch: Vec<Submission> = each.iter().chain(&each).cloned().collect();
    let plain = with(VerifierConfig::default());
    let expected = seen(&plain.judge(&batch).unwrap());
    assert_eq!((plain.stats().cache_hits, plain.stats().judged), (0, 12));
    let verifier = with(VerifierConfig { cache_entries: 100, ..VerifierConfig::default() });
    assert_eq!(seen(&verifier.judge(&batch).unwrap()), expected);
    // The one that idled is judged each time: another run might have been woken.
    assert_eq!((verifier.stats().cache_hits, verifier.stats().judged), (5, 7));
    let again = verifier.judge(&batch[..4]).unwrap();
    assert_eq!(seen(&again), expected[..4]);
    assert_eq!((verifier.stats().cache_hits, verifier.stats().judged), (9, 7));
    let other = Submission { limits: Limits::default(), ..each[0].clone() };
    assert_eq!(judge(&verifier, &other).verdict, Verdict::Accepted);
    assert_eq!(verifier.stats().cache_hits, 9, "other limits are another submission");
}

#[test]
fn a_recheck_counts_lucky_programs_and_changes_no_verdict() {
    let lucky = "def f(n):\n    return n * n if hash('a') == HASH else 0\n";
    let verifier = with(VerifierConfig { recheck_share: 1.0, ..VerifierConfig::default() });
    let ask = Job { inputs: vec![vec![]], ..job("def f():\n    return hash('a')\n", &[]) };
    let hash = verifier.execute(&[ask]).unwrap()[0].answers[0].clone().unwrap();
    let lucky = lucky.replace("HASH", &hash.to_string());
    let batch = [
        submission("def f(n):\n    return n * n\n", SQUARES),
        submission(&lucky, SQUARES),
        submission("def f(n):\n    return 0\n", SQUARES),
    ];
    let verdicts: Vec<Verdict> =
        verifier.judge(&batch).unwrap().iter().map(|j| j.verdict).collect();
    assert_eq!(verdicts, [Verdict::Accepted, Verdict::Accepted, Verdict::WrongAnswer]);
    let stats = verifier.stats();
    assert_eq!((stats.judged, stats.rechecked, stats.flaky), (3, 2, 1));
    assert!((stats.flake_rate() - 0.5).abs() < 1e-9);
}

#[test]
fn a_share_of_the_accepted_is_rechecked() {
    let verifier = with(VerifierConfig { recheck_share: 0.25, ..VerifierConfig::default() });
    let batch: Vec<Submission> = (0..80)
        .map(|n| submission(&format!("def f(n):\n    return n * n + {n} - {n}\n"), SQUARES))
        .collect();
    verifier.judge(&batch).unwrap();
    let stats = verifier.stats();
    assert!((8..=32).contains(&stats.rechecked), "{stats:?}");
    assert_eq!(stats.flaky, 0);
}

#[test]
fn limits_come_from_a_reference_that_is_right() {
    let verifier = verifier();
    let cheap = submission("def f(n):\n    return n * n\n", SQUARES);
    let limits = verifier.limits_for(&cheap).unwrap();
    assert!((50..=500).contains(&limits.cpu_ms), "{limits:?}");
    assert_eq!((limits.test_cpu_ms, limits.wall_ms), (limits.cpu_ms, 3 * limits.cpu_ms + 1_000));
    let dear = "def f(n):\n    for i in range(3_000_000): pass\n    return n * n\n";
    let dear = verifier.limits_for(&submission(dear, SQUARES)).unwrap();
    assert!(dear.cpu_ms > limits.cpu_ms, "{dear:?}");
    let wrong = submission("def f(n):\n    return n\n", SQUARES);
    match verifier.limits_for(&wrong) {
        Err(VerifyError::Reference { verdict, .. }) => assert_eq!(verdict, Verdict::WrongAnswer),
        other => panic!("{other:?}"),
    }
}

const DIVISOR: &str = "def check(input, expected, output):\n    (n,) = input\n    return type(output) is int and 1 < output < n and n % output == 0\n";

fn checked(program: &str, checker: &str, cases: &str) -> Submission {
    Submission { comparator: Comparator::Checker(Arc::from(checker)), ..submission(program, cases) }
}

#[test]
fn a_checker_decides_by_the_values_of_input_expectation_and_answer() {
    let verifier = verifier();
    let cases = "[[[15], null], [[49], null]]";
    let programs = [
        (
            "def f(n):\n    return next(d for d in range(2, n) if n % d == 0)\n",
            Verdict::Accepted,
            2,
        ),
        (
            "def f(n):\n    return next(d for d in range(n - 1, 1, -1) if n % d == 0)\n",
            Verdict::Accepted,
            2,
        ),
        ("def f(n):\n    return 3\n", Verdict::WrongAnswer, 1),
        ("def f(n):\n    return str(n)\n", Verdict::WrongAnswer, 0),
        (
            "class E(int):\n    __eq__ = __lt__ = __gt__ = lambda *a: True\n    __rmod__ = __mod__ = lambda *a: 0\ndef f(n):\n    return E(1)\n",
            Verdict::WrongAnswer,
            0,
        ),
        ("def f(n):\n    return 5 if n == 15 else 1 // 0\n", Verdict::RuntimeError, 1),
        (
            "import builtins\nbuiltins.type = lambda x: int\ndef check(*a):\n    return True\ndef f(n):\n    return 1\n",
            Verdict::WrongAnswer,
            0,
        ),
    ];
    for (program, verdict, passed) in programs {
        let found = judge(&verifier, &checked(program, DIVISOR, cases));
        assert_eq!((found.verdict, found.passed), (verdict, passed), "{found:?} for\n{program}");
    }
    let typed = "def check(input, expected, output):\n    return input == ([1], 'x') and expected == {'k': (1,)} and output == {2}\n";
    let cases = r#"[[[[1], "x"], {"k": {"$tuple": [1]}}]]"#;
    let found = judge(&verifier, &checked("def f(a, b):\n    return {2}\n", typed, cases));
    assert_eq!(found.verdict, Verdict::Accepted, "{found:?}");
    let texts = "def check(input, expected, output):\n    return sorted(output.split()) == sorted(expected.split()) and input == '3'\n";
    let plain =
        checked("for i in range(int(input())):\n    print(i)\n", texts, r#"[[["3"], "2 1 0"]]"#);
    let call = Call { mode: Mode::Stdio, ..Call::default() };
    let found = judge(&verifier, &Submission { call, ..plain });
    assert_eq!(found.verdict, Verdict::Accepted, "{found:?}");
}

#[test]
fn a_checker_that_fails_is_never_a_wrong_answer() {
    let right = "def f(n):\n    return n * n\n";
    let checkers = [
        ("def check(input, expected, output):\n    return 1\n", "returned 1 rather than a bool"),
        ("def check(input, expected, output):\n    return len(output) > 0\n", "TypeError"),
        ("def check(input, expected, output):\n    import os; os._exit(0)\n", "ended"),
        ("def check(:\n", "SyntaxError"),
        ("def chekc(a, b, c):\n    return True\n", "no function `check`"),
    ];
    let verifier = verifier();
    for (checker, why) in checkers {
        let found = judge(&verifier, &checked(right, checker, SQUARES));
        assert_eq!(found.verdict, Verdict::JudgeError, "{found:?} for\n{checker}");
        assert!(found.detail.contains(why), "{found:?} for\n{checker}");
    }
    assert_eq!(verifier.stats().judge_errors, 5);
    // A checker shares no process with programs, so what they do to theirs cannot reach it.
    let zygotes = verifier.zygotes();
    assert_eq!(zygotes.len(), 2, "{zygotes:?}");
    let none = Submission {
        tests: tests(SQUARES),
        ..checked("def f(n):\n    return 0\n", DIVISOR, SQUARES)
    };
    assert_eq!(judge(&verifier, &none).verdict, Verdict::WrongAnswer);
}
