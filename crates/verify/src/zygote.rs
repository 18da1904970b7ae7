//! One warm interpreter behind its walls, and the socket that orders forks from it.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use crate::jail::namespaces::Root;
use crate::jail::process::{self, Plan, Process};
use crate::jail::seccomp::{self, Allowed};
use crate::jail::{Tier, credentials, landlock, rlimits};
use crate::python::PythonInfo;
use crate::spawner::Place;
use crate::{Value, VerifyError, marshal, socket};

/// The walls, the candidate behind them, what makes forks cheap, and the start.
const SCRIPT: &str = concat!(
    include_str!("zygote.py"),
    include_str!("candidate.py"),
    include_str!("pages.py"),
    "main()\nos._exit(0)\n"
);
/// Imports and warm-up take tens of milliseconds; a busy machine may need far longer.
const START_MAX: Duration = Duration::from_secs(20);
/// Everything that the interpreter is told by its surroundings. The loader is to look up all
/// functions at the start, and not again in every fork.
const ENVIRONMENT: [&str; 3] = ["LC_CTYPE=C.UTF-8", "TZ=UTC", "LD_BIND_NOW=1"];

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
    process: Process,
    control: OwnedFd,
    python: PythonInfo,
    tier: Tier,
}

impl Zygote {
    /// Starts one for `slot` and waits until its walls stand. Must be called from a thread that
    /// outlives it: the kernel ties its life to that thread's.
    pub(crate) fn start(python: &PythonInfo, place: Place) -> Result<Self, VerifyError> {
        let tier = place.tier;
        let no_sandbox = |reason: String| VerifyError::NoSandbox { reason };
        let ruleset = if tier.has_landlock() {
            let ruleset = landlock::ruleset(&python.folders);
            Some(ruleset.map_err(|e| no_sandbox(format!("landlock: {e}")))?)
        } else {
            None
        };
        let (ours, theirs) = socket::pair(libc::SOCK_SEQPACKET).map_err(VerifyError::Start)?;
        socket::name_senders(&ours).map_err(VerifyError::Start)?;
        // It may be out of sight behind the walls.
        let proc = File::options().read(true).custom_flags(libc::O_PATH).open("/proc").ok();
        let proc = proc.map(OwnedFd::from);
        let plan = plan(python, place, &theirs, proc.as_ref(), ruleset.as_ref())?;
        let process = process::start(&plan).map_err(no_sandbox)?;
        // With its only other end in the zygote, the socket tells when that dies.
        drop((theirs, plan));
        let zygote = Self { process, control: ours, python: python.clone(), tier };
        zygote.configure(place)?;
        Ok(zygote)
    }

    fn configure(&self, Place { tier, slot, flavour }: Place) -> Result<(), VerifyError> {
        let no_sandbox = |reason: String| VerifyError::NoSandbox { reason };
        let reachable = tier == Tier::Namespaces || self.python.is_reachable_by_others();
        let uid = credentials::uid_for(flavour.user(slot)).filter(|_| reachable);
        let filters = |stack: bool| -> Result<Value, VerifyError> {
            let filters = match tier {
                Tier::None => Ok(Vec::new()),
                _ => seccomp::filters(Allowed { files: tier.has_landlock(), stack }),
            };
            let filters = filters.map_err(|e| no_sandbox(format!("seccomp filter: {e}")))?;
            Ok(Value::List(filters.into_iter().map(Value::Bytes).collect()))
        };
        let fork_filter = match tier {
            Tier::None => Value::None,
            _ => Value::Bytes(seccomp::fork_filter().map_err(no_sandbox)?),
        };
        let text = |s: &str| Value::Str(s.to_string());
        let number = |n: libc::c_long| Value::Int(n);
        let config = Value::Dict(vec![
            (text("uid"), uid.map_or(Value::None, |u| Value::Int(i64::from(u)))),
            (text("is_init"), Value::Bool(tier == Tier::Namespaces)),
            (text("capset"), number(libc::SYS_capset)),
            (text("landlock_restrict_self"), number(libc::SYS_landlock_restrict_self)),
            (text("seccomp"), number(libc::SYS_seccomp)),
            (text("filters"), filters(false)?),
            (text("stackable_filters"), filters(true)?),
            (text("fork_filter"), fork_filter),
            (text("limits"), rlimits::lasting()),
            (text("random_seed"), Value::Int(i64::from(flavour.seed()))),
            (text("preload_all"), Value::Bool(tier == Tier::NoFiles)),
        ]);
        let mut bytes = Vec::new();
        marshal::encode(&config, &mut bytes);
        socket::send(&self.control, &bytes, None).map_err(VerifyError::Start)?;
        let mut answer = [0; 512];
        let (n, _) =
            socket::receive(&self.control, &mut answer, START_MAX).map_err(VerifyError::Start)?;
        match &answer[..n] {
            b"ready" => Ok(()),
            [] => Err(no_sandbox("the zygote died at its start".into())),
            reason => Err(no_sandbox(String::from_utf8_lossy(reason).into_owned())),
        }
    }

    /// Orders a candidate, which will read its job from `data`.
    pub(crate) fn order(&self, data: &OwnedFd) -> io::Result<()> {
        socket::send(&self.control, b"J", Some(data.as_raw_fd()))
    }

