//! The wall around the file system: the Python library to read, nothing else at all.
//!
//! The verifier prepares the ruleset, the zygote enters it once its imports are done. What
//! newer kernels can also restrict (the network, signals across the wall) is restricted
//! where it exists; the rights of the first version are required.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope,
};

/// What the interpreter and the C library read besides the folders of the Python library.
pub(super) const FILES_READ: [&str; 5] = [
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/urandom",
    "/usr/share/zoneinfo",
    "/usr/local/share/zoneinfo",
];

/// The version of Landlock that this kernel offers, or why it offers none.
pub(crate) fn version() -> Result<i64, String> {
    // SAFETY: with a null pointer and size zero the call only reports a version.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, 1_u32)
    };
    if version < 1 { Err(std::io::Error::last_os_error().to_string()) } else { Ok(version) }
}

/// A ruleset under which `folders` can be read and nothing else can be touched.
pub(crate) fn ruleset(folders: &[PathBuf]) -> Result<OwnedFd, String> {
    let created = create(folders).map_err(|error| error.to_string())?;
    let fd: Option<OwnedFd> = created.into();
    fd.ok_or_else(|| "this kernel has no Landlock".to_owned())
}

fn create(folders: &[PathBuf]) -> Result<RulesetCreated, landlock::RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V7))?
        .handle_access(AccessNet::from_all(ABI::V7))?
        .scope(Scope::from_all(ABI::V7))?
        .create()?;
    for folder in folders {
        // A folder that is not there needs no permission.
        let Ok(opened) = PathFd::new(folder) else { continue };
        let access = AccessFs::ReadFile | AccessFs::ReadDir;
        ruleset = ruleset.add_rule(PathBeneath::new(opened, access))?;
    }
    for file in FILES_READ {
        let Ok(opened) = PathFd::new(file) else { continue };
        ruleset = ruleset.add_rule(PathBeneath::new(opened, AccessFs::ReadFile))?;
    }
    Ok(ruleset)
}
