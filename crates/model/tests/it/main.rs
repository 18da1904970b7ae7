//! The model against PyTorch and transformers, and against itself.

#![expect(clippy::unwrap_used, reason = "in a test, what cannot be is a failure")]

mod adapter;
mod chat;
mod config;
mod decoding;
mod dropout;
mod frozen;
mod golden;
mod naive;
mod precision;
mod seam;
mod tokenizing;
