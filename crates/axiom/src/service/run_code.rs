//! `POST /run_code`: a Python script, run and not judged, as SandboxFusion's service does it.
//!
//! So a trainer that is written for that service can use this one. Differences: Python is the
//! only language; a script sees only the files it was sent, and they are in its memory; what a
//! script printed before it was stopped is lost with it; no threads, processes or network.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc::unbounded_channel;
use verify::{Limits, Script, ScriptEnd, ScriptRun};

use super::queue::{Bench, Work};
use super::{LIMITS_MAX, Service, answer as reply_with, enqueue, text_of};

/// Files that were sent and files that come back, in bytes.
const OUTPUT_BYTES_MAX: u64 = 16 << 20;

/// Unknown fields are accepted: clients send some that make no difference here.
#[derive(Debug, Deserialize)]
struct Body {
    code: String,
    language: String,
    stdin: Option<String>,
    #[serde(default = "ten")]
    run_timeout: f64,
    #[serde(default = "unlimited", rename = "memory_limit_MB")]
    memory_limit_mb: i64,
    #[serde(default)]
    files: BTreeMap<String, Option<String>>,
    #[serde(default)]
    fetch_files: Vec<String>,
}

fn ten() -> f64 {
    10.0
}

fn unlimited() -> i64 {
    -1
}

pub(super) async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response {
    run(&service, request).await.unwrap_or_else(|refusal| refusal)
}

async fn run(service: &Service, request: Request) -> Result<Response, Response> {
    let body = text_of(request).await?;
    let script = parse(&body).map_err(|what| {
        let detail = json!({ "detail": what, "status": "SandboxError", "message": what });
        reply_with(StatusCode::UNPROCESSABLE_ENTITY, &detail)
    })?;
    let (reply, mut inbox) = unbounded_channel();
    let work: Work = Box::new(move |bench: &Bench<'_>| {
        let run = bench.verifier.run_script_in(bench.slot, &script);
        bench.metrics.ran_script(run.wall);
        shown(&run)
    });
    if let Some(refusal) = enqueue(service, vec![work], &reply) {
        return Ok(refusal);
    }
    drop(reply);
    let found = inbox.recv().await.map_or_else(
        || sandbox_error("the service ended before the script was run"),
        |(_, found)| found,
    );
    Ok(reply_with(StatusCode::OK, &found))
}

fn parse(body: &str) -> Result<Script, String> {
    let body: Body = serde_json::from_str(body).map_err(|e| e.to_string())?;
    if body.language != "python" {
        return Err(format!("`language` is `{}`; this service runs only `python`", body.language));
    }
    let wall_ms = body.run_timeout * 1e3;
    if !(1.0..=LIMITS_MAX.wall_ms as f64).contains(&wall_ms) {
        let most = LIMITS_MAX.wall_ms / 1000;
        return Err(format!("`run_timeout` must be between 0.001 and {most} seconds"));
    }
    let wall_ms = wall_ms as u64;
    let defaults = Limits::default();
    let memory_mib = match u64::try_from(body.memory_limit_mb) {
        Ok(0) | Err(_) => defaults.memory_mib,
        Ok(mib) if mib <= LIMITS_MAX.memory_mib => mib,
        Ok(_) => return Err(format!("`memory_limit_MB` may be at most {}", LIMITS_MAX.memory_mib)),
    };
    let file = |(name, text): (String, Option<String>)| {
        let bytes = BASE64.decode(text?).map_err(|e| format!("`files`: {name}: not base64: {e}"));
        Some(bytes.map(|bytes| (name, bytes)))
    };
    Ok(Script {
        code: body.code,
        stdin: body.stdin.unwrap_or_default().into_bytes(),
        files: body.files.into_iter().filter_map(file).collect::<Result<_, _>>()?,
        fetch: body.fetch_files,
        limits: Limits {
            cpu_ms: wall_ms,
            test_cpu_ms: wall_ms,
            wall_ms,
            idle_ms: wall_ms,
            memory_mib,
            output_bytes: OUTPUT_BYTES_MAX,
            ..defaults
        },
    })
}

/// The answer, in the shape that SandboxFusion documents.
fn shown(run: &ScriptRun) -> Json {
    let (status, code, stderr) = match &run.end {
        ScriptEnd::Exited(code) => ("Finished", Some(*code), run.stderr.as_slice()),
        ScriptEnd::TimeLimit => ("TimeLimitExceeded", None, &[][..]),
        ScriptEnd::Died(why) => ("Finished", Some(1), why.as_bytes()),
        ScriptEnd::JudgeError(why) => return sandbox_error(why),
    };
    let files: BTreeMap<&str, String> =
        run.files.iter().map(|(name, bytes)| (name.as_str(), BASE64.encode(bytes))).collect();
    json!({
        "status": if code == Some(0) { "Success" } else { "Failed" },
        "message": "",
        "compile_result": null,
        "run_result": {
            "status": status,
            "execution_time": run.wall.as_secs_f64(),
            "return_code": code,
            "stdout": String::from_utf8_lossy(&run.stdout),
            "stderr": String::from_utf8_lossy(stderr),
        },
        "executor_pod_name": null,
        "files": files,
    })
}

fn sandbox_error(why: &str) -> Json {
    json!({
        "status": "SandboxError",
        "message": why,
        "compile_result": null,
        "run_result": null,
        "executor_pod_name": null,
        "files": {},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: Json) -> String {
        parse(&body.to_string()).unwrap_err()
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_the_reason() {
        let with = |key: &str, value: Json| {
            let mut body = json!({ "code": "", "language": "python" });
            body[key] = value;
            refusal(body)
        };
        assert!(with("language", json!("cpp")).contains("only `python`"));
        assert!(with("run_timeout", json!(0)).contains("run_timeout"));
        assert!(with("run_timeout", json!(1e9)).contains("120 seconds"));
        assert!(with("memory_limit_MB", json!(1_u64 << 40)).contains("memory_limit_MB"));
        assert!(with("files", json!({ "a": "%" })).contains("base64"));
        assert!(with("code", json!(1)).contains("invalid type"));
        assert!(refusal(json!({ "language": "python" })).contains("code"));
    }

    #[test]
    fn the_defaults_are_those_of_the_original() {
        let script = parse(
            r#"{"code": "x", "language": "python", "compile_timeout": 3, "args": [],
            "files": {"a": "aGk=", "b": null}, "stdin": null}"#,
        )
        .unwrap();
        assert_eq!((script.limits.wall_ms, script.limits.cpu_ms), (10_000, 10_000));
        assert_eq!(script.files, [("a".to_string(), b"hi".to_vec())]);
        assert!(script.stdin.is_empty() && script.fetch.is_empty());
    }
}
