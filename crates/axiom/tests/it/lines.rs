//! `axiom verify` and `axiom score`: JSON lines in, JSON lines out, one for one.

use serde_json::{Value, json};

use crate::binary::{output_of, stderr, stdout};

/// The lines that `args` answer `input` with, and the exit code.
fn answers(args: &[&str], input: &[String]) -> (Vec<Value>, i32) {
    let output = output_of(args, &(input.join("\n") + "\n"));
    let text = stdout(&output);
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    (lines, output.status.code().unwrap())
}

fn submission(id: impl Into<Value>, program: &str, limits: &Value) -> String {
    let id: Value = id.into();
    let tests = json!([{"args": [1], "expected": 2}, {"args": [-3], "expected": -2}]);
    json!({"id": id, "program": program, "entry_point": "f", "tests": tests, "limits": limits})
        .to_string()
}

#[test]
fn submissions_are_judged_in_order_around_lines_that_cannot_be_read() {
    let none = json!({});
    let lines = [
        submission("right", "def f(x): return x + 1", &none),
        "{\"id\":".to_string(),
        submission(7, "def f(x): return 2", &none),
        "{\"id\":\"no tests\",\"program\":\"\",\"entry_point\":\"f\",\"tests\":[]}".to_string(),
        submission("raises", "def f(x): return 1 // 0", &none),
        submission("does not compile", "def f(x) return", &none),
        submission("is not there", "x = 1", &none),
        submission("unknown key", "def f(x): return x", &json!({"cpu_mss": 1})),
        submission("last", "def f(x):\n    return x + 1\n", &none),
    ];
    let (found, code) = answers(&["verify"], &lines);
    assert_eq!(code, 2, "some lines could not be read");
    let shown: Vec<Value> = found
        .iter()
        .map(|line| match line.get("error") {
            Some(_) => line["line"].clone(),
            None => json!([line["id"], line["verdict"], line["passed"], line["total"]]),
        })
        .collect();
    let expected = json!([
        ["right", "accepted", 2, 2],
        2,
        [7, "wrong_answer", 1, 2],
        4,
        ["raises", "runtime_error", 0, 2],
        ["does not compile", "compile_error", 0, 2],
        ["is not there", "no_program", 0, 2],
        8,
        ["last", "accepted", 2, 2],
    ]);
    assert_eq!(Value::Array(shown), expected, "{found:#?}");
    for line in found.iter().filter(|line| line.get("error").is_none()) {
        assert!(line["cpu_ms"].is_number() && line["wall_ms"].is_number(), "{line}");
    }
}

#[test]
fn many_submissions_keep_their_order() {
    let program = |i: i64| match i % 3 {
        0 => "import time\ndef f(x):\n    time.sleep(0.002)\n    return x + 1",
        1 => "def f(x): return x + 1",
        _ => "def f(x): return x",
    };
    let lines: Vec<String> = (0..600).map(|i| submission(i, program(i), &json!({}))).collect();
    let (found, code) = answers(&["verify", "--threads", "3"], &lines);
    assert_eq!((code, found.len()), (0, 600));
    for (i, line) in found.iter().enumerate() {
        let verdict = if i % 3 == 2 { "wrong_answer" } else { "accepted" };
        assert_eq!((&line["id"], &line["verdict"]), (&json!(i), &json!(verdict)), "{line}");
    }
}

#[test]
fn limits_are_those_of_the_line() {
    let spin = "def f(x):\n    while True: pass";
    let sleep = "import time\ndef f(x):\n    time.sleep(60)";
    let hoard = "def f(x):\n    a = [0] * 10_000_000\n    return x + 1";
    let lines = [
        submission("cpu", spin, &json!({"cpu_ms": 200, "wall_ms": 20_000})),
        submission("wall", sleep, &json!({"wall_ms": 300})),
        submission("memory", hoard, &json!({"memory_mib": 48})),
        submission("enough memory", hoard, &json!({"memory_mib": 512})),
    ];
    let start = std::time::Instant::now();
    let (found, code) = answers(&["verify"], &lines);
    assert_eq!(code, 0);
    let verdicts: Vec<&Value> = found.iter().map(|line| &line["verdict"]).collect();
    assert_eq!(verdicts, ["time_limit", "time_limit", "memory_limit", "accepted"], "{found:#?}");
    assert!(start.elapsed().as_secs() < 15, "the wall limit ends a program that sleeps");
}

/// A line of each shape in the documentation, with the verdict it gets.
#[test]
fn every_example_of_the_documentation_is_judged_as_it_says() {
    let document = include_str!("../../../../docs/verify.md");
    let blocks = document.split("```json\n").skip(1).map(|block| block.split("\n```").next());
    let lines: Vec<String> = blocks.map(|block| block.unwrap().replace('\n', " ")).collect();
    assert!(lines.len() >= 8, "{}", lines.len());
    let (found, code) = answers(&["verify"], &lines);
    assert_eq!((code, found.len()), (0, lines.len()), "{found:#?}");
    for (line, found) in lines.iter().zip(&found) {
        let id = serde_json::from_str::<Value>(line).unwrap()["id"].clone();
        let verdict =
            if id.as_str().unwrap().starts_with("wrong") { "wrong_answer" } else { "accepted" };
        assert_eq!((&found["id"], &found["verdict"]), (&id, &json!(verdict)), "{line}\n{found}");
    }
}

