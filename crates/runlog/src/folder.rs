//! The folder of a run.
//!
//! ```text
//! RUN/
//!   recipe.toml               the resolved recipe; written first
//!   events.jsonl              the log
//!   checkpoints/step-000123/  whole or absent; the last few are kept
//!   model/                    the trained policy
//!   summary.json              the figures of the run, once it is over
//!   .lock                     held by the process that is using the folder
//! ```
//!
//! [`RunFolder`] knows the names and reads; it takes no lock, so a run can be looked at while
//! it goes on. [`LockedRun`] writes and deletes, and only one process can have it.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::durable::{
    commit_dir, names_in, remove_dir, remove_stale, replace_dir, sync_parent, temp_beside,
};
use crate::{EventWriter, RunlogError, write_atomic};

/// The layout of a run folder, for reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    root: PathBuf,
}

/// A complete checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointDir {
    /// The step in its name.
    pub step: u64,
    /// Its folder.
    pub path: PathBuf,
}

impl RunFolder {
    /// The run folder at `root`, which need not exist.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The resolved recipe.
    pub fn recipe(&self) -> PathBuf {
        self.root.join("recipe.toml")
    }

    /// The log.
    pub fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// The folder of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// The checkpoint of `step`.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.root.join(Self::checkpoint_relative(step))
    }

    /// The checkpoint of `step` relative to the run folder: what the log says, so that the log
    /// does not depend on where the run is.
    pub fn checkpoint_relative(step: u64) -> String {
        format!("checkpoints/{}", checkpoint_name(step))
    }

    /// The trained policy.
    pub fn model(&self) -> PathBuf {
        self.root.join("model")
    }

    /// The figures of the run.
    pub fn summary(&self) -> PathBuf {
        self.root.join("summary.json")
    }

    /// The complete checkpoints, oldest first.
    pub fn complete_checkpoints(&self) -> Result<Vec<CheckpointDir>, RunlogError> {
        let dir = self.checkpoints();
        if !dir.is_dir() {
            return Ok(Vec::new());
        }
        let mut found: Vec<_> = names_in(&dir)?
            .iter()
            .filter_map(|name| Some(CheckpointDir { step: step_in(name)?, path: dir.join(name) }))
            .filter(|checkpoint| checkpoint.path.is_dir())
            .collect();
        found.sort_by_key(|checkpoint| checkpoint.step);
        Ok(found)
    }

    /// The complete checkpoint with the largest step.
    pub fn latest_checkpoint(&self) -> Result<Option<CheckpointDir>, RunlogError> {
        Ok(self.complete_checkpoints()?.pop())
    }

    /// Takes the folder for a new run, creating it where it is not there. An error where it
    /// already holds a log.
    pub fn create(self) -> Result<LockedRun, RunlogError> {
        let dir = self.checkpoints();
        fs::create_dir_all(&dir).map_err(RunlogError::io("create", &dir))?;
        sync_parent(&dir)?;
        sync_parent(&self.root)?;
        let run = self.lock()?;
        if run.folder.events().exists() {
            return Err(RunlogError::Exists { path: run.folder.events() });
        }
        run.remove_stale()?;
        Ok(run)
    }

    /// Takes the folder of a run to go on with it, and removes what a crash left unfinished.
    pub fn resume(self) -> Result<LockedRun, RunlogError> {
        for (missing, path) in [("recipe.toml", self.recipe()), ("events.jsonl", self.events())] {
            if !path.is_file() {
                return Err(RunlogError::NotARun { path: self.root, missing });
            }
        }
        let run = self.lock()?;
        run.remove_stale()?;
        Ok(run)
    }

    fn lock(self) -> Result<LockedRun, RunlogError> {
        let path = self.root.join(".lock");
        // Not truncated on opening: until the lock is ours the content is another's.
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(RunlogError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it is only a help; without it the error is as true.
                let _ = file.read_to_string(&mut holder);
                let pid = holder.trim().parse().ok();
                return Err(RunlogError::Locked { path: self.root, pid });
            }
            Err(TryLockError::Error(source)) => {
                return Err(RunlogError::io("lock", &path)(source));
            }
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(RunlogError::io("write", &path))?;
        Ok(LockedRun { folder: self, _lock: file })
    }
}

/// A run folder that this process alone may write; released when dropped, or by the system
/// when the process dies.
#[derive(Debug)]
pub struct LockedRun {
    folder: RunFolder,
    // The advisory lock lives as long as the open file.
    _lock: File,
}

