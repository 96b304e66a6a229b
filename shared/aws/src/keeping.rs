//! What S3 does to keep objects, for auditors and operators: versions, delete markers, Object Lock. Nothing that writes
//! needs it.

use archive::store::StoreError;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{BucketVersioningStatus, ObjectLockLegalHoldStatus};
use domain::Timestamp;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::S3Store;
use crate::call::CallError;
use crate::s3::{MAX_PAGES, twice};

/// Heads in flight: what hides the latency of each behind the others, and is far below what a prefix of a bucket serves.
const HEADS: usize = 32;

/// Whether a bucket keeps what is overwritten or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketVersioning {
    /// It never did.
    Never,
    /// It did, and does not now.
    Suspended,
    /// It does.
    Enabled,
}

/// The Object Lock of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectLock {
    /// The retention's mode and end.
    pub retention: Option<(String, Timestamp)>,
    /// Whether it is under a legal hold.
    pub legal_hold: bool,
}

/// A version of an object, or a marker that says that it is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion {
    /// The key, without the store's prefix.
    pub key: String,
    /// S3's id of it.
    pub id: Option<String>,
    /// Whether it is a delete marker.
    pub is_delete_marker: bool,
    /// When it was put, in whole seconds, as far as the store says it.
    pub put_at: Option<Timestamp>,
}

/// Where a page of versions begins: at this key and version.
type Place = (String, Option<String>);

/// A page of versions, the folders that stand for those below them, and where the next begins.
struct Page {
    versions: Vec<ObjectVersion>,
    folders: Vec<String>,
    next: Option<Place>,
}

/// `None` answers that the caller may not see it, or that this store, which is not AWS's, does not know it.
impl S3Store {
    /// Whether the bucket keeps versions.
    pub async fn versioning(&self) -> Result<Option<BucketVersioning>, StoreError> {
        let call = || async {
            let answer =
                self.client.get_bucket_versioning().bucket(&self.bucket).send().await.map_err(CallError::of)?;
            Ok(match answer.status {
                None => BucketVersioning::Never,
                Some(BucketVersioningStatus::Enabled) => BucketVersioning::Enabled,
                Some(_) => BucketVersioning::Suspended,
            })
        };
        seen(twice(call).await).map_err(|error| self.failed("ask for the versioning", "", error))
    }

    /// Calls `each` with every version and delete marker.
    pub async fn versions(&self, mut each: impl FnMut(ObjectVersion) + Send) -> Result<Option<()>, StoreError> {
        let failed = |error| self.failed("list the versions", "", error);
        let mut from = None;
        for number in 0..MAX_PAGES {
            let page = twice(|| self.versions_once("", None, from.as_ref())).await;
            let page = if number == 0 { seen(page).map_err(failed)? } else { Some(page.map_err(failed)?) };
            let Some(Page { versions, next, .. }) = page else { return Ok(None) };
            versions.into_iter().for_each(&mut each);
            match next {
                Some(next) => from = Some(next),
                None => return Ok(Some(())),
            }
        }
        Err(failed(CallError::TooMuch { limit: format!("a listing of {MAX_PAGES} pages") }))
    }

    /// Every version whose key begins with the prefix; with folders, those below one stand as the folder, which ends in a
    /// slash. Unlike [`S3Store::versions`] it is no answer that they may not be seen.
    pub async fn versions_below(
        &self,
        prefix: &str,
        by_folder: bool,
    ) -> Result<(Vec<ObjectVersion>, Vec<String>), StoreError> {
        let failed = |error| self.failed("list the versions", prefix, error);
        let (mut versions, mut folders, mut from) = (Vec::new(), Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let page = twice(|| self.versions_once(prefix, by_folder.then_some("/"), from.as_ref())).await;
            let page = page.map_err(failed)?;
            versions.extend(page.versions);
            folders.extend(page.folders);
            match page.next {
                Some(next) => from = Some(next),
                None => return Ok((versions, folders)),
            }
        }
        Err(failed(CallError::TooMuch { limit: format!("a listing of {MAX_PAGES} pages") }))
    }

