//! Work shared out among threads.

use std::sync::Mutex;

/// Calls `work` on every item, each on one of up to `threads` threads. Which thread takes which
/// item is left to chance, so results must not depend on it.
pub fn share<T: Send>(
    threads: usize,
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) + Sync,
) {
    let queue = Mutex::new(items);
    let take = || queue.lock().unwrap_or_else(|e| e.into_inner()).next();
    let serve = || {
        while let Some(item) = take() {
            work(item);
        }
    };
    std::thread::scope(|s| {
        for _ in 1..threads {
            s.spawn(serve);
        }
        serve();
    });
}
