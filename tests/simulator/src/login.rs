//! Entra's token endpoint and the discovery before it.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::Answer;
use crate::fault::Fault;
use crate::route::Route;
use crate::simulator::{Exchange, Reply, State};
use crate::switches::Switches;
use crate::tenant::{Application, Tenant};

/// How far an assertion's times may be off: what clocks differ by at most, in good operation.
const CLOCK_SKEW: i64 = 300;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SCOPES: [&str; 3] = [
    "https://graph.microsoft.com/.default",
    "https://graph.microsoft.us/.default",
    "https://dod-graph.microsoft.us/.default",
];

/// The tokens that were issued and have not expired.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issued: HashMap<String, Issued>,
    number: u64,
}

#[derive(Debug)]
struct Issued {
    at: Timestamp,
    expires: Timestamp,
    roles: Vec<String>,
}

impl Tokens {
    /// A token with the roles of the switches. It looks like Graph's: a client can read its claims and verify nothing.
    pub(crate) fn issue(&mut self, tenant: &Tenant, switches: &Switches, now: Timestamp, proof: &str) -> String {
        self.issued.retain(|_, token| token.expires > now);
        self.number += 1;
        let life = SignedDuration::from_secs(switches.token_seconds);
        let expires = now.checked_add(life).unwrap_or(Timestamp::MAX);
        let identity = Uuid::from_u64_pair(switches.seed, self.number);
        let header =
            json!({ "typ": "JWT", "alg": "RS256", "kid": "simulated", "nonce": identity.simple().to_string() });
        let mut claims = json!({
            "aud": "https://graph.microsoft.com", "iss": format!("https://sts.windows.net/{}/", tenant.id),
            "iat": now.as_second(), "nbf": now.as_second(), "exp": expires.as_second(),
            "appid": tenant.application.client_id, "app_displayname": "Copilot Interaction Archive", "appidacr": proof,
            "idtyp": "app", "oid": tenant.application.client_id, "sub": tenant.application.client_id, "tid": tenant.id,
            "uti": identity.simple().to_string(), "ver": "1.0",
        });
        if !switches.roles.is_empty() {
            claims["roles"] = json!(switches.roles);
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.{}", part(&header), part(&claims), URL_SAFE_NO_PAD.encode(identity.as_bytes()));
        self.issued.insert(token.clone(), Issued { at: now, expires, roles: switches.roles.clone() });
        token
    }

    /// The roles of a token that is good now.
    pub(crate) fn roles(&self, token: &str, switches: &Switches, now: Timestamp) -> Option<Vec<String>> {
        if switches.static_tokens.iter().any(|fixed| fixed == token) {
            return Some(switches.roles.clone());
        }
        let issued = self.issued.get(token)?;
        let revoked = switches.tokens_revoked_before.is_some_and(|before| issued.at < before);
        (issued.expires > now && !revoked).then(|| issued.roles.clone())
    }
}

/// Entra's refusal.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    code: u32,
    text: String,
}

