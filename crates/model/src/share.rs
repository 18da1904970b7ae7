//! Work shared out among threads.

use std::sync::Mutex;

/// Calls `work` on every item, each on one of up to `threads` threads. Which thread takes which
/// item is left to chance, so results must not depend on it.
pub fn share<T: Send>(
    threads: usize,
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) + Sync,
) {
    share_with(&mut vec![(); threads.max(1)], items, |(), item| work(item));
}

/// As [`share`], with a thread for each of `states`, which it has to itself.
pub fn share_with<S: Send, T: Send>(
    states: &mut [S],
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(&mut S, T) + Sync,
) {
    let queue = Mutex::new(items);
    let take = || queue.lock().unwrap_or_else(|e| e.into_inner()).next();
    let serve = |state: &mut S| {
        while let Some(item) = take() {
            work(state, item);
        }
    };
    let Some((mine, others)) = states.split_first_mut() else { return };
    std::thread::scope(|s| {
        for state in others {
            s.spawn(|| serve(state));
        }
        serve(mine);
    });
}
