//! `axiom verify --listen`, as a client on the wire sees it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Stdio},
    sync::mpsc::channel,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::binary::{axiom, output, press_ctrl_c, stderr};

const TOKEN: &str = "0123456789abcdef0123";
const RIGHT: &str = "def f(x): return x + 1";

/// A running service; it ends with this value.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Service {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_on("0", args)
    }

    fn start_on(listen: &str, args: &[&str]) -> Self {
        let mut command = axiom(&["verify", "--threads", "2", "--listen", listen]);
        let mut child = command.args(args).stdout(Stdio::null()).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let address = line.split_once("http://").expect(&line).1.split_once(',').unwrap().0;
        // Nobody else reads what it says, and it must not wait for that.
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        Self { address: address.parse().unwrap(), child }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
        let mut stream = self.connect();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        // A service that refuses early may not read it all.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        stream
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        Answer::read(self.send(method, path, headers, body))
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, "", body)
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.ask("GET", "/metrics", "", "").body;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.expect("a metric of that name").parse().unwrap()
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < Duration::from_secs(20), "{what} never came");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    fn read(stream: TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "no whole head: {head}");
        }
        let head = head.to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = String::new();
        if head.contains("transfer-encoding: chunked") {
            while let Some(chunk) = next_chunk(&mut reader) {
                body += &chunk;
            }
        } else {
            reader.read_to_string(&mut body).unwrap();
        }
        Self { status, head, body }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn next_chunk(reader: &mut impl std::io::BufRead) -> Option<String> {
    let mut size = String::new();
    reader.read_line(&mut size).unwrap();
    let size = usize::from_str_radix(size.trim(), 16).unwrap();
    let mut chunk = vec![0; size + 2];
    reader.read_exact(&mut chunk).unwrap();
    chunk.truncate(size);
    (size > 0).then(|| String::from_utf8(chunk).unwrap())
}

fn submission(id: impl Into<Value>, program: &str) -> Value {
    let id: Value = id.into();
    let tests = json!([{"args": [1], "expected": 2}, {"args": [-3], "expected": -2}]);
    json!({"id": id, "program": program, "entry_point": "f", "tests": tests})
}

/// Takes 0.8 s. Each is another program: identical ones are judged once.
fn sleeper(id: impl Into<Value>) -> Value {
    let id: Value = id.into();
    let program = format!("import time\ndef f(x):\n    time.sleep(0.4)\n    return x + 1 # {id}");
    submission(id, &program)
}

fn lines(all: &[Value]) -> String {
    all.iter().map(|one| format!("{one}\n")).collect()
}

fn brief(line: &Value) -> Value {
    match line.get("error") {
        Some(_) => line["line"].clone(),
        None => json!([line["id"], line["verdict"], line["passed"]]),
    }
}

#[test]
fn an_answer_has_the_shape_of_its_request() {
    let service = Service::start(&[]);
    let right = submission("a", RIGHT);
    let wrong = submission(7, "def f(x): return 2");

    let one = service.post("/verify", &format!("{right:#}"));
    assert_eq!((one.status, brief(&one.json())), (200, json!(["a", "accepted", 2])));
    let all = service.post("/verify", &json!([right, wrong, {"id": 1}]).to_string());
    let found: Vec<Value> = all.json().as_array().unwrap().iter().map(brief).collect();
    assert_eq!(
        (all.status, json!(found)),
        (200, json!([["a", "accepted", 2], [7, "wrong_answer", 1], 3]))
    );

    let body = format!("{right}\n{{\"id\":\n\n{wrong}\n");
    let all = service.post("/verify", &body);
    let found: Vec<Value> = all.lines().iter().map(brief).collect();
    assert_eq!(json!(found), json!([["a", "accepted", 2], 2, [7, "wrong_answer", 1]]));
    assert!(all.head.contains("content-type: application/x-ndjson"), "{}", all.head);

    let health = service.ask("GET", "/health", "", "");
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("ok")));
    assert_eq!(service.metric("axiom_verdicts_total{verdict=\"wrong_answer\"}"), 2.0);
    assert_eq!(service.metric("axiom_unreadable_total"), 2.0);
    assert_eq!(service.metric("axiom_run_seconds_count"), 5.0);
    assert_eq!(service.metric("axiom_in_flight"), 0.0);
}

