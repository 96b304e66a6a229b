//! What a bucket says of how it keeps objects: versions, delete markers, Object Lock.

use domain::Timestamp;

use crate::request::{Refusal, Reply, Request, escape};
use crate::s3::{S3, bucket, bucket_mut, denied_by_policy, no_such_key, without_object_lock};

/// Whether a bucket keeps versions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Versioning {
    /// It never did. (The fake keeps every version for tests to look at, and shows the current ones only.)
    #[default]
    Never,
    /// It did, and does not now.
    Suspended,
    /// It does.
    Enabled,
}

/// An object's lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// The retention's mode and end.
    pub retention: Option<(&'static str, Timestamp)>,
    /// Whether it is under a legal hold.
    pub legal_hold: bool,
}

/// What a bucket's policy refuses to everybody: the two promises that an archive's bucket keeps, and what it may refuse besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Every put that does not say "only if this key is free".
    pub put_once: bool,
    /// Every delete.
    pub delete_nothing: bool,
    /// Every legal hold, put with an object or later.
    pub hold_nothing: bool,
}

/// What is asked of a bucket's or an object's keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeping {
    Versioning,
    DefaultLock,
    Versions,
    Retention,
    LegalHold,
    Head,
    Delete,
    PutLegalHold,
}

impl Keeping {
    pub(crate) const fn action(self) -> &'static str {
        match self {
            Self::Versioning => "GetBucketVersioning",
            Self::DefaultLock => "GetObjectLockConfiguration",
            Self::Versions => "ListObjectVersions",
            Self::Retention => "GetObjectRetention",
            Self::LegalHold => "GetObjectLegalHold",
            Self::Head => "HeadObject",
            Self::Delete => "DeleteObjectVersion",
            Self::PutLegalHold => "PutObjectLegalHold",
        }
    }
}

impl Lock {
    /// Whether it refuses a deletion at this time.
    fn forbids(&self, now: Timestamp, bypass: bool) -> bool {
        let retained =
            self.retention.as_ref().is_some_and(|(mode, until)| *until > now && !(bypass && *mode == "GOVERNANCE"));
        self.legal_hold || retained
    }
}

