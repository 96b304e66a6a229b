//! Which path means what.

use http::Method;

use crate::ledger::RequestKind;
use crate::query::decode;

/// What a request asks for. Names are as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Interactions { version: String, user: String },
    Skus { version: String },
    Users { version: String },
    User { version: String, user: String },
    Group { version: String, group: String },
    Members { version: String, group: String, cast: bool },
    Token { tenant: String },
    OpenId { tenant: String },
    Keys,
    Instance,
    Unknown,
}

impl Route {
    /// The route of a path; its segments are compared without regard to case.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let decoded: Vec<String> = path.split('/').skip(1).map(|part| decode(&part.replace('+', "%2b"))).collect();
        let lower: Vec<String> = decoded.iter().map(|segment| segment.to_ascii_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        let at = |index: usize| decoded.get(index).cloned().unwrap_or_default();
        if *method == Method::POST {
            return match lower[..] {
                [_, "oauth2", "v2.0", "token"] => Self::Token { tenant: at(0) },
                _ => Self::Unknown,
            };
        }
        if *method != Method::GET {
            return Self::Unknown;
        }
        match lower[..] {
            ["common", "discovery", "instance"] => Self::Instance,
            [_, "v2.0", ".well-known", "openid-configuration"] => Self::OpenId { tenant: at(0) },
            [_, "discovery", "v2.0", "keys"] => Self::Keys,
            [version @ ("v1.0" | "beta"), ref rest @ ..] => {
                let version = version.to_owned();
                match *rest {
                    ["copilot", "users", _, "interactionhistory", call]
                        if call.trim_end_matches("()") == "getallenterpriseinteractions" =>
                    {
                        Self::Interactions { version, user: at(3) }
                    }
                    ["subscribedskus"] => Self::Skus { version },
                    ["users"] => Self::Users { version },
                    ["users", _] => Self::User { version, user: at(2) },
                    ["groups", _] => Self::Group { version, group: at(2) },
                    ["groups", _, "transitivemembers" | "members"] => {
                        Self::Members { version, group: at(2), cast: false }
                    }
                    ["groups", _, "transitivemembers" | "members", "microsoft.graph.user"] => {
                        Self::Members { version, group: at(2), cast: true }
                    }
                    _ => Self::Unknown,
                }
            }
            _ => Self::Unknown,
        }
    }

    pub(crate) fn kind(&self) -> RequestKind {
        match self {
            Self::Interactions { .. } => RequestKind::Interactions,
            Self::Token { .. } | Self::OpenId { .. } | Self::Keys | Self::Instance => RequestKind::Token,
            Self::Unknown => RequestKind::Other,
            _ => RequestKind::Directory,
        }
    }

    /// The name of the user whose interactions are asked for.
    pub(crate) fn user(&self) -> Option<&str> {
        if let Self::Interactions { user, .. } = self { Some(user) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_in_any_case_and_with_parentheses() {
        let interactions = |version: &str| Route::Interactions { version: version.to_owned(), user: "Ab".to_owned() };
        for (path, route) in [
            ("/v1.0/copilot/users/Ab/interactionHistory/getAllEnterpriseInteractions", interactions("v1.0")),
            ("/beta/Copilot/Users/Ab/interactionhistory/getallenterpriseinteractions()", interactions("beta")),
            ("/v1.0/copilot/interactionHistory/getAllEnterpriseInteractions", Route::Unknown),
            ("/v2.0/users", Route::Unknown),
            ("/v1.0/users/a%2bb%40c", Route::User { version: "v1.0".to_owned(), user: "a+b@c".to_owned() }),
        ] {
            assert_eq!(Route::of(&Method::GET, path), route, "{path}");
        }
        assert_eq!(Route::of(&Method::DELETE, "/v1.0/users"), Route::Unknown);
        assert_eq!(Route::of(&Method::POST, "/t/oauth2/v2.0/token"), Route::Token { tenant: "t".to_owned() });
    }
}
