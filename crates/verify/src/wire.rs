//! What a verifier and a host in a container say to each other, over the host's standard input
//! and output: a greeting, a start, and then a run for each job. Arguments go in and values come out;
//! what is expected, and whether it was met, is never said.

use std::fs::File;
use std::io::{self, Read as _, Write as _};

use crate::meter::Late;
use crate::process::Ended;
use crate::{Value, marshal};

/// The host's first words. Whatever a container engine prints before them is skipped.
pub(crate) const GREETING: &[u8] = b"\n\0axiom verify host 1\n";
/// Longest message. A run sends back no more than its output limit, and little besides.
const MESSAGE_MAX: u32 = 256 << 20;

pub(crate) fn malformed() -> io::Error {
    io::Error::other("the host does not speak our protocol")
}

pub(crate) fn send(mut stream: &File, message: &Value) -> io::Result<()> {
    stream.write_all(&marshal::framed(message)?)
}

/// The next message; the end of the stream is an error of that kind.
pub(crate) fn receive(mut stream: &File) -> io::Result<Value> {
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = u32::from_le_bytes(size);
    if size > MESSAGE_MAX {
        return Err(malformed());
    }
    // Grows with what arrives, not with what was announced.
    let mut bytes = Vec::new();
    stream.take(u64::from(size)).read_to_end(&mut bytes)?;
    if bytes.len() < size as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    marshal::decode(&bytes).map_err(|_| malformed())
}

const ENDS: [(&str, Ended<()>); 8] = [
    ("taken", Ended::Taken(())),
    ("closed", Ended::Closed),
    ("test cpu", Ended::Late(Late::TestCpu)),
    ("cpu", Ended::Late(Late::Cpu)),
    ("wall", Ended::Late(Late::Wall)),
    ("idle", Ended::Late(Late::Idle)),
    ("output", Ended::Output),
    ("beside", Ended::Beside),
];

pub(crate) fn name_of(ended: Ended<()>) -> &'static str {
    ENDS.iter().find(|(_, known)| *known == ended).map_or("closed", |(name, _)| name)
}

pub(crate) fn end_named(name: &str) -> Option<Ended<()>> {
    ENDS.into_iter().find(|(known, _)| *known == name).map(|(_, ended)| ended)
}
