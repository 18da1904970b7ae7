//! One warm interpreter behind its walls, and the socket that orders forks from it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::jail::{Tier, credentials, landlock, process, seccomp};
use crate::marshal;
use crate::python::{self, PythonInfo};
use crate::{Value, VerifyError};

/// The walls, the candidate behind them, and the start.
const SCRIPT: &str =
    concat!(include_str!("zygote.py"), include_str!("candidate.py"), "main()\nos._exit(0)\n");
/// Imports and warm-up take tens of milliseconds; a busy machine may need far longer.
const START_MAX: Duration = Duration::from_secs(20);

/// What is fixed in the programs of a zygote that a program should not depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// One seed of hashes and of `random`, fixed addresses: what programs are judged on.
    Fixed,
    /// Other seeds, and addresses as they come: what a program that is not deterministic
    /// gives itself away on.
    Varied,
    /// As `Fixed`, for the programs of task authors alone.
    Trusted,
}

impl Flavour {
    /// Every flavour.
    pub(crate) const ALL: [Self; 3] = [Self::Fixed, Self::Varied, Self::Trusted];

    fn seed(self) -> u8 {
        match self {
            Self::Fixed | Self::Trusted => 0,
            Self::Varied => 1,
        }
    }

    /// No two zygotes are the same user.
    fn user(self, slot: usize) -> usize {
        slot * Self::ALL.len() + self as usize
    }
}

/// A zygote that answers orders.
#[derive(Debug)]
pub(crate) struct Zygote {
    child: Child,
    control: OwnedFd,
}

impl Zygote {
    /// Starts one for `slot` and waits until its walls stand. Must be called from a thread that
    /// outlives it: the kernel ties its life to that thread's.
    pub(crate) fn start(
        python: &PythonInfo,
        tier: Tier,
        slot: usize,
        flavour: Flavour,
    ) -> Result<Self, VerifyError> {
        let no_sandbox = |reason: String| VerifyError::NoSandbox { reason };
        let filters = match tier {
            Tier::None => Vec::new(),
            _ => seccomp::filters(tier == Tier::Landlocked)
                .map_err(|e| no_sandbox(format!("seccomp filter: {e}")))?,
        };
        let ruleset = match tier {
            Tier::Landlocked => Some(
                landlock::ruleset(&python.folders)
                    .map_err(|e| no_sandbox(format!("landlock: {e}")))?,
            ),
            _ => None,
        };
        let (ours, theirs) = socket_pair(libc::SOCK_SEQPACKET).map_err(VerifyError::Start)?;
        let setup = process::Setup {
            control: theirs.as_raw_fd(),
            ruleset: ruleset.as_ref().map_or(-1, AsRawFd::as_raw_fd),
            fixed_addresses: flavour != Flavour::Varied,
        };
        let seed = flavour.seed().to_string();
        let mut command = python::command(&python.path);
        command
            .args(["-s", "-S", "-B", "-c", SCRIPT])
            .args([setup.control.to_string(), setup.ruleset.to_string()])
            .stdout(Stdio::null())
            .env_clear()
            .envs([("PYTHONHASHSEED", seed.as_str()), ("LC_CTYPE", "C.UTF-8"), ("TZ", "UTC")]);
        // SAFETY: `enter` makes system calls only.
        unsafe { command.pre_exec(move || process::enter(setup)) };
        let child = command.spawn().map_err(VerifyError::Start)?;
        // With its only other end in the zygote, the socket tells when that dies.
        drop(theirs);
        let zygote = Self { child, control: ours };
        let uid =
            credentials::uid_for(flavour.user(slot)).filter(|_| python.is_reachable_by_others());
        zygote.configure(tier, uid, flavour.seed(), filters)?;
        Ok(zygote)
    }

