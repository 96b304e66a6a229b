//! The folder that is written: each file once, with its hash.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::HandoverError;

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) path: String,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

/// A folder that was empty.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    pub(crate) files: Vec<Written>,
}

impl Folder {
    pub(crate) fn new(root: &Path) -> Result<Self, HandoverError> {
        let fail = |source| HandoverError::Write { path: root.to_owned(), source };
        fs::create_dir_all(root).map_err(fail)?;
        if fs::read_dir(root).map_err(fail)?.next().is_some() {
            return Err(HandoverError::NotEmpty);
        }
        Ok(Self { root: root.to_owned(), files: Vec::new() })
    }

    /// Writes a file; returns its hash.
    pub(crate) fn write(&mut self, path: &str, bytes: &[u8]) -> Result<String, HandoverError> {
        let mut file = self.open(path)?;
        file.write(bytes)?;
        self.close(file)
    }

    pub(crate) fn open(&self, path: &str) -> Result<OpenFile, HandoverError> {
        let fail = |source| HandoverError::Write { path: path.into(), source };
        let place = self.root.join(path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(fail)?;
        }
        // Nothing is ever written over.
        let file = File::create_new(place).map_err(fail)?;
        Ok(OpenFile { path: path.to_owned(), file: BufWriter::new(file), hash: Sha256::new(), bytes: 0 })
    }

    pub(crate) fn close(&mut self, file: OpenFile) -> Result<String, HandoverError> {
        let OpenFile { path, mut file, hash, bytes } = file;
        file.flush().map_err(|source| HandoverError::Write { path: path.clone().into(), source })?;
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        self.files.push(Written { path, sha256: sha256.clone(), bytes });
        Ok(sha256)
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct OpenFile {
    path: String,
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl OpenFile {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), HandoverError> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|source| HandoverError::Write { path: self.path.clone().into(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_once_into_a_folder_that_was_empty() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("a/b");
        let mut folder = Folder::new(&root).unwrap();
        let hash = folder.write("data/x.txt", b"abc").unwrap();
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(folder.files, [Written { path: "data/x.txt".to_owned(), sha256: hash, bytes: 3 }]);
        assert!(matches!(folder.write("data/x.txt", b"d"), Err(HandoverError::Write { .. })));
        assert_eq!(fs::read(root.join("data/x.txt")).unwrap(), b"abc");
        assert!(matches!(Folder::new(&root), Err(HandoverError::NotEmpty)));
    }
}