impl S3 {
    /// Deletes a version for good. Of a bucket that keeps none there is one, `null`, and what tests look at stays.
    pub(crate) fn delete_version(
        &mut self,
        name: &str,
        key: &str,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, Refusal> {
        let bucket = bucket_mut(&mut self.buckets, name)?;
        let gone = Ok(Reply::new(204, "application/xml", ""));
        let Some(history) = bucket.objects.get_mut(key) else { return gone };
        let id = request.parameter("versionId").unwrap_or_default();
        let bypass = request.header("x-amz-bypass-governance-retention") == Some("true");
        if id != MARKER && history.lock.forbids(now, bypass) {
            return Err(Refusal::new(403, "AccessDenied", "access denied because object protected by object lock"));
        }
        match id {
            MARKER => history.removed = None,
            "null" => history.removed = Some(now),
            id => history.versions.retain(|version| version_id(version.number) != id),
        }
        if history.versions.is_empty() && history.removed.is_none() {
            bucket.objects.remove(key);
        }
        gone
    }

    pub(crate) fn lock_of(&self, bucket: &str, key: &str) -> Option<Lock> {
        Some(self.buckets.get(bucket)?.objects.get(key)?.lock.clone())
    }

    /// Of a key's versions all are held or none.
    pub(crate) fn put_legal_hold(&mut self, name: &str, key: &str, request: &Request) -> Result<Reply, Refusal> {
        let bucket = bucket_mut(&mut self.buckets, name)?;
        if bucket.policy.hold_nothing {
            return Err(denied_by_policy());
        }
        if bucket.object_lock.is_none() {
            return Err(without_object_lock());
        }
        let history = bucket.objects.get_mut(key).ok_or_else(no_such_key)?;
        let body = String::from_utf8_lossy(&request.body).into_owned();
        history.lock.legal_hold = match (body.contains("<Status>ON</Status>"), body.contains("<Status>OFF</Status>")) {
            (true, false) => true,
            (false, true) => false,
            _ => return Err(Refusal::new(400, "MalformedXML", "the hold has no status")),
        };
        Ok(Reply::new(200, "application/xml", ""))
    }

    pub(crate) fn keeping(&self, asked: Keeping, name: &str, key: &str, request: &Request) -> Result<Reply, Refusal> {
        let bucket = bucket(&self.buckets, name)?;
        if asked == Keeping::Versioning {
            let status = match bucket.versioning {
                Versioning::Never => "",
                Versioning::Suspended => "<Status>Suspended</Status>",
                Versioning::Enabled => "<Status>Enabled</Status>",
            };
            return Ok(Reply::xml(200, &format!("<VersioningConfiguration>{status}</VersioningConfiguration>")));
        }
        if asked == Keeping::DefaultLock {
            let Some(retention) = bucket.object_lock else {
                let code = "ObjectLockConfigurationNotFoundError";
                return Err(Refusal::new(404, code, "Object Lock configuration does not exist for this bucket"));
            };
            let rule = retention.map(|(mode, days)| {
                format!("<Rule><DefaultRetention><Mode>{mode}</Mode><Days>{days}</Days></DefaultRetention></Rule>")
            });
            return Ok(Reply::xml(
                200,
                &format!(
                    "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{}</ObjectLockConfiguration>",
                    rule.unwrap_or_default()
                ),
            ));
        }
        if asked == Keeping::Versions {
            return self.list_versions(name, request);
        }
        let history = bucket.objects.get(key).ok_or_else(no_such_key)?;
        let current = history.current().ok_or_else(no_such_key)?;
        let Lock { retention, legal_hold } = &history.lock;
        match asked {
            Keeping::Retention => match retention {
                Some((mode, until)) => Ok(Reply::xml(
                    200,
                    &format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"),
                )),
                None => Err(no_lock()),
            },
            Keeping::LegalHold if *legal_hold => Ok(Reply::xml(200, "<LegalHold><Status>ON</Status></LegalHold>")),
            Keeping::LegalHold => Err(no_lock()),
            _ => {
                let mut reply = Reply::new(200, "binary/octet-stream", current.bytes.clone());
                if let Some((mode, until)) = retention {
                    reply = reply.header("x-amz-object-lock-mode", *mode);
                    reply = reply.header("x-amz-object-lock-retain-until-date", until.to_string());
                }
                if *legal_hold {
                    reply = reply.header("x-amz-object-lock-legal-hold", "ON");
                }
                Ok(reply)
            }
        }
    }

    /// Every version and marker of a key stands on one page; a page ends after so many keys. A folder stands for all keys
    /// below it and counts as one.
    fn list_versions(&self, name: &str, request: &Request) -> Result<Reply, Refusal> {
        let bucket = bucket(&self.buckets, name)?;
        let prefix = request.parameter("prefix").unwrap_or_default();
        let after = request.parameter("key-marker");
        let delimiter = request.parameter("delimiter").filter(|delimiter| !delimiter.is_empty());
        let folder = |key: &str| {
            let end = key[prefix.len()..].find(delimiter?)?;
            Some(key[..prefix.len() + end + delimiter?.len()].to_owned())
        };
        let mut last_folder = None;
        let mut left = bucket.objects.iter().filter(|(key, history)| {
            let shown = bucket.versioning != Versioning::Never || history.current().is_some();
            // The marker of a page that ended with a folder is the folder.
            let before = |after: &str| key.as_str() <= after || (after.ends_with('/') && key.starts_with(after));
            if !shown || !key.starts_with(prefix) || after.is_some_and(before) {
                return false;
            }
            let folder = folder(key);
            let seen = folder.is_some() && folder == last_folder;
            last_folder = folder.or(last_folder.take());
            !seen
        });
        let page: Vec<_> = left.by_ref().take(self.page).collect();
        let more = left.next().is_some();
        let mut xml = format!("<ListVersionsResult><IsTruncated>{more}</IsTruncated>");
        if let Some((last, _)) = page.last().filter(|_| more) {
            let last = folder(last).unwrap_or_else(|| last.to_string());
            xml += &format!("<NextKeyMarker>{}</NextKeyMarker>", escape(&last));
        }
        for (key, history) in page {
            if let Some(folder) = folder(key) {
                xml += &format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escape(&folder));
                continue;
            }
            let entry = |kind: &str, id: &str, at: Timestamp| {
                let key = escape(key);
                format!("<{kind}><Key>{key}</Key><VersionId>{id}</VersionId><LastModified>{at}</LastModified></{kind}>")
            };
            match bucket.versioning {
                Versioning::Never => {
                    history.current().into_iter().for_each(|one| xml += &entry("Version", "null", one.at))
                }
                _ => history.versions.iter().for_each(|one| xml += &entry("Version", &version_id(one.number), one.at)),
            }
            if let Some(at) = history.removed {
                xml += &entry("DeleteMarker", MARKER, at);
            }
        }
        Ok(Reply::xml(200, &(xml + "</ListVersionsResult>")))
    }
}

/// The id of a key's delete marker.
const MARKER: &str = "d";

fn version_id(number: usize) -> String {
    format!("v{number}")
}

fn no_lock() -> Refusal {
    Refusal::new(404, "NoSuchObjectLockConfiguration", "the specified object does not have an ObjectLock configuration")
}