#[test]
fn what_cannot_be_answered_is_refused_with_the_reason() {
    let service = Service::start(&["--queue", "4", "--body-mib", "1"]);
    let many: Vec<Value> = (0..5).map(|i| submission(i, RIGHT)).collect();
    let mut greedy = submission("greedy", RIGHT);
    greedy["limits"] = json!({"wall_ms": 200_000});
    let large = submission("large", &"#".repeat(2 << 20));
    for (body, status, reason) in [
        (String::new(), 400, "empty"),
        ("[]".to_string(), 400, "empty"),
        ("[1".to_string(), 400, "not JSON"),
        ("{\"id\":".to_string(), 400, "EOF"),
        (greedy.to_string(), 400, "at most 120000"),
        (json!(many).to_string(), 413, "the 4 submissions"),
        (large.to_string(), 413, "limit"),
    ] {
        let answer = service.post("/verify", &body);
        assert_eq!(answer.status, status, "{answer:?}");
        let said = answer.json()["error"].as_str().unwrap().to_string();
        assert!(said.contains(reason), "{said}");
    }
    assert_eq!(service.ask("GET", "/verify", "", "").status, 405);
    assert_eq!(service.post("/other", "").status, 404);
    let page = service.ask("POST", "/verify", "Origin: https://example.com\r\n", "{}");
    assert_eq!(page.status, 403, "a page in a browser is not a client");
    assert_eq!(service.post("/verify", &submission(1, RIGHT).to_string()).status, 200);
}

