//! The walls around a candidate.
//!
//! A wall has one file and one reason to exist; the list below is the order in which they go
//! up. The first two go up between `fork` and `exec` of the zygote, the next three in the
//! zygote once it has imported what it needs (`build_walls` in `zygote.py`, with what the
//! files here prepared), the last in every fork.
//!
//! 1. `process.rs`: own session, dies with the verifier, fixed addresses, a deep stack.
//! 2. an empty environment and no descriptors but the control socket (`zygote.rs`)
//! 3. a user that owns nothing, where the verifier is root (`credentials.rs`)
//! 4. `landlock.rs`: the file system is the Python library, to read
//! 5. `seccomp.rs`: the system calls in `resources/syscalls.txt` and no others
//! 6. `rlimits.rs`: memory, processor time, processes, files, per candidate
//!
//! Not covered: bugs of the kernel behind the allowed calls, side channels between processes
//! on one processor, and whether a path exists (Landlock does not hide names).

pub(crate) mod credentials;
pub(crate) mod landlock;
pub(crate) mod process;
pub(crate) mod rlimits;
pub(crate) mod seccomp;

/// How strong the jail is. From strongest to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Seccomp, Landlock and resource limits; needs no privilege.
    Landlocked,
    /// No Landlock here: seccomp refuses to open any file, and everything a program may
    /// import is imported beforehand.
    NoFiles,
    /// No jail at all, as asked for with `allow_unsafe`.
    None,
    /// Another service runs the programs, behind whatever walls it has.
    Remote,
}

impl Tier {
    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Landlocked => "landlocked",
            Self::NoFiles => "no_files",
            Self::None => "none",
            Self::Remote => "remote",
        }
    }
}

impl std::fmt::Display for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
