//! Configuration from the environment, every fault at once.
//!
//! What is configured comes in parts by concern ([`Rules`], [`GraphSettings`], [`AwsSettings`], ...). A program names the
//! parts it needs as a type and gets them all, or one error that lists what is wrong with any of them:
//!
//! ```
//! # use domain::MapEnv;
//! use settings::{Place, Rules, Pace};
//!
//! # let environment = MapEnv::from([("OVERLAP_HOURS", "three"), ("QUIET_SECONDS", "-1")]);
//! let error = settings::from_env::<(Rules, Pace)>(&environment, Place::Lambda).unwrap_err();
//! assert_eq!(error.faults.len(), 2);
//! ```

mod aws;
mod graph;
mod reader;
mod rules;
mod variables;

use std::fmt;

pub use aws::{AwsSettings, MetricNamespace, S3Address, S3AddressError, StateBucket};
pub use graph::{ApiVersion, Cloud, Credential, GraphSettings, Pace, Secret};
pub use reader::Reader;
pub use rules::Rules;
pub use variables::{VARIABLES, Variable};

use domain::{Env, TenantId};

/// Where the program runs: some variables differ there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// As a Lambda function: the secret lies in Secrets Manager.
    Lambda,
    /// On somebody's machine: the secret is given by hand.
    Local,
}

/// Something that is configured as a whole. A tuple of parts is a part.
pub trait Part: Sized {
    /// Reads the variables of this part and reports every fault to the reader; `None` if there was one.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

/// The parts, or every fault of all of them.
pub fn from_env<P: Part>(env: &dyn Env, place: Place) -> Result<P, InvalidConfiguration> {
    let mut reader = Reader::new(env, place);
    let part = P::read(&mut reader);
    let faults = reader.into_faults();
    match part {
        Some(part) if faults.is_empty() => Ok(part),
        _ => Err(InvalidConfiguration { faults }),
    }
}

/// The environment is not one this program can work in. Names every variable that is wrong, never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidConfiguration {
    /// What is wrong: each variable at most once.
    pub faults: Vec<Fault>,
}

impl fmt::Display for InvalidConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is invalid: ")?;
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

/// What is wrong with one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The variable's name.
    pub variable: &'static str,
    /// What is wrong, to be read after the name. Never holds the value: it may be a secret.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.variable, self.problem)
    }
}

impl Part for TenantId {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.required(&variables::GRAPH_TENANT_ID, "a GUID", |text| text.parse().ok())
    }
}

impl<A: Part, B: Part> Part for (A, B) {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // Each part is read before any is looked at: a fault in one must not hide those of another.
        let (a, b) = (A::read(reader), B::read(reader));
        Some((a?, b?))
    }
}

