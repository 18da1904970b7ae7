//! axiom
fn main() {}
