//! Pages each user's interactions into the archive.
mod pieces;
mod refusals;
