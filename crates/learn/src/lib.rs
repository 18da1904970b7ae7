//! learn (stub)
