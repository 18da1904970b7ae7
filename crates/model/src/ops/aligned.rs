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
#[derive(Debug, Clone, Copy, Default)]
pub struct CacheLines;

/// The layout that is asked for in the place of `layout`.
fn aligned(layout: Layout) -> Layout {
    let align = if layout.size() < 4096 { layout.align() } else { align_of::<Line<f32>>() };
    layout.align_to(align).unwrap_or(layout)
}

// SAFETY: the system's allocator with a layout that is a function of the one asked for; `realloc`
// is the default, which asks this one for new memory and copies.
unsafe impl GlobalAlloc for CacheLines {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(aligned(layout)) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(aligned(layout)) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: it was allocated with this very layout.
        unsafe { System.dealloc(at, aligned(layout)) }
    }
}
