//! The model against PyTorch and transformers, and against itself.

#![expect(clippy::unwrap_used, reason = "in a test, what cannot be is a failure")]

mod decoding;
mod golden;
mod tokenizing;