#[test]
fn results_are_streamed_while_others_run() {
    let service = Service::start(&[]);
    let mut all = vec![sleeper("slow")];
    all.extend((0..20).map(|i| submission(i, RIGHT)));
    let start = Instant::now();
    let accept = "Accept: application/x-ndjson\r\n";
    let found = service.ask("POST", "/verify", accept, &json!(all).to_string()).lines();
    assert_eq!(found.len(), 21);
    assert!(start.elapsed() >= Duration::from_millis(800), "two tests of 0.4 s");
    assert_eq!(found[20]["id"], "slow", "it is known last, so it comes last");
    let mut ids: Vec<i64> = found[..20].iter().map(|line| line["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..20).collect::<Vec<_>>());

    // Lines come in their order, and the first before the last is known.
    let body = lines(&[submission("first", RIGHT), sleeper("last")]);
    let mut reader = BufReader::new(service.send("POST", "/verify", "", &body));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let (first, at) = (next_chunk(&mut reader).unwrap(), Instant::now());
    let last = next_chunk(&mut reader).unwrap();
    assert!(first.contains("\"first\"") && last.contains("\"last\""), "{first} {last}");
    assert!(at.elapsed() > Duration::from_millis(300), "{:?}", at.elapsed());
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let service = Service::start(&["--queue", "6"]);
    let all: Vec<Value> = (0..6).map(sleeper).collect();
    let waiting = service.send("POST", "/verify", "", &lines(&all));
    service.wait_until("a queue", |s| s.metric("axiom_queue_length") == 4.0);
    let refused = service.post("/verify", &json!(all[..3]).to_string());
    assert_eq!(refused.status, 429, "{refused:?}");
    let (_, after) = refused.head.split_once("retry-after: ").unwrap();
    let seconds: u64 = after.split('\r').next().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert_eq!(service.metric("axiom_refused_total"), 1.0);
    let found = Answer::read(waiting).lines();
    assert!(found.iter().all(|line| line["verdict"] == "accepted"), "{found:?}");
    assert_eq!(service.post("/verify", &json!(all[..3]).to_string()).status, 200);
}

#[test]
fn a_client_that_leaves_frees_its_slots() {
    let service = Service::start(&["--queue", "64"]);
    let all: Vec<Value> = (0..60).map(sleeper).collect();
    for shape in [lines(&all), json!(all).to_string()] {
        let leaver = service.send("POST", "/verify", "", &shape);
        service.wait_until("a queue", |s| s.metric("axiom_queue_length") > 50.0);
        drop(leaver);
        service.wait_until("an empty queue", |s| s.metric("axiom_queue_length") == 0.0);
        let start = Instant::now();
        let batch: Vec<Value> = (0..60).map(|i| submission(i, RIGHT)).collect();
        let answer = service.post("/verify", &json!(batch).to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(start.elapsed() < Duration::from_secs(15), "60 sleepers would take 24 s");
    }
    service.wait_until("free slots", |s| s.metric("axiom_in_flight") == 0.0);
}

#[test]
fn only_who_has_the_token_may_ask() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let service = Service::start_on("0.0.0.0:0", &["--token-file", file.to_str().unwrap()]);
    let body = submission(1, RIGHT).to_string();
    for headers in ["", "Authorization: Bearer 0123456789abcdef0124\r\n"] {
        for (method, path) in [("POST", "/verify"), ("POST", "/run_code"), ("GET", "/metrics")] {
            let answer = service.ask(method, path, headers, &body);
            assert_eq!(answer.status, 401, "{path}");
        }
    }
    assert_eq!(service.ask("GET", "/health", "", "").status, 200);
    let headers = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(service.ask("POST", "/verify", &headers, &body).status, 200);
}

#[test]
fn an_address_that_others_reach_is_refused_without_a_token() {
    let refused = output(&["verify", "--listen", "0.0.0.0:0"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = stderr(&refused);
    assert!(said.contains("--token-file") && said.contains("AXIOM_TOKEN"), "{said}");
    let mut short = axiom(&["verify", "--listen", "0.0.0.0:0"]);
    let refused = short.env("AXIOM_TOKEN", "short").output().unwrap();
    assert!(stderr(&refused).contains("at least 16"), "{}", stderr(&refused));
}

#[test]
fn told_to_end_it_answers_what_it_has_and_takes_no_more() {
    let mut service = Service::start(&[]);
    let all: Vec<Value> = (0..4).map(sleeper).collect();
    let waiting = service.send("POST", "/verify", "", &lines(&all));
    service.wait_until("work", |s| s.metric("axiom_in_flight") == 2.0);
    press_ctrl_c(&service.child);
    let (tell, told) = channel();
    std::thread::spawn(move || tell.send(Answer::read(waiting).lines()));
    let found = told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|line| line["verdict"] == "accepted"), "{found:?}");
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
    assert!(TcpStream::connect(service.address).is_err(), "nobody listens any more");
}

/// What the answer must have, besides the times.
fn ran(answer: &Answer, status: &str, run: &Value) {
    let found = answer.json();
    assert_eq!((answer.status, &found["status"]), (200, &json!(status)), "{found}");
    for (key, value) in run.as_object().unwrap() {
        assert_eq!(&found["run_result"][key], value, "{key} in {found}");
    }
    for key in ["message", "compile_result", "executor_pod_name", "files"] {
        assert!(found.get(key).is_some(), "{key} in {found}");
    }
}

#[test]
fn scripts_are_run_as_sandbox_fusion_runs_them() {
    let service = Service::start(&[]);
    let run = |code: &str, more: &Value| {
        let mut body = json!({"code": code, "language": "python", "compile_timeout": 10});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        service.post("/run_code", &body.to_string())
    };
    let none = json!({});
    let hello = "print('hello', input(), __name__)";
    let printed = json!({"status": "Finished", "return_code": 0, "stdout": "hello you __main__\n", "stderr": ""});
    ran(&run(hello, &json!({"stdin": "you\nthere"})), "Success", &printed);
    let exits = "import sys\nprint('a', file=sys.stderr)\nsys.exit(3)";
    ran(&run(exits, &none), "Failed", &json!({"return_code": 3, "stdout": "", "stderr": "a\n"}));
    let raised = run("def g():\n    return 1 // 0\nprint(1)\ng()", &none);
    ran(&raised, "Failed", &json!({"return_code": 1, "stdout": "1\n"}));
    let trace = raised.json()["run_result"]["stderr"].as_str().unwrap().to_string();
    assert!(trace.starts_with("Traceback") && trace.contains("main.py\", line 2, in g"), "{trace}");
    assert!(trace.contains("ZeroDivisionError") && !trace.contains("exec("), "{trace}");
    let unreadable = run("def", &none);
    ran(&unreadable, "Failed", &json!({"return_code": 1}));
    assert!(unreadable.body.contains("SyntaxError"), "{}", unreadable.body);
    let endless = run("while True: pass", &json!({"run_timeout": 0.2}));
    ran(&endless, "Failed", &json!({"status": "TimeLimitExceeded", "return_code": null}));
    ran(&run("a = [0] * 10**9", &none), "Failed", &json!({"return_code": 1}));
    ran(&run("import os; os._exit(0)", &none), "Failed", &json!({"return_code": 1}));
    let hidden = run("import os; print(os.listdir('/'))", &none);
    ran(&hidden, "Failed", &json!({"stdout": ""}));

    let cpp = service.post("/run_code", "{\"code\": \"\", \"language\": \"cpp\"}");
    assert_eq!(cpp.status, 422);
    assert!(cpp.json()["message"].as_str().unwrap().contains("only `python`"));
}

#[test]
fn files_of_a_script_are_in_its_memory() {
    let service = Service::start(&[]);
    let code = "\
import os, pathlib
text = open('in/a.txt').read()
assert os.path.exists('in/a.txt') and not os.path.exists('b')
with open('out.txt', 'w') as f:
    print(text.upper(), file=f)
with open('./out.txt', 'a') as f:
    f.write('more')
pathlib.Path('p.bin').write_bytes(b'\\xff')
left = open('open.txt', 'w')
left.write('not closed')
for name in 'missing', '/etc/passwd':
    try:
        open(name)
        print('opened', name)
    except OSError as e:
        # What is not in its memory is refused here and absent there, by the walls that stand.
        print(type(e).__name__ if name == 'missing' else 'no file')
try:
    open('/etc/axiom', 'w').close()
except OSError:
    pass
";
    let fetch = ["out.txt", "p.bin", "open.txt", "nothing"];
    let body = json!({"code": code, "language": "python", "files": {"./in/a.txt": "w6k="}, "fetch_files": fetch});
    let answer = service.post("/run_code", &body.to_string());
    ran(&answer, "Success", &json!({"stdout": "FileNotFoundError\nno file\n", "stderr": ""}));
    let files = json!({"out.txt": "w4kKbW9yZQ==", "p.bin": "/w==", "open.txt": "bm90IGNsb3NlZA=="});
    assert_eq!(answer.json()["files"], files);
    assert!(!std::path::Path::new("/etc/axiom").exists());
}
