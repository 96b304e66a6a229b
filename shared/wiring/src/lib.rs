//! What every program here is put together from: the Graph client of the settings, logs, the program's name.

pub mod logs;

use archive::records::Producer;
use graph::{GraphConfig, OriginError};
use settings::GraphSettings;

/// Interaction requests under way at once. With two workers enough to use the whole quota up to a mean latency of 1.7 s.
pub const IN_FLIGHT: usize = 32;

/// The Graph client's configuration for these settings, with this share of the tenant's budget.
pub fn graph_config(settings: &GraphSettings, requests_per_second: f64) -> Result<GraphConfig, OriginError> {
    let origin = |text: &Option<String>| text.as_deref().map(str::parse).transpose();
    Ok(GraphConfig {
        cloud: match settings.cloud {
            settings::Cloud::Global => graph::Cloud::Global,
            settings::Cloud::UsGovL4 => graph::Cloud::UsGovL4,
            settings::Cloud::UsGovL5 => graph::Cloud::UsGovL5,
        },
        api_version: match settings.api_version {
            settings::ApiVersion::V1 => graph::ApiVersion::V1,
            settings::ApiVersion::Beta => graph::ApiVersion::Beta,
        },
        graph_origin: origin(&settings.base_url)?,
        login_origin: origin(&settings.login_url)?,
        date_filter: settings.date_filter,
        requests_per_second,
        in_flight: IN_FLIGHT,
        ..GraphConfig::new(settings.tenant_id, settings.client_id.clone())
    })
}

/// The program as the archive's files name it. The commit is the one named by `SOURCE_COMMIT` when it was built.
pub fn producer(name: &str) -> Producer {
    Producer {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("SOURCE_COMMIT").unwrap_or("unknown").to_owned(),
    }
}

/// What Graph sees of us in the `User-Agent`.
pub fn user_agent() -> String {
    format!("copilot-interaction-archive/{}", env!("CARGO_PKG_VERSION"))
}
