//! What only an operator does in a bucket: deletes versions for good, and holds them.

use archive::store::{LegalHold, StoreError};
use aws_sdk_s3::types::{ObjectLockEnabled, ObjectLockLegalHold, ObjectLockLegalHoldStatus};
use domain::Timestamp;

use crate::call::CallError;
use crate::keeping::{ObjectLock, ObjectVersion};
use crate::s3::{S3Store, twice};

impl S3Store {
    /// Deletes a version for good; of one that is gone S3 says that it is deleted. A lock refuses it with 403. A governance
    /// retention is set aside only if that is asked for, which needs a permission of its own.
    pub async fn delete_version(&self, version: &ObjectVersion, bypass_governance: bool) -> Result<(), StoreError> {
        let delete = self.client.delete_object().bucket(&self.bucket).key(self.full(&version.key));
        let delete = delete.set_version_id(version.id.clone());
        let delete = delete.set_bypass_governance_retention(bypass_governance.then_some(true));
        let answer = delete.send().await.map_err(CallError::of);
        answer.map(drop).map_err(|error| self.failed("delete", &version.key, error))
    }

    /// Whether the bucket has Object Lock, without which it holds nothing.
    pub async fn has_object_lock(&self) -> Result<bool, StoreError> {
        let answer = twice(|| async {
            let call = self.client.get_object_lock_configuration().bucket(&self.bucket);
            call.send().await.map_err(CallError::of)
        });
        let answer = without_lock(answer.await).map_err(|error| self.failed("ask for the locks", "", error))?;
        let configuration = answer.and_then(|answer| answer.object_lock_configuration);
        Ok(configuration.and_then(|found| found.object_lock_enabled) == Some(ObjectLockEnabled::Enabled))
    }

    /// Puts a legal hold on a version, or takes it away.
    pub async fn set_legal_hold(&self, version: &ObjectVersion, hold: LegalHold) -> Result<(), StoreError> {
        let status = match hold {
            LegalHold::On => ObjectLockLegalHoldStatus::On,
            LegalHold::Off => ObjectLockLegalHoldStatus::Off,
        };
        let hold = self.client.put_object_legal_hold().bucket(&self.bucket).key(self.full(&version.key));
        let hold = hold.set_version_id(version.id.clone());
        let hold = hold.legal_hold(ObjectLockLegalHold::builder().status(status).build());
        let answer = hold.send().await.map_err(CallError::of);
        answer.map(drop).map_err(|error| self.failed("hold", &version.key, error))
    }

    /// What keeps a version. Whoever may not see it is refused, so that no lock is taken for none.
    pub async fn lock_of(&self, version: &ObjectVersion) -> Result<ObjectLock, StoreError> {
        let (bucket, key) = (&self.bucket, &self.full(&version.key));
        let retention = twice(|| async {
            let call = self.client.get_object_retention().bucket(bucket).key(key);
            call.set_version_id(version.id.clone()).send().await.map_err(CallError::of)
        });
        let hold = twice(|| async {
            let call = self.client.get_object_legal_hold().bucket(bucket).key(key);
            call.set_version_id(version.id.clone()).send().await.map_err(CallError::of)
        });
        let failed = |error| self.failed("ask for the lock", &version.key, error);
        let retention = without_lock(retention.await).map_err(failed)?.and_then(|answer| answer.retention);
        let until = retention.as_ref().and_then(|retention| retention.retain_until_date);
        let until = until.and_then(|time| Timestamp::from_second(time.secs()).ok());
        let mode = retention.and_then(|retention| retention.mode).map(|mode| mode.as_str().to_owned());
        let hold = without_lock(hold.await).map_err(failed)?.and_then(|answer| answer.legal_hold);
        let legal_hold = hold.is_some_and(|hold| hold.status == Some(ObjectLockLegalHoldStatus::On));
        Ok(ObjectLock { retention: mode.zip(until), legal_hold })
    }
}

/// An object without a lock is answered by 404, a bucket without locks by 400.
fn without_lock<T>(answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if matches!(error.status(), Some(400 | 404)) => Ok(None),
        Err(error) => Err(error),
    }
}
