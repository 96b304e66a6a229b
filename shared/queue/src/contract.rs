//! The promises of a queue.