#[test]
fn a_line_that_asks_for_what_cannot_be_is_an_error_that_says_why() {
    let call = json!([{"args": [1], "expected": 2}]);
    let print = json!([{"stdin": "1", "stdout": "2"}]);
    let line = |tests: &Value, more: &Value| {
        let mut line = json!({"id": 1, "program": "def f(x): return x", "tests": tests});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line.to_string()
    };
    let f = json!({"entry_point": "f"});
    let with = |key: &str, value: Value| json!({"entry_point": "f", key: value});
    let cases = [
        (line(&call, &json!({})), "`entry_point` is missing"),
        (line(&call, &with("mode", json!("stdio"))), "`mode` does not fit"),
        (line(&print, &with("mode", json!("method"))), "`mode` does not fit"),
        (line(&call, &with("mode", json!("main"))), "unknown variant `main`"),
        (line(&json!([call[0], print[0]]), &f), "some tests have `stdin`"),
        (
            line(&call, &with("limits", json!({"cpu_mss": 1}))),
            "no limit `cpu_mss`; there are cpu_ms",
        ),
        (line(&call, &with("limits", json!({"stack_mib": 1000}))), "256 is the most"),
        (line(&call, &with("answer", json!({"argument": 1}))), "lacks the argument"),
        (line(&call, &with("comparator", json!("lines"))), "is for texts"),
        (line(&call, &with("comparator", json!({"float": {"abs": -1}}))), "tolerance"),
        (line(&call, &with("comparator", json!({"float": {"abss": 1}}))), "unknown field `abss`"),
        (line(&json!([{"args": [1]}]), &f), "test 1: missing field `expected`"),
        (line(&json!(["assert f(x) == 1"]), &f), "test 1: an assertion must compare"),
        (line(&json!(["assert g(1) == 1"]), &f), "the tests call `g`"),
        (line(&json!(["assert g(1) == 1", "assert f(1) == 1"]), &json!({})), "an earlier test `g`"),
        (line(&json!({"inputs": ["1"], "outputs": []}), &json!({})), "1 `inputs` and 0 `outputs`"),
        (line(&json!("assert"), &f), "neither a list"),
    ];
    let lines: Vec<String> = cases.iter().map(|(line, _)| line.clone()).collect();
    let (found, code) = answers(&["verify"], &lines);
    assert_eq!((code, found.len()), (2, cases.len()));
    for ((line, why), found) in cases.iter().zip(&found) {
        let error = found["error"].as_str().unwrap_or_default();
        assert!(error.contains(why), "{line}\n{found}");
    }
}

#[test]
fn texts_and_their_tokens_have_the_same_scores() {
    let text = "def f(a):\n    return sorted(a)\n";
    let (of_text, code) = answers(&["score"], &[json!({"text": text}).to_string()]);
    assert_eq!(code, 0);
    let tokens = of_text[0]["tokens"].as_array().unwrap();
    let logprobs = of_text[0]["logprobs"].as_array().unwrap();
    assert_eq!(tokens.len(), logprobs.len());
    assert_eq!(logprobs[0], Value::Null, "nothing comes before the first");
    assert!(logprobs[1..].iter().all(|l| l.as_f64().unwrap() <= 0.0), "{logprobs:?}");
    let (of_tokens, _) = answers(&["score"], &[json!({"tokens": tokens}).to_string()]);
    assert_eq!(of_tokens, of_text);

    // A score depends on what comes before it, and on nothing after it.
    let half = &tokens[..tokens.len() / 2];
    let (of_half, _) = answers(&["score"], &[json!({"tokens": half}).to_string()]);
    assert_eq!(of_half[0]["logprobs"].as_array().unwrap(), &logprobs[..half.len()]);
}

#[test]
fn what_cannot_be_scored_is_an_error_in_its_place() {
    let lines = [
        "{\"tokens\":[1,2,3]}",
        "{\"tokens\":[1,4000000000]}",
        "{\"tokens\":[-1]}",
        "{\"tokens\":[]}",
        "{}",
        "{\"tokens\":[1],\"text\":\"a\"}",
        "nonsense",
        "{\"tokens\":[5]}",
    ]
    .map(str::to_string);
    let (found, code) = answers(&["score"], &lines);
    assert_eq!(code, 2);
    assert_eq!(found.len(), lines.len());
    for (i, line) in found.iter().enumerate() {
        let is_good = i == 0 || i == lines.len() - 1;
        assert_eq!(line.get("error").is_none(), is_good, "{line}");
        if !is_good {
            assert_eq!(line["line"], json!(i + 1), "{line}");
        }
    }
    let long = json!({"tokens": vec![1; 100_000]}).to_string();
    let (found, code) = answers(&["score"], &[long]);
    assert_eq!(code, 2);
    assert!(found[0]["error"].is_string(), "{}", found[0]);
}
