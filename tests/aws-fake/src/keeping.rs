//! What a bucket says of how it keeps objects: versions, delete markers, Object Lock.

use domain::Timestamp;

use crate::request::{Refusal, Reply, Request, escape};
use crate::s3::{S3, bucket, no_such_key};

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

/// What a bucket's policy refuses to everybody: the two promises that an archive's bucket keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Every put that does not say "only if this key is free".
    pub put_once: bool,
    /// Every delete.
    pub delete_nothing: bool,
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
        }
    }
}

impl S3 {
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
            let Some((mode, days)) = bucket.default_lock else {
                let code = "ObjectLockConfigurationNotFoundError";
                return Err(Refusal::new(404, code, "Object Lock configuration does not exist for this bucket"));
            };
            return Ok(Reply::xml(
                200,
                &format!(
                    "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
                     <Mode>{mode}</Mode><Days>{days}</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
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

    /// Every version and marker of a key stands on one page; a page ends after so many keys.
    fn list_versions(&self, name: &str, request: &Request) -> Result<Reply, Refusal> {
        let bucket = bucket(&self.buckets, name)?;
        let prefix = request.parameter("prefix").unwrap_or_default();
        let after = request.parameter("key-marker");
        let mut left = bucket.objects.iter().filter(|(key, history)| {
            let shown = bucket.versioning != Versioning::Never || history.current().is_some();
            shown && key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        });
        let page: Vec<_> = left.by_ref().take(self.page).collect();
        let more = left.next().is_some();
        let mut xml = format!("<ListVersionsResult><IsTruncated>{more}</IsTruncated>");
        if let Some((last, _)) = page.last().filter(|_| more) {
            xml += &format!("<NextKeyMarker>{}</NextKeyMarker>", escape(last));
        }
        for (key, history) in page {
            let count = if bucket.versioning == Versioning::Never { 1 } else { history.versions.len() };
            for number in 0..count {
                xml += &format!("<Version><Key>{}</Key><VersionId>v{number}</VersionId></Version>", escape(key));
            }
            if history.removed {
                xml += &format!("<DeleteMarker><Key>{}</Key><VersionId>d</VersionId></DeleteMarker>", escape(key));
            }
        }
        Ok(Reply::xml(200, &(xml + "</ListVersionsResult>")))
    }
}

fn no_lock() -> Refusal {
    Refusal::new(404, "NoSuchObjectLockConfiguration", "the specified object does not have an ObjectLock configuration")
}
