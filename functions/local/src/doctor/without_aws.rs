//! What a program that was built without AWS says when it is asked of.

use std::sync::Arc;

use ::doctor::Finding;
use domain::{Clock, Env, Random, TenantId};
use graph::ClientAuth;
use settings::{Credential, S3Address};

use crate::location::PlaceError;
use crate::real::{self, RealError};

/// No AWS.
#[derive(Debug, Default)]
pub struct Account(());

impl Account {
    pub(super) async fn auth(&self, credential: &Credential) -> Result<Arc<dyn ClientAuth>, RealError> {
        real::auth(credential)
    }

    pub(super) async fn federation(&self, _: &'static str) -> Finding {
        super::unusable("federation", &PlaceError::WithoutS3)
    }

    pub(super) async fn bucket(
        &self,
        _: &S3Address,
        _: &dyn Env,
        _: Option<TenantId>,
        _: (&Arc<dyn Clock>, &Arc<dyn Random>),
    ) -> Vec<Finding> {
        vec![super::unusable("bucket", &PlaceError::WithoutS3)]
    }

    pub(super) async fn queue(&self, _: &str) -> Vec<Finding> {
        vec![super::unusable("queue", &PlaceError::WithoutS3)]
    }
}
