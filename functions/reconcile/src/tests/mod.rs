//! Whole reconciles over a store in memory, on simulated time.

mod closing;
mod proof;
mod races;
mod waiting;