impl Refusal {
    fn new(code: u32, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The refusal of this code, with the text that it begins with.
    fn of(code: u32, application: &Application) -> Self {
        let client = application.client_id;
        let text = match code {
            7_000_215 => format!("Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client}'."),
            7_000_222 => format!("The provided client secret keys for app '{client}' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret."),
            700_016 => format!("Application with identifier '{client}' was not found in the directory."),
            90_002 => "Tenant not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.".to_owned(),
            70_011 => "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid.".to_owned(),
            500_011 => "The resource principal was not found in the tenant.".to_owned(),
            700_027 => "Client assertion contains an invalid signature.".to_owned(),
            700_024 => "Client assertion is not within its valid time range.".to_owned(),
            70_021 => "No matching federated identity record found for presented assertion.".to_owned(),
            700_211 => "No matching federated identity record found for presented assertion issuer.".to_owned(),
            700_212 => "No matching federated identity record found for presented assertion audience.".to_owned(),
            700_213 => "No matching federated identity record found for presented assertion subject.".to_owned(),
            7_002_138 => "No matching federated identity record found: the subject differs in case.".to_owned(),
            _ => "Simulated fault.".to_owned(),
        };
        Self { code, text }
    }

    fn answer(&self, exchange: &Exchange<'_>) -> Answer {
        let (status, error) = match self.code {
            7_000_215 | 7_000_222 | 700_027 | 700_024 => (401, "invalid_client"),
            700_016 => (400, "unauthorized_client"),
            70_011 => (400, "invalid_scope"),
            500_011 => (400, "invalid_resource"),
            700_211 | 700_212 | 700_213 | 7_002_138 => (401, "invalid_client"),
            _ => (400, "invalid_request"),
        };
        let stamp = exchange.now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let id = &exchange.request_id;
        let body = json!({
            "error": error,
            "error_description": format!("AADSTS{}: {} Trace ID: {id} Correlation ID: {id} Timestamp: {stamp}", self.code, self.text),
            "error_codes": [self.code], "timestamp": stamp, "trace_id": id, "correlation_id": id,
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.code),
        });
        Answer::new(status, "application/json; charset=utf-8", body.to_string())
    }
}

impl State {
    pub(crate) fn login(&mut self, exchange: &Exchange<'_>, route: &Route) -> Reply {
        let faults = self.faults(exchange, None);
        let aadsts = faults.iter().find_map(|fault| if let Fault::Aadsts(code) = fault { Some(*code) } else { None });
        if let Some(code) = aadsts {
            let answer = Refusal::of(code, &exchange.tenant.application).answer(exchange);
            return Reply { answer, told: None, faults };
        }
        if let Some((answer, told)) = exchange.instead(&faults) {
            return Reply { answer, told, faults };
        }
        let answer = match route {
            Route::Token { tenant } => self.token(exchange, tenant).unwrap_or_else(|refusal| refusal.answer(exchange)),
            Route::OpenId { tenant } => openid(&exchange.origin(), tenant),
            Route::Instance => instance(exchange),
            _ => plain_json(&json!({ "keys": [] })),
        };
        Reply { answer, told: None, faults }
    }

