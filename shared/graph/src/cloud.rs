//! Which Microsoft cloud, and the origins that may see a token or a credential.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, Url};

/// A Microsoft cloud in which the export interface exists. Tokens of one are worth nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cloud {
    /// The public cloud, GCC included.
    #[default]
    Global,
    /// US Government L4 (GCC High).
    UsGovL4,
    /// US Government L5 (DoD).
    UsGovL5,
}

/// A text that names no cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no cloud: write global, us-gov-l4 or us-gov-l5")]
pub struct ParseCloudError;

impl Cloud {
    /// Where Graph answers.
    pub fn graph_origin(self) -> Origin {
        Origin::https(match self {
            Self::Global => "graph.microsoft.com",
            Self::UsGovL4 => "graph.microsoft.us",
            Self::UsGovL5 => "dod-graph.microsoft.us",
        })
    }

    /// Where Entra issues tokens.
    pub fn login_origin(self) -> Origin {
        Origin::https(match self {
            Self::Global => "login.microsoftonline.com",
            Self::UsGovL4 | Self::UsGovL5 => "login.microsoftonline.us",
        })
    }

    /// The scope a token is asked for. It stays the cloud's own when the origins are overridden.
    pub const fn scope(self) -> &'static str {
        match self {
            Self::Global => "https://graph.microsoft.com/.default",
            Self::UsGovL4 => "https://graph.microsoft.us/.default",
            Self::UsGovL5 => "https://dod-graph.microsoft.us/.default",
        }
    }

    /// The audience an external identity's assertion must be made for.
    pub const fn federation_audience(self) -> &'static str {
        match self {
            Self::Global => "api://AzureADTokenExchange",
            Self::UsGovL4 | Self::UsGovL5 => "api://AzureADTokenExchangeUSGov",
        }
    }
}

impl FromStr for Cloud {
    type Err = ParseCloudError;

    fn from_str(text: &str) -> Result<Self, ParseCloudError> {
        match text {
            "global" => Ok(Self::Global),
            "us-gov-l4" => Ok(Self::UsGovL4),
            "us-gov-l5" => Ok(Self::UsGovL5),
            _ => Err(ParseCloudError),
        }
    }
}

/// The version of the interface that interactions are asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApiVersion {
    /// `v1.0`.
    #[default]
    V1,
    /// `beta`.
    Beta,
}

/// A text that names no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no Graph version: write v1.0 or beta")]
pub struct ParseVersionError;

impl ApiVersion {
    /// The first segment of a path.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1.0",
            Self::Beta => "beta",
        }
    }
}

impl FromStr for ApiVersion {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        match text {
            "v1.0" => Ok(Self::V1),
            "beta" => Ok(Self::Beta),
            _ => Err(ParseVersionError),
        }
    }
}

/// Scheme, host and port: the unit of trust for tokens and credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: &'static str,
    host: String,
    port: u16,
}

/// Why a text is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not scheme, host and perhaps a port in their plain form.
    #[error("is no origin: write https://host or https://host:port, in ASCII and without anything after it")]
    NotAnOrigin,
    /// A plain connection to somewhere else than this machine.
    #[error("is plain http to another machine: only loopback hosts may be asked without TLS")]
    PlainHttp,
}

impl Origin {
    fn https(host: &str) -> Self {
        Self { scheme: "https", host: host.to_owned(), port: 443 }
    }

    /// Whether an authority as it stands in a link is this origin's. Port 443 (80) may be written or left out.
    pub(crate) fn is_authority(&self, authority: &str) -> bool {
        let rest = match authority.get(..self.host.len()) {
            Some(host) if host.eq_ignore_ascii_case(&self.host) => &authority[self.host.len()..],
            _ => return false,
        };
        match rest.strip_prefix(':') {
            None => rest.is_empty() && self.port == self.default_port(),
            Some(port) => port == self.port.to_string(),
        }
    }

