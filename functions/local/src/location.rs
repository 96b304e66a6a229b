//! Where an archive lies: in a folder, or in a part of a bucket.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use archive::Stores;
use archive::folder::FolderStore;
use custody::Vaults;
use domain::Env;
use evidence::{Folder, Source};
use settings::{InvalidConfiguration, S3Address, S3AddressError};

/// What an address in S3 begins with.
const S3: &str = "s3://";

/// Where an archive lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In this folder.
    Folder(PathBuf),
    /// In this part of a bucket.
    Bucket(S3Address),
}

impl FromStr for Location {
    type Err = S3AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with(S3) { text.parse().map(Self::Bucket) } else { Ok(Self::Folder(text.into())) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Bucket(address) => write!(f, "{address}"),
        }
    }
}

impl Location {
    /// The archive as an auditor reads it.
    pub async fn source(&self) -> Result<Box<dyn Source>, PlaceError> {
        match self {
            Self::Folder(path) => Ok(Box::new(Folder::new(path))),
            #[cfg(feature = "s3")]
            Self::Bucket(address) => Ok(Box::new(crate::s3::Bridge::open(address).await?)),
            #[cfg(not(feature = "s3"))]
            Self::Bucket(_) => Err(PlaceError::WithoutS3),
        }
    }

    /// The size of an object, where that costs no request.
    pub fn size(&self, key: &str) -> Option<u64> {
        match self {
            Self::Folder(path) => Some(std::fs::metadata(path.join(key)).map_or(0, |file| file.len())),
            Self::Bucket(_) => None,
        }
    }
}

/// A place to keep an archive in.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where it is.
    pub location: Location,
    /// How it is read and written.
    pub stores: Stores,
}

/// A place as its operator uses it, who may delete.
#[derive(Debug, Clone)]
pub struct Estate {
    /// The place.
    pub place: Place,
    /// What deletes in it.
    pub vaults: Vaults,
    /// Where the state lies, for people; nothing where nobody said so, and it is taken to lie beside the rest.
    pub state: Option<String>,
}

impl Estate {
    /// The estate at this location; the environment may name another bucket for the state. Nothing is made before the first
    /// put.
    pub async fn open(location: &Location, env: &dyn Env) -> Result<Self, PlaceError> {
        match location {
            Location::Folder(path) => Self::folder(path),
            #[cfg(feature = "s3")]
            Location::Bucket(address) => Ok(crate::s3::estate(address, env).await?),
            #[cfg(not(feature = "s3"))]
            Location::Bucket(_) => {
                let _ = env;
                Err(PlaceError::WithoutS3)
            }
        }
    }

    /// The estate in this folder.
    pub fn folder(path: &Path) -> Result<Self, PlaceError> {
        let store = FolderStore::open(path).map_err(|source| PlaceError::Folder { path: path.to_owned(), source })?;
        let store = Arc::new(store);
        let stores = Stores { evidence: Arc::clone(&store) as _, state: Arc::clone(&store) as _ };
        let vaults = Vaults { evidence: Arc::clone(&store) as _, state: store };
        let place = Place { location: Location::Folder(path.to_owned()), stores };
        Ok(Self { place, vaults, state: Some("the same place".to_owned()) })
    }
}

/// A place that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The folder.
    #[error("the folder {} cannot be used as an archive; name a folder that can be read and written", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The variable that names the state's bucket.
    #[error(transparent)]
    Configuration(#[from] InvalidConfiguration),
    /// The SDK knows no region.
    #[cfg(feature = "s3")]
    #[error(transparent)]
    Region(#[from] aws::NoRegion),
    /// The program knows no S3.
    #[error("this program was built without S3; build it with: cargo build --package copilot-archive --features s3")]
    WithoutS3,
}

impl Place {
    /// The place at this location, as [`Estate::open`] finds it.
    pub async fn open(location: &Location, env: &dyn Env) -> Result<Self, PlaceError> {
        Ok(Estate::open(location, env).await?.place)
    }

    /// The place in this folder.
    pub fn folder(path: &Path) -> Result<Self, PlaceError> {
        Ok(Estate::folder(path)?.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_an_address_in_s3_is_one_and_the_rest_are_folders() {
        for text in ["./archive", "/mnt/s3", "s3", "s3:/a"] {
            assert_eq!(text.parse(), Ok(Location::Folder(text.into())), "{text}");
        }
        let bucket: Location = "s3://acme-archive/copilot/".parse().unwrap();
        assert!(matches!(&bucket, Location::Bucket(address) if address.prefix == "copilot/"));
        assert_eq!(bucket.to_string(), "s3://acme-archive/copilot/");
        assert_eq!("s3://Acme".parse::<Location>(), Err(S3AddressError));
    }

    #[cfg(not(feature = "s3"))]
    #[tokio::test]
    async fn a_program_without_s3_says_how_to_build_one_with_it() {
        let bucket: Location = "s3://acme-archive".parse().unwrap();
        let read = bucket.source().await.err().unwrap();
        let written = Place::open(&bucket, &domain::MapEnv::default()).await.unwrap_err();
        for error in [read, written] {
            assert!(error.to_string().contains("--features s3"), "{error}");
        }
    }
}
