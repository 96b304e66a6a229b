//! The functions' real binaries, end to end.
