//! HOW-TO-VERIFY.txt: how to check a bag with `sha256sum`, `zstd` and `jq`, without this program.

use crate::message::Origin;
use crate::pages::Case;

const TEXT: &str = include_str!("how-to-verify.txt");

/// The page for this bag; `example` is a record whose hash is shown to be checked. Runs that have expired left no report.
pub(crate) fn page(case: &Case, head: &str, example: Option<(&Origin, &str)>, some_expired: bool) -> String {
    let example = example.map_or_else(
        || "This bag holds no record, so there is none to show.".to_owned(),
        |(origin, path)| {
            format!(
                "    zstd -dcq {path} | sed -n {}p | tr -d '\\n' | sha256sum\n\nprints {}",
                origin.line, origin.sha256
            )
        },
    );
    let (expired, missing) = match some_expired {
        true => (" Those of runs that\n   data/audit.txt counts as expired are gone.", " --ignore-missing"),
        false => ("", ""),
    };
    TEXT.replace("EXPIRED", expired)
        .replace("MISSING", missing)
        .replace("TENANT-ID", &case.tenant_id)
        .replace("USER-ID", &case.user_id)
        .replace("LEDGER-HEAD", head)
        .replace("EXAMPLE", &example)
}
