//! Where an archive is read from.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::keeping::Keeping;

/// The largest object that is taken into memory. Segments end far below it, a roster of a million users too; what is
/// larger was not put by the program.
pub const MAX_OBJECT_BYTES: u64 = 512 * 1024 * 1024;

/// The source could not be read: no verdict on the archive is possible.
#[derive(Debug, thiserror::Error)]
#[error("{operation} of {key:?} failed; check that the archive can be read, then ask again")]
pub struct SourceError {
    /// `list` or `read`.
    pub operation: &'static str,
    /// The key or prefix.
    pub key: String,
    /// What the store said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl SourceError {
    /// A failure of this operation on this key.
    pub fn new(
        operation: &'static str,
        key: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { operation, key: key.to_owned(), source: source.into() }
    }
}

/// Whether a key could be one of the format's. What else lies beside an archive, desktop litter, a writer's temporary file
/// or a folder's marker in a bucket, is neither listed nor read; and no key that a hostile receipt names leads elsewhere.
pub fn is_key(key: &str) -> bool {
    !key.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.contains(['\\', '\0']))
}

/// A readable copy of an archive. Keys are relative to the archive's root. It is only ever listed and read, so a
/// read-only mount, a copy on a stick or a role with list and get will do.
pub trait Source: Send + Sync {
    /// All keys that begin with the prefix and for which [`is_key`] holds, in any order.
    fn list(&self, prefix: &str) -> Result<Vec<String>, SourceError>;

    /// The object's bytes; `None` if there is none. A refusal is an error, never `None`.
    fn read(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError>;

    /// The store as one that keeps versions and locks, if it is one.
    fn keeping(&self) -> Option<&dyn Keeping> {
        None
    }
}

/// An archive in a folder.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The archive whose `archive.json` lies in this folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Names that begin with a dot are no keys of the format: desktop litter, or a writer's temporary file.
    fn walk(&self, folder: &Path, key: &str, prefix: &str, keys: &mut Vec<String>) -> Result<(), SourceError> {
        let fail = |error| SourceError::new("list", key, error);
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(fail(error)),
        };
        for entry in entries {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') {
                continue;
            }
            let child = if key.is_empty() { name.into_owned() } else { format!("{key}/{name}") };
            if entry.file_type().map_err(fail)?.is_dir() {
                let inside = format!("{child}/");
                if inside.starts_with(prefix) || prefix.starts_with(&inside) {
                    self.walk(&entry.path(), &child, prefix, keys)?;
                }
            } else if child.starts_with(prefix) {
                keys.push(child);
            }
        }
        Ok(())
    }
}

impl Source for Folder {
    fn list(&self, prefix: &str) -> Result<Vec<String>, SourceError> {
        let mut keys = Vec::new();
        self.walk(&self.root, "", prefix, &mut keys)?;
        keys.sort_unstable();
        Ok(keys)
    }

    fn read(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError> {
        if !is_key(key) {
            return Ok(None);
        }
        let path = self.root.join(key);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Ok(None),
            Ok(metadata) if metadata.len() > MAX_OBJECT_BYTES => {
                Err(SourceError::new("read", key, "the object is larger than anything the format holds"))
            }
            Ok(_) => fs::read(&path).map(Some).map_err(|error| SourceError::new("read", key, error)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(SourceError::new("read", key, error)),
        }
    }
}

/// An archive in memory: what tests build and tamper with.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// The objects by key.
    pub objects: BTreeMap<String, Vec<u8>>,
}

impl Source for Memory {
    fn list(&self, prefix: &str) -> Result<Vec<String>, SourceError> {
        let from = self.objects.range(prefix.to_owned()..);
        Ok(from.map(|(key, _)| key).take_while(|key| key.starts_with(prefix)).cloned().collect())
    }

    fn read(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(self.objects.get(key).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_lists_by_prefix_and_skips_dot_files() {
        let folder = tempfile::tempdir().unwrap();
        for key in ["archive.json", "runs/a/run.json", "runs/b/run.json", "runs/.tmp-1", "runs/a/.x/y"] {
            let path = folder.path().join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, key).unwrap();
        }
        let source = Folder::new(folder.path());
        assert_eq!(source.list("").unwrap(), ["archive.json", "runs/a/run.json", "runs/b/run.json"]);
        assert_eq!(source.list("runs/a").unwrap(), ["runs/a/run.json"]);
        assert_eq!(source.list("ledger/").unwrap(), [""; 0]);
        assert_eq!(source.read("runs/b/run.json").unwrap().unwrap(), b"runs/b/run.json");
        assert_eq!(source.read("runs/b").unwrap(), None);
        assert_eq!(source.read("runs/b/run.json/x").unwrap(), None);
    }

    #[test]
    fn no_key_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        let inner = folder.path().join("archive");
        fs::create_dir(&inner).unwrap();
        let source = Folder::new(inner);
        for key in ["../secret", "a/../../secret", "/etc/hostname", ""] {
            assert_eq!(source.read(key).unwrap(), None, "{key}");
        }
    }
}