    /// `https` or `http`.
    pub(crate) const fn scheme(&self) -> &'static str {
        self.scheme
    }

    fn default_port(&self) -> u16 {
        if self.scheme == "https" { 443 } else { 80 }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        if self.port == self.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let url = Url::parse(text).map_err(|_| OriginError::NotAnOrigin)?;
        // What the parser repaired or dropped was not plainly an origin: its plain form must be what was written.
        let plain = url.as_str().trim_end_matches('/');
        let written = text.strip_suffix('/').unwrap_or(text);
        let scheme = match url.scheme() {
            "https" => "https",
            "http" => "http",
            _ => return Err(OriginError::NotAnOrigin),
        };
        let default = if scheme == "https" { ":443" } else { ":80" };
        if !plain.eq_ignore_ascii_case(written.strip_suffix(default).unwrap_or(written))
            || url.path() != "/"
            || url.query().is_some()
            || url.fragment().is_some()
            || written.contains('@')
        {
            return Err(OriginError::NotAnOrigin);
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(OriginError::NotAnOrigin);
        };
        let loopback = match &host {
            Host::Domain(name) => *name == "localhost",
            Host::Ipv4(address) => Ipv4Addr::is_loopback(address),
            Host::Ipv6(address) => Ipv6Addr::is_loopback(address),
        };
        if scheme == "http" && !loopback {
            return Err(OriginError::PlainHttp);
        }
        Ok(Self { scheme, host: host.to_string(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_scheme_host_and_port_only() {
        for (text, plain) in [
            ("https://graph.microsoft.com", "https://graph.microsoft.com"),
            ("https://GRAPH.microsoft.com/", "https://graph.microsoft.com"),
            ("https://graph.microsoft.com:443", "https://graph.microsoft.com"),
            ("https://example.org:8443", "https://example.org:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost:1", "http://localhost:1"),
            ("http://[::1]:9", "http://[::1]:9"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), plain, "{text}");
        }
        for text in [
            "",
            "graph.microsoft.com",
            "ftp://graph.microsoft.com",
            "https://",
            "https:graph.microsoft.com",
            "https://u@graph.microsoft.com",
            "https://u:p@graph.microsoft.com",
            "https://@graph.microsoft.com",
            "https://graph.microsoft.com/v1.0",
            "https://graph.microsoft.com//",
            "https://graph.microsoft.com?x",
            "https://graph.microsoft.com#x",
            " https://graph.microsoft.com",
            "https:\\\\graph.microsoft.com",
            "https://gr\u{e4}ph.microsoft.com",
            "https://graph.microsoft.com:0443",
            "https://0x7f.1",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(OriginError::NotAnOrigin), "{text}");
        }
        for text in ["http://graph.microsoft.com", "http://localhost.evil.example", "http://10.0.0.1", "http://[::2]"] {
            assert_eq!(text.parse::<Origin>(), Err(OriginError::PlainHttp), "{text}");
        }
    }

    #[test]
    fn an_authority_is_compared_whole() {
        let origin = Cloud::Global.graph_origin();
        for same in ["graph.microsoft.com", "Graph.Microsoft.COM", "graph.microsoft.com:443"] {
            assert!(origin.is_authority(same), "{same}");
        }
        for other in [
            "",
            "graph.microsoft.com.",
            "graph.microsoft.com.evil.example",
            "graph.microsoft.com:",
            ":443",
            "graph.microsoft.com:80",
            "graph.microsoft.com:0443",
            "graph.microsoft.com:+443",
            "evilgraph.microsoft.com",
        ] {
            assert!(!origin.is_authority(other), "{other}");
        }
        let local: Origin = "http://[::1]:9".parse().unwrap();
        assert!(local.is_authority("[::1]:9"));
        assert!(!local.is_authority("[::1]"));
    }

    #[test]
    fn clouds_and_versions_have_their_names() {
        assert_eq!("global".parse(), Ok(Cloud::Global));
        assert_eq!("us-gov-l5".parse::<Cloud>().unwrap().graph_origin().to_string(), "https://dod-graph.microsoft.us");
        assert_eq!(
            "us-gov-l4".parse::<Cloud>().unwrap().login_origin().to_string(),
            "https://login.microsoftonline.us"
        );
        assert_eq!("GLOBAL".parse::<Cloud>(), Err(ParseCloudError));
        assert_eq!("beta".parse(), Ok(ApiVersion::Beta));
        assert_eq!("v1".parse::<ApiVersion>(), Err(ParseVersionError));
    }
}
