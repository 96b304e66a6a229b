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

/// Searches everything that left the processes of a run. Content belongs to records and quarantine, names to rosters.
pub(crate) fn search(bed: &Bed, log: &Log) {
    let (tokens, messages) = bed.judge.secrets_and_messages();
    let names = [UPN, NAME, MAIL].map(str::to_owned);
    let mut elsewhere: Vec<String> = vec![PROMPT.to_owned(), SECRET.to_owned()];
    elsewhere.extend(tokens);
    let look = |place: &str, text: &str, names_belong: bool| {
        let found =
            elsewhere.iter().chain(names.iter().filter(|_| !names_belong)).find(|canary| text.contains(*canary));
        if let Some(canary) = found {
            bed.judge.broken(format!("{} stands in {place}", &canary[..canary.len().min(24)]));
        }
    };
    for (key, bytes) in bed.memory.objects() {
        look("a key", &key, false);
        if key.starts_with("interactions/") || key.starts_with("quarantine/") {
            continue;
        }
        let bytes = if key.ends_with(".zst") { zstd::decode_all(&bytes[..]).unwrap() } else { bytes.to_vec() };
        look(&key, &String::from_utf8_lossy(&bytes), key.ends_with("/roster.jsonl.zst"));
    }
    messages.iter().for_each(|message| look("a message", message, false));
    bed.errors.lock().unwrap().iter().for_each(|error| look("an error", error, false));
    look("the log", &log.text(), false);
}
