//! The corpus (stub).
