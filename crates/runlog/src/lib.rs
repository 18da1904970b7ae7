//! runlog (stub)
