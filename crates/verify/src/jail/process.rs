//! The wall around the zygote as a process: how it is started.
//!
//! The verifier may have many threads, so nothing allocates or takes a lock between `clone` and
//! `exec`: system calls only, on what was prepared before. A step that fails is reported by
//! name, and the process ends.

use std::ffi::{CString, c_char};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use super::namespaces::Root;

/// A recursive program may need a deep C stack; the interpreter takes it from this limit.
const STACK_BYTES: libc::rlim_t = 256 << 20;
const ADDR_NO_RANDOMIZE: libc::c_ulong = 0x0004_0000;

/// What to start, and behind what.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The program's path first.
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    /// `/dev/null`, for the standard descriptors.
    pub(crate) null: OwnedFd,
    /// Left open across `exec`, under their own numbers.
    pub(crate) kept: Vec<RawFd>,
    /// Namespaces, where there are to be any.
    pub(crate) root: Option<Root>,
    /// Whether addresses are the same in every process.
    pub(crate) fixed_addresses: bool,
}

/// A step that did not succeed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed {
    wall: &'static str,
    errno: i32,
}

impl Failed {
    /// The same, under the name of the wall that it is part of.
    pub(crate) fn at(self, wall: &'static str) -> Self {
        Self { wall, ..self }
    }
}

/// What a system call returned, with the step's name where that is an error.
pub(crate) fn check(wall: &'static str, result: libc::c_int) -> Result<(), Failed> {
    if result >= 0 {
        return Ok(());
    }
    // Reads errno and allocates nothing.
    let errno = io::Error::last_os_error().raw_os_error().unwrap_or_default();
    Err(Failed { wall, errno })
}

/// A child of this process, killed and reaped with this value.
#[derive(Debug)]
pub(crate) struct Process(libc::pid_t);

impl Process {
    /// Its number outside of all namespaces.
    pub(crate) fn id(&self) -> u32 {
        self.0.unsigned_abs()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: the child is not reaped yet, so the number is still its own.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            while libc::waitpid(self.0, std::ptr::null_mut(), 0) < 0
                && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
            {}
        }
    }
}

/// Starts the program, or says which wall could not be put up.
pub(crate) fn start(plan: &Plan) -> Result<Process, String> {
    let (report, failure) = io::pipe().map_err(|error| error.to_string())?;
    let pointers = |strings: &[CString]| -> Vec<*const c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(&plan.arguments), pointers(&plan.environment));
    let flags = libc::SIGCHLD | plan.root.as_ref().map_or(0, Root::flags);
    // SAFETY: without CLONE_VM this is a fork; the child makes system calls only, and leaves by
    // `exec` or `_exit`.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), 0, 0, 0, 0) };
    if pid == 0 {
        become_program(plan, &arguments, &environment, failure.as_raw_fd());
    }
    drop(failure);
    if pid < 0 {
        let wall = if plan.root.is_some() { "namespaces" } else { "fork" };
        return Err(format!("{wall}: {}", io::Error::last_os_error()));
    }
    let process = Process(libc::pid_t::try_from(pid).map_err(|error| error.to_string())?);
    let mut said = Vec::new();
    io::BufReader::new(report).read_to_end(&mut said).map_err(|error| error.to_string())?;
    match said.split_first_chunk::<4>() {
        None => Ok(process),
        Some((errno, wall)) => {
            let error = io::Error::from_raw_os_error(i32::from_ne_bytes(*errno));
            Err(format!("{}: {error}", String::from_utf8_lossy(wall)))
        }
    }
}

/// Runs in the new process.
fn become_program(
    plan: &Plan,
    arguments: &[*const c_char],
    environment: &[*const c_char],
    report: RawFd,
) -> ! {
    let done = enter(plan).and_then(|()| {
        // SAFETY: both arrays end with a null pointer and point to strings that live.
        check("exec", unsafe {
            libc::execve(arguments[0], arguments.as_ptr(), environment.as_ptr())
        })
    });
    // What succeeds does not return.
    let Failed { wall, errno } = done.err().unwrap_or(Failed { wall: "exec", errno: 0 });
    // SAFETY: system calls on memory that lives. Nobody is left to hear of a failure here.
    unsafe {
        libc::write(report, errno.to_ne_bytes().as_ptr().cast(), size_of::<i32>());
        libc::write(report, wall.as_ptr().cast(), wall.len());
        libc::_exit(127)
    }
}

fn enter(plan: &Plan) -> Result<(), Failed> {
    // SAFETY: system calls on numbers and on locals.
    unsafe {
        // Its own session: a Ctrl-C at the terminal is not for it, and it has no terminal.
        check("session", libc::setsid())?;
        check("parent death signal", libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))?;
        unblock_signals()?;
        raise_stack();
        if plan.fixed_addresses {
            // Container profiles may refuse this one; then the addresses vary.
            libc::personality(ADDR_NO_RANDOMIZE);
        }
        for standard in 0..=2 {
            check("standard descriptors", libc::dup2(plan.null.as_raw_fd(), standard))?;
        }
        for kept in &plan.kept {
            check("kept descriptors", libc::fcntl(*kept, libc::F_SETFD, 0))?;
        }
        check("working folder", libc::chdir(c"/".as_ptr()))?;
    }
    plan.root.as_ref().map_or(Ok(()), Root::enter)
}

fn unblock_signals() -> Result<(), Failed> {
    // SAFETY: an all-zero set is overwritten by `sigemptyset`, and both calls get valid pointers.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        check("signals", libc::sigemptyset(&raw mut none))?;
        check(
            "signals",
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()),
        )
    }
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
