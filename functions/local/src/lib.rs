//! The same handlers in one process on a folder.
