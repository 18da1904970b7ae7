//! generate (stub)
