//! What a store does to keep objects, beyond holding their bytes: versions and locks. A folder does nothing of the kind.

use jiff::Timestamp;

use crate::source::SourceError;

/// Whether a store keeps what was overwritten or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioning {
    /// It never did: what was overwritten or deleted left no trace.
    Never,
    /// It did and does not now.
    Suspended,
    /// It does.
    Enabled,
}

/// A version of an object, or a marker that says that it is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The key, relative to the archive's root.
    pub key: String,
    /// Whether it is a delete marker.
    pub is_delete_marker: bool,
    /// When it was put, as far as the store says it.
    pub put_at: Option<Timestamp>,
}

/// What keeps an object from being deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// The retention's mode and end.
    pub retention: Option<(String, Timestamp)>,
    /// Whether it is under a legal hold.
    pub legal_hold: bool,
}

/// A store that can be asked how it keeps objects. `None` is an answer that this reader may not see: it proves nothing and
/// breaks nothing.
pub trait Keeping {
    /// Whether versions are kept.
    fn versioning(&self) -> Result<Option<Versioning>, SourceError>;

    /// Calls `each` with every version and delete marker below the archive's root whose key is one
    /// ([`crate::is_key`]); `None` comes before any call.
    fn versions(&self, each: &mut dyn FnMut(Version)) -> Result<Option<()>, SourceError>;

    /// The locks of these objects, in their order; of one that is not there, none.
    fn locks(&self, keys: &[String]) -> Result<Option<Vec<Lock>>, SourceError>;
}
