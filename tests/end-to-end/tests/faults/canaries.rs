//! What must never be found where it does not belong: prompts, names, the secret, tokens.

use domain::UserId;
pub(crate) use end_to_end::Log;
use graph_simulator::Tenant;

use crate::bed::Bed;

/// In every prompt.
pub(crate) const PROMPT: &str = "canary-prompt-1b6f";
/// In every principal name.
pub(crate) const UPN: &str = "canary-upn-93aa";
/// In every display name.
pub(crate) const NAME: &str = "Canary Name 41c2";
/// In every mail address.
pub(crate) const MAIL: &str = "canary-mail-77d0";
/// The application's secret.
pub(crate) const SECRET: &str = "canary-secret-e5b9~x.Y";

/// Puts them into the tenant: its secret, and the names of its users.
pub(crate) fn name(tenant: &mut Tenant, users: &[UserId]) {
    tenant.application.secret = SECRET.to_owned();
    for (n, user) in users.iter().enumerate() {
        let person = tenant.user_mut(*user).unwrap();
        person.upn = format!("{UPN}-{n}@contoso.com");
        person.display_name = format!("{NAME} {n}");
        person.mail = Some(format!("{MAIL}.{n}@contoso.com"));
    }
}

/// The text of a prompt.
pub(crate) fn prompt(user: &UserId, n: u64, version: &str) -> String {
    format!("{PROMPT} {n} of {user}, {version}")
}

/// An answer that repeats all it should not, as error messages of services do.
pub(crate) fn error_body() -> String {
    format!(
        r#"{{"error":{{"code":"UnknownError","message":"{PROMPT} {UPN} {NAME} {MAIL}","innerError":{{"request-id":"{UPN}"}}}}}}"#
    )
}

/// Searches everything that left the processes of a run. Prompts belong to records, names to rosters, and either to what is kept
/// of a page that was none.
pub(crate) fn search(bed: &Bed, log: &Log) {
    let (tokens, messages) = bed.judge.secrets_and_messages();
    let secrets: Vec<&str> = std::iter::once(SECRET).chain(tokens.iter().map(String::as_str)).collect();
    let look = |place: &str, text: &str, belongs: &[&str]| {
        let elsewhere = [PROMPT, UPN, NAME, MAIL].into_iter().filter(|canary| !belongs.contains(canary));
        if let Some(canary) = elsewhere.chain(secrets.iter().copied()).find(|canary| text.contains(canary)) {
            bed.judge.broken(format!("{} stands in {place}", &canary[..canary.len().min(24)]));
        }
    };
    for (key, bytes) in bed.memory.objects() {
        look("a key", &key, &[]);
        let bytes =
            if key.ends_with(".zst") { zstd::decode_all(&bytes[..]).unwrap_or_default() } else { bytes.to_vec() };
        let belongs: &[&str] = match key.split('/').next() {
            Some("interactions") => &[PROMPT],
            Some("quarantine") => &[PROMPT, UPN, NAME, MAIL],
            _ if key.ends_with("/roster.jsonl.zst") => &[UPN, NAME, MAIL],
            _ => &[],
        };
        look(&key, &String::from_utf8_lossy(&bytes), belongs);
    }
    messages.iter().for_each(|message| look("a message", message, &[]));
    bed.errors.lock().unwrap().iter().for_each(|error| look("an error", error, &[]));
    look("the log", &log.text(), &[]);
}
