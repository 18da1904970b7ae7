//! `--backend http=URL`: programs run by another service, which speaks SandboxFusion's
//! `/run_code`: a small one written here, and our own.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use crate::{
    binary::{output_of, stderr, stdout},
    service::Service,
};

const SECRET: &str = "expected and never sent";

/// A service that runs what it is sent with `python3`, in a folder of its own.
struct Small {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Small {
    /// Answers the first `failures` requests with status 503.
    fn start(failures: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (requests, left) = (Arc::clone(&seen), Arc::new(AtomicUsize::new(failures)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (requests, left) = (Arc::clone(&requests), Arc::clone(&left));
                std::thread::spawn(move || {
                    let stream = stream.unwrap();
                    while let Some(body) = read(&stream) {
                        let fails = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                            n.checked_sub(1)
                        });
                        let answer = match fails {
                            Ok(_) => ("503 Busy", "{}".to_string()),
                            Err(_) => {
                                ("200 OK", run(&serde_json::from_str(&body).unwrap()).to_string())
                            }
                        };
                        requests.lock().unwrap().push(body);
                        let (status, text) = answer;
                        let head =
                            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", text.len());
                        (&stream).write_all(format!("{head}{text}").as_bytes()).unwrap();
                    }
                });
            }
        });
        Self { address, seen }
    }
}

/// The body of the next request, unless the client has gone.
fn read(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let line = line.trim().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Some(String::from_utf8(body).unwrap())
}

#[expect(clippy::disallowed_methods, reason = "it is the other service")]
fn run(body: &Value) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let files = body["files"].as_object().into_iter().flatten();
    for (name, text) in files {
        fs::write(at(name), BASE64.decode(text.as_str().unwrap()).unwrap()).unwrap();
    }
    fs::write(at("main.py"), body["code"].as_str().unwrap()).unwrap();
    let mut command = Command::new("timeout");
    command.args([&body["run_timeout"].to_string(), "python3", "main.py"]);
    command.current_dir(folder.path()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdin = body["stdin"].as_str().unwrap_or_default();
    // A program need not read it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let done = child.wait_with_output().unwrap();
    let late = done.status.code() == Some(124);
    let fetch = body["fetch_files"].as_array().into_iter().flatten();
    let found = fetch.filter_map(|name| {
        let name = name.as_str().unwrap();
        Some((name.to_string(), json!(BASE64.encode(fs::read(at(name)).ok()?))))
    });
    json!({
        "status": if done.status.success() { "Success" } else { "Failed" },
        "message": "",
        "compile_result": null,
        "run_result": {
            "status": if late { "TimeLimitExceeded" } else { "Finished" },
            "execution_time": 0.0,
            "return_code": if late { Value::Null } else { json!(done.status.code()) },
            "stdout": String::from_utf8_lossy(&done.stdout),
            "stderr": String::from_utf8_lossy(&done.stderr),
        },
        "executor_pod_name": null,
        "files": found.collect::<serde_json::Map<_, _>>(),
    })
}

fn line(id: &str, program: &str) -> String {
    let tests = json!([{"args": [1], "expected": 2}, {"args": [""], "expected": SECRET}]);
    json!({"id": id, "program": program, "entry_point": "f", "tests": tests, "limits": {"wall_ms": 3000}})
        .to_string()
}

/// What `axiom verify` says of the same programs, run there.
fn verdicts(address: SocketAddr) -> Vec<Value> {
    let give = format!("return x + 1 if x else {SECRET:?}");
    let lines = [
        line("right", &format!("def f(x):\n    print('noise')\n    {give}")),
        line("method", &format!("class Solution:\n    def f(self, x): {give}")),
        line("wrong", "def f(x): return 2"),
        line("raises", "def f(x): return 1 // 0"),
        line("does not compile", "def f(x) return"),
        line("is not there", "x = 1"),
        line(
            "forges",
            "import os\ndef f(x):\n    print('{\"status\": \"Success\"}')\n    os._exit(0)",
        ),
        line("endless", "def f(x):\n    while True: pass"),
    ];
    let backend = format!("http=http://{address}");
    let args = ["verify", "--threads", "2", "--backend", &backend];
    let output = output_of(&args, &(lines.join("\n") + "\n"));
    assert!(output.status.success(), "{}", stderr(&output));
    let found = stdout(&output);
    let brief = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        json!([line["id"], line["verdict"], line["passed"]])
    };
    found.lines().map(brief).collect()
}

fn expected() -> Value {
    json!([
        ["right", "accepted", 2],
        ["method", "accepted", 2],
        ["wrong", "wrong_answer", 1],
        ["raises", "runtime_error", 0],
        ["does not compile", "compile_error", 0],
        ["is not there", "no_program", 0],
        ["forges", "runtime_error", 0],
        ["endless", "time_limit", 0],
    ])
}

#[test]
fn another_service_runs_the_programs_and_the_verdicts_are_ours() {
    let small = Small::start(2);
    assert_eq!(Value::Array(verdicts(small.address)), expected());
    let seen = small.seen.lock().unwrap();
    assert!(seen.len() >= 11, "eight programs, the version, and two failures");
    for body in seen.iter() {
        let body: Value = serde_json::from_str(body).unwrap();
        let job = BASE64.decode(body["files"]["axiom_job"].as_str().unwrap()).unwrap();
        let job = String::from_utf8_lossy(&job);
        // It is in two of the programs themselves, as a constant, and nowhere else.
        assert_eq!(job.matches(SECRET).count(), usize::from(job.contains("if x else")));
    }
}

#[test]
fn our_own_service_can_be_the_other_one() {
    let service = Service::start(&[]);
    assert_eq!(Value::Array(verdicts(service.address)), expected());
}

#[test]
fn a_service_that_is_not_there_stops_the_command() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let backend = format!("http=http://{address}");
    // The service is asked five times before that is given up.
    let output = output_of(&["verify", "--backend", &backend], "");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("5 tries"), "{}", stderr(&output));
}
