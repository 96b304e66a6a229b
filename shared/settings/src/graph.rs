//! How Graph is reached, as whom, and how fast.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use domain::TenantId;
use secrecy::SecretString;
use url::{Host, Url};

use crate::variables::{
    GRAPH_API_VERSION, GRAPH_BASE_URL, GRAPH_CERTIFICATE_FILE, GRAPH_CLIENT_ID, GRAPH_CLIENT_SECRET, GRAPH_CLOUD,
    GRAPH_CREDENTIAL, GRAPH_DATE_FILTER, GRAPH_LOGIN_URL, GRAPH_REQUESTS_PER_SECOND, GRAPH_SECRET_ID,
    WORKER_CONCURRENCY,
};
use crate::{Part, Place, Reader};

/// What SQS accepts as the largest concurrency of a queue; locally one is right.
const CONCURRENCY_BOUNDS: RangeInclusive<u32> = 1..=1000;
/// What Graph grants all applications of the largest tenant together; any more is a slip of the pen.
const MAX_REQUESTS_PER_SECOND: f64 = 1500.0;

/// The tenant, the application and the endpoints.
#[derive(Debug, Clone)]
pub struct GraphSettings {
    /// The Entra tenant.
    pub tenant_id: TenantId,
    /// The application (client) id, a GUID in lower case.
    pub client_id: String,
    /// The national cloud.
    pub cloud: Cloud,
    /// The version of the API.
    pub api_version: ApiVersion,
    /// How the application proves what it is.
    pub credential: Credential,
    /// Another origin of the API than the cloud's, without a path and a trailing slash.
    pub base_url: Option<String>,
    /// Another origin of the token endpoint than the cloud's, without a path and a trailing slash.
    pub login_url: Option<String>,
    /// Whether Graph is asked for windows; else a user's whole history is one piece.
    pub date_filter: bool,
    /// How fast.
    pub pace: Pace,
}

/// A national cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// The worldwide service.
    Global,
    /// US Government L4 (GCC High).
    UsGovL4,
    /// US Government L5 (DoD).
    UsGovL5,
}

impl Cloud {
    const ALL: [Self; 3] = [Self::Global, Self::UsGovL4, Self::UsGovL5];

    /// The word for it in the environment.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::UsGovL4 => "us-gov-l4",
            Self::UsGovL5 => "us-gov-l5",
        }
    }
}

/// A version of the Graph API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// The supported one.
    V1,
    /// The one that may change without notice.
    Beta,
}

impl ApiVersion {
    const ALL: [Self; 2] = [Self::V1, Self::Beta];

    /// The word for it in the environment.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1.0",
            Self::Beta => "beta",
        }
    }
}

/// How the application proves what it is.
#[derive(Debug, Clone)]
pub enum Credential {
    /// With a client secret.
    ClientSecret(Secret),
    /// With a PEM of a certificate and its PKCS #8 key.
    Certificate(Secret),
    /// With a token of this AWS account: there is no secret.
    Federated,
}

/// Where a secret is.
#[derive(Debug, Clone)]
pub enum Secret {
    /// In Secrets Manager, under this name or ARN.
    InSecretsManager(String),
    /// In this file.
    InFile(PathBuf),
    /// Here.
    Given(SecretString),
}

/// How fast Graph may be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// The tenant's budget of requests a second.
    pub requests_per_second: f64,
    /// How many workers share it.
    pub worker_concurrency: u32,
}

impl Pace {
    /// One worker's share of the budget, in requests a second.
    pub fn share(self) -> f64 {
        self.requests_per_second / f64::from(self.worker_concurrency)
    }
}

impl Part for Pace {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let requests_per_second =
            reader.required(&GRAPH_REQUESTS_PER_SECOND, "a number above 0 and at most 1500", requests_per_second);
        let worker_concurrency = reader.number(&WORKER_CONCURRENCY, CONCURRENCY_BOUNDS);
        Some(Self { requests_per_second: requests_per_second?, worker_concurrency: worker_concurrency? })
    }
}

