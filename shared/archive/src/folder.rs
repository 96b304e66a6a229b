//! A store in a folder: an object is a file, its key the file's path.
//!
//! Safe for several processes at once and against being killed at any point: a file gets its name only when its content is
//! complete and on disk, by `link`, which fails if the name is taken, or by `rename` under a lock. Names that begin with a
//! dot are the store's own or somebody else's, and are no objects.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use crate::jsonl::sha256_hex;
use crate::store::{ETag, LegalHold, Object, PutIfMatch, PutNew, Store, StoreError, StoreErrorKind};

/// Where files are written before they get their names.
const TEMPORARY: &str = ".tmp";

/// What is locked while an object is compared and replaced.
const LOCK: &str = ".lock";

/// How deep a listing descends. The archive's own keys have five components.
const MAX_DEPTH: u32 = 32;

/// A store in a folder.
#[derive(Debug, Clone)]
pub struct FolderStore(Arc<Folder>);

#[derive(Debug)]
struct Folder {
    root: PathBuf,
    written: AtomicU64,
}

/// A file that has no name of its own yet; removed when it is dropped. It stays locked until then, by which one whose writer
/// was killed is told from one that is being written: the system releases the lock of a process that ends.
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // One that stays is no object and harms nobody.
        let _ = fs::remove_file(&self.path);
    }
}

impl FolderStore {
    /// The store in this folder, which is made at the first put if it is not there.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, io::Error> {
        let root = root.into();
        match fs::metadata(&root) {
            Ok(found) if !found.is_dir() => Err(io::Error::from(ErrorKind::NotADirectory)),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(Self(Arc::new(Folder { root, written: AtomicU64::new(0) }))),
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Removes an object for good, as an operator may and nothing that writes does. One that is not there is removed already.
    pub async fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.run("delete", key, |folder, key| {
            let path = folder.path(key)?;
            match fs::remove_file(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
                Ok(()) => sync_folder(path.parent().unwrap_or(&folder.root)),
            }
        })
        .await
    }

    /// How many files writers left half-done that were killed; removes them if that is asked for, as an operator may. They are no
    /// objects and nobody needs them, but each may hold the content of anybody, and no name says whose.
    pub async fn leftovers(&self, remove: bool) -> Result<u64, StoreError> {
        self.run("remove leftovers", TEMPORARY, move |folder, _| folder.leftovers(remove)).await
    }

    /// Runs file work where it may block.
    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &str,
        work: impl FnOnce(&Folder, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (folder, own_key) = (Arc::clone(&self.0), key.to_owned());
        let outcome = tokio::task::spawn_blocking(move || work(&folder, &own_key)).await;
        let error = match outcome {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(error) => io::Error::other(error),
        };
        let kind = match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreErrorKind::Denied,
            ErrorKind::Interrupted | ErrorKind::TimedOut | ErrorKind::ResourceBusy => StoreErrorKind::Unknown,
            _ if is_locked(&error) => StoreErrorKind::Unknown,
            _ => StoreErrorKind::Refused,
        };
        Err(StoreError { kind, operation, key: key.to_owned(), source: Some(Box::new(error)) })
    }
}

impl Folder {
    /// The file of a key. Keys that would leave the folder, or that a listing would not show, are refused.
    fn path(&self, key: &str) -> io::Result<PathBuf> {
        let good = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']);
        if key.split('/').all(good) {
            Ok(self.root.join(key))
        } else {
            Err(io::Error::new(ErrorKind::InvalidInput, "not a key that a folder can hold"))
        }
    }