    fn configure(
        &self,
        tier: Tier,
        uid: Option<u32>,
        random_seed: u8,
        filters: Vec<Vec<u8>>,
    ) -> Result<(), VerifyError> {
        let text = |s: &str| Value::Str(s.to_string());
        let number = |n: libc::c_long| Value::Int(n);
        let config = Value::Dict(vec![
            (text("uid"), uid.map_or(Value::None, |u| Value::Int(i64::from(u)))),
            (text("parent"), Value::Int(i64::from(std::process::id()))),
            (text("landlock_restrict_self"), number(libc::SYS_landlock_restrict_self)),
            (text("seccomp"), number(libc::SYS_seccomp)),
            (text("filters"), Value::List(filters.into_iter().map(Value::Bytes).collect())),
            (text("random_seed"), Value::Int(i64::from(random_seed))),
            (text("preload_all"), Value::Bool(tier == Tier::NoFiles)),
        ]);
        let mut bytes = Vec::new();
        marshal::encode(&config, &mut bytes);
        send(&self.control, &bytes, None).map_err(VerifyError::Start)?;
        let mut answer = [0; 512];
        let n = receive(&self.control, &mut answer, START_MAX).map_err(VerifyError::Start)?;
        match &answer[..n] {
            b"ready" => Ok(()),
            [] => Err(VerifyError::NoSandbox { reason: "the zygote died at its start".into() }),
            reason => {
                let reason = String::from_utf8_lossy(reason).into_owned();
                Err(VerifyError::NoSandbox { reason })
            }
        }
    }

    /// Forks a candidate that will read its job from `data`. Returns its process id, which
    /// stays its own until [`Zygote::reap`].
    pub(crate) fn fork(&self, data: OwnedFd, patience: Duration) -> io::Result<libc::pid_t> {
        send(&self.control, b"J", Some(data.as_raw_fd()))?;
        drop(data);
        let mut answer = [0; 4];
        match receive(&self.control, &mut answer, patience)? {
            4 => Ok(libc::pid_t::from_le_bytes(answer)),
            _ => Err(io::Error::other("the zygote died")),
        }
    }

    /// Whether it still answers for the process ids it gave out. Its end of the socket closes
    /// before its candidates can go to another parent, and nothing else makes ours readable
    /// between two orders.
    pub(crate) fn is_alive(&self) -> io::Result<bool> {
        wait_readable(&self.control, Duration::ZERO).map(|readable| !readable)
    }

    /// Collects a candidate that has been killed: its wait status and CPU time.
    pub(crate) fn reap(&self, patience: Duration) -> io::Result<(i32, Duration)> {
        send(&self.control, b"R", None)?;
        let mut answer = [0; 12];
        if receive(&self.control, &mut answer, patience)? != 12 {
            return Err(io::Error::other("the zygote died"));
        }
        let [a, b, c, d, rest @ ..] = answer;
        let status = i32::from_le_bytes([a, b, c, d]);
        Ok((status, Duration::from_micros(u64::from_le_bytes(rest))))
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // Its candidates die with it. Both calls fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two connected sockets that are closed on `exec`.
pub(crate) fn socket_pair(kind: libc::c_int) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the call writes two descriptors into the array, which nobody else owns.
    unsafe {
        if libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

/// Sends a message, with a descriptor if there is one.
fn send(socket: &OwnedFd, bytes: &[u8], fd: Option<RawFd>) -> io::Result<()> {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // Room for one descriptor, aligned as the kernel wants it.
    let mut room = [0_u64; 4];
    // SAFETY: an all-zero header is valid; the pointers are to locals that outlive the call,
    // and the control message fits the room it is written to.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        if let Some(fd) = fd {
            let size = u32::try_from(size_of::<RawFd>()).unwrap_or(4);
            message.msg_control = room.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(size) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size) as _;
            libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd);
        }
        libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Receives a message; 0 bytes when the other end is gone.
fn receive(socket: &OwnedFd, buffer: &mut [u8], patience: Duration) -> io::Result<usize> {
    let deadline = Instant::now() + patience;
    loop {
        if !wait_readable(socket, deadline.saturating_duration_since(Instant::now()))? {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the zygote does not answer"));
        }
        // SAFETY: the buffer is writable for its length.
        let n =
            unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        match usize::try_from(n) {
            Ok(n) => return Ok(n),
            Err(_) => {
                let error = io::Error::last_os_error();
                match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::ConnectionReset => return Ok(0),
                    _ => return Err(error),
                }
            }
        }
    }
}

/// Waits until there is something to read, or the end; false when time is up.
pub(crate) fn wait_readable(socket: &impl AsRawFd, patience: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // Rounded up, so that a wait never ends before its time.
    let ms = i32::try_from(patience.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
    // SAFETY: one valid entry.
    let n = unsafe { libc::poll(&raw mut poll, 1, ms) };
    if n >= 0 {
        return Ok(n > 0);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) }
}
