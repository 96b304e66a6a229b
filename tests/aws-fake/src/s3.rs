//! Objects: conditional puts under one lock, listings by page, every version kept.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::Timestamp;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::fault::Landing;
use crate::keeping::{Keeping, Lock, Policy, Versioning};
use crate::request::{Refusal, Reply, Request, base64, escape, hex, md5_hex};

/// Keys of a page of a listing, as with S3.
const PAGE: usize = 1000;

/// What a put was bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutCondition {
    /// Nothing: it replaces whatever is there.
    None,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match`.
    Version(String),
}

/// A version of an object, as it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The content.
    pub bytes: Bytes,
    /// Its name, quotes included.
    pub etag: String,
    /// The SHA-256 that the put carried, in base64.
    pub sha256: Option<String>,
    /// What the put was bound to.
    pub condition: PutCondition,
    /// When it was put.
    pub at: Timestamp,
    /// Which of the key's versions it is, from 0.
    pub number: usize,
}

/// All buckets.
#[derive(Debug)]
pub(crate) struct S3 {
    pub(crate) buckets: BTreeMap<String, Bucket>,
    late: Vec<Late>,
    pub(crate) page: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) objects: BTreeMap<String, History>,
    pub(crate) versioning: Versioning,
    pub(crate) policy: Policy,
    /// Whether it has Object Lock, with the retention that each object gets by itself if there is one.
    pub(crate) object_lock: Option<Option<(&'static str, u32)>>,
}

/// Every version of a key, oldest first. After a removal there is no current one.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) versions: Vec<Version>,
    /// Versions that were ever put.
    put: usize,
    /// When it was removed.
    pub(crate) removed: Option<Timestamp>,
    pub(crate) lock: Lock,
}

#[derive(Debug)]
struct Late {
    put: Put,
    landing: Landing,
}

/// A put, whatever its condition says.
#[derive(Debug, Clone)]
pub(crate) struct Put {
    bucket: String,
    key: String,
    bytes: Bytes,
    sha256: Option<String>,
    condition: PutCondition,
    /// Whether it is to be under a legal hold.
    hold: bool,
    /// What is wrong with it. S3 looks at it after the rights.
    flaw: Option<Refusal>,
}

/// What a request asks of S3.
#[derive(Debug)]
pub(crate) enum Asked {
    CreateBucket(String),
    Put(Put),
    Get { bucket: String, key: String },
    Delete { bucket: String, key: String, etag: Option<String> },
    List { bucket: String, prefix: String },
    Keeping { asked: Keeping, bucket: String, key: String },
    Unknown(Refusal),
}

impl Asked {
    pub(crate) fn read(request: &Request) -> Self {
        let path = request.path.trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let asked = |name: &str| request.parameter(name).is_some();
        match (&request.method, key.is_empty()) {
            (&Method::PUT, true) => Self::CreateBucket(bucket),
            (&Method::PUT, false) if asked("legal-hold") => Self::Keeping { asked: Keeping::PutLegalHold, bucket, key },
            (&Method::PUT, false) => Self::Put(Put::read(request, bucket, key)),
            (&Method::DELETE, false) if asked("versionId") => Self::Keeping { asked: Keeping::Delete, bucket, key },
            (&Method::DELETE, false) => {
                Self::Delete { bucket, key, etag: request.header("if-match").map(str::to_owned) }
            }
            (&Method::HEAD, false) => Self::Keeping { asked: Keeping::Head, bucket, key },
            (&Method::GET, true) if asked("versioning") => Self::Keeping { asked: Keeping::Versioning, bucket, key },
            (&Method::GET, true) if asked("object-lock") => Self::Keeping { asked: Keeping::DefaultLock, bucket, key },
            (&Method::GET, true) if asked("versions") => Self::Keeping { asked: Keeping::Versions, bucket, key },
            (&Method::GET, false) if asked("retention") => Self::Keeping { asked: Keeping::Retention, bucket, key },
            (&Method::GET, false) if asked("legal-hold") => Self::Keeping { asked: Keeping::LegalHold, bucket, key },
            (&Method::GET, false) => Self::Get { bucket, key },
            (&Method::GET, true) if request.parameter("list-type") == Some("2") => {
                Self::List { bucket, prefix: request.parameter("prefix").unwrap_or_default().to_owned() }
            }
            _ => Self::Unknown(Refusal::new(501, "NotImplemented", "this fake does not do that")),
        }
    }

    pub(crate) fn action(&self) -> &'static str {
        match self {
            Self::CreateBucket(_) => "CreateBucket",
            Self::Put(_) => "PutObject",
            Self::Get { .. } => "GetObject",
            Self::Delete { .. } => "DeleteObject",
            Self::List { .. } => "ListObjectsV2",
            Self::Keeping { asked, .. } => asked.action(),
            Self::Unknown(_) => "Unknown",
        }
    }

    /// Whether it puts an object under a legal hold, which takes a right of its own.
    pub(crate) const fn holds(&self) -> bool {
        matches!(self, Self::Put(put) if put.hold)
    }

    pub(crate) fn resource(&self) -> String {
        match self {
            Self::CreateBucket(bucket) => bucket.clone(),
            Self::Put(put) => format!("{}/{}", put.bucket, put.key),
            Self::Get { bucket, key } | Self::Delete { bucket, key, .. } | Self::Keeping { bucket, key, .. } => {
                format!("{bucket}/{key}")
            }
            Self::List { bucket, prefix } => format!("{bucket}/{prefix}"),
            Self::Unknown(_) => String::new(),
        }
    }
}

impl Put {
    fn read(request: &Request, bucket: String, key: String) -> Self {
        let bytes = request.body.clone();
        let sha256 = request.header("x-amz-checksum-sha256").map(str::to_owned);
        let (condition, unsupported) = match (request.header("if-none-match"), request.header("if-match")) {
            (None, None) => (PutCondition::None, false),
            (Some("*"), None) => (PutCondition::Absent, false),
            (None, Some(etag)) => (PutCondition::Version(etag.to_owned()), false),
            _ => (PutCondition::None, true),
        };
        let unsupported = unsupported.then(|| Refusal::new(501, "NotImplemented", "such a condition is not supported"));
        let hold = request.header("x-amz-object-lock-legal-hold");
        let unchecked = hold.is_some() && sha256.is_none() && request.header("content-md5").is_none();
        let unchecked = unchecked.then(|| Refusal::new(400, "InvalidRequest", "a hold is put with a checksum only"));
        let hold = match hold {
            None | Some("OFF") => Ok(false),
            Some("ON") => Ok(true),
            Some(_) => Err(Refusal::new(400, "InvalidArgument", "a hold is ON or OFF")),
        };
        let flaw = wrong_content(request, sha256.as_deref()).or(unsupported).or(unchecked).or(hold.clone().err());
        Self { bucket, key, bytes, sha256, condition, hold: hold.unwrap_or_default(), flaw }
    }
}

/// What is wrong with a body, compared with what its headers say of it.
fn wrong_content(request: &Request, sha256: Option<&str>) -> Option<Refusal> {
    let digest = Sha256::digest(&request.body);
    match request.header("x-amz-content-sha256") {
        Some(chunked) if chunked.starts_with("STREAMING") => {
            return Some(Refusal::new(501, "NotImplemented", "bodies in chunks are not read"));
        }
        Some(sent) if sent != "UNSIGNED-PAYLOAD" && sent != hex(&digest) => {
            return Some(Refusal::new(400, "XAmzContentSHA256Mismatch", "the signed hash is not the content's"));
        }
        _ => {}
    }
    let differs = sha256.is_some_and(|sent| sent != base64(&digest));
    differs.then(|| Refusal::new(400, "BadDigest", "the SHA256 you specified did not match the content's"))
}

impl Default for S3 {
    fn default() -> Self {
        Self { buckets: BTreeMap::new(), late: Vec::new(), page: PAGE }
    }
}

impl S3 {
    pub(crate) fn create_bucket(&mut self, name: &str) {
        self.buckets.entry(name.to_owned()).or_default();
    }

    pub(crate) fn set_page(&mut self, keys: usize) {
        self.page = keys.clamp(1, PAGE);
    }

    pub(crate) fn current(&self, bucket: &str) -> BTreeMap<String, Version> {
        let objects = self.buckets.get(bucket).into_iter().flat_map(|bucket| &bucket.objects);
        objects.filter_map(|(key, history)| Some((key.clone(), history.current()?.clone()))).collect()
    }

    pub(crate) fn versions(&self, bucket: &str, key: &str) -> Vec<Version> {
        let history = self.buckets.get(bucket).and_then(|bucket| bucket.objects.get(key));
        history.map(|history| history.versions.clone()).unwrap_or_default()
    }

    /// As somebody outside the program might.
    pub(crate) fn remove(&mut self, bucket: &str, key: &str, now: Timestamp) {
        if let Some(history) = self.buckets.get_mut(bucket).and_then(|bucket| bucket.objects.get_mut(key)) {
            history.removed = Some(now);
        }
    }

    pub(crate) fn set_versioning(&mut self, bucket: &str, versioning: Versioning) {
        self.buckets.entry(bucket.to_owned()).or_default().versioning = versioning;
    }

    pub(crate) fn set_policy(&mut self, bucket: &str, policy: Policy) {
        self.buckets.entry(bucket.to_owned()).or_default().policy = policy;
    }

    pub(crate) fn set_object_lock(&mut self, bucket: &str, retention: Option<(&'static str, u32)>) {
        self.buckets.entry(bucket.to_owned()).or_default().object_lock = Some(retention);
    }

    pub(crate) fn set_lock(&mut self, bucket: &str, key: &str, lock: Lock) {
        let bucket = self.buckets.entry(bucket.to_owned()).or_default();
        bucket.objects.entry(key.to_owned()).or_default().lock = lock;
    }

    /// As somebody outside the program might.
    pub(crate) fn overwrite(&mut self, bucket: &str, key: &str, bytes: Bytes, now: Timestamp) {
        self.create_bucket(bucket);
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let put = Put { bucket, key, bytes, sha256: None, condition: PutCondition::None, hold: false, flaw: None };
        // Without a condition and with its bucket there is nothing to refuse.
        let _ = self.put(put, now);
    }

    pub(crate) fn put_later(&mut self, put: Put, landing: Landing) {
        self.late.push(Late { put, landing });
    }

    /// Lands what is late and on demand. Answers of how many puts the condition still held.
    pub(crate) fn land(&mut self, now: Timestamp) -> usize {
        self.land_those(now, |landing| *landing == Landing::OnDemand)
    }

    /// Lands what is due before this call.
    pub(crate) fn before_call(&mut self, now: Timestamp) {
        self.land_those(now, |landing| match landing {
            Landing::BeforeCall(calls) => {
                *calls = calls.saturating_sub(1);
                *calls == 0
            }
            Landing::OnDemand | Landing::Never => false,
        });
    }

    fn land_those(&mut self, now: Timestamp, mut due: impl FnMut(&mut Landing) -> bool) -> usize {
        let due: Vec<Late> = self.late.extract_if(.., |late| due(&mut late.landing)).collect();
        due.into_iter().filter(|late| self.put(late.put.clone(), now).is_ok()).count()
    }

    pub(crate) fn answer(&mut self, asked: Asked, request: &Request, now: Timestamp) -> Result<Reply, Refusal> {
        match asked {
            Asked::CreateBucket(bucket) => {
                self.create_bucket(&bucket);
                Ok(Reply::new(200, "application/xml", ""))
            }
            Asked::Put(put) => {
                let policy = bucket(&self.buckets, &put.bucket)?.policy;
                if (policy.put_once && put.condition != PutCondition::Absent) || (policy.hold_nothing && put.hold) {
                    return Err(denied_by_policy());
                }
                let etag = self.put(put, now)?;
                Ok(Reply::new(200, "application/xml", "").header("etag", etag))
            }
            Asked::Get { bucket, key } => self.get(&bucket, &key, request),
            Asked::Delete { bucket, key, etag } => self.delete(&bucket, &key, etag.as_deref(), now),
            Asked::List { bucket, prefix } => self.list(&bucket, &prefix, request),
            Asked::Keeping { asked: Keeping::Delete, bucket, key } => self.delete_version(&bucket, &key, request, now),
            Asked::Keeping { asked: Keeping::PutLegalHold, bucket, key } => self.put_legal_hold(&bucket, &key, request),
            Asked::Keeping { asked, bucket, key } => self.keeping(asked, &bucket, &key, request),
            Asked::Unknown(refusal) => Err(refusal),
        }
    }

    fn put(&mut self, put: Put, now: Timestamp) -> Result<String, Refusal> {
        let bucket = bucket_mut(&mut self.buckets, &put.bucket)?;
        if let Some(flaw) = put.flaw {
            return Err(flaw);
        }
        if put.hold && bucket.object_lock.is_none() {
            return Err(without_object_lock());
        }
        let objects = &mut bucket.objects;
        let current = objects.get(&put.key).and_then(History::current);
        match (&put.condition, current) {
            (PutCondition::Absent, Some(_)) => return Err(not_met()),
            (PutCondition::Version(_), None) => return Err(no_such_key()),
            (PutCondition::Version(etag), Some(current)) if *etag != current.etag => return Err(not_met()),
            _ => {}
        }
        let etag = format!("\"{}\"", md5_hex(&put.bytes));
        let Put { key, bytes, sha256, condition, hold, .. } = put;
        let history = objects.entry(key).or_default();
        history.versions.push(Version { bytes, etag: etag.clone(), sha256, condition, at: now, number: history.put });
        history.put += 1;
        history.lock.legal_hold |= hold;
        history.removed = None;
        Ok(etag)
    }

    fn delete(&mut self, name: &str, key: &str, etag: Option<&str>, now: Timestamp) -> Result<Reply, Refusal> {
        let bucket = bucket_mut(&mut self.buckets, name)?;
        if bucket.policy.delete_nothing {
            return Err(denied_by_policy());
        }
        let current = bucket.objects.get(key).and_then(History::current);
        match (etag, current) {
            (Some(_), None) => return Err(no_such_key()),
            (Some(etag), Some(current)) if etag != current.etag => return Err(not_met()),
            _ => {}
        }
        bucket.objects.entry(key.to_owned()).or_default().removed = Some(now);
        Ok(Reply::new(204, "application/xml", ""))
    }

    fn get(&self, name: &str, key: &str, request: &Request) -> Result<Reply, Refusal> {
        let bucket = bucket(&self.buckets, name)?;
        let version = bucket.objects.get(key).and_then(History::current).ok_or_else(no_such_key)?;
        let mut reply = Reply::new(200, "binary/octet-stream", version.bytes.clone())
            .header("etag", version.etag.clone())
            .header("last-modified", version.at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        if let Some(sha256) = &version.sha256
            && request.header("x-amz-checksum-mode") == Some("ENABLED")
        {
            reply = reply.header("x-amz-checksum-sha256", sha256.clone()).header("x-amz-checksum-type", "FULL_OBJECT");
        }
        Ok(reply)
    }

    fn list(&self, name: &str, prefix: &str, request: &Request) -> Result<Reply, Refusal> {
        if request.parameter("delimiter").is_some_and(|delimiter| !delimiter.is_empty()) {
            return Err(Refusal::new(501, "NotImplemented", "listings by folder are not done"));
        }
        let asked = request.parameter("max-keys").and_then(|number| number.parse().ok()).unwrap_or(PAGE);
        let page = self.page.min(asked);
        let encode = request.parameter("encoding-type") == Some("url");
        let objects = &bucket(&self.buckets, name)?.objects;
        // The token is the last key of the page before, in another form so that nobody takes it for a key.
        let after = match request.parameter("continuation-token") {
            Some(token) => Some(token.strip_prefix("after:").ok_or_else(bad_token)?),
            None => request.parameter("start-after"),
        };
        let mut left = objects
            .iter()
            .filter_map(|(key, history)| Some((key, history.current()?)))
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
        let shown: Vec<_> = left.by_ref().take(page).collect();
        let next = left.next().and(shown.last()).map(|(key, _)| format!("after:{key}"));
        let written =
            |text: &str| if encode { utf8_percent_encode(text, NON_ALPHANUMERIC).to_string() } else { escape(text) };
        let mut xml = format!(
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{}</Name><Prefix>{}</Prefix>\
             <KeyCount>{}</KeyCount><MaxKeys>{page}</MaxKeys><IsTruncated>{}</IsTruncated>",
            escape(name),
            written(prefix),
            shown.len(),
            next.is_some(),
        );
        if encode {
            xml += "<EncodingType>url</EncodingType>";
        }
        if let Some(next) = next {
            xml += &format!("<NextContinuationToken>{}</NextContinuationToken>", escape(&next));
        }
        for (key, version) in shown {
            xml += &format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size>\
                 <StorageClass>STANDARD</StorageClass></Contents>",
                written(key),
                version.at,
                escape(&version.etag),
                version.bytes.len(),
            );
        }
        xml += "</ListBucketResult>";
        Ok(Reply::xml(200, &xml))
    }
}

impl History {
    pub(crate) fn current(&self) -> Option<&Version> {
        if self.removed.is_some() { None } else { self.versions.last() }
    }
}

pub(crate) fn bucket<'a>(buckets: &'a BTreeMap<String, Bucket>, name: &str) -> Result<&'a Bucket, Refusal> {
    buckets.get(name).ok_or_else(no_such_bucket)
}

pub(crate) fn bucket_mut<'a>(buckets: &'a mut BTreeMap<String, Bucket>, name: &str) -> Result<&'a mut Bucket, Refusal> {
    buckets.get_mut(name).ok_or_else(no_such_bucket)
}

fn no_such_bucket() -> Refusal {
    Refusal::new(404, "NoSuchBucket", "the specified bucket does not exist")
}

pub(crate) fn no_such_key() -> Refusal {
    Refusal::new(404, "NoSuchKey", "the specified key does not exist")
}

fn not_met() -> Refusal {
    Refusal::new(412, "PreconditionFailed", "at least one of the conditions you specified did not hold")
}

pub(crate) fn without_object_lock() -> Refusal {
    Refusal::new(400, "InvalidRequest", "bucket is missing object lock configuration")
}

pub(crate) fn denied_by_policy() -> Refusal {
    Refusal::new(403, "AccessDenied", "not authorized to perform this with an explicit deny in a resource-based policy")
}

fn bad_token() -> Refusal {
    Refusal::new(400, "InvalidArgument", "the continuation token provided is incorrect")
}

/// An error in S3's form.
pub(crate) fn error(refusal: &Refusal) -> Reply {
    let (code, message) = (escape(&refusal.code), escape(&refusal.message));
    Reply::xml(
        refusal.status,
        &format!("<Error><Code>{code}</Code><Message>{message}</Message><RequestId>fake</RequestId></Error>"),
    )
}