impl LockedRun {
    /// The names and what can be read.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Writes the resolved recipe and starts the log. In this order: a folder with a log has a
    /// recipe.
    pub fn begin(&self, recipe_toml: &str) -> Result<EventWriter, RunlogError> {
        write_atomic(&self.folder.recipe(), recipe_toml.as_bytes())?;
        EventWriter::create(&self.folder.events())
    }

    /// Goes back to a checkpoint: cuts the log to the byte `position` it recorded and removes
    /// the checkpoints after `step`, which the log no longer tells of. With no checkpoint, go
    /// back to step 0 and byte 0.
    pub fn rewind(&self, step: u64, position: u64) -> Result<EventWriter, RunlogError> {
        let writer = EventWriter::open_at(&self.folder.events(), position)?;
        let checkpoints = self.folder.complete_checkpoints()?;
        for later in checkpoints.iter().filter(|checkpoint| checkpoint.step > step) {
            remove_dir(&later.path)?;
        }
        Ok(writer)
    }

    /// An empty folder to write the checkpoint of `step` into; it counts once committed.
    pub fn begin_checkpoint(&self, step: u64) -> Result<PendingDir, RunlogError> {
        PendingDir::create(self.folder.checkpoint(step))
    }

    /// An empty folder to write the trained policy into; it counts once committed.
    pub fn begin_model(&self) -> Result<PendingDir, RunlogError> {
        PendingDir::create(self.folder.model())
    }

    /// Writes the figures of the run.
    pub fn write_summary(&self, json: &str) -> Result<(), RunlogError> {
        write_atomic(&self.folder.summary(), json.as_bytes())
    }

    /// Removes all complete checkpoints but the last `keep`.
    pub fn keep_last_checkpoints(&self, keep: NonZeroUsize) -> Result<(), RunlogError> {
        let checkpoints = self.folder.complete_checkpoints()?;
        let n_removed = checkpoints.len().saturating_sub(keep.get());
        checkpoints[..n_removed].iter().try_for_each(|old| remove_dir(&old.path))
    }

    /// Removes what a crashed process left unfinished.
    fn remove_stale(&self) -> Result<(), RunlogError> {
        remove_stale(self.folder.root())?;
        let checkpoints = self.folder.checkpoints();
        if checkpoints.is_dir() { remove_stale(&checkpoints) } else { Ok(()) }
    }
}

/// A folder being written under a temporary name. Dropped without a commit, it is left for the
/// next run to remove.
#[derive(Debug)]
pub struct PendingDir {
    temp: PathBuf,
    target: PathBuf,
}

impl PendingDir {
    fn create(target: PathBuf) -> Result<Self, RunlogError> {
        let temp = temp_beside(&target);
        fs::create_dir_all(&temp).map_err(RunlogError::io("create", &temp))?;
        Ok(Self { temp, target })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.temp
    }

    /// Gives the folder its name, once all of it is on disk. An error where there is one.
    pub fn commit(self) -> Result<PathBuf, RunlogError> {
        commit_dir(&self.temp, &self.target)?;
        Ok(self.target)
    }

    /// As [`PendingDir::commit`], but takes the place of the folder that is there.
    pub fn commit_replacing(self) -> Result<PathBuf, RunlogError> {
        replace_dir(&self.temp, &self.target)?;
        Ok(self.target)
    }
}

fn checkpoint_name(step: u64) -> String {
    format!("step-{step:06}")
}

