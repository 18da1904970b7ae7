//! A remote service that answers well, badly, and not at all. Its programs are not run here:
//! `post` is played. The whole way, with a service that runs them, is tested in `axiom`.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value as Json, json};
use verify::{
    Call, Comparator, Mode, PostError, Remote, Submission, Tier, Verdict, Verifier, VerifierConfig,
};

use crate::submission;

type Answer = Result<Json, PostError>;

/// A verifier whose service gives these answers, one for each request, the last one again and
/// again; and the requests that it saw.
fn verifier(answers: Vec<Answer>) -> (Verifier, Arc<Mutex<Vec<Json>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    let next = AtomicUsize::new(0);
    let post = move |request: &str, _: Duration| {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let mut seen = requests.lock().unwrap();
        seen.push(serde_json::from_str(request).unwrap());
        // The first one asks for the version.
        let answer = match n {
            0 => Ok(finished(&[frame(1, b"u\x06\0\0\x003.11.2")])),
            n => answers[(n - 1).min(answers.len() - 1)].clone(),
        };
        answer.map(|json| json.to_string().into_bytes())
    };
    let remote = Remote::new("played", post).with_pauses(&[Duration::ZERO; 2]);
    let config = VerifierConfig { slots: 1, remote: Some(remote), ..VerifierConfig::default() };
    (Verifier::start(config).unwrap(), seen)
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&u32::try_from(payload.len()).unwrap().to_le_bytes()[..], &[kind], payload].concat()
}

fn int(n: u8) -> Vec<u8> {
    frame(1, &[b'i', n, 0, 0, 0])
}

fn answer(status: &str, code: Json, frames: &[Vec<u8>]) -> Json {
    let result = json!({ "status": status, "return_code": code, "stdout": "", "stderr": "" });
    let files = json!({ "axiom_frames": BASE64.encode(frames.concat()) });
    json!({ "status": "Success", "message": "", "run_result": result, "files": files })
}

fn finished(frames: &[Vec<u8>]) -> Json {
    answer("Finished", json!(0), frames)
}

/// Two tests, which want 9 and 16.
fn squares(stops: bool) -> Submission {
    let plain = submission("def f(n): return n * n", "[[[3], 9], [[4], 16]]");
    Submission { stop_at_first_failure: stops, ..plain }
}

fn judged(submission: &Submission, answers: Vec<Answer>) -> (Verdict, usize, usize) {
    let (verifier, seen) = verifier(answers);
    let found = verifier.judge(std::slice::from_ref(submission)).unwrap().remove(0);
    let requests = seen.lock().unwrap().len() - 1;
    (found.verdict, found.passed, requests)
}

#[test]
fn values_are_compared_here() {
    use Verdict::{Accepted, OutputLimit, RuntimeError, Violation, WrongAnswer};
    let cases = [
        (vec![int(9), int(16)], (Accepted, 2)),
        (vec![int(9), int(15)], (WrongAnswer, 1)),
        (vec![int(9), frame(3, b"ValueError")], (RuntimeError, 1)),
        (vec![int(9), frame(9, b"")], (Violation, 1)),
        (vec![int(9), frame(1, b"?")], (Violation, 1)),
        (vec![int(9), vec![255, 255, 255, 255, 1]], (OutputLimit, 1)),
        (vec![frame(2, b"SyntaxError")], (Verdict::CompileError, 0)),
        // Neither what it says of success nor its exit code decides anything.
        (vec![int(9)], (RuntimeError, 1)),
        (vec![], (RuntimeError, 0)),
    ];
    for (frames, expected) in cases {
        let found = judged(&squares(true), vec![Ok(finished(&frames))]);
        assert_eq!((found.0, found.1), expected, "{frames:?}");
    }
    let late = judged(&squares(true), vec![Ok(answer("TimeLimitExceeded", json!(null), &[]))]);
    assert_eq!(late, (Verdict::TimeLimit, 0, 1));
}

