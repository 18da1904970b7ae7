//! Parts of an operation, for the threads of a team.
//!
//! A thread that has rows of its own reads all of the weights for them. Where weights are larger
//! than any cache and rows are few, that is what costs, and threads do better to read a part of
//! the weights each, for all rows.

use std::{cell::Cell, ops::Range};

use super::{Aligned, NR, blocks::RightBlocks, gemm::Right};
use crate::team::{each, members};

/// Weights from which a product is shared out: fewer are multiplied before a thread has noticed.
const WEIGHTS_MIN: usize = 1 << 15;
/// Rows a thread from which each takes rows of its own after all.
const ROWS_MIN: usize = 64;
/// Numbers a thread from which an operation on each row by itself is shared out.
const NUMBERS_MIN: usize = 1 << 13;
/// Parts that a thread takes of a product's columns: another takes them where it comes late.
const PARTS: usize = 2;

/// Whether this thread works for itself.
pub(super) fn is_alone() -> bool {
    members() == 1
}

/// How many of `rows` rows of `width` numbers a thread takes at a time: all of them where it works
/// for itself or they are few.
pub(super) fn rows_each(rows: usize, width: usize) -> usize {
    let threads = members();
    let few = rows * width < threads * NUMBERS_MIN;
    if few { rows.max(1) } else { rows.div_ceil(threads) }
}

/// The place of the numbers of `y` whose columns are taken by different threads.
#[derive(Clone, Copy)]
struct Place(*mut f32);

// SAFETY: threads touch different columns.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

impl Place {
    /// Row `row` of `ld`, columns `first` to `first + n`.
    ///
    /// # Safety
    /// They must be there, and nobody else may use them meanwhile.
    unsafe fn columns<'y>(
        self,
        (row, ld): (usize, usize),
        first: usize,
        n: usize,
    ) -> &'y mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(row * ld + first), n) }
    }
}

thread_local! {
    /// A part's columns.
    static OWN: Cell<Aligned<f32>> = const { Cell::new(Aligned::new()) };
}

/// A right-hand matrix from a column on, a multiple of [`NR`].
#[derive(Clone, Copy)]
pub(super) struct FromColumn<B>(pub(super) B, pub(super) usize);

impl<B: Right> Right for FromColumn<B> {
    const ROWS: usize = B::ROWS;

    fn panel<'r>(
        &'r self,
        j0: usize,
        k: Range<usize>,
        room: &'r mut Aligned<f32>,
    ) -> (&'r [f32], usize) {
        self.0.panel(self.1 + j0, k, room)
    }
}

impl<B: RightBlocks> RightBlocks for FromColumn<B> {
    fn pieces(&self) -> usize {
        self.0.pieces()
    }

    fn depth(&self) -> usize {
        self.0.depth()
    }

    fn panel<'r>(
        &'r self,
        panel: usize,
        blocks: Range<usize>,
        room: &'r mut Aligned<u32>,
    ) -> &'r [u32] {
        self.0.panel(self.1 / NR + panel, blocks, room)
    }
}

/// Calls `product(x, y, rows, (first, columns))` for parts of a product `y` of `x` with a matrix:
/// some of its rows, and columns from the first on. The `x` of a part has its rows, of `input`
/// floats each, and its `y` has its columns alone.
pub(super) fn shared(
    (x, input): (&[f32], usize),
    (y, output): (&mut [f32], usize),
    rows: usize,
    accumulate: bool,
    product: impl Fn(&[f32], &mut [f32], usize, (usize, usize)) + Sync,
) {
    let threads = members();
    if threads == 1 || input * output < WEIGHTS_MIN || rows == 0 {
        return product(x, y, rows, (0, output));
    }
    if rows >= threads * ROWS_MIN {
        let part = rows.div_ceil(threads).next_multiple_of(NR);
        let parts = y[..rows * output].chunks_mut(part * output).zip(x.chunks(part * input));
        return each(parts, |(y, x)| product(x, y, y.len() / output, (0, output)));
    }
    assert!(y.len() >= rows * output, "the rows are there");
    let place = Place(y.as_mut_ptr());
    let part = output.div_ceil(PARTS * threads).next_multiple_of(NR);
    each((0..output).step_by(part), |first| {
        let n = part.min(output - first);
        let mut own = OWN.take();
        let y = own.grown(rows * n);
        // SAFETY: the rows are there, and these columns are this part's alone.
        let theirs = |row| unsafe { place.columns((row, output), first, n) };
        if accumulate {
            y.chunks_exact_mut(n).enumerate().for_each(|(row, y)| y.copy_from_slice(theirs(row)));
        }
        product(x, y, rows, (first, n));
        y.chunks_exact(n).enumerate().for_each(|(row, y)| theirs(row).copy_from_slice(y));
        OWN.set(own);
    });
}
