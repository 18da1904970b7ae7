//! What waits to be judged, and the threads that judge it: one for each slot of the sandbox.
//!
//! The queue is bounded in submissions. A batch enters whole or not at all, so that a client
//! that was refused can send the same batch again. Work whose client has gone is thrown away:
//! that its answers have nowhere to go is the only sign of it, and the only one needed.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tokio::sync::mpsc::UnboundedSender;
use verify::Verifier;

use super::metrics::Metrics;

/// What a slot does for one submission.
pub(super) type Work = Box<dyn FnOnce(&Bench<'_>) -> Json + Send>;
/// Where the answer to the submission of that index goes.
pub(super) type Reply = UnboundedSender<(usize, Json)>;

/// One slot, while it works.
pub(super) struct Bench<'a> {
    pub(super) verifier: &'a Verifier,
    pub(super) metrics: &'a Metrics,
    pub(super) slot: usize,
}

/// A submission that waits.
pub(super) struct Job {
    pub(super) index: usize,
    pub(super) work: Work,
    pub(super) reply: Reply,
    pub(super) since: Instant,
}

/// Why a batch was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no room now.
    Full { waiting: usize },
    /// There will never be room for that many.
    TooMany { capacity: usize },
    /// The service is ending.
    Closed,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// A bounded queue, first come, first served.
pub(super) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
    capacity: usize,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self { state: Mutex::default(), ready: Condvar::new(), capacity }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Takes a batch whole, or says why not.
    pub(super) fn push(&self, batch: Vec<Job>) -> Result<(), Refusal> {
        if batch.len() > self.capacity {
            return Err(Refusal::TooMany { capacity: self.capacity });
        }
        let mut state = self.lock();
        if state.closed {
            return Err(Refusal::Closed);
        }
        if state.jobs.len() + batch.len() > self.capacity {
            state.jobs.retain(|job| !job.reply.is_closed());
        }
        if state.jobs.len() + batch.len() > self.capacity {
            return Err(Refusal::Full { waiting: state.jobs.len() });
        }
        state.jobs.extend(batch);
        self.ready.notify_all();
        Ok(())
    }

    /// Waits for a job whose client is still there; `None` once the queue is closed and empty.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            while let Some(job) = state.jobs.pop_front() {
                if !job.reply.is_closed() {
                    return Some(job);
                }
            }
            if state.closed {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(|e| e.into_inner());
        }
    }

    /// Submissions that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().jobs.iter().filter(|job| !job.reply.is_closed()).count()
    }

    /// Submissions that may wait.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Takes nothing more; what waits is thrown away.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.jobs.clear();
        self.ready.notify_all();
    }
}

/// The threads that empty the queue.
pub(super) struct Workers(Vec<JoinHandle<()>>);

impl Workers {
    pub(super) fn start(
        queue: &Arc<Queue>,
        verifier: &Arc<Verifier>,
        metrics: &Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let start = |slot: usize| {
            let (queue, verifier) = (Arc::clone(queue), Arc::clone(verifier));
            let metrics = Arc::clone(metrics);
            std::thread::Builder::new().name(format!("slot {slot}")).spawn(move || {
                let bench = Bench { verifier: &verifier, metrics: &metrics, slot };
                while let Some(job) = queue.next() {
                    perform(job, &bench);
                }
            })
        };
        (0..verifier.facts().slots).map(start).collect::<std::io::Result<_>>().map(Self)
    }

    /// Waits for them to end, which they do once the queue is closed.
    pub(super) fn join(self) {
        for worker in self.0 {
            // A panic there has already been reported.
            let _ = worker.join();
        }
    }
}

fn perform(job: Job, bench: &Bench<'_>) {
    bench.metrics.started(job.since.elapsed());
    // A fault of ours costs one submission its answer, not the service a slot.
    let answer = catch_unwind(AssertUnwindSafe(|| (job.work)(bench)));
    bench.metrics.ended();
    if let Ok(answer) = answer {
        // Fails if the client has gone meanwhile.
        let _ = job.reply.send((job.index, answer));
    }
}

/// When to try again: when what waits now will have been done, by the mean time of a run.
pub(super) fn retry_after(waiting: usize, slots: usize, mean_run: Duration) -> u64 {
    let all = mean_run.as_secs_f64() * waiting as f64 / slots.max(1) as f64;
    (all.ceil() as u64).clamp(1, 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    fn batch(n: usize) -> (Vec<Job>, UnboundedReceiver<(usize, Json)>) {
        let (reply, answers) = unbounded_channel();
        let job = |index| {
            let (reply, work) = (reply.clone(), Box::new(|_: &Bench<'_>| Json::Null));
            Job { index, work, reply, since: Instant::now() }
        };
        ((0..n).map(job).collect(), answers)
    }

    #[test]
    fn a_batch_enters_whole_or_not_at_all() {
        let queue = Queue::new(5);
        let (first, _first) = batch(3);
        let (second, _second) = batch(3);
        let (third, _third) = batch(2);
        let (large, _large) = batch(6);
        assert_eq!(queue.push(first), Ok(()));
        assert_eq!(queue.push(second), Err(Refusal::Full { waiting: 3 }));
        assert_eq!(queue.len(), 3);
        assert_eq!(queue.push(third), Ok(()));
        assert_eq!(queue.push(large), Err(Refusal::TooMany { capacity: 5 }));
    }

    #[test]
    fn what_a_client_left_behind_makes_room_and_is_not_done() {
        let queue = Queue::new(4);
        let (first, gone) = batch(4);
        let (second, _second) = batch(4);
        queue.push(first).unwrap();
        drop(gone);
        assert_eq!(queue.len(), 0);
        assert_eq!(queue.push(second), Ok(()));
        assert_eq!(queue.len(), 4);
        assert!(!queue.next().unwrap().reply.is_closed());
    }

    #[test]
    fn a_closed_queue_takes_nothing_and_ends_its_workers() {
        let queue = Queue::new(4);
        let (first, _first) = batch(2);
        queue.push(first).unwrap();
        queue.close();
        assert!(queue.next().is_none());
        assert_eq!(queue.push(batch(1).0), Err(Refusal::Closed));
    }

    #[test]
    fn the_time_to_wait_follows_what_waits() {
        assert_eq!(retry_after(0, 2, Duration::from_millis(2)), 1);
        assert_eq!(retry_after(1_000, 2, Duration::from_millis(10)), 5);
        assert_eq!(retry_after(1_000_000, 1, Duration::from_secs(1)), 60);
    }
}
