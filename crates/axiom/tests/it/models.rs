//! Models from elsewhere: adapters that learn, the hub's cache, the hub itself, templates.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    binary::{axiom, folder, output, stderr, stdout},
    resume::kill_at,
};

/// The embedded model as a Hugging Face directory.
fn nano() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

const ADAPTER: [&str; 5] = [
    "model.adapter.r=4",
    "model.adapter.lora_alpha=8",
    "model.adapter.target_modules=q_proj, v_proj,down_proj",
    "learn.lr=1e-2",
    "steps=3",
];

fn start(out: &Path, settings: &[&str]) -> Command {
    let mut run = axiom(&["run", "smoke", "--out", out.to_str().unwrap(), "--threads", "2"]);
    for setting in settings {
        run.args(["--set", setting]);
    }
    run
}

fn succeed(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// The log-probs that a model gives to a text.
fn scores(mut command: Command) -> Vec<f64> {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let line = json!({ "text": "def f(x):\n    return x + 1\n" }).to_string();
    child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let answer: Value = serde_json::from_str(&stdout(&output)).unwrap();
    answer["logprobs"].as_array().unwrap().iter().filter_map(Value::as_f64).collect()
}

fn score(model: &Path) -> Vec<f64> {
    scores(axiom(&["score", "--model", model.to_str().unwrap()]))
}

#[test]
fn an_adapter_learns_is_resumed_merged_and_learnt_on() {
    let (_dir, whole) = folder();
    succeed(start(&whole, &ADAPTER));
    let model = whole.join("model");
    let learnt = |run: &Path| fs::read(run.join("model/adapter_model.safetensors")).unwrap();
    assert!(!model.join("model.safetensors").exists(), "the base model is not copied");
    let config: Value =
        serde_json::from_slice(&fs::read(model.join("adapter_config.json")).unwrap()).unwrap();
    assert_eq!(config["base_model_name_or_path"], "embedded");
    assert_eq!(config["target_modules"], json!(["q_proj", "v_proj", "down_proj"]));

    // A run that is killed and resumed is the run.
    let (_dir2, killed) = folder();
    assert!(kill_at(start(&killed, &ADAPTER), &killed, 6, Duration::ZERO));
    succeed(axiom(&["resume", killed.to_str().unwrap()]));
    assert!(learnt(&killed) == learnt(&whole));

    // Merged, it is the same policy; and not the one that the run began with.
    let (_dir3, merged) = folder();
    let (from, to) = (model.to_str().unwrap(), merged.to_str().unwrap());
    succeed(axiom(&["merge", "--model", from, "--out", to]));
    let (adapted, merged, base) = (score(&model), score(&merged), score(Path::new("embedded")));
    let far =
        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(far(&adapted, &merged) < 1e-4, "{adapted:?} {merged:?}");
    assert!(far(&adapted, &base) > 1e-3, "{adapted:?} {base:?}");

    // It goes on learning from where it was.
    let (_dir4, on) = folder();
    let path = format!("model.path={from}");
    succeed(start(&on, &[&path, "steps=1", "learn.lr=1e-2"]));
    assert!(learnt(&on) != learnt(&whole));
    let other = axiom(&["run", "smoke", "--set", &path, "--set", "model.adapter.r=2"]).output();
    assert!(stderr(&other.unwrap()).contains("another adapter"));
}

#[test]
fn what_an_adapter_cannot_be_is_named() {
    for (setting, named) in [
        ("model.adapter.rank=4", "unknown key `model.adapter.rank`"),
        ("model.chat=sometimes", "sometimes"),
    ] {
        let output = output(&["run", "smoke", "--set", setting]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(named), "{}", stderr(&output));
    }
    for (setting, named) in [
        ("model.adapter.target_modules=lm_head", "lm_head"),
        ("model.adapter.lora_dropout=1", "`lora_dropout` is 1"),
    ] {
        let output = output(&["run", "smoke", "--set", "model.adapter.r=4", "--set", setting]);
        assert!(stderr(&output).contains(named), "{}", stderr(&output));
    }
}

/// `axiom score` of a hub name and further arguments, with a cache and a hub of its own.
fn score_hub(cache: &Path, endpoint: &str, model: &[&str]) -> Command {
    let mut command = axiom(&["score", "--model"]);
    command.args(model).env("HF_HUB_CACHE", cache).env("HF_ENDPOINT", endpoint);
    command.env("NO_PROXY", "127.0.0.1").env_remove("HF_HUB_OFFLINE").env_remove("HF_TOKEN");
    command
}

#[test]
fn a_hub_name_is_found_in_the_local_cache() {
    let cache = tempfile::tempdir().unwrap();
    let repo = cache.path().join("models--owner--nano");
    copy(&nano(), &repo.join("snapshots/0123abc"));
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), "0123abc").unwrap();
    let found = scores(score_hub(cache.path(), "http://127.0.0.1:1", &["owner/nano", "--offline"]));
    assert_eq!(found, score(Path::new("embedded")));

    let empty = tempfile::tempdir().unwrap();
    let output = score_hub(empty.path(), "http://127.0.0.1:1", &["owner/nano", "--offline"])
        .output()
        .unwrap();
    let said = stderr(&output);
    let place = empty.path().display().to_string();
    assert!(said.contains("owner/nano") && said.contains("offline"), "{said}");
    assert!(said.contains(&place), "{said}");
    let output = score_hub(empty.path(), "http://127.0.0.1:1", &["owner/nano"]).output().unwrap();
    assert!(stderr(&output).contains("cannot be had from the hub"), "{}", stderr(&output));
}

