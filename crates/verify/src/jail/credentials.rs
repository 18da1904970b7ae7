//! The wall of identity: a user that owns nothing.
//!
//! Only root can put it up, if it has not lost the capability; everyone else keeps their own
//! identity and relies on the other walls. It also makes the process limit bite, which the
//! kernel does not apply to root: where root stays, a filter takes the place of the limit.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The first of the users that zygotes become, one for each slot. No system hands them out:
/// they lie in the range that systemd documents as unused.
const UID_FIRST: u32 = 60_706;
const UID_COUNT: u32 = 400;

/// The user that the zygote of a slot becomes; `None` where this process may not choose.
pub(crate) fn uid_for(slot: usize) -> Option<u32> {
    // SAFETY: geteuid reads a number of this process and cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    let offset = u32::try_from(slot % UID_COUNT as usize).unwrap_or(0);
    is_root.then_some(UID_FIRST + offset)
}

/// Whether a user that owns nothing can read the files below `folder`.
pub(crate) fn reachable_by_others(folder: &Path) -> bool {
    folder
        .ancestors()
        .all(|folder| folder.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 != 0))
}
