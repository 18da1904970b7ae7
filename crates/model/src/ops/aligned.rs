//! Numbers that begin at a cache line: a register that is loaded from two lines costs two loads.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ops::{Deref, DerefMut},
};

/// Numbers of a cache line.
const LINE: usize = 16;

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line<T>([T; LINE]);

/// A growing array of four-byte numbers that begins at a cache line.
#[derive(Debug, Clone)]
pub(crate) struct Aligned<T> {
    lines: Vec<Line<T>>,
    len: usize,
}

impl<T> Aligned<T> {
    pub(crate) const fn new() -> Self {
        Self { lines: Vec::new(), len: 0 }
    }
}

impl<T> Default for Aligned<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy + Default> Aligned<T> {
    /// Zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut zeros = Self::new();
        zeros.resize(len);
        zeros
    }

    /// Makes it shorter, or longer by zeros or by what was there when it was longer.
    pub(crate) fn resize(&mut self, len: usize) {
        let lines = len.div_ceil(LINE);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line([T::default(); LINE]));
        }
        self.len = len;
    }

    /// The first `len` of an array that grows and never shrinks.
    pub(crate) fn grown(&mut self, len: usize) -> &mut [T] {
        if self.len < len {
            self.resize(len);
        }
        &mut self[..len]
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        const { assert!(size_of::<Line<T>>() == LINE * size_of::<T>()) };
        // SAFETY: lines lie one after the other with nothing between, and hold `len` numbers.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        const { assert!(size_of::<Line<T>>() == LINE * size_of::<T>()) };
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// The system's allocator, but what takes a page or more begins at a cache line: activations are
/// plain vectors, and a program that multiplies many of them wants this as its global allocator.
///
/// It asks for a line more and says before the block where the system's begins. The system's own
/// way of aligning leaves holes behind that add up over a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct CacheLines;

impl CacheLines {
    /// Has blocks of a MiB and more go back to the system when they are freed. glibc raises that size by
    /// itself and keeps such blocks for smaller ones, which leaves holes; other systems are left as they
    /// are.
    pub fn give_back_large_blocks(self) {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: sets a number of the allocator.
        unsafe {
            // It refuses only sizes that are too large.
            let _ = libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
        }
    }
}

const LINE_BYTES: usize = align_of::<Line<f32>>();

/// What the system is asked for in the place of a block, if that is to be moved to a line.
fn widened(layout: Layout) -> Option<Layout> {
    let moved = layout.size() >= 4096 && layout.align() <= LINE_BYTES;
    let size = layout.size().checked_add(LINE_BYTES).filter(|_| moved)?;
    Layout::from_size_align(size, align_of::<usize>()).ok()
}

/// The first line after the beginning of a block, or nothing for nothing.
///
/// # Safety
/// The block must be one that [`widened`] asks for.
unsafe fn to_line(begin: *mut u8) -> *mut u8 {
    if begin.is_null() {
        return begin;
    }
    // SAFETY: a block begins at a multiple of a word, so there is a word before the next line, and
    // the block is a line longer than what is wanted of it.
    unsafe {
        let at = begin.add(LINE_BYTES - begin.addr() % LINE_BYTES);
        at.cast::<usize>().sub(1).write(at.addr() - begin.addr());
        at
    }
}

// SAFETY: blocks are the system's, or lie in them as `to_line` says; which of the two follows from
// the layout. `realloc` is the default, which asks for a new block and copies.
unsafe impl GlobalAlloc for CacheLines {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe {
            match widened(layout) {
                Some(wide) => to_line(System.alloc(wide)),
                None => System.alloc(layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe {
            match widened(layout) {
                Some(wide) => to_line(System.alloc_zeroed(wide)),
                None => System.alloc_zeroed(layout),
            }
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; what `to_line` wrote is before the block.
        unsafe {
            match widened(layout) {
                Some(wide) => System.dealloc(at.sub(at.cast::<usize>().sub(1).read()), wide),
                None => System.dealloc(at, layout),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_begin_at_lines_and_go_back() {
        for size in [1, 4095, 4096, 5000, 1 << 20] {
            for align in [1, 8, 64, 128] {
                let layout = Layout::from_size_align(size, align).unwrap_or(Layout::new::<u8>());
                // SAFETY: the block is written within its size, and goes back with its layout.
                unsafe {
                    let at = CacheLines.alloc_zeroed(layout);
                    assert!(at.addr().is_multiple_of(align));
                    assert!(layout.size() < 4096 || at.addr().is_multiple_of(LINE_BYTES));
                    assert!((0..layout.size()).all(|i| *at.add(i) == 0));
                    at.write_bytes(7, layout.size());
                    CacheLines.dealloc(at, layout);
                }
            }
        }
    }
}
