//! Which Python runs the programs.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::jail::credentials;
use crate::{VerifierConfig, VerifyError};

/// The oldest release whose sockets, marshal format and syntax the zygote relies on.
const VERSION_MIN: (u32, u32) = (3, 9);

/// Where to look when the configuration names none: first the search path.
const NAMES: [&str; 3] = ["python3", "/usr/bin/python3", "/usr/local/bin/python3"];

/// Prints, one per line: the real executable, its version, the loader that starts it, and the
/// folders it reads. Launchers (pyenv, virtual environments) are seen through; the folders of
/// shared libraries are those that a few modules with foreign dependencies really map.
const QUESTION: &str = r#"
import os, struct, sys, sysconfig
path = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
print(path)
print("%d.%d.%d" % sys.version_info[:3])
loader = b""
with open(path, "rb") as executable:
    head = executable.read(64)
    offset, (size, count) = struct.unpack_from("=Q", head, 32)[0], struct.unpack_from("=HH", head, 54)
    executable.seek(offset)
    table = executable.read(size * count)
    for i in range(count if head[:5] == b"\x7fELF\x02" else 0):
        kind, _, start, _, _, length = struct.unpack_from("=IIQQQQ", table, i * size)
        if kind == 3:
            executable.seek(start)
            loader = executable.read(length).rstrip(b"\0")
print(os.fsdecode(loader))
folders = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
folders += [p for p in sys.path if os.path.isdir(p) and p.startswith(sys.base_prefix + os.sep)]
for name in ("_ctypes", "_hashlib", "_bz2", "_lzma", "zlib", "_decimal"):
    try:
        __import__(name)
    except ImportError:
        pass
try:
    with open("/proc/self/maps") as maps:
        for line in maps:
            path = line.split(None, 5)[-1].strip()
            if path.startswith("/") and ".so" in os.path.basename(path):
                folders.append(os.path.dirname(path))
except OSError:
    pass
for folder in sorted(set(map(os.path.realpath, folders))):
    print(folder)
"#;

/// The interpreter in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PythonInfo {
    /// The real executable, behind any launcher.
    pub path: PathBuf,
    /// As in `3.11.2`.
    pub version: String,
    /// The folders that a program may read: the library, and the shared libraries it needs.
    pub(crate) folders: Vec<PathBuf>,
    /// The executable and the loader that the kernel starts it with.
    pub(crate) files: Vec<PathBuf>,
    stamp: Option<Stamp>,
}

/// Which file the executable was, and in which state: device, inode, last change.
type Stamp = (u64, u64, i64, i64);

fn stamp(path: &Path) -> Option<Stamp> {
    let found = path.metadata().ok()?;
    Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec()))
}

impl PythonInfo {
    /// One that is somewhere else, out of reach.
    pub(crate) fn elsewhere(path: &str, version: &str) -> Self {
        Self { path: path.into(), version: version.to_owned(), ..Self::default() }
    }

    /// Whether the executable has been replaced since it was looked at.
    pub(crate) fn has_changed(&self) -> bool {
        stamp(&self.path) != self.stamp
    }

    /// What stands in its place now.
    pub(crate) fn again(&self) -> Result<Self, VerifyError> {
        ask(&self.path).map_err(|reason| VerifyError::Python { reason })
    }

    /// Whether a user that owns nothing could still import modules. Root's own pyenv fails
    /// this: its folders are closed to everyone else.
    pub(crate) fn is_reachable_by_others(&self) -> bool {
        self.folders.iter().all(|folder| credentials::reachable_by_others(folder))
    }
}

/// Finds the interpreter: the configured one, or the first `python3` that will do.
///
/// Root prefers one that its unprivileged zygotes can import modules from.
pub fn find_python(config: &VerifierConfig) -> Result<PythonInfo, VerifyError> {
    if let Some(path) = &config.python {
        return ask(path).map_err(|reason| VerifyError::Python { reason });
    }
    let mut found = Vec::new();
    let mut refusals = Vec::new();
    for path in candidates() {
        match ask(&path) {
            Ok(python) if credentials::uid_for(0).is_none() || python.is_reachable_by_others() => {
                return Ok(python);
            }
            Ok(python) => found.push(python),
            Err(reason) => refusals.push(reason),
        }
    }
    let reason = refusals.first().cloned().unwrap_or_default();
    found.into_iter().next().ok_or(VerifyError::Python { reason })
}

/// Where an interpreter may be. Root asks those first that others could start too: to ask costs
/// tens of milliseconds, and what lies in root's own home is rarely what it wants.
fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |name: &str| {
        let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
        places.find(|place| place.is_file()).unwrap_or_else(|| name.into())
    };
    let mut all = NAMES.map(found).to_vec();
    if credentials::uid_for(0).is_some() {
        all.sort_by_key(|place| !credentials::reachable_by_others(place));
    }
    all.dedup();
    all
}

/// Every interpreter of this crate is started through here.
#[expect(clippy::disallowed_methods, reason = "only verify starts processes, and only here")]
pub(crate) fn command(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.stdin(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    command
}

fn ask(python: &Path) -> Result<PythonInfo, String> {
    let shown = python.display();
    let answer = command(python)
        .args(["-s", "-B", "-c", QUESTION])
        .output()
        .map_err(|error| format!("{shown}: {error}"))?;
    let text = String::from_utf8_lossy(&answer.stdout);
    let mut lines = text.lines();
    let (Some(path), Some(version), Some(loader)) = (lines.next(), lines.next(), lines.next())
    else {
        return Err(format!("{shown} does not run"));
    };
    let (major, minor) = VERSION_MIN;
    if release(version).is_none_or(|release| release < VERSION_MIN) {
        return Err(format!("{shown} is Python {version}, older than {major}.{minor}"));
    }
    Ok(PythonInfo {
        path: path.into(),
        version: version.to_owned(),
        folders: lines.map(PathBuf::from).collect(),
        files: [path, loader].map(PathBuf::from).to_vec(),
        stamp: stamp(Path::new(path)),
    })
}

fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
