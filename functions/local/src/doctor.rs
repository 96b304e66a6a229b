//! The doctor: puts the questions of the crate of that name to the tenant and to where the archive lies.

mod folder;

use std::error::Error;
use std::sync::Arc;

use ::doctor::{Finding, Report, State, Tenant};
use archive::Archive;
use domain::{Chain, Clock, Env, OsRandom, Random, TenantId};
use settings::{GraphSettings, Place as Surroundings, Rules};

use crate::cli::DoctorArgs;
use crate::given::Given;
use crate::location::{Location, Place};
use crate::real::{self, RealError};
use crate::screen::Screen;

/// Exit code: nothing is to be fixed.
const GOOD: u8 = 0;
/// Exit code: something is.
const FINDINGS: u8 = 1;
/// Exit code: nothing could be asked.
const COULD_NOT_RUN: u8 = 3;

/// Examines and prints what was found; the exit code says whether something is to be fixed.
pub async fn run(args: &DoctorArgs, env: &dyn Env, clock: &Arc<dyn Clock>, screen: &Screen) -> u8 {
    let report = match examine(args, env, clock).await {
        Ok(report) => report,
        Err(error) => {
            crate::complain(screen, &error);
            return COULD_NOT_RUN;
        }
    };
    screen.say(&if args.json { format!("{}\n", report.json()) } else { report.text() });
    if report.count(State::Fix) > 0 { FINDINGS } else { GOOD }
}

async fn examine(args: &DoctorArgs, env: &dyn Env, clock: &Arc<dyn Clock>) -> Result<Report, RealError> {
    let env = Given { env, tenant: args.tenant.as_deref(), client_id: args.client_id.as_deref() };
    let random: Arc<dyn Random> = Arc::new(OsRandom);
    let mut findings = tenant(&env, clock, &random).await?;
    findings.extend(place(args, &env, clock, &random).await);
    Ok(Report { findings })
}

/// What Entra and Graph say, asked as the program would ask them.
async fn tenant(env: &dyn Env, clock: &Arc<dyn Clock>, random: &Arc<dyn Random>) -> Result<Vec<Finding>, RealError> {
    const NOT_ASKED: &str = "Entra and Graph";
    let settings: Result<(GraphSettings, Rules), _> = settings::from_env(env, Surroundings::Local);
    let mut findings = ::doctor::configuration(settings.as_ref().err());
    let Ok((settings, rules)) = settings else {
        findings.push(Finding::not_checked(NOT_ASKED, "the configuration is wrong"));
        return Ok(findings);
    };
    let auth = match real::auth(&settings.credential) {
        Ok(auth) => auth,
        Err(error) => {
            findings.push(credential(&error));
            findings.push(Finding::not_checked(NOT_ASKED, "there is no credential to ask with"));
            return Ok(findings);
        }
    };
    let connection = real::connect(&settings, auth, Arc::clone(clock), Arc::clone(random))?;
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
        RealError::Credential(source) => ::doctor::credential(&format!("{error}; {source}")),
        _ => ::doctor::credential(&error.to_string()),
    }
}

/// What is to be said of where the archive lies.
async fn place(args: &DoctorArgs, env: &dyn Env, clock: &Arc<dyn Clock>, random: &Arc<dyn Random>) -> Vec<Finding> {
    const NAME: &str = "archive";
    let place = match Place::open(&args.archive, env).await {
        Ok(place) => place,
        Err(error) => return vec![unusable(NAME, &error)],
    };
    let mut findings = Vec::new();
    if let Location::Folder(path) = &place.location {
        findings.push(folder::writable(path));
    }
    match settings::from_env::<TenantId>(env, Surroundings::Local) {
        Ok(tenant) => {
            let opened = Archive::open(place.stores.clone(), tenant, Arc::clone(clock), Arc::clone(random)).await;
            findings.push(::doctor::archive(&opened));
        }
        Err(_) => findings.push(Finding::not_checked(NAME, "which tenant's it should be is not known")),
    }
    findings
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
