//! What a program may use.

/// Limits of one submission, enforced from outside the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// CPU time of all tests together, read from the child's CPU clock, in milliseconds.
    pub cpu_ms: u64,
    /// Wall time of all tests together, in milliseconds.
    pub wall_ms: u64,
    /// Address space, in MiB.
    pub memory_mib: u64,
    /// Bytes the program may send back over all tests.
    pub output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cpu_ms: 1_000, wall_ms: 4_000, memory_mib: 512, output_bytes: 4 << 20 }
    }
}
