//! The model against PyTorch and transformers, and against itself.

mod decoding;
mod golden;
mod tokenizing;
