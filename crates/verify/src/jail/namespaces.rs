//! The wall around what a zygote can name: namespaces of its own, and a root that holds the
//! Python library, to read, and nothing else.
//!
//! The namespaces come from `clone` itself (`process.rs`). Here the new root is planned, while
//! memory may still be allocated, and then built between `clone` and `exec`, where only system
//! calls may be made. Neither `/proc` nor the network exists inside, and the zygote is process
//! 1: nothing outlives it.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::landlock::FILES_READ;
use super::process::{Failed, check};

/// Where the new root is put together. Every Linux has this folder, and no Python lives there.
const WORKSHOP: &CStr = c"/proc";
/// Holds mount points only.
const ROOT_OPTIONS: &CStr = c"mode=755,size=1m";

/// What the zygote gets of its own. Time is not a wall: the clock is the machine's.
const NAMESPACES: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// A root to build, as system calls on these strings. Paths in it are relative to it.
#[derive(Debug)]
pub(crate) struct Root {
    steps: Vec<Step>,
    /// Who the zygote is in a user namespace of its own; `None` where root needs none.
    identity: Option<Identity>,
}

#[derive(Debug)]
struct Identity {
    uid_map: CString,
    gid_map: CString,
}

#[derive(Debug)]
enum Step {
    Folder(CString),
    File(CString),
    /// From a path of the machine.
    Bind(CString, CString),
    /// `(what it says, where it stands)`.
    Link(CString, CString),
}

impl Root {
    /// A root with `folders`, the executable and the loader that starts it.
    pub(crate) fn plan(folders: &[PathBuf], files: &[PathBuf]) -> Result<Self, String> {
        let mut sources: Vec<(PathBuf, PathBuf)> = Vec::new();
        let existing = folders.iter().chain(files).cloned();
        for path in existing.chain(FILES_READ.iter().map(PathBuf::from)) {
            // What is not there need not be there.
            let (Some(source), Some(target)) = (path.canonicalize().ok(), place(&path)) else {
                continue;
            };
            sources.push((target, source));
        }
        sources.sort();
        let mut builder = Builder::default();
        for link in ["lib", "lib32", "lib64", "libx32", "bin"] {
            builder.link(Path::new(link))?;
        }
        for (target, source) in sources {
            builder.bind(&target, &source)?;
        }
        Ok(Self { steps: builder.steps, identity: identity()? })
    }

    /// The namespaces to ask `clone` for.
    pub(crate) fn flags(&self) -> libc::c_int {
        let user = if self.identity.is_some() { libc::CLONE_NEWUSER } else { 0 };
        NAMESPACES | user
    }

    /// Builds it and moves in. Runs between `clone` and `exec`: system calls only.
    pub(crate) fn enter(&self) -> Result<(), Failed> {
        if let Some(Identity { uid_map, gid_map }) = &self.identity {
            put(c"/proc/self/setgroups", c"deny").map_err(|e| e.at("user namespace"))?;
            put(c"/proc/self/uid_map", uid_map).map_err(|e| e.at("user namespace"))?;
            put(c"/proc/self/gid_map", gid_map).map_err(|e| e.at("user namespace"))?;
        }
        let private = libc::MS_REC | libc::MS_PRIVATE;
        mount(c"none", c"/", c"none", private, c"").map_err(|e| e.at("private mounts"))?;
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        mount(c"none", WORKSHOP, c"tmpfs", flags, ROOT_OPTIONS).map_err(|e| e.at("new root"))?;
        // SAFETY: system calls on valid strings.
        unsafe {
            check("new root", libc::chdir(WORKSHOP.as_ptr()))?;
            for step in &self.steps {
                step.take().map_err(|e| e.at("new root"))?;
            }
            let here = c".".as_ptr();
            check("pivot_root", libc::syscall(libc::SYS_pivot_root, here, here) as libc::c_int)?;
            check("pivot_root", libc::umount2(here, libc::MNT_DETACH))?;
            check("pivot_root", libc::chdir(c"/".as_ptr()))?;
        }
        read_only()
    }
}

