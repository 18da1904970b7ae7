//! The wall around the zygote as a process, put up between `fork` and `exec`.
//!
//! The verifier may have many threads, so nothing here allocates or takes a lock: system
//! calls only.

use std::io;
use std::os::fd::RawFd;

/// A recursive program may need a deep C stack; the interpreter takes it from this limit.
const STACK_BYTES: libc::rlim_t = 256 << 20;
const ADDR_NO_RANDOMIZE: libc::c_ulong = 0x0004_0000;

/// What the new process must know; all of it plain numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    /// Its end of the control socket, left open across `exec`.
    pub(crate) control: RawFd,
    /// The Landlock ruleset, likewise; negative when there is none.
    pub(crate) ruleset: RawFd,
    /// Whether addresses are the same in every process.
    pub(crate) fixed_addresses: bool,
}

/// Runs in the new process, just before `exec`.
pub(crate) fn enter(setup: Setup) -> io::Result<()> {
    // SAFETY: all of these are async-signal-safe system calls on numbers and on a local.
    unsafe {
        // Its own session: a Ctrl-C at the terminal is not for it, and it has no terminal.
        check(libc::setsid())?;
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))?;
        raise_stack();
        if setup.fixed_addresses {
            // Container profiles may refuse this one; then only the addresses vary.
            libc::personality(ADDR_NO_RANDOMIZE);
        }
        check(libc::fcntl(setup.control, libc::F_SETFD, 0))?;
        if setup.ruleset >= 0 {
            check(libc::fcntl(setup.ruleset, libc::F_SETFD, 0))?;
        }
    }
    Ok(())
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// As deep as the hard limit allows.
fn raise_stack() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid pointer to a local.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) == 0 {
            limit.rlim_cur = STACK_BYTES.min(limit.rlim_max);
            libc::setrlimit(libc::RLIMIT_STACK, &raw const limit);
        }
    }
}
