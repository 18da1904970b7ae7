//! Objectives, advantages and the optimizer against PyTorch and TRL.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test, what cannot be is a failure")]

mod adamw;
mod bandit;
mod enumeration;
mod golden;
mod invariance;
mod objective;