impl Step {
    fn take(&self) -> Result<(), Failed> {
        // SAFETY: system calls on valid strings.
        unsafe {
            match self {
                Self::Folder(path) => check("folder", libc::mkdir(path.as_ptr(), 0o755)),
                Self::Link(to, path) => check("link", libc::symlink(to.as_ptr(), path.as_ptr())),
                Self::Bind(source, target) => {
                    mount(source, target, c"none", libc::MS_BIND | libc::MS_REC, c"")
                }
                Self::File(path) => {
                    let mode: libc::c_uint = 0o444;
                    let fd = libc::open(path.as_ptr(), libc::O_CREAT | libc::O_CLOEXEC, mode);
                    check("file", fd)?;
                    check("file", libc::close(fd))
                }
            }
        }
    }
}

/// Where the file stands inside: its folder behind all links, its own name as it is, relative
/// to the root.
fn place(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?.canonicalize().ok()?;
    let place = folder.join(path.file_name()?);
    Some(place.strip_prefix("/").ok()?.to_path_buf())
}

/// The steps so far, and what stands already.
#[derive(Default)]
struct Builder {
    steps: Vec<Step>,
    made: BTreeSet<PathBuf>,
    bound: Vec<PathBuf>,
}

impl Builder {
    /// A link at the top of the machine's root, such as `lib` to `usr/lib`.
    fn link(&mut self, path: &Path) -> Result<(), String> {
        let Ok(to) = std::fs::read_link(Path::new("/").join(path)) else { return Ok(()) };
        self.made.insert(path.to_path_buf());
        self.steps.push(Step::Link(string(&to)?, string(path)?));
        Ok(())
    }

    fn bind(&mut self, target: &Path, source: &Path) -> Result<(), String> {
        if self.bound.iter().any(|bound| target.starts_with(bound)) {
            return Ok(());
        }
        if let Some(parent) = target.parent() {
            self.folders(parent)?;
        }
        match source.is_dir() {
            true => self.folders(target)?,
            false => self.steps.push(Step::File(string(target)?)),
        }
        self.steps.push(Step::Bind(string(source)?, string(target)?));
        self.bound.push(target.to_path_buf());
        Ok(())
    }

    fn folders(&mut self, path: &Path) -> Result<(), String> {
        let mut above: Vec<&Path> = path.ancestors().collect();
        above.reverse();
        for folder in above.into_iter().filter(|folder| folder.parent().is_some()) {
            if self.made.insert(folder.to_path_buf()) {
                self.steps.push(Step::Folder(string(folder)?));
            }
        }
        Ok(())
    }
}

fn string(path: &Path) -> Result<CString, String> {
    CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())
}

/// In a user namespace the zygote stays who it is, so that its capabilities end with `exec`.
fn identity() -> Result<Option<Identity>, String> {
    // SAFETY: both read a number of this process and cannot fail.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let map = |id: u32| CString::new(format!("{id} {id} 1")).map_err(|error| error.to_string());
    match uid {
        0 => Ok(None),
        _ => Ok(Some(Identity { uid_map: map(uid)?, gid_map: map(gid)? })),
    }
}

fn put(path: &CStr, text: &CStr) -> Result<(), Failed> {
    // SAFETY: system calls on valid strings; the descriptor is our own.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        check("identity", fd)?;
        let n = libc::write(fd, text.as_ptr().cast(), text.count_bytes());
        check("identity", if n < 0 { -1 } else { 0 })?;
        check("identity", libc::close(fd))
    }
}

fn mount(
    source: &CStr,
    target: &CStr,
    kind: &CStr,
    flags: libc::c_ulong,
    options: &CStr,
) -> Result<(), Failed> {
    let (source, target, kind) = (source.as_ptr(), target.as_ptr(), kind.as_ptr());
    // SAFETY: a system call on valid strings.
    let done = unsafe { libc::mount(source, target, kind, flags, options.as_ptr().cast()) };
    check("mount", done)
}

/// The whole tree, with everything mounted in it.
fn read_only() -> Result<(), Failed> {
    /// Not in every C library's headers.
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    const RDONLY_NOSUID: u64 = 0x1 | 0x2;
    const RECURSIVE: libc::c_long = 0x8000;
    let wanted = Attributes { set: RDONLY_NOSUID, clear: 0, propagation: 0, user_namespace: 0 };
    // SAFETY: the pointers are to a valid string and to a local of the stated size.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::c_long::from(libc::AT_FDCWD),
            c"/".as_ptr(),
            RECURSIVE,
            &raw const wanted,
            size_of::<Attributes>(),
        )
    };
    check("read-only root", done as libc::c_int)
}