    fn read(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(key)?) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a file without a name, complete and on disk.
    fn temporary(&self, bytes: &[u8]) -> io::Result<Temporary> {
        let folder = self.root.join(TEMPORARY);
        make_folder(&self.root, &folder)?;
        loop {
            // The process's id is not enough: leftovers of an earlier process may have it too.
            let n = self.written.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{}-{n}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let mut temporary = Temporary { path, file };
                    temporary.file.lock()?;
                    temporary.file.write_all(bytes)?;
                    temporary.file.sync_all()?;
                    return Ok(temporary);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn leftovers(&self, remove: bool) -> io::Result<u64> {
        let entries = match fs::read_dir(self.root.join(TEMPORARY)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let mut left = 0;
        for entry in entries {
            let entry = entry?;
            // What is no file nobody here has written, and it cannot be opened to be written.
            if !entry.file_type()?.is_file() {
                continue;
            }
            let path = entry.path();
            // To be written, though nothing is: where the folder is on another machine, no other file can be locked for oneself.
            let file = match OpenOptions::new().read(true).write(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file?,
            };
            // An empty one may be about to be locked by its writer, and holds nothing.
            if file.metadata()?.len() == 0 {
                continue;
            }
            match file.try_lock() {
                Ok(()) => left += 1,
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if remove
                && let Err(error) = fs::remove_file(&path)
                && error.kind() != ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        Ok(left)
    }

    fn put_new(&self, key: &str, bytes: &[u8]) -> io::Result<PutNew> {
        let path = self.path(key)?;
        let parent = path.parent().unwrap_or(&self.root);
        let created = if path.exists() {
            false
        } else {
            make_folder(&self.root, parent)?;
            let temporary = self.temporary(bytes)?;
            match fs::hard_link(&temporary.path, &path) {
                Ok(()) => true,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
                Err(error) => return Err(error),
            }
        };
        // Also for the loser: what it takes as seen must still be there after a power cut.
        sync_folder(parent)?;
        Ok(if created { PutNew::Created(etag(bytes)) } else { PutNew::Exists })
    }

    fn put_if_match(&self, key: &str, bytes: &[u8], expected: &ETag) -> io::Result<PutIfMatch> {
        let path = self.path(key)?;
        make_folder(&self.root, &self.root)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(self.root.join(LOCK))?;
        // Released when the file is closed, by the system if the process is killed.
        lock.lock()?;
        match self.read(key)? {
            Some(found) if etag(&found) == *expected => {}
            _ => return Ok(PutIfMatch::Changed),
        }
        let temporary = self.temporary(bytes)?;
        fs::rename(&temporary.path, &path)?;
        sync_folder(path.parent().unwrap_or(&self.root))?;
        Ok(PutIfMatch::Replaced(etag(bytes)))
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let folder = prefix.rfind('/').map_or("", |end| &prefix[..end]);
        if !folder.is_empty() {
            self.path(folder)?;
        }
        let mut keys = Vec::new();
        self.walk(folder, prefix, 0, &mut keys)?;
        keys.sort_unstable();
        Ok(keys)
    }

    fn walk(&self, folder: &str, prefix: &str, depth: u32, keys: &mut Vec<String>) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(io::Error::new(ErrorKind::InvalidInput, "folders lie too deep for an archive"));
        }
        let entries = match fs::read_dir(self.root.join(folder)) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let key = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if key.starts_with(prefix) || prefix.starts_with(&format!("{key}/")) {
                    self.walk(&key, prefix, depth + 1, keys)?;
                }
            } else if kind.is_file() && key.starts_with(prefix) {
                keys.push(key);
            }
        }
        Ok(())
    }
}

/// Whether another process holds the file's lock: on Windows nobody else can read it for that long, elsewhere everybody can.
fn is_locked(error: &io::Error) -> bool {
    const ERROR_LOCK_VIOLATION: i32 = 33;
    cfg!(windows) && error.raw_os_error() == Some(ERROR_LOCK_VIOLATION)
}

fn etag(bytes: &[u8]) -> ETag {
    ETag(sha256_hex(bytes))
}

/// Makes a folder that may be there, and every folder above it up to the root, so that none is lost in a power cut.
fn make_folder(root: &Path, folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    for made in folder.ancestors().take_while(|above| above.starts_with(root)) {
        sync_folder(made)?;
    }
    Ok(())
}

/// Makes the names in a folder durable, where the system can.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[async_trait]
impl Store for FolderStore {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.run("get", key, |folder, key| {
            Ok(folder.read(key)?.map(|bytes| Object { etag: etag(&bytes), bytes: bytes.into() }))
        })
        .await
    }

    /// A folder holds nothing. In a copy of a bucket entries may say that somebody is held: what is put there is put without.
    async fn put_new_under(&self, key: &str, bytes: Bytes, _: LegalHold) -> Result<PutNew, StoreError> {
        self.run("put", key, move |folder, key| folder.put_new(key, &bytes)).await
    }

    async fn put_if_match(&self, key: &str, bytes: Bytes, expected: &ETag) -> Result<PutIfMatch, StoreError> {
        let expected = expected.clone();
        self.run("put", key, move |folder, key| folder.put_if_match(key, &bytes, &expected)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.run("list", prefix, |folder, prefix| folder.list(prefix)).await
    }
}

#[cfg(test)]
mod tests;
