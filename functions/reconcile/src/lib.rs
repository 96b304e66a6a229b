//! Closes a run: proves it complete, or names and re-drives what is missing.
