//! Runs the doctor as the command line does, and reads what it prints.

use std::io::Write;
use std::sync::{Arc, Mutex};

use clap::Parser;
use copilot_archive::cli::{Cli, Command};
use copilot_archive::doctor::{self, Account};
use copilot_archive::screen::Screen;
use domain::{Clock, MapEnv, SystemClock};
use serde_json::Value;

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Examined {
    /// The exit code.
    pub(crate) code: u8,
    /// What was printed.
    pub(crate) text: String,
    findings: Vec<Value>,
}

/// Examines with these options and variables.
pub(crate) async fn examined(options: &[&str], env: &MapEnv, account: &Account) -> Examined {
    let words = ["copilot-archive", "doctor", "--json"].iter().chain(options);
    let Some(Command::Doctor(args)) = Cli::try_parse_from(words).unwrap().command else {
        unreachable!("the words say doctor")
    };
    let written = Written::default();
    let screen = Screen::to(Box::new(written.clone()));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let code = Box::pin(doctor::run(&args, env, &clock, account, &screen)).await;
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let findings = report["findings"].as_array().unwrap().clone();
    Examined { code, text, findings }
}

impl Examined {
    fn in_state(&self, state: &str) -> Vec<&Value> {
        self.findings.iter().filter(|finding| finding["state"] == state).collect()
    }

    /// The names of what is good.
    pub(crate) fn good(&self) -> Vec<&str> {
        self.in_state("good").into_iter().map(|finding| finding["name"].as_str().unwrap()).collect()
    }

    /// What is said of this thing.
    pub(crate) fn says(&self, name: &str) -> &str {
        let found = self.findings.iter().find(|finding| finding["name"] == name);
        found.unwrap_or_else(|| panic!("{name} in {}", self.text))["says"].as_str().unwrap()
    }

    /// What is to be fixed, each with what is said of it and its fix.
    pub(crate) fn fixes(&self) -> Vec<(&str, String)> {
        let text = |finding: &Value, member: &str| finding[member].as_str().unwrap().to_owned();
        let told = |finding: &Value| format!("{} -> {}", text(finding, "says"), text(finding, "fix"));
        self.in_state("fix").into_iter().map(|found| (found["name"].as_str().unwrap(), told(found))).collect()
    }

    /// That these and no other things are to be fixed, each with these words in what is said of it and its fix.
    #[track_caller]
    pub(crate) fn expect(&self, fixes: &[(&str, &str)]) {
        let found = self.fixes();
        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        let expected: Vec<&str> = fixes.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, expected, "{}", self.text);
        for ((_, told), (_, words)) in found.iter().zip(fixes) {
            assert!(told.contains(words), "{words:?} in {told}");
        }
        assert_eq!(self.code, u8::from(!fixes.is_empty()));
    }
}
