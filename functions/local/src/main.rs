//! Wiring of the local program.
fn main() {}
