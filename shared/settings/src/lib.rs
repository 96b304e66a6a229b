//! Configuration from the environment, every fault at once.
