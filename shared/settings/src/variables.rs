//! The one table of variables: what the parser takes names and defaults from, and documentation is printed from.

/// An environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its value if it is not set. `None`: it is required where it is used, unless its meaning says otherwise.
    pub default: Option<&'static str>,
    /// What stands in for `default` in the local program, where that differs.
    pub local_default: Option<&'static str>,
    /// What it says: a fragment without a full stop.
    pub meaning: &'static str,
}

macro_rules! variables {
    ($($name:ident $(= $default:literal $(/ local $local:literal)?)?: $meaning:literal;)*) => {
        $(pub(crate) const $name: Variable = Variable {
            name: stringify!($name),
            default: variables!(@default $($default)?),
            local_default: variables!(@default $($($local)?)?),
            meaning: $meaning,
        };)*

        /// Every variable, in the order in which documentation lists them.
        pub const VARIABLES: &[Variable] = &[$($name),*];
    };
    (@default) => { None };
    (@default $value:literal) => { Some($value) };
}

variables! {
    GRAPH_TENANT_ID: "the id of the Entra tenant";
    GRAPH_CLIENT_ID: "the application (client) id of the app registration";
    GRAPH_CLOUD = "global": "the national cloud: global, us-gov-l4 or us-gov-l5";
    GRAPH_API_VERSION = "v1.0": "the version of the Graph API: v1.0 or beta";
    GRAPH_CREDENTIAL: "how the application proves what it is: client-secret, certificate or federated (local program: \
        taken from the one of GRAPH_CLIENT_SECRET and GRAPH_CERTIFICATE_FILE that is set)";
    GRAPH_SECRET_ID: "name or ARN of the Secrets Manager secret that holds the client secret, or a PEM with the \
        certificate and its PKCS #8 key; not used with federated, nor by the local program";
    GRAPH_CLIENT_SECRET: "local program only: the client secret";
    GRAPH_CERTIFICATE_FILE: "local program only: path of a PEM with the certificate and its PKCS #8 key";
    GRAPH_BASE_URL = "": "origin of the Graph API, empty for that of the cloud";
    GRAPH_LOGIN_URL = "": "origin of the token endpoint, empty for that of the cloud";
    GRAPH_DATE_FILTER = "on": "whether Graph is asked for windows: on, or off to read each user's whole history as one";
    GRAPH_REQUESTS_PER_SECOND = "24": "the tenant's budget of Graph requests a second, shared by all workers";
    WORKER_CONCURRENCY = "2" / local "1": "how many workers run at once; each takes its share of the budget";
    WORK_QUEUE_URL: "URL of the SQS queue of users to read";
    ARCHIVE_BUCKET: "the bucket of the archive";
    STATE_BUCKET = "": "the bucket of the checkpoints, empty for the archive bucket";
    ARCHIVE_PREFIX = "": "put as is before every key, in both buckets";
    SETTLE_MINUTES = "120": "how long before now a window ends, so that what Graph shows late is not missed";
    OVERLAP_HOURS = "72": "how much of what is covered each daily run reads again, for late items";
    HISTORY_START = "2023-11-01T00:00:00Z": "how far back history runs read";
    HISTORY_HOURS = "6": "how long a history run may begin new work";
    QUIET_SECONDS = "60": "how far apart two readings of an empty queue lie before it counts as empty";
    INCLUDE_GROUPS = "": "ids of groups, comma-separated: only their members are archived; empty for everybody";
    EXCLUDE_GROUPS = "": "ids of groups, comma-separated: their members are not archived";
    LEAVER_DAYS = "30": "how long a user is still read after the last run that found the licence; 0 for not at all";
    RETENTION_DAYS = "0": "after how many days the bucket lets expire what was archived: no window begins before; at \
        least 14 more than the days of OVERLAP_HOURS, 0 for never";
    METRIC_NAMESPACE = "": "the CloudWatch namespace of the functions' own metrics, empty for none; not used by the local \
        program";
}