#[test]
fn tests_behind_one_that_ends_its_process_are_asked_again() {
    let died = Ok(finished(&[frame(8, b"")]));
    let found = judged(&squares(false), vec![died, Ok(finished(&[int(16)]))]);
    assert_eq!(found, (Verdict::RuntimeError, 1, 2));
}

#[test]
fn a_service_that_fails_is_asked_again_and_is_never_a_verdict() {
    let busy = || Err(PostError::Again("status 503".to_string()));
    let right = || Ok(finished(&[int(9), int(16)]));
    assert_eq!(judged(&squares(true), vec![busy(), busy(), right()]), (Verdict::Accepted, 2, 3));
    let broken = json!({ "status": "SandboxError", "message": "no disk", "run_result": null });
    let empty = json!({ "status": "Success" });
    for bad in [busy(), Ok(broken), Ok(empty), Ok(json!([])), Ok(json!("x"))] {
        let found = judged(&squares(true), vec![bad.clone()]);
        assert_eq!(found, (Verdict::JudgeError, 0, 3), "{bad:?}");
    }
    let refused = Err(PostError::Never("status 401".to_string()));
    assert_eq!(judged(&squares(true), vec![refused]), (Verdict::JudgeError, 0, 1));
}

#[test]
fn expected_values_never_leave() {
    let secret = "the expected value";
    let (verifier, seen) = verifier(vec![Ok(finished(&[frame(1, b"N")]))]);
    assert_eq!(verifier.facts().tier, Tier::Remote);
    assert_eq!(verifier.facts().python.version, "3.11.2");
    let case = format!("[[[\"an argument\"], \"{secret}\"]]");
    let plain = submission("def f(x): return x", &case);
    let checker = "def check(i, e, o): return True".into();
    let checked = Submission { comparator: Comparator::Checker(checker), ..plain.clone() };
    let found = verifier.judge(&[plain]).unwrap().remove(0);
    assert_eq!(found.verdict, Verdict::WrongAnswer);
    let found = verifier.judge(&[checked]).unwrap().remove(0);
    assert_eq!(found.verdict, Verdict::JudgeError, "{found:?}");
    for request in seen.lock().unwrap().iter().skip(1) {
        let job = BASE64.decode(request["files"]["axiom_job"].as_str().unwrap()).unwrap();
        let all = [request.to_string().as_bytes(), &job].concat();
        let has = |text: &str| all.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(has("an argument") && !has(secret), "{request}");
    }
}

#[test]
fn programs_that_print_are_run_as_they_are() {
    let printed = |code: i64, stdout: &str, stderr: &str| {
        let result = json!({ "status": "Finished", "return_code": code, "stdout": stdout, "stderr": stderr });
        Ok(json!({ "status": "Success", "run_result": result, "files": {} }))
    };
    let submission = Submission {
        call: Call { mode: Mode::Stdio, ..Call::default() },
        comparator: Comparator::Lines,
        ..submission("print(input() * 2)", "[[[\"ab\"], \"abab\"], [[\"c\"], \"cc\"]]")
    };
    let (verifier, seen) =
        verifier(vec![printed(0, "abab\n", ""), printed(1, "", "Traceback\nValueError: c")]);
    let found = verifier.judge(&[submission]).unwrap().remove(0);
    assert_eq!((found.verdict, found.passed), (Verdict::RuntimeError, 1), "{found:?}");
    assert!(found.detail.contains("ValueError: c"), "{found:?}");
    let seen = seen.lock().unwrap();
    assert_eq!((&seen[1]["stdin"], &seen[2]["stdin"]), (&json!("ab"), &json!("c")));
    assert_eq!(seen[1]["code"], "print(input() * 2)");
}

#[test]
fn a_service_without_python_is_refused_at_the_start() {
    let post = |_: &str, _: Duration| Err(PostError::Again("connection refused".to_string()));
    let remote = Remote::new("http://nowhere", post).with_pauses(&[]);
    let config = VerifierConfig { slots: 1, remote: Some(remote), ..VerifierConfig::default() };
    let said = Verifier::start(config).unwrap_err().to_string();
    assert!(said.contains("http://nowhere") && said.contains("connection refused"), "{said}");
}
