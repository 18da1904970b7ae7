//! The binary as its users meet it: runs that are killed, odd input, claims that are executed.

#![expect(clippy::unwrap_used, reason = "in a test, what cannot be is a failure")]

mod backend;
mod binary;
mod cli;
mod compare;
mod corpus;
mod detectors;
mod given;
mod lines;
mod methods;
mod models;
mod pretrain;
mod resume;
mod sampling;
mod search;
mod selfplay;
mod service;
mod threads;
