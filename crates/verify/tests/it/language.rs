//! Ordinary Python gives the same answers behind the walls as without them.
//!
//! Each probe of `tests/probes.py` defines `f`. The text of what it returns is compared with
//! what the plain interpreter gives, which runs each probe in a process of its own.

use std::io::Write as _;
use std::process::{Command, Stdio};

use verify::{Job, Value, Verifier};

use crate::verifiers;

const PROBES: &str = include_str!("../probes.py");
/// The classes of VERIFIER's language list need at least this many.
const N_PROBES_MIN: usize = 70;

/// Runs the programs that come on standard input, one JSON string a line, and prints what
/// `answer` returns, likewise.
const PLAIN: &str = r#"
import json, os, sys, types
for line in sys.stdin:
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        module = types.ModuleType("solution")
        sys.modules["solution"] = module
        exec(compile(json.loads(line), "<program>", "exec", 0, True), module.__dict__)
        print(json.dumps(module.answer()))
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)
"#;

/// `(name, program)` of the probes that a release of Python understands.
fn probes(release: (u32, u32)) -> Vec<(&'static str, String)> {
    let all = PROBES.split("# --- ").skip(1).map(|probe| probe.split_once('\n').unwrap());
    let known = all.filter(|(name, _)| since(name).is_none_or(|first| release >= first));
    known
        .map(|(name, text)| (name, format!("{text}\ndef answer():\n    return repr(f())\n")))
        .collect()
}

/// The release in brackets at the end of a name.
fn since(name: &str) -> Option<(u32, u32)> {
    release(name.split_once('[')?.1.trim_end_matches(']'))
}

fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[expect(clippy::disallowed_methods, reason = "the plain interpreter is what we compare with")]
fn plain(verifier: &Verifier, programs: &[(&str, String)]) -> Vec<String> {
    let mut child = Command::new(&verifier.facts().python.path)
        .args(["-s", "-S", "-c", PLAIN])
        .env_clear()
        .envs([("PYTHONHASHSEED", "0"), ("LC_CTYPE", "C.UTF-8"), ("TZ", "UTC")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<String> =
        programs.iter().map(|(_, program)| serde_json::to_string(program).unwrap()).collect();
    child.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn ordinary_python_gives_the_same_answers_behind_the_walls() {
    for verifier in verifiers() {
        let facts = verifier.facts();
        let probes = probes(release(&facts.python.version).unwrap());
        assert!(probes.len() >= N_PROBES_MIN, "{}", probes.len());
        let expected = plain(&verifier, &probes);
        assert_eq!(expected.len(), probes.len(), "a probe fails in the plain interpreter");
        let job = |(_, program): &(&str, String)| Job {
            program: program.clone(),
            entry_point: "answer".to_string(),
            inputs: vec![Vec::new()],
            ..Job::default()
        };
        let jobs: Vec<Job> = probes.iter().map(job).collect();
        let found = verifier.execute(&jobs).unwrap();
        for (((name, _), expected), found) in probes.iter().zip(expected).zip(found) {
            assert_eq!(found.failure, None, "{name} in {}", facts.tier);
            assert_eq!(found.answers, [Ok(Value::Str(expected))], "{name} in {}", facts.tier);
        }
    }
}
