//! Objectives, advantages and the optimizer against PyTorch and TRL.

mod adamw;
mod golden;
mod invariance;
