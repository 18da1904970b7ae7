//! The integration tests of `tasks`: one binary.

mod bank;
mod composed;
mod families;
mod selfplay;