impl<A: Part, B: Part, C: Part> Part for (A, B, C) {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (a, b, c) = (A::read(reader), B::read(reader), C::read(reader));
        Some((a?, b?, c?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use domain::MapEnv;
    use jiff::SignedDuration;
    use secrecy::ExposeSecret;

    use super::*;

    type Everything = (GraphSettings, AwsSettings, Rules);

    const ID: &str = "5ac181d0-c896-435a-a745-ac948db1d59a";
    const QUEUE: &str = "https://sqs.eu-central-1.amazonaws.com/111122223333/work";

    /// Exactly what is required of a function.
    fn least() -> MapEnv {
        MapEnv::from([
            ("GRAPH_TENANT_ID", ID),
            ("GRAPH_CLIENT_ID", ID),
            ("GRAPH_CREDENTIAL", "client-secret"),
            ("GRAPH_SECRET_ID", "copilot/secret"),
            ("WORK_QUEUE_URL", QUEUE),
            ("ARCHIVE_BUCKET", "archive-bucket"),
        ])
    }

    fn local() -> MapEnv {
        MapEnv::from([("GRAPH_TENANT_ID", ID), ("GRAPH_CLIENT_ID", ID)])
    }

    fn faulty<P: Part>(env: &MapEnv, place: Place) -> Vec<&'static str> {
        match from_env::<P>(env, place) {
            Ok(_) => Vec::new(),
            Err(error) => error.faults.iter().map(|fault| fault.variable).collect(),
        }
    }

    #[test]
    fn the_least_environment_gives_the_documented_defaults() {
        let (graph, aws, rules): Everything = from_env(&least(), Place::Lambda).unwrap();
        assert_eq!(graph.tenant_id.to_string(), ID);
        assert_eq!(graph.client_id, ID);
        assert_eq!((graph.cloud, graph.api_version), (Cloud::Global, ApiVersion::V1));
        assert!(
            matches!(graph.credential, Credential::ClientSecret(Secret::InSecretsManager(id)) if id == "copilot/secret")
        );
        assert_eq!((graph.base_url, graph.login_url, graph.date_filter), (None, None, true));
        assert_eq!(graph.pace, Pace { requests_per_second: 24.0, worker_concurrency: 2 });
        assert_eq!(graph.pace.share(), 12.0);
        assert_eq!(
            aws,
            AwsSettings {
                work_queue_url: QUEUE.to_owned(),
                archive_bucket: "archive-bucket".to_owned(),
                state_bucket: "archive-bucket".to_owned(),
                prefix: String::new(),
            }
        );
        assert_eq!(
            rules,
            Rules {
                settle: SignedDuration::from_mins(120),
                overlap: SignedDuration::from_hours(72),
                history_start: "2023-11-01T00:00:00Z".parse().unwrap(),
                history_hours: SignedDuration::from_hours(6),
                quiet: Duration::from_secs(60),
                include_groups: Vec::new(),
                exclude_groups: Vec::new(),
                leavers: SignedDuration::from_hours(30 * 24),
                retention: None,
            }
        );
        assert_eq!(rules, Rules::default());
    }

    #[test]
    fn every_variable_set_reaches_its_setting() {
        let env = least()
            .with("GRAPH_CLIENT_ID", ID.to_uppercase())
            .with("GRAPH_CLOUD", "us-gov-l5")
            .with("GRAPH_API_VERSION", "beta")
            .with("GRAPH_CREDENTIAL", "certificate")
            .with("GRAPH_SECRET_ID", "arn:aws:secretsmanager:eu-central-1:111122223333:secret:copilot-AbCdEf")
            .with("GRAPH_BASE_URL", "https://graph.example.com:8443/")
            .with("GRAPH_LOGIN_URL", "http://127.0.0.1:8080")
            .with("GRAPH_DATE_FILTER", "off")
            .with("GRAPH_REQUESTS_PER_SECOND", "0.5")
            .with("WORKER_CONCURRENCY", "5")
            .with("STATE_BUCKET", "state-bucket")
            .with("ARCHIVE_PREFIX", "copilot/")
            .with("SETTLE_MINUTES", "0")
            .with("OVERLAP_HOURS", "1")
            .with("HISTORY_START", "2024-02-29T12:00:00Z")
            .with("HISTORY_HOURS", "22")
            .with("QUIET_SECONDS", "0")
            .with("INCLUDE_GROUPS", format!("{ID}, 00000000-0000-0000-0000-000000000001"))
            .with("EXCLUDE_GROUPS", ID)
            .with("LEAVER_DAYS", "0")
            .with("RETENTION_DAYS", "400");
        let (graph, aws, rules): Everything = from_env(&env, Place::Lambda).unwrap();
        assert_eq!(graph.client_id, ID);
        assert_eq!((graph.cloud, graph.api_version), (Cloud::UsGovL5, ApiVersion::Beta));
        assert!(
            matches!(graph.credential, Credential::Certificate(Secret::InSecretsManager(id)) if id.starts_with("arn:"))
        );
        assert_eq!(graph.base_url.as_deref(), Some("https://graph.example.com:8443"));
        assert_eq!(graph.login_url.as_deref(), Some("http://127.0.0.1:8080"));
        assert!(!graph.date_filter);
        assert_eq!(graph.pace.share(), 0.1);
        assert_eq!((aws.state_bucket.as_str(), aws.prefix.as_str()), ("state-bucket", "copilot/"));
        assert_eq!((rules.settle, rules.overlap), (SignedDuration::ZERO, SignedDuration::from_hours(1)));
        assert_eq!(rules.history_start, "2024-02-29T12:00:00Z".parse().unwrap());
        assert_eq!((rules.history_hours, rules.quiet), (SignedDuration::from_hours(22), Duration::ZERO));
        assert_eq!(rules.include_groups.len(), 2);
        assert_eq!(rules.exclude_groups, [ID.parse().unwrap()]);
        assert_eq!(rules.leavers, SignedDuration::ZERO);
        assert_eq!(rules.retention, Some(SignedDuration::from_hours(400 * 24)));
    }

    #[test]
    fn a_required_variable_that_is_missing_or_empty_is_named() {
        for name in [
            "GRAPH_TENANT_ID",
            "GRAPH_CLIENT_ID",
            "GRAPH_CREDENTIAL",
            "GRAPH_SECRET_ID",
            "WORK_QUEUE_URL",
            "ARCHIVE_BUCKET",
        ] {
            let error = from_env::<Everything>(&least().with(name, ""), Place::Lambda).unwrap_err();
            assert!(error.to_string().contains(&format!("{name} is not set")), "{error}");
            assert_eq!(error.faults.len(), 1, "{error}");
        }
    }

    #[test]
    fn an_invalid_value_is_named_and_never_shown() {
        let long = "x".repeat(600);
        let many_groups = [ID; 101].join(",");
        for (name, values) in [
            ("GRAPH_TENANT_ID", ["contoso.onmicrosoft.com", " "].as_slice()),
            ("GRAPH_CLIENT_ID", &["my-app"]),
            ("GRAPH_CLOUD", &["Global", "china"]),
            ("GRAPH_API_VERSION", &["v2.0", "1.0"]),
            ("GRAPH_CREDENTIAL", &["password"]),
            ("GRAPH_SECRET_ID", &["q8~not!an#id", "-----BEGIN PRIVATE KEY-----\n"]),
            (
                "GRAPH_BASE_URL",
                &[
                    "graph.example.com",
                    "http://graph.example.com",
                    "http://localhost.evil.example",
                    "https://graph.example.com/v1.0",
                    "https://graph.example.com/?a=b",
                    "https://graph.example.com/#a",
                    "https://user@graph.example.com",
                    "https://:word@graph.example.com",
                    "ftp://localhost",
                ],
            ),
            ("GRAPH_LOGIN_URL", &["http://10.0.0.1", "http://[2001:db8::1]"]),
            ("GRAPH_DATE_FILTER", &["true", "ON"]),
            ("GRAPH_REQUESTS_PER_SECOND", &["0", "-1", "1501", "NaN", "inf", "many"]),
            ("WORKER_CONCURRENCY", &["0", "1001", "1.5"]),
            ("WORK_QUEUE_URL", &["work-queue", "sqs://host/queue", "https://sqs.example.com"]),
            ("ARCHIVE_BUCKET", &["ab", "Upper-Case", "s3://bucket"]),
            ("STATE_BUCKET", &["under_score"]),
            ("ARCHIVE_PREFIX", &["a b/", "*", &long]),
            ("SETTLE_MINUTES", &["-1", "1441", "2h"]),
            ("OVERLAP_HOURS", &["0", "8761", "72.0"]),
            (
                "HISTORY_START",
                &[
                    "yesterday",
                    "2024-05-06",
                    "2024-05-06T00:00:00",
                    "2024-05-06T00:00:00+01:00",
                    "1999-12-31T23:59:59Z",
                    "2100-01-01T00:00:01Z",
                ],
            ),
            ("HISTORY_HOURS", &["0", "23"]),
            ("QUIET_SECONDS", &["601", "a minute"]),
            ("INCLUDE_GROUPS", &["sales", ",", &many_groups]),
            ("EXCLUDE_GROUPS", &["sales,marketing"]),
            ("LEAVER_DAYS", &["-1", "366", "a month"]),
            ("RETENTION_DAYS", &["-1", "1", "16", "36501", "a year"]),
            ("METRIC_NAMESPACE", &["AWS/Lambda", "Copilot Archive", &long]),
        ] {
            for value in values {
                let env = least().with(name, *value);
                let error = from_env::<(Everything, MetricNamespace)>(&env, Place::Lambda).unwrap_err();
                let [fault] = error.faults.as_slice() else { panic!("{name}={value}: {error}") };
                assert_eq!(fault.variable, name, "{value}");
                // A value of few letters is in any text.
                assert!(value.len() < 5 || !error.to_string().contains(value), "{error}");
            }
        }
    }

    #[test]
    fn metrics_go_where_somebody_says_and_otherwise_nowhere() {
        let namespace = |env: &MapEnv| from_env::<MetricNamespace>(env, Place::Lambda).unwrap().0;
        assert_eq!(namespace(&least()), None);
        let named = "CopilotArchive/the-stack";
        assert_eq!(namespace(&least().with("METRIC_NAMESPACE", named)).as_deref(), Some(named));
    }

    #[test]
    fn loopback_may_be_plain() {
        for origin in ["http://localhost:9000", "http://127.0.0.1", "http://[::1]:8080"] {
            let graph: GraphSettings = from_env(&least().with("GRAPH_BASE_URL", origin), Place::Lambda).unwrap();
            assert_eq!(graph.base_url.as_deref(), Some(origin));
        }
    }

    #[test]
    fn a_wrong_group_is_named_by_its_position() {
        let error = Rules::from_env(&MapEnv::from([("INCLUDE_GROUPS", &*format!("{ID},a,{ID},b"))])).unwrap_err();
        assert!(error.to_string().ends_with("see entry 2, 4"), "{error}");
    }

    #[test]
    fn what_is_kept_leaves_room_for_the_overlap_and_two_weeks() {
        let kept = |overlap: &str, days: &str| {
            let rules = Rules::from_env(&MapEnv::from([("OVERLAP_HOURS", overlap), ("RETENTION_DAYS", days)]));
            rules.map(|rules| rules.retention.map(|kept| kept.as_hours() / 24)).map_err(|error| error.to_string())
        };
        assert_eq!(kept("72", "17"), Ok(Some(17)));
        assert_eq!(kept("73", "18"), Ok(Some(18)));
        assert_eq!(kept("8760", "0"), Ok(None));
        assert!(kept("73", "17").unwrap_err().contains("at least 18:"));
        // A fault of the overlap is one fault, and hides none of this.
        for (days, faults) in [("400", 1), ("13", 2)] {
            let env = MapEnv::from([("OVERLAP_HOURS", "three"), ("RETENTION_DAYS", days)]);
            assert_eq!(faulty::<Rules>(&env, Place::Lambda).len(), faults, "{days}");
        }
    }

    #[test]
    fn what_is_kept_begins_so_many_days_before_the_run_at_a_whole_second() {
        let started_at = "2026-11-24T03:00:00.25Z".parse().unwrap();
        let for_ever = Rules::default();
        assert_eq!(for_ever.kept_since(started_at), domain::Timestamp::MIN);
        assert_eq!(for_ever.history_begins(started_at), for_ever.history_start);
        let month = Rules { retention: Some(SignedDuration::from_hours(30 * 24)), ..Rules::default() };
        assert_eq!(month.kept_since(started_at).to_string(), "2026-10-25T03:00:01Z");
        assert_eq!(month.history_begins(started_at), month.kept_since(started_at));
        let century = Rules { retention: Some(SignedDuration::from_hours(36_500 * 24)), ..Rules::default() };
        assert_eq!(century.history_begins(started_at), century.history_start);
    }

    #[test]
    fn all_faults_of_all_parts_come_at_once() {
        let env = MapEnv::from([
            ("GRAPH_CLOUD", "moon"),
            ("ARCHIVE_BUCKET", "B"),
            ("OVERLAP_HOURS", "0"),
            ("QUIET_SECONDS", "-1"),
            ("METRIC_NAMESPACE", "AWS/"),
        ]);
        let named = faulty::<(Everything, MetricNamespace)>(&env, Place::Lambda);
        assert_eq!(
            named,
            [
                "GRAPH_TENANT_ID",
                "GRAPH_CLIENT_ID",
                "GRAPH_CLOUD",
                "GRAPH_CREDENTIAL",
                "WORK_QUEUE_URL",
                "ARCHIVE_BUCKET",
                "OVERLAP_HOURS",
                "QUIET_SECONDS",
                "METRIC_NAMESPACE",
            ]
        );
        assert_eq!(faulty::<(TenantId, AwsSettings)>(&env, Place::Lambda), [named[0], named[4], named[5]]);
        assert_eq!(faulty::<Rules>(&env, Place::Lambda), named[6..8]);
    }

    #[test]
    fn federation_needs_no_secret() {
        let env = least().with("GRAPH_CREDENTIAL", "federated").with("GRAPH_SECRET_ID", "");
        let graph: GraphSettings = from_env(&env, Place::Lambda).unwrap();
        assert!(matches!(graph.credential, Credential::Federated));
    }

    #[test]
    fn the_local_program_takes_its_secret_by_hand_and_runs_one_worker() {
        let env = local().with("GRAPH_CLIENT_SECRET", "q8~secret");
        let graph: GraphSettings = from_env(&env, Place::Local).unwrap();
        assert_eq!(graph.pace.worker_concurrency, 1);
        assert!(!format!("{graph:?}").contains("q8~secret"));
        assert!(
            matches!(graph.credential, Credential::ClientSecret(Secret::Given(secret)) if secret.expose_secret() == "q8~secret")
        );

        let env = local().with("GRAPH_CERTIFICATE_FILE", "app.pem");
        let graph: GraphSettings = from_env(&env, Place::Local).unwrap();
        assert!(matches!(graph.credential, Credential::Certificate(Secret::InFile(path)) if path.ends_with("app.pem")));
    }

    #[test]
    fn the_local_program_guesses_no_credential() {
        let both = local().with("GRAPH_CLIENT_SECRET", "q8~secret").with("GRAPH_CERTIFICATE_FILE", "app.pem");
        assert_eq!(faulty::<GraphSettings>(&local(), Place::Local), ["GRAPH_CREDENTIAL"]);
        assert_eq!(faulty::<GraphSettings>(&both, Place::Local), ["GRAPH_CREDENTIAL"]);
        let chosen: GraphSettings = from_env(&both.with("GRAPH_CREDENTIAL", "certificate"), Place::Local).unwrap();
        assert!(matches!(chosen.credential, Credential::Certificate(Secret::InFile(_))));
        // A secret for the local program is none for a function.
        let env = local().with("GRAPH_CLIENT_SECRET", "q8~secret").with("GRAPH_CREDENTIAL", "client-secret");
        assert_eq!(faulty::<GraphSettings>(&env, Place::Lambda), ["GRAPH_SECRET_ID"]);
        let env = local().with("GRAPH_SECRET_ID", "copilot/secret").with("GRAPH_CREDENTIAL", "client-secret");
        assert_eq!(faulty::<GraphSettings>(&env, Place::Local), ["GRAPH_CLIENT_SECRET"]);
    }

    #[test]
    fn the_parser_reads_every_variable_of_the_table() {
        let names: BTreeSet<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
        assert_eq!(names.len(), VARIABLES.len());
        for name in names {
            // The secret and the path of the local program may be any text.
            if !matches!(name, "GRAPH_CLIENT_SECRET" | "GRAPH_CERTIFICATE_FILE") {
                assert_eq!(
                    faulty::<(Everything, MetricNamespace)>(&least().with(name, "\u{7f}"), Place::Lambda),
                    [name]
                );
            }
        }
    }
}
