//! model (stub)