/// A hub that has the embedded model: its address, and how often it was asked.
fn hub() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            answer(stream.unwrap());
        }
    });
    (address, asked)
}

fn answer(mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().unwrap().unwrap();
    while !lines.next().unwrap().unwrap().is_empty() {}
    let path = request.split(' ').nth(1).unwrap();
    let body = match path.strip_prefix("/owner/nano/resolve/feed/") {
        Some(file) => fs::read(nano().join(file)).ok(),
        None if path == "/api/models/owner/nano/revision/main" => {
            let files = fs::read_dir(nano()).unwrap();
            let name = |f: fs::DirEntry| f.file_name().into_string().unwrap();
            let files: Vec<Value> =
                files.map(|f| json!({ "rfilename": name(f.unwrap()) })).collect();
            Some(json!({ "sha": "feed", "siblings": files }).to_string().into_bytes())
        }
        None => None,
    };
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
}

#[test]
fn a_model_is_downloaded_once_and_never_offline() {
    let (address, asked) = hub();
    let cache = tempfile::tempdir().unwrap();
    assert!(
        !score_hub(cache.path(), &address, &["owner/nano", "--offline"])
            .output()
            .unwrap()
            .status
            .success()
    );
    let mut by_environment = score_hub(cache.path(), &address, &["owner/nano"]);
    assert!(!by_environment.env("HF_HUB_OFFLINE", "1").output().unwrap().status.success());
    assert_eq!(asked.load(Ordering::SeqCst), 0, "no socket is opened offline");

    assert_eq!(
        scores(score_hub(cache.path(), &address, &["owner/nano"])),
        score(Path::new("embedded"))
    );
    let first = asked.load(Ordering::SeqCst);
    assert_eq!(first, 1 + fs::read_dir(nano()).unwrap().count());
    assert_eq!(
        scores(score_hub(cache.path(), &address, &["owner/nano"])),
        score(Path::new("embedded"))
    );
    assert_eq!(asked.load(Ordering::SeqCst), first, "the cache has it now");
    let missing = score_hub(cache.path(), &address, &["owner/other"]).output();
    assert!(stderr(&missing.unwrap()).contains("404"));
}

#[test]
fn prompts_follow_the_chat_template() {
    let dir = tempfile::tempdir().unwrap();
    copy(&nano(), dir.path());
    let template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}\
                    {% if add_generation_prompt %}[assistant]{% endif %}";
    fs::write(dir.path().join("chat_template.jinja"), template).unwrap();
    let shown = |chat: &str| {
        let model = dir.path().to_str().unwrap();
        let task = ["generate", "--task", "lcs/3/test/0", "--model", model, "--chat", chat];
        succeed(axiom(&[&task[..], &["--max-tokens", "4"]].concat()))
    };
    for chat in ["auto", "always"] {
        let text = shown(chat);
        assert!(text.starts_with("[system]") && text.contains("[assistant]"), "{text}");
        assert!(text.contains("```python\ndef "), "{text}");
    }
    assert!(shown("never").starts_with("# "));
    let output = output(&["score", "--chat", "always"]);
    assert!(stderr(&output).contains("no chat template"), "{}", stderr(&output));
}

/// Several end tokens: those of `generation_config.json` count.
#[test]
fn end_tokens_are_those_of_the_generation_config() {
    let dir = tempfile::tempdir().unwrap();
    copy(&nano(), dir.path());
    let complete = || {
        let model = dir.path().to_str().unwrap();
        let prompt = ["generate", "--prompt", "# Return", "--model", model, "--temperature", "0"];
        let text = succeed(axiom(&[&prompt[..], &["--max-tokens", "12", "--json"]].concat()));
        let answer: Value = serde_json::from_str(&text).unwrap();
        (answer["stop"].clone(), answer["logprobs"].as_array().unwrap().len())
    };
    let (stop, n) = complete();
    assert_eq!((stop, n), (json!("length"), 12));
    let all: Vec<usize> = (0..1024).collect();
    let every = json!({ "eos_token_id": all, "top_k": 20 }).to_string();
    fs::write(dir.path().join("generation_config.json"), every).unwrap();
    assert_eq!(complete(), (json!("end"), 1));
    let beyond = json!({ "eos_token_id": [0, 1024] }).to_string();
    fs::write(dir.path().join("generation_config.json"), beyond).unwrap();
    let model = dir.path().to_str().unwrap();
    assert!(stderr(&output(&["score", "--model", model])).contains("`eos_token_id` 1024"));
}
