//! Threads that take part in each operation of one of them.
//!
//! A step of decoding is hundreds of operations of some ten microseconds, one after the other. A
//! thread that sleeps between two of them wakes when the next is over; so the helpers of a team
//! watch for a while before they sleep, letting others have the processor meanwhile. A helper that
//! comes too late finds nothing left to do, and nobody waits for it.

use std::{
    any::Any,
    cell::Cell,
    hint::spin_loop,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread::{self, Thread},
};

/// How often a helper looks for work, a twentieth of a microsecond or more apart, before it sleeps.
const LOOKS: u32 = 4096;
/// Looks after which others may have the processor.
const LOOKS_IN_A_ROW: u32 = 64;

/// Nothing to do.
const IDLE: u32 = 0;
/// Work lies there that has not begun.
const OFFERED: u32 = 1;
/// The work is being done.
const BUSY: u32 = 2;
/// The team parts.
const OVER: u32 = 3;

/// What all threads of a team call.
type Work = *const (dyn Fn() + Sync);

/// Where a helper is told what to do.
struct Post {
    state: AtomicU32,
    /// Written by the team's own thread while the helper is idle, read by the helper while it is busy.
    work: Cell<Option<Work>>,
    /// What the helper's work ended with, if it panicked; written and read as above, the other way round.
    panic: Cell<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `state` says whose turn it is to touch the cells.
unsafe impl Sync for Post {}
// SAFETY: as above; the work itself is `Sync`.
unsafe impl Send for Post {}

impl Post {
    fn new() -> Self {
        Self { state: AtomicU32::new(IDLE), work: Cell::new(None), panic: Cell::new(None) }
    }

    fn offer(&self, work: Work) {
        self.work.set(Some(work));
        self.state.store(OFFERED, SeqCst);
    }

    /// Takes work back that has not begun, or waits for its end.
    fn take_back(&self) {
        if self.state.compare_exchange(OFFERED, IDLE, SeqCst, SeqCst).is_ok() {
            return;
        }
        let mut looks = 0;
        while self.state.load(SeqCst) == BUSY {
            look_away(&mut looks);
        }
    }

    /// A helper's life.
    fn serve(&self) {
        let mut looks = 0;
        loop {
            match self.state.compare_exchange(OFFERED, BUSY, SeqCst, SeqCst) {
                Ok(_) => {
                    if let Some(work) = self.work.get() {
                        // SAFETY: who offered the work waits until it is done.
                        let done = catch_unwind(AssertUnwindSafe(|| unsafe { (*work)() }));
                        self.panic.set(done.err());
                    }
                    self.state.store(IDLE, SeqCst);
                    looks = 0;
                }
                Err(OVER) => return,
                Err(_) if looks < LOOKS => look_away(&mut looks),
                Err(_) => {
                    thread::park();
                    looks = 0;
                }
            }
        }
    }
}

/// Passes a moment.
fn look_away(looks: &mut u32) {
    *looks += 1;
    match looks.is_multiple_of(LOOKS_IN_A_ROW) {
        true => thread::yield_now(),
        false => spin_loop(),
    }
}

/// The helpers of a thread.
#[derive(Clone, Copy)]
struct Team<'t> {
    posts: &'t [Post],
    threads: &'t [Thread],
}

thread_local! {
    /// The team of this thread, where it has one that is not at work already.
    static MINE: Cell<Option<Team<'static>>> = const { Cell::new(None) };
}

/// Runs `work`, whose operations are shared out among `threads` threads. Their bits do not depend
/// on that.
pub fn team<R>(threads: usize, work: impl FnOnce() -> R) -> R {
    /// Lets the helpers go, also where `work` panics.
    struct Parting<'t>(Team<'t>);

    impl Drop for Parting<'_> {
        fn drop(&mut self) {
            MINE.set(None);
            self.0.posts.iter().for_each(|post| post.state.store(OVER, SeqCst));
            self.0.threads.iter().for_each(Thread::unpark);
        }
    }

    let posts: Vec<Post> = (1..threads).map(|_| Post::new()).collect();
    thread::scope(|s| {
        let threads: Vec<Thread> =
            posts.iter().map(|post| s.spawn(|| post.serve()).thread().clone()).collect();
        let team = Team { posts: &posts, threads: &threads };
        let _parting = Parting(team);
        // SAFETY: `_parting` takes it away before what it borrows is dropped.
        MINE.set(Some(unsafe { std::mem::transmute::<Team<'_>, Team<'static>>(team) }));
        work()
    })
}

/// How many threads share this one's operations.
pub(crate) fn members() -> usize {
    1 + MINE.get().map_or(0, |team| team.posts.len())
}

/// Calls `work` on every item, each on one of the threads of the team, if there is one. Which thread
/// takes which item is left to chance.
///
/// # Panics
/// If `work` does.
pub fn each<T: Send>(items: impl Iterator<Item = T> + Send, work: impl Fn(T) + Sync) {
    let Some(team) = MINE.take() else { return items.for_each(work) };
    let queue = Mutex::new(items);
    let take = || queue.lock().unwrap_or_else(|e| e.into_inner()).next();
    together(team, &|| {
        while let Some(item) = take() {
            work(item);
        }
    });
}

/// Calls `work` on all threads of a team that are there in time.
fn together(team: Team<'static>, work: &(dyn Fn() + Sync)) {
    /// Waits for the helpers, also where this thread's part panics.
    struct Waiting(Team<'static>);

    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.posts.iter().for_each(Post::take_back);
            MINE.set(Some(self.0));
        }
    }

    // SAFETY: `Waiting` waits for all that use it.
    let shared: Work = unsafe { std::mem::transmute::<*const (dyn Fn() + Sync), Work>(work) };
    {
        let _waiting = Waiting(team);
        for (post, thread) in team.posts.iter().zip(team.threads) {
            post.offer(shared);
            thread.unpark();
        }
        work();
    }
    if let Some(panic) = team.posts.iter().find_map(|post| post.panic.take()) {
        resume_unwind(panic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
        time::Duration,
    };

    #[test]
    fn every_item_is_worked_on_once() {
        for threads in 1..5 {
            let seen: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
            team(threads, || {
                assert_eq!(members(), threads);
                for pause in [0, 0, 0, 50] {
                    thread::sleep(Duration::from_millis(pause));
                    each(seen.iter(), |x| {
                        // A team within a team's work is the thread alone.
                        assert_eq!(members(), 1);
                        x.fetch_add(1, Relaxed);
                    });
                }
            });
            assert_eq!(members(), 1);
            assert!(seen.iter().all(|x| x.load(Relaxed) == 4));
        }
    }

    #[test]
    fn a_panic_is_passed_on_and_the_team_goes_home() {
        for culprit in 0..20 {
            let caught = catch_unwind(|| {
                team(3, || each(0..20, |i| assert_ne!(i, culprit)));
            });
            assert!(caught.is_err());
            assert_eq!(members(), 1);
        }
    }
}