/// The step of a checkpoint's name; only the name that [`checkpoint_name`] gives counts.
fn step_in(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    (checkpoint_name(step) == name).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, read_all};

    fn new_run(dir: &Path) -> LockedRun {
        RunFolder::at(dir.join("run")).create().unwrap()
    }

    fn save(run: &LockedRun, step: u64) {
        let pending = run.begin_checkpoint(step).unwrap();
        fs::write(pending.path().join("weights"), step.to_string()).unwrap();
        pending.commit().unwrap();
    }

    fn steps(run: &LockedRun) -> Vec<u64> {
        let checkpoints = run.folder().complete_checkpoints().unwrap();
        checkpoints.iter().map(|checkpoint| checkpoint.step).collect()
    }

    #[test]
    fn the_latest_checkpoint_is_the_largest_complete_one() {
        let dir = tempfile::tempdir().unwrap();
        let run = new_run(dir.path());
        assert_eq!(run.folder().latest_checkpoint().unwrap(), None);
        for step in [2, 10, 1_234_567] {
            save(&run, step);
        }
        // Neither a checkpoint in the making nor a stranger counts.
        run.begin_checkpoint(2_000_000).unwrap();
        for stranger in ["step-3000000x", "step-99", "step-", "other"] {
            fs::create_dir(run.folder().checkpoints().join(stranger)).unwrap();
        }
        fs::write(run.folder().checkpoints().join("step-3000000"), "a file").unwrap();
        let latest = run.folder().latest_checkpoint().unwrap().unwrap();
        assert_eq!(latest.step, 1_234_567);
        assert_eq!(latest.path, run.folder().checkpoint(1_234_567));
        assert_eq!(steps(&run), [2, 10, 1_234_567]);
    }

    #[test]
    fn resuming_removes_leftovers_and_keeps_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let run = new_run(dir.path());
        run.begin("name = \"tiny\"\n").unwrap();
        save(&run, 1);
        fs::write(run.begin_checkpoint(2).unwrap().path().join("weights"), "half").unwrap();
        run.begin_model().unwrap();
        let folder = run.folder().clone();
        drop(run);

        let run = folder.resume().unwrap();
        assert_eq!(names_in(&run.folder().checkpoints()).unwrap(), ["step-000001"]);
        let names = names_in(run.folder().root()).unwrap();
        assert_eq!(names, [".lock", "checkpoints", "events.jsonl", "recipe.toml"]);
    }

    #[test]
    fn old_checkpoints_go_and_the_last_stay() {
        let dir = tempfile::tempdir().unwrap();
        let run = new_run(dir.path());
        for step in 1..=5 {
            save(&run, step);
        }
        run.keep_last_checkpoints(NonZeroUsize::new(2).unwrap()).unwrap();
        assert_eq!(steps(&run), [4, 5]);
        run.keep_last_checkpoints(NonZeroUsize::new(9).unwrap()).unwrap();
        assert_eq!(steps(&run), [4, 5]);
        assert_eq!(names_in(&run.folder().checkpoints()).unwrap().len(), 2);
    }

    #[test]
    fn a_checkpoint_is_never_overwritten_and_a_model_is() {
        let dir = tempfile::tempdir().unwrap();
        let run = new_run(dir.path());
        save(&run, 1);
        let error = run.begin_checkpoint(1).unwrap().commit().unwrap_err();
        assert!(matches!(error, RunlogError::Exists { .. }), "{error}");
        for _ in 0..2 {
            run.begin_model().unwrap().commit_replacing().unwrap();
        }
        assert!(run.folder().model().is_dir());
    }

    #[test]
    fn rewinding_cuts_the_log_and_the_checkpoints_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let run = new_run(dir.path());
        let mut log = run.begin("").unwrap();
        let mut positions = Vec::new();
        for step in 1..=3 {
            let path = RunFolder::checkpoint_relative(step);
            log.append(&Event::Checkpoint { step, path }).unwrap();
            log.sync().unwrap();
            positions.push(log.position());
            save(&run, step);
        }
        drop(log);
        let log = run.rewind(2, positions[1]).unwrap();
        assert_eq!(log.position(), positions[1]);
        assert_eq!(steps(&run), [1, 2]);
        assert_eq!(read_all(&run.folder().events()).unwrap().events.len(), 2);
        run.rewind(0, 0).unwrap();
        assert!(steps(&run).is_empty());
    }

    #[test]
    fn two_cannot_use_a_folder_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let run = new_run(dir.path());
        run.begin("").unwrap();
        let folder = run.folder().clone();
        for second in [folder.clone().create(), folder.clone().resume()] {
            let error = second.unwrap_err();
            let pid = Some(std::process::id());
            assert!(matches!(error, RunlogError::Locked { pid: p, .. } if p == pid), "{error}");
            assert!(error.to_string().contains("in use by another process"), "{error}");
        }
        drop(run);
        folder.resume().unwrap();
    }

    #[test]
    fn a_new_run_does_not_take_an_old_ones_folder() {
        let dir = tempfile::tempdir().unwrap();
        let run = new_run(dir.path());
        run.begin("").unwrap();
        let folder = run.folder().clone();
        drop(run);
        assert!(matches!(folder.create(), Err(RunlogError::Exists { .. })));
    }

    #[test]
    fn a_folder_without_a_run_cannot_be_resumed() {
        let dir = tempfile::tempdir().unwrap();
        let error = RunFolder::at(dir.path()).resume().unwrap_err();
        assert!(error.to_string().ends_with("has no recipe.toml"), "{error}");
        assert_eq!(names_in(dir.path()).unwrap().len(), 0, "looking leaves no trace");
    }
}
