//! The wall of resource limits: what never changes is put up once, in the zygote, and the rest
//! in every fork before the program is compiled.
//!
//! Processor time is limited twice: from outside by the watcher in `process.rs`, which decides the
//! verdict, and here, a second later, for a candidate whose watcher has died.

use crate::{Limits, Value};

/// `(resource, soft, hard)` for each limit of a candidate, as the zygote wants them.
pub(crate) fn of(limits: &Limits) -> Value {
    let memory = bytes(limits.memory_mib.saturating_mul(1 << 20));
    let stack = bytes(limits.stack_mib.saturating_mul(1 << 20));
    let (files, file_bytes) = (bytes(limits.open_files), bytes(limits.file_bytes));
    let cpu_s = i64::try_from(limits.cpu_ms.div_ceil(1000)).unwrap_or(i64::MAX - 2);
    triples(&[
        (libc::RLIMIT_AS, memory, memory),
        (libc::RLIMIT_CPU, cpu_s + 1, cpu_s + 2),
        // The zygote itself has to fork.
        (libc::RLIMIT_NPROC, 0, 0),
        (libc::RLIMIT_STACK, stack, stack),
        (libc::RLIMIT_NOFILE, files, files),
        (libc::RLIMIT_FSIZE, file_bytes, file_bytes),
    ])
}

/// Likewise, for all that a zygote and its forks ever do.
pub(crate) fn lasting() -> Value {
    let (files, file_bytes) = (bytes(Limits::CAPS.open_files), bytes(Limits::CAPS.file_bytes));
    triples(&[
        (libc::RLIMIT_NOFILE, files, files),
        (libc::RLIMIT_FSIZE, file_bytes, file_bytes),
        (libc::RLIMIT_CORE, 0, 0),
    ])
}

fn bytes(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn triples(all: &[(libc::__rlimit_resource_t, i64, i64)]) -> Value {
    let triple = |(name, soft, hard): &(_, i64, i64)| {
        Value::Tuple(vec![Value::Int(i64::from(*name)), Value::Int(*soft), Value::Int(*hard)])
    };
    Value::List(all.iter().map(triple).collect())
}
