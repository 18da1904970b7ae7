//! Reading a log.
//!
//! A reader may look while a run is writing, or after a crash; either way the last line can be
//! unfinished. That one line is reported apart. Any other line that is not an event is an error.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Event, RunlogError, VERSION};

/// A last line that does not end in a newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornLine {
    /// The line, counted from 1.
    pub line: u64,
    /// How much of it is there, in bytes.
    pub bytes: u64,
}

/// A log read to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct EventLog {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The unfinished last line, if there is one.
    pub torn: Option<TornLine>,
}

/// Reads the whole log at `path`.
pub fn read_all(path: &Path) -> Result<EventLog, RunlogError> {
    let mut reader = EventReader::open(path)?;
    let events = reader.by_ref().collect::<Result<_, _>>()?;
    Ok(EventLog { events, torn: reader.torn() })
}

/// Iterates over the events of a log; ends after the first error.
#[derive(Debug)]
pub struct EventReader<R = BufReader<File>> {
    path: PathBuf,
    input: R,
    buffer: Vec<u8>,
    line: u64,
    position: u64,
    torn: Option<TornLine>,
    done: bool,
}

impl EventReader {
    /// Opens the log at `path`.
    pub fn open(path: &Path) -> Result<Self, RunlogError> {
        let file = File::open(path).map_err(RunlogError::io("open", path))?;
        Ok(Self::new(path, BufReader::new(file)))
    }
}

impl<R: BufRead> EventReader<R> {
    /// Reads a log from `input`; `path` is what errors call it.
    pub fn new(path: &Path, input: R) -> Self {
        Self {
            path: path.to_owned(),
            input,
            buffer: Vec::new(),
            line: 0,
            position: 0,
            torn: None,
            done: false,
        }
    }

    /// The unfinished last line; known once the iterator has ended.
    pub fn torn(&self) -> Option<TornLine> {
        self.torn
    }

    /// Bytes of the events returned so far: where a later look can go on.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next event; `None` at the end or at a torn line.
    fn read(&mut self) -> Result<Option<Event>, RunlogError> {
        self.buffer.clear();
        let bytes = self
            .input
            .read_until(b'\n', &mut self.buffer)
            .map_err(RunlogError::io("read", &self.path))? as u64;
        if bytes == 0 {
            return Ok(None);
        }
        self.line += 1;
        if !self.buffer.ends_with(b"\n") {
            self.torn = Some(TornLine { line: self.line, bytes });
            return Ok(None);
        }
        let event = self.parse()?;
        self.position += bytes;
        Ok(Some(event))
    }

    fn parse(&self) -> Result<Event, RunlogError> {
        // The version first: a line of another version may well not parse.
        if self.line == 1
            && let Some(found) = stated_version(&self.buffer)
            && found != u64::from(VERSION)
        {
            return Err(RunlogError::Version { path: self.path.clone(), found, known: VERSION });
        }
        serde_json::from_slice(&self.buffer).map_err(|source| RunlogError::Line {
            path: self.path.clone(),
            line: self.line,
            source,
        })
    }
}

impl<R: BufRead> Iterator for EventReader<R> {
    type Item = Result<Event, RunlogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let event = self.read().transpose();
        self.done = !matches!(event, Some(Ok(_)));
        event
    }
}

/// The `version` of a line, whatever else is in it.
fn stated_version(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(line).ok()?.get("version")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::samples;

    fn log() -> String {
        samples().iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
    }

    fn read(text: &[u8]) -> (Result<Vec<Event>, RunlogError>, Option<TornLine>) {
        let mut reader = EventReader::new(Path::new("events.jsonl"), text);
        let events = reader.by_ref().collect();
        (events, reader.torn())
    }

    #[test]
    fn a_log_reads_back_as_written() {
        let text = log();
        let mut reader = EventReader::new(Path::new("events.jsonl"), text.as_bytes());
        let events: Result<Vec<_>, _> = reader.by_ref().collect();
        assert_eq!(events.unwrap(), samples());
        assert_eq!(reader.torn(), None);
        assert_eq!(reader.position(), text.len() as u64);
        assert_eq!(read(b"").0.unwrap(), []);
    }

    #[test]
    fn a_log_cut_anywhere_loses_only_its_last_line() {
        let log = log();
        for cut in 0..log.len() {
            // Bytes, not a string: a crash may well cut a letter in two.
            let text = &log.as_bytes()[..cut];
            let (events, torn) = read(text);
            let whole = text.iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(events.unwrap(), samples()[..whole], "cut at {cut}");
            let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let rest = TornLine { line: whole as u64 + 1, bytes: (cut - end) as u64 };
            assert_eq!(torn, (cut > end).then_some(rest), "cut at {cut}");
        }
    }

    #[test]
    fn a_bad_line_in_the_middle_is_an_error_with_its_number() {
        for bad in ["", "{", "{\"type\":\"unheard_of\"}", "\u{fffd}"] {
            let lines: Vec<_> = log().lines().map(str::to_owned).collect();
            let text = format!("{}\n{}\n{bad}\n{}\n", lines[0], lines[1], lines[2]);
            let error = read(text.as_bytes()).0.unwrap_err();
            assert!(matches!(error, RunlogError::Line { line: 3, .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn the_reader_ends_after_an_error() {
        let text = format!("nonsense\n{}", log());
        let reader = EventReader::new(Path::new("events.jsonl"), text.as_bytes());
        assert_eq!(reader.count(), 1);
    }

    #[test]
    fn another_version_is_named_even_when_its_fields_are_unknown() {
        let text = "{\"type\":\"run_started\",\"version\":7,\"planet\":\"Mars\"}\n";
        let error = read(text.as_bytes()).0.unwrap_err();
        assert!(matches!(error, RunlogError::Version { found: 7, .. }), "{error}");
    }
}
