//! The walls around a candidate.
//!
//! A wall has one file and one reason to exist; the list below is the order in which they go
//! up. The first three go up between `clone` and `exec` of the zygote, the next three in the
//! zygote once it has imported what it needs (`build_walls` in `zygote.py`, with what the
//! files here prepared), the last in every fork.
//!
//! 1. `process.rs`: own session, dies with the verifier, fixed addresses, a deep stack.
//! 2. `namespaces.rs`: a root of its own, no other processes, no network
//! 3. an empty environment and no descriptors but the control socket (`zygote.rs`)
//! 4. no capabilities, and a user that owns nothing where the verifier is root and may change
//!    its user (`credentials.rs`)
//! 5. `landlock.rs`: the file system is the Python library, to read
//! 6. `seccomp.rs`: the system calls in `resources/syscalls.txt` and no others
//! 7. `rlimits.rs`: memory, processor time, processes, files, per candidate
//!
//! A tier is which of them stand. The second falls away where namespaces cannot be had, the
//! fifth where the kernel has no Landlock; without the sixth there is no tier.
//!
//! Not covered: bugs of the kernel behind the allowed calls, side channels between processes
//! on one processor, and whether a path exists (Landlock does not hide names).

pub(crate) mod credentials;
pub(crate) mod landlock;
pub(crate) mod namespaces;
pub(crate) mod process;
pub(crate) mod rlimits;
pub(crate) mod seccomp;

/// How strong the jail is. From strongest to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// All of `Landlocked`, in namespaces with a root that holds the Python library only.
    Namespaces,
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
    /// Those with walls, the strongest first.
    pub const SAFE: [Self; 3] = [Self::Namespaces, Self::Landlocked, Self::NoFiles];

    /// The tier of that name, if it has walls.
    pub fn safe_from_name(name: &str) -> Option<Self> {
        Self::SAFE.into_iter().find(|tier| tier.name() == name)
    }

    /// Whether Landlock decides which files can be reached.
    pub(crate) fn has_landlock(self) -> bool {
        matches!(self, Self::Namespaces | Self::Landlocked)
    }

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
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
