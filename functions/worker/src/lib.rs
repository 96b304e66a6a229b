//! Pages each user's interactions into the archive.
