//! The integration tests of `tasks`: one binary.

mod composed;
mod families;
mod selfplay;
