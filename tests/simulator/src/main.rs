//! The simulated Graph as a program.

fn main() {}
