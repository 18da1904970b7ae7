//! The inner half of a sandbox that something else builds: a zygote behind whatever walls stand
//! in there, and the clocks that watch it. It is told what to run over standard input, and says
//! what came back over standard output. It judges nothing.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::frames::{self, LOADED};
use crate::pool::{RUNS_MAX, strongest};
use crate::process::{Channel, Job, Process};
use crate::python::find_python;
use crate::slot::Slot;
use crate::spawner::{Place, Source, Spawner};
use crate::zygote::Flavour;
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
    let Some(flavour) = wire::receive(&input).ok().and_then(|asked| flavour_named(&asked)) else {
        return Err(VerifyError::Start(wire::malformed()));
    };
    match start(VerifierConfig { python, ..VerifierConfig::default() }, flavour) {
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

/// The first message: what the host's zygotes are to be like.
pub(crate) fn flavour_message(flavour: Flavour) -> Value {
    Value::Int(flavour as i64)
}

fn flavour_named(message: &Value) -> Option<Flavour> {
    Flavour::ALL.into_iter().find(|flavour| flavour_message(*flavour) == *message)
}

fn start(config: VerifierConfig, flavour: Flavour) -> Result<(Slot, Spawner, Value), VerifyError> {
    let python = find_python(&config)?;
    let spawner = Spawner::start(Source::Python(python)).map_err(VerifyError::Start)?;
    let worker = strongest(&spawner, &config, flavour)?;
    let python = worker.python();
    let path = python.path.to_string_lossy().into_owned();
    let words = [worker.tier().name().to_string(), python.version.clone(), path];
    let facts = Value::Tuple(words.map(Value::Str).to_vec());
    let place = Place { tier: worker.tier(), slot: 0, flavour };
    let mut slot = Slot::new(place, RUNS_MAX);
    slot.put(worker);
    Ok((slot, spawner, facts))
}

/// What came of a job, or, as a string, why nothing did.
fn answer(slot: &mut Slot, spawner: &Spawner, request: Value) -> Value {
    let Some(job) = read_request(request) else {
        return Value::Str(wire::malformed().to_string());
    };
    let found = slot.attempt_twice(spawner, |worker| {
        let (mut sent, mut n_results) = (Vec::new(), 0);
        let process = worker.execute(&job, &mut |kind, payload| {
            sent.push((kind, payload.to_vec()));
            n_results += usize::from(frames::is_result(kind));
            // After any other kind of frame an honest program sends no more.
            let more = match job.channel {
                Channel::Frames if frames::is_result(kind) => n_results < job.n_results,
                Channel::Frames => kind == LOADED,
                Channel::Text => true,
            };
            (!more).then_some(())
        })?;
        Ok((process, sent))
    });
    match found {
        Ok((process, sent)) => write_answer(&process, sent),
        Err(cause) => Value::Str(cause),
    }
}

/// Kinds and payloads, in the order in which they were sent.
type Frames = Vec<(u8, Vec<u8>)>;

/// The request that [`read_request`] reads.
pub(crate) fn request(job: &Job) -> Value {
    let mut limits = job.limits;
    let number = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
    Value::Tuple(vec![
        Value::Bytes(job.bytes.clone()),
        Value::List(limits.named().map(|(_, limit)| number(*limit)).to_vec()),
        Value::Bool(job.channel == Channel::Text),
        number(job.n_results as u64),
    ])
}

fn read_request(request: Value) -> Option<Job> {
    let Value::Tuple(parts) = request else { return None };
    let [Value::Bytes(bytes), Value::List(numbers), Value::Bool(is_text), Value::Int(n)] =
        <[Value; 4]>::try_from(parts).ok()?
    else {
        return None;
    };
    let mut limits = Limits::default();
    let named = limits.named();
    if numbers.len() != named.len() {
        return None;
    }
    for ((_, limit), number) in named.into_iter().zip(numbers) {
        let Value::Int(number) = number else { return None };
        *limit = u64::try_from(number).ok()?;
    }
    let channel = if is_text { Channel::Text } else { Channel::Frames };
    let n_results = usize::try_from(n).ok()?;
    // All that it says goes out in one message.
    Some(Job { bytes, limits, channel, n_results, first_decides: false })
}

fn write_answer(process: &Process<()>, frames: Frames) -> Value {
    let micros = |d: Duration| Value::Int(i64::try_from(d.as_micros()).unwrap_or(i64::MAX));
    let frame = |(kind, payload): (u8, Vec<u8>)| {
        Value::Tuple(vec![Value::Int(i64::from(kind)), Value::Bytes(payload)])
    };
    Value::Tuple(vec![
        Value::Str(wire::name_of(process.ended).to_string()),
        Value::Int(i64::from(process.status)),
        micros(process.cpu),
        micros(process.wall),
        micros(process.queued),
        Value::Int(i64::try_from(process.received).unwrap_or(i64::MAX)),
        Value::List(frames.into_iter().map(frame).collect()),
    ])
}

/// The answer that [`write_answer`] wrote; an error of the host's where it is one.
pub(crate) fn read_answer(answer: Value) -> io::Result<(Process<()>, Frames)> {
    match answer {
        Value::Str(cause) => Err(io::Error::other(cause)),
        Value::Tuple(parts) => read_process(parts).ok_or_else(wire::malformed),
        _ => Err(wire::malformed()),
    }
}

fn read_process(parts: Vec<Value>) -> Option<(Process<()>, Frames)> {
    let [
        Value::Str(ended),
        Value::Int(status),
        Value::Int(cpu),
        Value::Int(wall),
        Value::Int(queued),
        Value::Int(received),
        Value::List(frames),
    ] = <[Value; 7]>::try_from(parts).ok()?
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
    let process = Process {
        ended: wire::end_named(&ended)?,
        status: i32::try_from(status).ok()?,
        cpu: micros(cpu)?,
        wall: micros(wall)?,
        queued: micros(queued)?,
        received: u64::try_from(received).ok()?,
    };
    Some((process, frames.into_iter().map(frame).collect::<Option<_>>()?))
}
