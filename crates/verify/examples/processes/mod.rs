//! This process and all below it, as `/proc` shows them. Shared by the examples.

use std::collections::BTreeMap;
use std::fs;
use std::io;

/// What they use together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Processes {
    /// How many there are.
    pub(crate) count: u64,
    /// Their resident memory; pages that they share count once for each.
    pub(crate) memory_kib: u64,
    /// Their open descriptors.
    pub(crate) files: u64,
    /// CPU time of theirs and of those that they waited for, in clock ticks.
    pub(crate) cpu_ticks: u64,
}

/// The fields of `/proc/PID/stat` that are of interest.
struct Stat {
    parent: u32,
    cpu_ticks: u64,
}

impl Processes {
    /// Adds them up. Processes that end meanwhile are left out.
    pub(crate) fn of_this_and_below() -> io::Result<Self> {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            if let Some(stat) = stat(pid) {
                all.insert(pid, stat);
            }
        }
        let mut sum = Self::default();
        for (pid, stat) in &all {
            if !is_below(*pid, &all) {
                continue;
            }
            sum.count += 1;
            sum.cpu_ticks += stat.cpu_ticks;
            sum.memory_kib += memory_kib(*pid).unwrap_or(0);
            let files = fs::read_dir(format!("/proc/{pid}/fd"));
            sum.files += files.map_or(0, |files| files.count() as u64);
        }
        Ok(sum)
    }

    /// CPU time in milliseconds, by the tick that Linux shows on every processor: 10 ms.
    #[allow(dead_code, reason = "only one of the examples asks")]
    pub(crate) fn cpu_ms(&self) -> f64 {
        self.cpu_ticks as f64 * 10.0
    }
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; after it come state, parent, and eleven fields to the times.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let times = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().unwrap_or(0));
    Some(Stat { parent: fields.get(1)?.parse().ok()?, cpu_ticks: times.sum() })
}

fn is_below(mut pid: u32, all: &BTreeMap<u32, Stat>) -> bool {
    let this = std::process::id();
    while pid != this {
        match all.get(&pid) {
            Some(stat) if stat.parent != 0 => pid = stat.parent,
            _ => return false,
        }
    }
    true
}

fn memory_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
