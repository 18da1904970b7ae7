//! What the service did, in the text format that Prometheus reads.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use verify::Verdict;

/// Upper bounds of the histograms, in seconds.
const BOUNDS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

#[derive(Debug, Default)]
struct Histogram {
    /// One for each bound, and one for what is beyond.
    counts: [u64; BOUNDS.len() + 1],
    seconds: f64,
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.counts[BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        self.seconds += seconds;
    }

    fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn write(&self, name: &str, help: &str, out: &mut String) {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram");
        let mut below = 0;
        for (bound, count) in BOUNDS.iter().zip(&self.counts) {
            below += count;
            let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {below}");
        }
        let total = self.total();
        let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {total}");
        let _ = writeln!(out, "{name}_sum {}\n{name}_count {total}", self.seconds);
    }
}

#[derive(Debug, Default)]
struct Counts {
    verdicts: [u64; Verdict::ALL.len()],
    scripts: u64,
    unreadable: u64,
    refused: u64,
    in_flight: u64,
    runs: Histogram,
    waits: Histogram,
}

/// Counts since the start of the service.
#[derive(Debug, Default)]
pub(super) struct Metrics(Mutex<Counts>);

/// What is counted elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gauges {
    pub(super) waiting: usize,
    pub(super) capacity: usize,
    pub(super) slots: usize,
    pub(super) restarts: u64,
}

impl Metrics {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A submission left the queue.
    pub(super) fn started(&self, waited: Duration) {
        let mut counts = self.lock();
        counts.in_flight += 1;
        counts.waits.add(waited);
    }

    /// Its slot is free again.
    pub(super) fn ended(&self) {
        let mut counts = self.lock();
        counts.in_flight = counts.in_flight.saturating_sub(1);
    }

    pub(super) fn judged(&self, verdict: Verdict, run: Duration) {
        let mut counts = self.lock();
        let place = Verdict::ALL.iter().position(|v| *v == verdict);
        counts.verdicts[place.expect("ALL has every verdict")] += 1;
        counts.runs.add(run);
    }

    pub(super) fn ran_script(&self, run: Duration) {
        let mut counts = self.lock();
        counts.scripts += 1;
        counts.runs.add(run);
    }

    pub(super) fn unreadable(&self) {
        self.lock().unreadable += 1;
    }

    pub(super) fn refused(&self) {
        self.lock().refused += 1;
    }

    /// How long a run takes; a guess while there was none.
    pub(super) fn mean_run(&self) -> Duration {
        let counts = self.lock();
        match counts.runs.total() {
            0 => Duration::from_millis(5),
            n => Duration::from_secs_f64(counts.runs.seconds / n as f64),
        }
    }

    /// The text that `/metrics` answers.
    pub(super) fn text(&self, gauges: Gauges) -> String {
        let counts = self.lock();
        let mut out = String::new();
        out.push_str("# HELP axiom_verdicts_total Submissions judged, by verdict.\n");
        out.push_str("# TYPE axiom_verdicts_total counter\n");
        for (verdict, count) in Verdict::ALL.iter().zip(&counts.verdicts) {
            let _ = writeln!(out, "axiom_verdicts_total{{verdict=\"{verdict}\"}} {count}");
        }
        let plain = [
            ("scripts_total", "counter", "Programs run through /run_code.", counts.scripts),
            ("unreadable_total", "counter", "Submissions that were malformed.", counts.unreadable),
            (
                "refused_total",
                "counter",
                "Requests refused because the queue was full.",
                counts.refused,
            ),
            ("zygote_restarts_total", "counter", "Zygotes that were replaced.", gauges.restarts),
            ("in_flight", "gauge", "Submissions that are being run.", counts.in_flight),
            ("queue_length", "gauge", "Submissions that wait for a slot.", gauges.waiting as u64),
            ("queue_capacity", "gauge", "Submissions that may wait.", gauges.capacity as u64),
            ("slots", "gauge", "Programs that run at the same time.", gauges.slots as u64),
        ];
        for (name, kind, help, value) in plain {
            let _ = writeln!(out, "# HELP axiom_{name} {help}\n# TYPE axiom_{name} {kind}");
            let _ = writeln!(out, "axiom_{name} {value}");
        }
        counts.runs.write("axiom_run_seconds", "Wall time of a run.", &mut out);
        counts.waits.write("axiom_wait_seconds", "Time in the queue.", &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_what_is_at_most_its_bound() {
        let metrics = Metrics::default();
        for ms in [0, 1, 1, 3, 60_000] {
            metrics.started(Duration::ZERO);
            metrics.judged(Verdict::Accepted, Duration::from_millis(ms));
            metrics.ended();
        }
        let text = metrics.text(Gauges { waiting: 3, capacity: 9, slots: 2, restarts: 1 });
        for line in [
            "axiom_verdicts_total{verdict=\"accepted\"} 5",
            "axiom_verdicts_total{verdict=\"judge_error\"} 0",
            "axiom_run_seconds_bucket{le=\"0.0005\"} 1",
            "axiom_run_seconds_bucket{le=\"0.001\"} 3",
            "axiom_run_seconds_bucket{le=\"0.005\"} 4",
            "axiom_run_seconds_bucket{le=\"10\"} 4",
            "axiom_run_seconds_bucket{le=\"+Inf\"} 5",
            "axiom_run_seconds_count 5",
            "axiom_run_seconds_sum 60.005",
            "axiom_wait_seconds_count 5",
            "axiom_in_flight 0",
            "axiom_queue_length 3",
            "axiom_zygote_restarts_total 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert_eq!(metrics.mean_run(), Duration::from_secs_f64(60.005 / 5.0));
    }
}
