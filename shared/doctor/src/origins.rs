//! Whether the two origins answer, and what time it is there.

use graph::{Origin, Reached, TransportError, reach};
use jiff::SignedDuration;

use crate::finding::Finding;
use crate::tenant::Tenant;

/// How far this clock may be off: a machine that keeps time is within a second, Entra and AWS refuse what is signed five
/// minutes off.
const MAX_OFF: SignedDuration = SignedDuration::from_mins(1);

/// What can be asked on.
pub(crate) struct Answering {
    pub(crate) login: bool,
    pub(crate) graph: bool,
}

pub(crate) async fn check(tenant: &Tenant<'_>) -> (Vec<Finding>, Answering) {
    let login_path = format!("/{}/v2.0/.well-known/openid-configuration", tenant.id);
    let ask = |origin, path| reach(origin, path, tenant.transport, tenant.clock);
    let login = ask(tenant.login_origin, &login_path).await;
    // Refused without a token, and a small answer.
    let graph = ask(tenant.graph_origin, "/v1.0/subscribedSkus").await;
    let date = [&graph, &login].into_iter().find_map(|reached| reached.as_ref().ok()?.ahead);
    let findings = vec![
        judge("login origin", tenant.login_origin, "GRAPH_LOGIN_URL", &login),
        judge("Graph origin", tenant.graph_origin, "GRAPH_BASE_URL", &graph),
        clock(date),
    ];
    (findings, Answering { login: login.is_ok(), graph: graph.is_ok() })
}

fn judge(name: &str, origin: &Origin, variable: &str, reached: &Result<Reached, TransportError>) -> Finding {
    match reached {
        Ok(reached) if reached.status >= 500 => Finding::fix(
            name,
            format!("{origin} answers HTTP {}", reached.status),
            "try again later; see Microsoft's service health",
        ),
        Ok(reached) if reached.is_json => Finding::good(name, format!("{origin} answers")),
        Ok(reached) => Finding::fix(
            name,
            format!("what answers at {origin} is not Microsoft's: HTTP {} that is no JSON", reached.status),
            format!("take the proxy that answers for it out of the way, or correct {variable}"),
        ),
        Err(error) => Finding::fix(
            name,
            format!("{origin} is not reached: {error}"),
            format!(
                "open outbound TLS to {origin} (name resolution, firewall, a proxy in HTTPS_PROXY), or correct \
                 {variable} and GRAPH_CLOUD"
            ),
        ),
    }
}

fn clock(ahead: Option<SignedDuration>) -> Finding {
    const NAME: &str = "clock";
    let Some(ahead) = ahead else { return Finding::not_checked(NAME, "no answer says what time it is") };
    if ahead.abs() <= MAX_OFF {
        return Finding::good(NAME, "this machine and Microsoft agree on the time");
    }
    let side = if ahead.is_negative() { "ahead of" } else { "behind" };
    Finding::fix(
        NAME,
        format!("this machine's clock is {} seconds {side} Microsoft's", ahead.abs().as_secs()),
        "let the machine keep time: timedatectl set-ntp true, on Windows w32tm /resync",
    )
}
