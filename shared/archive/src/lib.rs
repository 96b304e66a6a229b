//! The archive: stores, the log, coverage, run files, the ledger.

pub mod store;