    async fn versions_once(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        from: Option<&Place>,
    ) -> Result<Page, CallError> {
        let list = self.client.list_object_versions().bucket(&self.bucket).prefix(self.full(prefix));
        let list = list.set_delimiter(delimiter.map(str::to_owned));
        let list = list.set_key_marker(from.map(|(key, _)| key.clone()));
        let page = list.set_version_id_marker(from.and_then(|(_, version)| version.clone()));
        let page = page.send().await.map_err(CallError::of)?;
        let next = match (page.is_truncated, page.next_key_marker) {
            (Some(true), Some(key)) => Some((key, page.next_version_id_marker)),
            // A page that says there are more and not where must never look like the last one.
            (Some(true), None) => return Err(CallError::incomplete()),
            _ => None,
        };
        let own = |key: Option<String>| Some(key?.strip_prefix(&self.prefix)?.to_owned());
        let version = |key, id, is_delete_marker, put_at: Option<DateTime>| {
            Some(ObjectVersion { key: own(key)?, id, is_delete_marker, put_at: put_at.and_then(second) })
        };
        let versions = page.versions.unwrap_or_default().into_iter();
        let markers = page.delete_markers.unwrap_or_default().into_iter();
        let versions = versions
            .filter_map(|found| version(found.key, found.version_id, false, found.last_modified))
            .chain(markers.filter_map(|found| version(found.key, found.version_id, true, found.last_modified)))
            .collect();
        let folders = page.common_prefixes.unwrap_or_default().into_iter();
        Ok(Page { versions, folders: folders.filter_map(|folder| own(folder.prefix)).collect(), next })
    }

    /// The locks of these objects, in their order. S3 leaves a lock out of its answer for whoever may not see it, so the
    /// permissions are asked for first, at the first key.
    pub async fn locks(&self, keys: &[String]) -> Result<Option<Vec<ObjectLock>>, StoreError> {
        let Some(first) = keys.first() else { return Ok(Some(Vec::new())) };
        if !self.may_see_locks(first).await.map_err(|error| self.failed("ask for the lock", first, error))? {
            return Ok(None);
        }
        let heads = stream::iter(keys).map(|key| async move {
            twice(|| self.head_once(key)).await.map_err(|error| self.failed("head", key, error))
        });
        heads.buffered(HEADS).try_collect().await.map(Some)
    }

    async fn may_see_locks(&self, key: &str) -> Result<bool, CallError> {
        let (bucket, key) = (&self.bucket, &self.full(key));
        let retention = twice(|| async {
            let call = self.client.get_object_retention().bucket(bucket).key(key);
            call.send().await.map(drop).map_err(CallError::of)
        });
        let hold = twice(|| async {
            let call = self.client.get_object_legal_hold().bucket(bucket).key(key);
            call.send().await.map(drop).map_err(CallError::of)
        });
        for answer in [retention.await, hold.await] {
            match answer {
                // Neither an object without a lock nor a bucket without locks keeps anything from being seen.
                Err(error) if matches!(error.status(), Some(400 | 404)) => {}
                answer => {
                    if seen(answer)?.is_none() {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    async fn head_once(&self, key: &str) -> Result<ObjectLock, CallError> {
        let head = self.client.head_object().bucket(&self.bucket).key(self.full(key)).send().await;
        let head = match head.map_err(CallError::of) {
            Ok(head) => head,
            Err(error) if error.status() == Some(404) => return Ok(ObjectLock::default()),
            Err(error) => return Err(error),
        };
        let until = head.object_lock_retain_until_date.and_then(second);
        let mode = head.object_lock_mode.map(|mode| mode.as_str().to_owned());
        let legal_hold = head.object_lock_legal_hold_status == Some(ObjectLockLegalHoldStatus::On);
        Ok(ObjectLock { retention: mode.zip(until), legal_hold })
    }
}

fn second(time: DateTime) -> Option<Timestamp> {
    Timestamp::from_second(time.secs()).ok()
}

/// What was answered; `None` for a refusal, and for a store that says it does not know such a call.
fn seen<T>(answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if matches!(error.status(), Some(401 | 403 | 405 | 501)) => Ok(None),
        Err(error) => Err(error),
    }
}
