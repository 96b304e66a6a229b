//! Items that break assumptions.
