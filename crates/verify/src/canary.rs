//! Programs that try each wall. A tier is in force only where they all fail as they should, on
//! every zygote that is started.

use std::sync::Arc;

use crate::jail::Tier;
use crate::judge::Trial;
use crate::worker::Worker;
use crate::{Limits, Submission, TestCase, Value, Verdict, VerifyError, run};

/// What becomes of a program that tries: an exception of its own, or its end on the spot.
#[derive(Debug, Clone, Copy)]
enum Stopped {
    Refused,
    Killed,
    Either,
}

use Stopped::{Either, Killed, Refused};

/// `(what it tries, how that must end, program)`: returns `"escaped"` if it succeeds.
const ESCAPES: [(&str, Stopped, &str); 14] = [
    (
        "read a file of the system",
        Refused,
        "def f():\n    open('/etc/passwd').read(1)\n    return 'escaped'\n",
    ),
    (
        "write a file",
        Refused,
        "def f():\n    open('/tmp/axiom-canary', 'w').write('x')\n    return 'escaped'\n",
    ),
    ("list a folder", Refused, "import os\ndef f():\n    os.listdir('/')\n    return 'escaped'\n"),
    (
        "open a socket",
        Killed,
        "import _socket\ndef f():\n    _socket.socket()\n    return 'escaped'\n",
    ),
    (
        "start a process",
        Refused,
        "import os\ndef f():\n    if os.fork() == 0:\n        os._exit(0)\n    return 'escaped'\n",
    ),
    ("start a program", Killed, "import os\ndef f():\n    os.execv('/bin/true', ['true'])\n"),
    (
        "signal the zygote",
        Killed,
        "import os\ndef f():\n    os.kill(os.getppid(), 0)\n    return 'escaped'\n",
    ),
    (
        "start a thread",
        Refused,
        "import _thread\ndef f():\n    _thread.start_new_thread(len, ('',))\n    return 'escaped'\n",
    ),
    ("answer without results", Refused, "import os\ndef f():\n    os._exit(0)\n"),
    (
        "rule the zygote",
        Killed,
        "import ctypes, os\ndef f():\n    ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)\n    return 'escaped'\n",
    ),
    (
        "read the zygote",
        Killed,
        "import ctypes, os\ndef f():\n    ctypes.CDLL(None).process_vm_readv(os.getppid(), 0, 0, 0, 0, 0)\n    return 'escaped'\n",
    ),
    (
        "take a descriptor along",
        Refused,
        "import os\ndef f():\n    os.fstat(3)\n    return 'escaped'\n",
    ),
    ("call the table of another architecture", Either, OLD_ARCHITECTURE),
    ("call the table of another pointer size", Refused, X32_TABLE),
];

/// `getpid` by its number in the 32-bit table.
const OLD_ARCHITECTURE: &str = "\
import ctypes, mmap, os
def f():
    if os.uname().machine != 'x86_64':
        raise LookupError('there is none here')
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    return 'escaped'
";

/// `getpid` by its number for 32-bit pointers.
const X32_TABLE: &str = "\
import ctypes
def f():
    if ctypes.CDLL(None).syscall(0x40000000 + 39) > 0:
        return 'escaped'
    raise PermissionError('refused')
";

/// Runs every canary; an error names the wall that does not hold.
pub(crate) fn check(worker: &Worker) -> Result<(), VerifyError> {
    let tier = worker.tier();
    let honest = "def f():\n    return 'escaped'\n";
    expect(worker, "an honest program", honest, 1_000, &[Verdict::Accepted])?;
    let wrong = "def f():\n    return 'other'\n";
    expect(worker, "a wrong program", wrong, 1_000, &[Verdict::WrongAnswer])?;
    if tier.has_landlock() {
        let lazy = "def f():\n    import colorsys\n    return 'escaped'\n";
        expect(worker, "an import of the library", lazy, 1_000, &[Verdict::Accepted])?;
    }
    if tier == Tier::None {
        return Ok(());
    }
    for (what, stopped, program) in ESCAPES {
        let verdicts: &[Verdict] = match stopped {
            Refused => &[Verdict::RuntimeError],
            Killed => &[Verdict::Violation],
            Either => &[Verdict::RuntimeError, Verdict::Violation],
        };
        expect(worker, what, program, 1_000, verdicts)?;
    }
    let endless = "def f():\n    while True:\n        pass\n";
    expect(worker, "an endless loop", endless, 4, &[Verdict::TimeLimit])?;
    let large = "def f():\n    return len(bytearray(1 << 30))\n";
    expect(worker, "too much memory", large, 1_000, &[Verdict::MemoryLimit])
}

fn expect(
    worker: &Worker,
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
    let no_sandbox = |reason| VerifyError::NoSandbox { reason };
    let mut trial = Trial::new(&submission);
    let outcome = run::run(worker, &(&submission).into(), &mut |answer| trial.take(answer))
        .map_err(|e| no_sandbox(format!("canary `{what}`: {e}")))?;
    let found = trial.verdict(outcome, worker.tier());
    if verdicts.contains(&found.verdict) {
        return Ok(());
    }
    Err(no_sandbox(format!("canary `{what}` gave {} ({})", found.verdict, found.detail)))
}