    fn token(&mut self, exchange: &Exchange<'_>, tenant: &str) -> Result<Answer, Refusal> {
        let application = &exchange.tenant.application;
        let form: HashMap<String, String> = url::form_urlencoded::parse(exchange.request.body()).into_owned().collect();
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        let refused = |code| Refusal::of(code, application);
        if !tenant.eq_ignore_ascii_case(&exchange.tenant.id.to_string()) {
            return Err(refused(90_002));
        }
        if field("grant_type") != "client_credentials" {
            return Err(Refusal::new(70_003, "The app requested an unsupported grant type."));
        }
        if Uuid::try_parse(field("client_id")).ok() != Some(application.client_id) {
            return Err(refused(700_016));
        }
        let own_scope = format!("{}/.default", exchange.origin());
        if !SCOPES.contains(&field("scope")) && field("scope") != own_scope {
            return Err(refused(70_011));
        }
        let proof = if form.contains_key("client_assertion") {
            if field("client_assertion_type") != ASSERTION_TYPE {
                return Err(Refusal::new(
                    900_144,
                    "The request body must contain the parameter 'client_assertion_type'.",
                ));
            }
            check_assertion(exchange, field("client_assertion"), tenant)?;
            "2"
        } else {
            let secret = self.switches.secret.as_deref().unwrap_or(&application.secret);
            if field("client_secret") != secret {
                return Err(refused(7_000_215));
            }
            "1"
        };
        let token = self.tokens.issue(exchange.tenant, &self.switches, exchange.now, proof);
        let seconds = self.switches.token_seconds;
        Ok(plain_json(
            &json!({ "token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token }),
        ))
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    #[serde(default)]
    jti: Option<String>,
    aud: Value,
    #[serde(default)]
    nbf: Option<i64>,
    exp: i64,
}

/// Checks an assertion: of the application's own certificate if it issued it itself, else of the federation.
fn check_assertion(exchange: &Exchange<'_>, assertion: &str, tenant: &str) -> Result<(), Refusal> {
    let application = &exchange.tenant.application;
    let refused = |code| Refusal::of(code, application);
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, _] = parts[..] else { return Err(refused(700_027)) };
    let header: Value = decode(header).ok_or_else(|| refused(700_027))?;
    let claims: Claims = decode(claims).ok_or_else(|| refused(700_027))?;
    let now = exchange.now.as_second();
    if claims.exp + CLOCK_SKEW < now || claims.nbf.is_some_and(|nbf| nbf - CLOCK_SKEW > now) {
        return Err(refused(700_024));
    }
    if Uuid::try_parse(&claims.iss).ok() != Some(application.client_id) {
        return check_federation(application, &header, &claims);
    }
    let has_thumbprint = ["x5t", "x5t#S256"].iter().any(|name| header[*name].is_string());
    let is_signed = matches!(header["alg"].as_str(), Some("PS256" | "RS256"));
    let endpoint = claims.aud.as_str().and_then(|audience| url::Url::parse(audience).ok());
    let right_endpoint = endpoint.is_some_and(|url| {
        url.path().eq_ignore_ascii_case(&format!("/{tenant}/oauth2/v2.0/token"))
            || url.path() == format!("/{tenant}/v2.0")
    });
    if !has_thumbprint || !is_signed || claims.sub != claims.iss || claims.jti.is_none() || !right_endpoint {
        return Err(refused(700_027));
    }
    match &application.certificate {
        Some(certificate) if !verifies(assertion, &certificate.public_key_pem) => Err(refused(700_027)),
        _ => Ok(()),
    }
}

fn check_federation(application: &Application, header: &Value, claims: &Claims) -> Result<(), Refusal> {
    let refused = |code| Refusal::of(code, application);
    let Some(federation) = &application.federation else { return Err(refused(70_021)) };
    let audiences = match &claims.aud {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    };
    if header["alg"] != "RS256" {
        Err(refused(700_027))
    } else if claims.iss != federation.issuer {
        Err(refused(700_211))
    } else if !audiences.contains(&federation.audience.as_str()) {
        Err(refused(700_212))
    } else if claims.sub == federation.subject {
        Ok(())
    } else if claims.sub.eq_ignore_ascii_case(&federation.subject) {
        Err(refused(7_002_138))
    } else {
        Err(refused(700_213))
    }
}

/// Whether the signature is that of the key. Times are checked apart, against the simulated clock.
fn verifies(assertion: &str, public_key_pem: &str) -> bool {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
    let (Ok(header), Ok(key)) = (decode_header(assertion), DecodingKey::from_rsa_pem(public_key_pem.as_bytes())) else {
        return false;
    };
    let mut validation =
        Validation::new(if header.alg == Algorithm::PS256 { Algorithm::PS256 } else { Algorithm::RS256 });
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    decode::<Value>(assertion, &key, &validation).is_ok()
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn plain_json(body: &Value) -> Answer {
    Answer::new(200, "application/json; charset=utf-8", body.to_string())
}

fn openid(origin: &str, tenant: &str) -> Answer {
    plain_json(&json!({
        "issuer": format!("{origin}/{tenant}/v2.0"),
        "authorization_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/token"),
        "device_authorization_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/devicecode"),
        "jwks_uri": format!("{origin}/{tenant}/discovery/v2.0/keys"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "response_types_supported": ["code"], "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"], "scopes_supported": ["openid"],
    }))
}

fn instance(exchange: &Exchange<'_>) -> Answer {
    let origin = exchange.origin();
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    plain_json(&json!({
        "tenant_discovery_endpoint": format!("{origin}/{}/v2.0/.well-known/openid-configuration", exchange.tenant.id),
        "api-version": "1.1",
        "metadata": [{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }],
    }))
}