impl Part for GraphSettings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let tenant_id = TenantId::read(reader);
        let client_id = reader.required(&GRAPH_CLIENT_ID, "a GUID", client_id);
        let cloud = reader.required(&GRAPH_CLOUD, "global, us-gov-l4 or us-gov-l5", |text| {
            Cloud::ALL.into_iter().find(|cloud| cloud.as_str() == text)
        });
        let api_version = reader.required(&GRAPH_API_VERSION, "v1.0 or beta", |text| {
            ApiVersion::ALL.into_iter().find(|version| version.as_str() == text)
        });
        let credential = credential(reader);
        let base_url = reader.optional(&GRAPH_BASE_URL, ORIGIN, origin);
        let login_url = reader.optional(&GRAPH_LOGIN_URL, ORIGIN, origin);
        let date_filter = reader.required(&GRAPH_DATE_FILTER, "on or off", |text| match text {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        });
        let pace = Pace::read(reader);
        Some(Self {
            tenant_id: tenant_id?,
            client_id: client_id?,
            cloud: cloud?,
            api_version: api_version?,
            credential: credential?,
            base_url: base_url?,
            login_url: login_url?,
            date_filter: date_filter?,
            pace: pace?,
        })
    }
}

/// The kind of credential, before its secret is known.
#[derive(Clone, Copy)]
enum Kind {
    ClientSecret,
    Certificate,
    Federated,
}

fn credential(reader: &mut Reader<'_>) -> Option<Credential> {
    let kind = match (reader.text(&GRAPH_CREDENTIAL), kind_given(reader)) {
        (None, Some(kind)) => kind,
        _ => reader.required(&GRAPH_CREDENTIAL, "client-secret, certificate or federated", |text| match text {
            "client-secret" => Some(Kind::ClientSecret),
            "certificate" => Some(Kind::Certificate),
            "federated" => Some(Kind::Federated),
            _ => None,
        })?,
    };
    match kind {
        Kind::ClientSecret => client_secret(reader).map(Credential::ClientSecret),
        Kind::Certificate => certificate(reader).map(Credential::Certificate),
        Kind::Federated => Some(Credential::Federated),
    }
}

/// The kind that the local program's own variables speak of, if it is one.
fn kind_given(reader: &Reader<'_>) -> Option<Kind> {
    let given = |variable| reader.place() == Place::Local && reader.text(variable).is_some();
    match (given(&GRAPH_CLIENT_SECRET), given(&GRAPH_CERTIFICATE_FILE)) {
        (true, false) => Some(Kind::ClientSecret),
        (false, true) => Some(Kind::Certificate),
        _ => None,
    }
}

fn client_secret(reader: &mut Reader<'_>) -> Option<Secret> {
    match reader.place() {
        Place::Lambda => secret_id(reader),
        Place::Local => reader
            .required(&GRAPH_CLIENT_SECRET, "the client secret", |text| Some(Secret::Given(SecretString::from(text)))),
    }
}

fn certificate(reader: &mut Reader<'_>) -> Option<Secret> {
    match reader.place() {
        Place::Lambda => secret_id(reader),
        Place::Local => reader.required(&GRAPH_CERTIFICATE_FILE, "the path of a PEM file", |text| {
            Some(Secret::InFile(PathBuf::from(text)))
        }),
    }
}

fn secret_id(reader: &mut Reader<'_>) -> Option<Secret> {
    reader.required(&GRAPH_SECRET_ID, "the name or ARN of a secret, not the secret", |text| {
        // What Secrets Manager allows in a name, and the colons of an ARN.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-:".contains(&byte);
        (text.len() <= 2048 && text.bytes().all(allowed)).then(|| Secret::InSecretsManager(text.to_owned()))
    })
}

fn client_id(text: &str) -> Option<String> {
    // The same form as a tenant's id; it is only ever sent as text, so it needs no type of its own.
    text.parse().ok().map(|id: TenantId| id.to_string())
}

fn requests_per_second(text: &str) -> Option<f64> {
    text.parse().ok().filter(|&number: &f64| number > 0.0 && number <= MAX_REQUESTS_PER_SECOND)
}

const ORIGIN: &str = "an origin such as https://graph.microsoft.com, without a path; plain http for loopback only";

/// The origin of a URL that is nothing else. Tokens go there, so it must be encrypted or stay on the machine.
fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let loopback = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let safe = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    let bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    (safe && bare).then(|| url.origin().ascii_serialization())
}
