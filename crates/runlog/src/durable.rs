//! Files and folders that are whole or absent.
//!
//! Everything is written under a temporary name, handed to the disk, and only then renamed. A
//! crash leaves at worst an entry whose name begins with [`TEMP_PREFIX`], which readers ignore
//! and the next run removes. Nothing is deleted in place either: it is renamed first.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::RunlogError;

/// How the name of an unfinished file or folder begins.
pub(crate) const TEMP_PREFIX: &str = ".tmp-";

/// Writes `bytes` to `path`: afterwards, and after any crash, the file is the old one or the
/// new one.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), RunlogError> {
    let temp = temp_beside(path);
    let written = write_synced(&temp, bytes).and_then(|()| rename(&temp, path));
    if written.is_err() {
        // The first error is the one to report; a leftover is removed by the next run.
        let _ = fs::remove_file(&temp);
    }
    written?;
    sync_parent(path)
}

/// Gives the finished folder `temp` its name `target`, once all of it is on disk. Both must be
/// on one file system. An error where `target` exists.
pub fn commit_dir(temp: &Path, target: &Path) -> Result<(), RunlogError> {
    if fs::symlink_metadata(target).is_ok() {
        return Err(RunlogError::Exists { path: target.to_owned() });
    }
    sync_tree(temp)?;
    rename(temp, target)?;
    sync_parent(target)
}

/// As [`commit_dir`], but takes the place of a folder that is already there. A crash between
/// the two renames leaves neither, so this is for what can be made again.
pub fn replace_dir(temp: &Path, target: &Path) -> Result<(), RunlogError> {
    if fs::symlink_metadata(target).is_err() {
        return commit_dir(temp, target);
    }
    sync_tree(temp)?;
    let aside = temp_beside(target);
    rename(target, &aside)?;
    rename(temp, target)?;
    sync_parent(target)?;
    fs::remove_dir_all(&aside).map_err(RunlogError::io("remove", &aside))
}

/// Removes a folder so that at no time half of it stands under its name.
pub(crate) fn remove_dir(path: &Path) -> Result<(), RunlogError> {
    let aside = temp_beside(path);
    rename(path, &aside)?;
    sync_parent(path)?;
    fs::remove_dir_all(&aside).map_err(RunlogError::io("remove", &aside))
}

/// Removes what earlier processes left unfinished in `dir`.
pub(crate) fn remove_stale(dir: &Path) -> Result<(), RunlogError> {
    for name in names_in(dir)?.into_iter().filter(|name| name.starts_with(TEMP_PREFIX)) {
        let path = dir.join(name);
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(RunlogError::io("remove", &path))?;
    }
    Ok(())
}

/// The names in `dir`, sorted. Names that are not UTF-8 are none of ours and are left out.
pub(crate) fn names_in(dir: &Path) -> Result<Vec<String>, RunlogError> {
    let list = RunlogError::io("list", dir);
    let names: std::io::Result<Vec<_>> =
        fs::read_dir(dir).and_then(|entries| entries.map(|e| Ok(e?.file_name())).collect());
    let mut names: Vec<_> =
        names.map_err(list)?.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// A name beside `path` that no other call in any process uses.
pub(crate) fn temp_beside(path: &Path) -> PathBuf {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{TEMP_PREFIX}{}-{call}-{name}", std::process::id()))
}

/// Hands to the disk which names are in the folder that holds `path`.
pub(crate) fn sync_parent(path: &Path) -> Result<(), RunlogError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync(parent),
        _ => sync(Path::new(".")),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), RunlogError> {
    let mut file = File::create_new(path).map_err(RunlogError::io("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(RunlogError::io("write", path))
}

/// Hands everything under `dir` to the disk: contents before the names that lead to them.
fn sync_tree(dir: &Path) -> Result<(), RunlogError> {
    let entries = fs::read_dir(dir).map_err(RunlogError::io("list", dir))?;
    for entry in entries {
        let path = entry.map_err(RunlogError::io("list", dir))?.path();
        if path.is_dir() { sync_tree(&path)? } else { sync(&path)? }
    }
    sync(dir)
}

fn sync(path: &Path) -> Result<(), RunlogError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(RunlogError::io("sync", path))
}

fn rename(from: &Path, to: &Path) -> Result<(), RunlogError> {
    fs::rename(from, to).map_err(RunlogError::io("put in place", to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_atomic_replaces_and_leaves_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("summary.json");
        for text in ["one", "two, longer", ""] {
            write_atomic(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names_in(dir.path()).unwrap(), ["summary.json"]);
    }

    #[test]
    fn a_failed_write_keeps_the_old_and_leaves_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        // A folder cannot be replaced by a file: the rename fails after the write succeeded.
        let path = dir.path().join("model");
        fs::create_dir(&path).unwrap();
        assert!(write_atomic(&path, b"text").is_err());
        assert_eq!(names_in(dir.path()).unwrap(), ["model"]);
        assert!(write_atomic(&dir.path().join("absent/summary.json"), b"text").is_err());
    }

    fn folder_with(dir: &Path, text: &str) -> PathBuf {
        let temp = temp_beside(&dir.join("model"));
        fs::create_dir_all(temp.join("deep")).unwrap();
        fs::write(temp.join("deep/weights"), text).unwrap();
        temp
    }

    #[test]
    fn commit_dir_moves_whole_folders_and_refuses_to_overwrite() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("model");
        commit_dir(&folder_with(dir.path(), "one"), &target).unwrap();
        let second = folder_with(dir.path(), "two");
        let error = commit_dir(&second, &target).unwrap_err();
        assert!(matches!(error, RunlogError::Exists { .. }), "{error}");
        assert_eq!(fs::read_to_string(target.join("deep/weights")).unwrap(), "one");

        replace_dir(&second, &target).unwrap();
        assert_eq!(fs::read_to_string(target.join("deep/weights")).unwrap(), "two");
        assert_eq!(names_in(dir.path()).unwrap(), ["model"]);
    }

    #[test]
    fn only_leftovers_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        folder_with(dir.path(), "half");
        fs::write(dir.path().join(".tmp-1-0-summary.json"), "half").unwrap();
        fs::write(dir.path().join("summary.json"), "whole").unwrap();
        remove_stale(dir.path()).unwrap();
        assert_eq!(names_in(dir.path()).unwrap(), ["summary.json"]);
    }
}
