//! Programs that try each wall. A tier is in force only where they all fail as they should.

use std::sync::Arc;

use crate::jail::Tier;
use crate::judge::Trial;
use crate::zygote::Zygote;
use crate::{Limits, Submission, TestCase, Value, Verdict, VerifyError, run};

/// `(what it tries, program)`: returns `"escaped"` if it succeeds.
const ESCAPES: [(&str, &str); 9] = [
    (
        "read a file of the system",
        "def f():\n    open('/etc/passwd').read(1)\n    return 'escaped'\n",
    ),
    (
        "write a file",
        "def f():\n    open('/tmp/axiom-canary', 'w').write('x')\n    return 'escaped'\n",
    ),
    ("list a folder", "import os\ndef f():\n    os.listdir('/')\n    return 'escaped'\n"),
    ("open a socket", "import _socket\ndef f():\n    _socket.socket()\n    return 'escaped'\n"),
    (
        "start a process",
        "import os\ndef f():\n    if os.fork() == 0:\n        os._exit(0)\n    return 'escaped'\n",
    ),
    ("start a program", "import os\ndef f():\n    os.execv('/bin/true', ['true'])\n"),
    (
        "signal the zygote",
        "import os\ndef f():\n    os.kill(os.getppid(), 0)\n    return 'escaped'\n",
    ),
    (
        "start a thread",
        "import _thread\ndef f():\n    _thread.start_new_thread(len, ('',))\n    return 'escaped'\n",
    ),
    ("answer without results", "import os\ndef f():\n    os._exit(0)\n"),
];

/// Runs every canary on a zygote of `tier`; an error names the wall that does not hold.
pub(crate) fn check(zygote: &Zygote, tier: Tier) -> Result<(), VerifyError> {
    let honest = "def f():\n    return 'escaped'\n";
    expect(zygote, "an honest program", honest, 1_000, &[Verdict::Accepted])?;
    let wrong = "def f():\n    return 'other'\n";
    expect(zygote, "a wrong program", wrong, 1_000, &[Verdict::WrongAnswer])?;
    if tier == Tier::None {
        return Ok(());
    }
    for (what, program) in ESCAPES {
        expect(zygote, what, program, 1_000, &[Verdict::RuntimeError, Verdict::Violation])?;
    }
    let endless = "def f():\n    while True:\n        pass\n";
    expect(zygote, "an endless loop", endless, 30, &[Verdict::TimeLimit])?;
    let large = "def f():\n    return len(bytearray(1 << 31))\n";
    expect(zygote, "too much memory", large, 1_000, &[Verdict::MemoryLimit])
}

fn expect(
    zygote: &Zygote,
    what: &str,
    program: &str,
    cpu_ms: u64,
    verdicts: &[Verdict],
) -> Result<(), VerifyError> {
    let escaped = TestCase { args: Vec::new(), expected: Value::Str("escaped".to_string()) };
    let submission = Submission {
        program: program.to_string(),
        entry_point: "f".to_string(),
        tests: Arc::from([escaped]),
        limits: Limits { cpu_ms, ..Limits::default() },
        ..Submission::default()
    };
    let mut trial = Trial::new(&submission);
    let outcome = run::run(zygote, &(&submission).into(), &mut |answer| trial.take(answer));
    let found = trial.verdict(outcome.map_err(VerifyError::Start)?);
    if verdicts.contains(&found.verdict) {
        return Ok(());
    }
    let reason = format!("canary `{what}` gave {} ({})", found.verdict, found.detail);
    Err(VerifyError::NoSandbox { reason })
}
