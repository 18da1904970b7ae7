//! The inner half of a sandbox that something else builds: a zygote behind whatever walls stand
//! in there, and the clocks that watch it. It is told what to run over standard input, and says
//! what came back over standard output. It judges nothing.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::judge::Ended;
use crate::pool::{RUNS_MAX, strongest};
use crate::python::find_python;
use crate::run::{Job, Run, execute};
use crate::slot::Slot;
use crate::spawner::{Source, Spawner};
use crate::worker::Worker;
use crate::{Limits, Value, VerifierConfig, VerifyError, wire};

/// Answers until standard input ends. For the process that `VerifierConfig::sandbox` starts.
///
/// # Errors
/// If standard input or output fails. That no tier stands is said to the verifier instead.
pub fn serve_host(python: Option<PathBuf>) -> Result<(), VerifyError> {
    let own = |fd: io::Result<std::os::fd::OwnedFd>| fd.map(File::from).map_err(VerifyError::Start);
    let input = own(io::stdin().as_fd().try_clone_to_owned())?;
    let mut output = own(io::stdout().as_fd().try_clone_to_owned())?;
    output.write_all(wire::GREETING).map_err(VerifyError::Start)?;
    match start(VerifierConfig { python, ..VerifierConfig::default() }) {
        Ok((mut slot, spawner, facts)) => {
            wire::send(&output, &facts).map_err(VerifyError::Start)?;
            while let Ok(request) = wire::receive(&input) {
                let answer = answer(&mut slot, &spawner, request);
                wire::send(&output, &answer).map_err(VerifyError::Start)?;
            }
            Ok(())
        }
        Err(e) => {
            wire::send(&output, &Value::Str(e.to_string())).map_err(VerifyError::Start)?;
            Err(e)
        }
    }
}

fn start(config: VerifierConfig) -> Result<(Slot, Spawner, Value), VerifyError> {
    let python = find_python(&config)?;
    let spawner = Spawner::start(Source::Python(python)).map_err(VerifyError::Start)?;
    let worker = strongest(&spawner, &config)?;
    let python = worker.python();
    let path = python.path.to_string_lossy().into_owned();
    let words = [worker.tier().name().to_string(), python.version.clone(), path];
    let facts = Value::Tuple(words.map(Value::Str).to_vec());
    Ok((Slot::new(0, worker, RUNS_MAX), spawner, facts))
}

/// What came of a job, or, as a string, why nothing did.
fn answer(slot: &mut Slot, spawner: &Spawner, request: Value) -> Value {
    let Some((job, n_results)) = read_request(request) else {
        return Value::Str(wire::malformed().to_string());
    };
    let found = slot.attempt_twice(spawner, |worker| {
        let Worker::Zygote(zygote) = worker else { return Err(wire::malformed()) };
        let mut frames = Vec::new();
        let run = execute(zygote, &job, |kind, payload| {
            frames.push((kind, payload.to_vec()));
            // After any other kind of frame an honest program sends no more.
            let more = matches!(kind, 1 | 3 | 4) && frames.len() < n_results;
            (!more).then_some(Ended::Complete)
        })?;
        Ok((run, frames))
    });
    match found {
        Ok((run, frames)) => write_answer(&run, frames),
        Err(cause) => Value::Str(cause),
    }
}

/// Kinds and payloads, in the order in which they were sent.
type Frames = Vec<(u8, Vec<u8>)>;

/// The request that [`read_request`] reads.
pub(crate) fn request(job: &Job, n_results: usize) -> Value {
    let Limits { cpu_ms, wall_ms, memory_mib, output_bytes } = job.limits;
    let numbers = [cpu_ms, wall_ms, memory_mib, output_bytes, n_results as u64];
    let numbers = numbers.map(|n| Value::Int(i64::try_from(n).unwrap_or(i64::MAX)));
    Value::Tuple([Value::Bytes(job.bytes.clone())].into_iter().chain(numbers).collect())
}

fn read_request(request: Value) -> Option<(Job, usize)> {
    let Value::Tuple(parts) = request else { return None };
    let [
        Value::Bytes(bytes),
        Value::Int(cpu),
        Value::Int(wall),
        Value::Int(memory),
        Value::Int(output),
        Value::Int(n),
    ] = parts.as_slice()
    else {
        return None;
    };
    let limits = Limits {
        cpu_ms: u64::try_from(*cpu).ok()?,
        wall_ms: u64::try_from(*wall).ok()?,
        memory_mib: u64::try_from(*memory).ok()?,
        output_bytes: u64::try_from(*output).ok()?,
    };
    Some((Job { bytes: bytes.clone(), limits }, usize::try_from(*n).ok()?))
}

fn write_answer(run: &Run, frames: Frames) -> Value {
    let micros = |d: Duration| Value::Int(i64::try_from(d.as_micros()).unwrap_or(i64::MAX));
    let frame = |(kind, payload): (u8, Vec<u8>)| {
        Value::Tuple(vec![Value::Int(i64::from(kind)), Value::Bytes(payload)])
    };
    Value::Tuple(vec![
        Value::Str(wire::name_of(&run.ended).to_string()),
        Value::Int(i64::from(run.status)),
        micros(run.cpu),
        micros(run.wall),
        Value::List(frames.into_iter().map(frame).collect()),
    ])
}

/// The answer that [`write_answer`] wrote; an error of the host's where it is one.
pub(crate) fn read_answer(answer: Value) -> io::Result<(Run, Frames)> {
    match answer {
        Value::Str(cause) => Err(io::Error::other(cause)),
        Value::Tuple(parts) => read_run(parts).ok_or_else(wire::malformed),
        _ => Err(wire::malformed()),
    }
}

fn read_run(parts: Vec<Value>) -> Option<(Run, Frames)> {
    let [
        Value::Str(ended),
        Value::Int(status),
        Value::Int(cpu),
        Value::Int(wall),
        Value::List(frames),
    ] = <[Value; 5]>::try_from(parts).ok()?
    else {
        return None;
    };
    let micros = |n: i64| Some(Duration::from_micros(u64::try_from(n).ok()?));
    let frame = |value: Value| match value {
        Value::Tuple(parts) => match <[Value; 2]>::try_from(parts).ok()? {
            [Value::Int(kind), Value::Bytes(payload)] => Some((u8::try_from(kind).ok()?, payload)),
            _ => None,
        },
        _ => None,
    };
    let run = Run {
        ended: wire::end_named(&ended)?,
        status: i32::try_from(status).ok()?,
        cpu: micros(cpu)?,
        wall: micros(wall)?,
    };
    Some((run, frames.into_iter().map(frame).collect::<Option<_>>()?))
}
