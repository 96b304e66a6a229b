//! The doctor: puts the questions of the crate of that name to the tenant and to where the archive lies.

#[cfg(feature = "s3")]
mod account;
mod folder;
#[cfg(feature = "s3")]
mod trouble;
#[cfg(not(feature = "s3"))]
mod without_aws;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use ::doctor::{Finding, Report, State, Tenant};
use archive::Archive;
use domain::{Chain, Clock, Env, OsRandom, Random, TenantId};
use settings::{Credential, GraphSettings, Place as Surroundings, Rules};

use crate::cli::DoctorArgs;
use crate::given::Given;
use crate::location::{Location, Place};
use crate::real::{self, RealError};
use crate::screen::Screen;

#[cfg(feature = "s3")]
pub use account::Account;
#[cfg(not(feature = "s3"))]
pub use without_aws::Account;

/// The finding about what lies in the archive's place.
const ARCHIVE: &str = "archive";

/// Exit code: nothing is to be fixed.
const GOOD: u8 = 0;
/// Exit code: something is.
const FINDINGS: u8 = 1;
/// Exit code: nothing could be asked.
const COULD_NOT_RUN: u8 = 3;

/// Examines and prints what was found; the exit code says whether something is to be fixed.
pub async fn run(args: &DoctorArgs, env: &dyn Env, clock: &Arc<dyn Clock>, account: &Account, screen: &Screen) -> u8 {
    let report = match examine(args, env, clock, account).await {
        Ok(report) => report,
        Err(error) => {
            crate::complain(screen, &error);
            return COULD_NOT_RUN;
        }
    };
    screen.say(&if args.json { format!("{}\n", report.json()) } else { report.text() });
    if report.count(State::Fix) > 0 { FINDINGS } else { GOOD }
}

async fn examine(
    args: &DoctorArgs,
    env: &dyn Env,
    clock: &Arc<dyn Clock>,
    account: &Account,
) -> Result<Report, RealError> {
    let env = Given { env, tenant: args.tenant.as_deref(), client_id: args.client_id.as_deref() };
    let random: Arc<dyn Random> = Arc::new(OsRandom);
    let mut findings = tenant(&env, clock, &random, account).await?;
    let tenant: Option<TenantId> = settings::from_env(&env, Surroundings::Local).ok();
    findings.extend(match &args.archive {
        Location::Folder(path) => folder(path, tenant, clock, &random).await,
        Location::Bucket(address) => Box::pin(account.bucket(address, &env, tenant, (clock, &random))).await,
    });
    findings.extend(match &args.queue {
        Some(url) => account.queue(url).await,
        None => vec![Finding::not_checked("queue", "no --queue is given")],
    });
    Ok(Report { findings })
}

/// What Entra and Graph say, asked as the program would ask them.
async fn tenant(
    env: &dyn Env,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
    account: &Account,
) -> Result<Vec<Finding>, RealError> {
    const NOT_ASKED: &str = "Entra and Graph";
    let settings: Result<(GraphSettings, Rules), _> = settings::from_env(env, Surroundings::Local);
    let mut findings = ::doctor::configuration(settings.as_ref().err());
    let Ok((settings, rules)) = settings else {
        findings.push(Finding::not_checked(NOT_ASKED, "the configuration is wrong"));
        return Ok(findings);
    };
    let auth = match account.auth(&settings.credential).await {
        Ok(auth) => auth,
        Err(error) => {
            findings.push(credential(&error));
            findings.push(Finding::not_checked(NOT_ASKED, "there is no credential to ask with"));
            return Ok(findings);
        }
    };
    let connection = real::connect(&settings, auth, Arc::clone(clock), Arc::clone(random))?;
    if matches!(settings.credential, Credential::Federated) {
        findings.push(account.federation(connection.federation_audience).await);
    }
    let asked = Tenant {
        id: settings.tenant_id,
        graph: &connection.graph,
        transport: &*connection.transport,
        login_origin: &connection.login_origin,
        graph_origin: &connection.graph_origin,
        clock: &**clock,
        rules: &rules,
    };
    findings.extend(::doctor::tenant(&asked).await);
    Ok(findings)
}

fn credential(error: &RealError) -> Finding {
    match error {
        RealError::Credential(source) => ::doctor::credential(&format!("{error}; {}", Chain(source))),
        _ => ::doctor::credential(&error.to_string()),
    }
}

/// What is to be said of the folder in which the archive lies.
async fn folder(
    path: &Path,
    tenant: Option<TenantId>,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Vec<Finding> {
    let stores = match Place::folder(path) {
        Ok(place) => place.stores,
        Err(error) => return vec![unusable(ARCHIVE, &error)],
    };
    let archive = match tenant {
        Some(tenant) => ::doctor::archive(&Archive::open(stores, tenant, Arc::clone(clock), Arc::clone(random)).await),
        None => unknown_tenant(),
    };
    vec![folder::writable(path), archive]
}

fn unknown_tenant() -> Finding {
    Finding::not_checked(ARCHIVE, "which tenant's it should be is not known")
}

/// A place that is none. What to do stands in the error, behind a semicolon or a colon.
fn unusable(name: &str, error: &dyn Error) -> Finding {
    let told = error.to_string();
    let (says, fix) = told
        .split_once("; ")
        .or_else(|| told.split_once(": "))
        .unwrap_or((&told, "name a folder that can be read and written, or s3://BUCKET/PREFIX"));
    let cause = error.source().map_or_else(String::new, |cause| format!(" ({})", Chain(cause)));
    Finding::fix(name, format!("{says}{cause}"), fix)
}
