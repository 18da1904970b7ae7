//! What a program may use.

use std::time::Duration;

/// How much more CPU time than its task's reference a program may take.
const REFERENCE_FACTOR: u128 = 10;
/// What a limit derived from a reference is rounded up to, in milliseconds of CPU time: steps so
/// coarse that measuring again nearly always gives the same limit.
const REFERENCE_STEPS: [u64; 6] = [50, 100, 250, 500, 1_000, 2_000];

/// Limits of one submission, enforced from outside the program. Processes and threads are not
/// among them: there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// CPU time of all tests together, read from the child's CPU clock, in milliseconds.
    pub cpu_ms: u64,
    /// CPU time of one test, in milliseconds. Loading the program counts with the first.
    pub test_cpu_ms: u64,
    /// Wall time of all tests together, in milliseconds.
    pub wall_ms: u64,
    /// Time without CPU progress while waiting for something other than a processor, in
    /// milliseconds.
    pub idle_ms: u64,
    /// Address space, in MiB.
    pub memory_mib: u64,
    /// The C stack, in MiB.
    pub stack_mib: u64,
    /// Bytes the program may send back over all tests.
    pub output_bytes: u64,
    /// The largest file it may write, in bytes. It can reach none but in its memory.
    pub file_bytes: u64,
    /// Descriptors it may hold.
    pub open_files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_ms: 1_000,
            test_cpu_ms: 1_000,
            wall_ms: 4_000,
            idle_ms: 1_000,
            memory_mib: 512,
            stack_mib: 256,
            output_bytes: 4 << 20,
            file_bytes: 1 << 20,
            open_files: 16,
        }
    }
}

impl Limits {
    /// The most that can be asked for.
    pub const CAPS: Self = Self {
        cpu_ms: 600_000,
        test_cpu_ms: 600_000,
        wall_ms: 3_600_000,
        idle_ms: 3_600_000,
        memory_mib: 1 << 16,
        stack_mib: 256,
        output_bytes: 256 << 20,
        file_bytes: 64 << 20,
        open_files: 64,
    };

    /// Each of them by the name it has in files, with its unit.
    pub fn named(&mut self) -> [(&'static str, &mut u64); 9] {
        [
            ("cpu_ms", &mut self.cpu_ms),
            ("test_cpu_ms", &mut self.test_cpu_ms),
            ("wall_ms", &mut self.wall_ms),
            ("idle_ms", &mut self.idle_ms),
            ("memory_mib", &mut self.memory_mib),
            ("stack_mib", &mut self.stack_mib),
            ("output_bytes", &mut self.output_bytes),
            ("file_bytes", &mut self.file_bytes),
            ("open_files", &mut self.open_files),
        ]
    }

    /// The same limits, none beyond [`Limits::CAPS`].
    pub fn within_caps(mut self) -> Self {
        let mut caps = Self::CAPS;
        for ((_, limit), (_, cap)) in self.named().into_iter().zip(caps.named()) {
            *limit = (*limit).min(*cap);
        }
        self
    }

    /// The same limits with the times that suit a task whose reference took `reference` of CPU
    /// time: ten times that, between 50 ms and 2 s, rounded up to a coarse step; and a wall
    /// time of three times as much and a second.
    pub fn for_reference(self, reference: Duration) -> Self {
        let wanted = reference.as_micros().saturating_mul(REFERENCE_FACTOR).div_ceil(1_000);
        let step = REFERENCE_STEPS.into_iter().find(|step| u128::from(*step) >= wanted);
        let cpu_ms = step.unwrap_or(REFERENCE_STEPS[REFERENCE_STEPS.len() - 1]);
        Self { cpu_ms, test_cpu_ms: cpu_ms, wall_ms: 3 * cpu_ms + 1_000, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_gives_ten_times_its_cost_in_coarse_steps() {
        let cases = [(0, 50), (4_900, 50), (5_100, 100), (20_000, 250), (99_000, 1_000)];
        for (micros, cpu_ms) in cases {
            let limits = Limits::default().for_reference(Duration::from_micros(micros));
            assert_eq!((limits.cpu_ms, limits.test_cpu_ms), (cpu_ms, cpu_ms), "{micros}");
            assert_eq!(limits.wall_ms, 3 * cpu_ms + 1_000);
        }
        assert_eq!(Limits::default().for_reference(Duration::MAX).cpu_ms, 2_000);
    }

    #[test]
    fn nothing_exceeds_the_caps() {
        let mut all = Limits::default();
        all.named().into_iter().for_each(|(_, limit)| *limit = u64::MAX);
        assert_eq!(all.within_caps(), Limits::CAPS);
        assert_eq!(Limits::default().within_caps(), Limits::default());
    }
}
