//! Writing a log: append-only, one event a line.
//!
//! The newline ends an event: a last line without one was torn by a crash. A checkpoint stores
//! [`EventWriter::position`] after [`EventWriter::sync`], and [`EventWriter::open_at`] cuts the
//! log back to it, so that a resumed run writes the log that an uninterrupted one would have.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::durable::sync_parent;
use crate::{Event, RunlogError};

/// Appends events to a log.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
    position: u64,
    line: Vec<u8>,
}

impl EventWriter {
    /// Starts a log at `path`, where there must be none.
    pub fn create(path: &Path) -> Result<Self, RunlogError> {
        let file = File::create_new(path).map_err(RunlogError::io("create", path))?;
        sync_parent(path)?;
        Ok(Self::at(path, file, 0))
    }

    /// Goes on with the log at `path` from the byte `position` that a checkpoint recorded, and
    /// drops what was written after it.
    ///
    /// An error where no event ends at that byte: such a file is not the checkpoint's log.
    pub fn open_at(path: &Path, position: u64) -> Result<Self, RunlogError> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .open(path)
            .map_err(RunlogError::io("open", path))?;
        let found = file.metadata().map_err(RunlogError::io("measure", path))?.len();
        let whole = found >= position
            && event_ends_at(&mut file, position).map_err(RunlogError::io("read", path))?;
        if !whole {
            return Err(RunlogError::Position { path: path.to_owned(), expected: position, found });
        }
        file.set_len(position).map_err(RunlogError::io("truncate", path))?;
        file.seek(SeekFrom::Start(position)).map_err(RunlogError::io("seek in", path))?;
        file.sync_all().map_err(RunlogError::io("sync", path))?;
        Ok(Self::at(path, file, position))
    }

    /// Appends one event. It is on disk after the next [`EventWriter::sync`].
    pub fn append(&mut self, event: &Event) -> Result<(), RunlogError> {
        if let Some((field, value)) = event.non_finite() {
            let field = field.to_string();
            return Err(RunlogError::NotFinite { field, value });
        }
        self.line.clear();
        serde_json::to_writer(&mut self.line, event)
            .expect("an event has string keys, and memory takes every write");
        self.line.push(b'\n');
        self.file.write_all(&self.line).map_err(RunlogError::io("append to", &self.path))?;
        self.position += self.line.len() as u64;
        Ok(())
    }

    /// Hands everything appended to the disk, and returns once it is there.
    pub fn sync(&mut self) -> Result<(), RunlogError> {
        self.flush()?;
        self.file.get_ref().sync_all().map_err(RunlogError::io("sync", &self.path))
    }

    /// Hands everything appended to the system, so that a reader of the file sees it. It
    /// survives this process, though not a power failure.
    pub fn flush(&mut self) -> Result<(), RunlogError> {
        self.file.flush().map_err(RunlogError::io("append to", &self.path))
    }

    /// Length of the log in bytes, with everything appended so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    fn at(path: &Path, file: File, position: u64) -> Self {
        Self { path: path.to_owned(), file: BufWriter::new(file), position, line: Vec::new() }
    }
}

/// Whether the byte before `position` is the end of a line.
fn event_ends_at(file: &mut File, position: u64) -> std::io::Result<bool> {
    let Some(before) = position.checked_sub(1) else {
        return Ok(true);
    };
    let mut last = [0];
    file.seek(SeekFrom::Start(before))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::event::tests::{samples, step};

    fn write(writer: &mut EventWriter, events: &[Event]) {
        for event in events {
            writer.append(event).unwrap();
        }
        writer.sync().unwrap();
    }

    #[test]
    fn position_is_the_length_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut writer = EventWriter::create(&path).unwrap();
        assert_eq!(writer.position(), 0);
        write(&mut writer, &samples());
        assert_eq!(writer.position(), fs::metadata(&path).unwrap().len());
    }

    #[test]
    fn a_log_cut_back_and_continued_equals_one_never_cut() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
        let events = samples();
        write(&mut EventWriter::create(&whole).unwrap(), &events);

        let mut writer = EventWriter::create(&cut).unwrap();
        write(&mut writer, &events[..3]);
        let position = writer.position();
        write(&mut writer, &[step(), step()]);
        drop(writer);
        // A crash in the middle of an event.
        fs::OpenOptions::new().append(true).open(&cut).unwrap().write_all(b"{\"type\"").unwrap();

        let mut writer = EventWriter::open_at(&cut, position).unwrap();
        assert_eq!(writer.position(), position);
        write(&mut writer, &events[3..]);
        assert_eq!(fs::read(&whole).unwrap(), fs::read(&cut).unwrap());
    }

    #[test]
    fn a_position_that_is_not_the_end_of_an_event_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut writer = EventWriter::create(&path).unwrap();
        write(&mut writer, &samples());
        let len = writer.position();
        for position in [len + 1, len - 1, 3] {
            let error = EventWriter::open_at(&path, position).unwrap_err();
            assert!(matches!(error, RunlogError::Position { .. }), "{error}");
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), len, "a refusal changes nothing");
        let error = EventWriter::open_at(&path, len + 1).unwrap_err().to_string();
        assert!(error.contains(&format!("no event ends at byte {}", len + 1)), "{error}");
        EventWriter::open_at(&path, 0).unwrap();
    }

    #[test]
    fn a_log_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        EventWriter::create(&path).unwrap();
        assert!(EventWriter::create(&path).is_err());
    }

    #[test]
    fn a_number_that_json_cannot_hold_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(&dir.path().join("events.jsonl")).unwrap();
        let mut event = step();
        let Event::Step { loss, .. } = &mut event else { unreachable!() };
        *loss = f64::NAN;
        let error = writer.append(&event).unwrap_err();
        assert!(
            matches!(&error, RunlogError::NotFinite { field, .. } if field == "loss"),
            "{error}"
        );
        assert_eq!(writer.position(), 0);
    }
}