    /// Waits until the candidate is there. Returns its process id, which the kernel vouches for
    /// and which stays its own until [`Zygote::reap`].
    pub(crate) fn candidate(&self, patience: Duration) -> io::Result<libc::pid_t> {
        let mut hello = [0; 256];
        let (n, sender) = socket::receive(&self.control, &mut hello, patience)?;
        match (&hello[..n], sender) {
            (b"P", Some(pid)) if pid > 0 && pid.unsigned_abs() != self.id() => Ok(pid),
            ([], _) => Err(died()),
            (reason, _) => Err(io::Error::other(String::from_utf8_lossy(reason).into_owned())),
        }
    }

    /// Whether it still answers for the process ids it gave out. Its end of the socket closes
    /// before its candidates can go to another parent, and nothing else makes ours readable
    /// between two orders.
    pub(crate) fn is_alive(&self) -> io::Result<bool> {
        self.has_spoken().map(|spoken| !spoken)
    }

    /// Whether something of it, or its end, waits to be received.
    pub(crate) fn has_spoken(&self) -> io::Result<bool> {
        socket::wait_readable(&self.control, Duration::ZERO)
    }

    /// Collects a candidate that has been killed: its wait status and CPU time.
    pub(crate) fn reap(&self, patience: Duration) -> io::Result<(i32, Duration)> {
        socket::send(&self.control, b"R", None)?;
        let mut answer = [0; 12];
        let (n, _) = socket::receive(&self.control, &mut answer, patience)?;
        if n != answer.len() {
            return Err(died());
        }
        let [a, b, c, d, rest @ ..] = answer;
        let status = i32::from_le_bytes([a, b, c, d]);
        Ok((status, Duration::from_micros(u64::from_le_bytes(rest))))
    }

    pub(crate) fn tier(&self) -> Tier {
        self.tier
    }

    pub(crate) fn python(&self) -> &PythonInfo {
        &self.python
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

fn died() -> io::Error {
    io::Error::other("the zygote died")
}

fn plan(
    python: &PythonInfo,
    Place { tier, flavour, .. }: Place,
    control: &OwnedFd,
    proc: Option<&OwnedFd>,
    ruleset: Option<&OwnedFd>,
) -> Result<Plan, VerifyError> {
    let string = |s: &[u8]| CString::new(s).map_err(|e| VerifyError::Start(io::Error::other(e)));
    let root = match tier {
        Tier::Namespaces => Some(
            Root::plan(&python.folders, &python.files)
                .map_err(|reason| VerifyError::NoSandbox { reason })?,
        ),
        _ => None,
    };
    let inherited = [Some(control), proc, ruleset].map(|fd| fd.map(OwnedFd::as_raw_fd));
    let numbers = inherited.map(|fd| fd.unwrap_or(-1).to_string());
    let words = ["-s", "-S", "-B", "-c", SCRIPT].into_iter();
    let words = words.chain(numbers.iter().map(String::as_str)).map(str::as_bytes);
    let arguments = std::iter::once(python.path.as_os_str().as_bytes()).chain(words);
    let hash_seed = format!("PYTHONHASHSEED={}", flavour.seed());
    let environment = ENVIRONMENT.into_iter().chain([hash_seed.as_str()]);
    let null = File::options().read(true).write(true).open("/dev/null");
    Ok(Plan {
        arguments: arguments.map(string).collect::<Result<_, _>>()?,
        environment: environment.map(|s| string(s.as_bytes())).collect::<Result<_, _>>()?,
        null: null.map_err(VerifyError::Start)?.into(),
        kept: inherited.into_iter().flatten().collect(),
        root,
        fixed_addresses: flavour != Flavour::Varied,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::fd::{FromRawFd as _, RawFd};
    use std::path::Path;

    use super::*;
    use crate::{VerifierConfig, python};

    /// One without walls.
    pub(crate) fn zygote() -> Zygote {
        let python = python::find_python(&VerifierConfig::default()).unwrap();
        let place = Place { tier: Tier::None, slot: 0, flavour: Flavour::Fixed };
        Zygote::start(&python, place).unwrap()
    }

    /// Where the kernel has huge pages to give: forks are cheaper by a tenth then.
    #[test]
    fn the_interpreters_code_lies_in_huge_pages() {
        let zygote = zygote();
        let maps = std::fs::read_to_string(format!("/proc/{}/smaps", zygote.id()));
        let (Ok(maps), true) = (maps, Path::new("/sys/kernel/mm/transparent_hugepage").exists())
        else {
            eprintln!("SKIPPED: there are none, or who has them is not told");
            return;
        };
        let executable = maps.split(" r-xp ").skip(1);
        let kib = |map: &str| -> Option<u64> {
            let (_, rest) = map.split_once("AnonHugePages:")?;
            rest.split_whitespace().next()?.parse().ok()
        };
        assert!(executable.filter_map(kib).sum::<u64>() >= 2048, "{maps}");
    }

    /// Where the kernel lets memory be held for input and output: a run takes a sixth less
    /// then.
    #[test]
    fn pages_that_every_candidate_writes_are_held() {
        let mut settings = [0_u8; 120];
        // SAFETY: the kernel writes its settings, which have this size.
        let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, settings.as_mut_ptr()) };
        if ring < 0 {
            eprintln!("SKIPPED: io_uring is refused here");
            return;
        }
        // SAFETY: nobody else has the descriptor.
        drop(unsafe { OwnedFd::from_raw_fd(RawFd::try_from(ring).unwrap()) });
        let zygote = zygote();
        let status = std::fs::read_to_string(format!("/proc/{}/status", zygote.id())).unwrap();
        let held = status.lines().find_map(|line| line.strip_prefix("VmPin:")).unwrap();
        let kib: u64 = held.trim().trim_end_matches(" kB").parse().unwrap();
        assert!((200..4_000).contains(&kib), "{kib} KiB");
    }
}
