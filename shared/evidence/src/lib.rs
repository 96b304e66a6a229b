//! Reads and verifies an archive; depends on no crate that writes one.
