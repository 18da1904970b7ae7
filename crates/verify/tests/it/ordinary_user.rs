//! The walls need no privilege: a user that is not root gets a tier that stands.

use std::os::unix::process::CommandExt as _;

use verify::{Tier, Verdict};

use crate::{SQUARES, alone, is_alone, judge, still_honest, submission, verifier};

const NOBODY: u32 = 65_534;

#[test]
fn an_ordinary_user_gets_a_jail() {
    // SAFETY: reads a number of this process.
    let is_root = unsafe { libc::geteuid() } == 0;
    if is_root && !is_alone() {
        let mut command = alone("ordinary_user::an_ordinary_user_gets_a_jail");
        match command.uid(NOBODY).gid(NOBODY).output() {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            }
            Err(e) => eprintln!("SKIPPED: an ordinary user cannot run this binary: {e}"),
        }
        return;
    }
    let verifier = verifier();
    assert_ne!(verifier.facts().tier, Tier::None);
    for program in [
        "import os\ndef f(n):\n    if os.fork() == 0:\n        os._exit(0)\n    return n * n\n",
        "def f(n):\n    open('/etc/passwd').read()\n    return n * n\n",
        "import os\ndef f(n):\n    os.kill(os.getppid(), 9)\n    return n * n\n",
    ] {
        let found = judge(&verifier, &submission(program, SQUARES));
        assert!(
            matches!(found.verdict, Verdict::RuntimeError | Verdict::Violation),
            "{found:?} for\n{program}"
        );
        still_honest(&verifier, program);
    }
}
