//! `doctor`: what on this host, and towards a server, will hurt UDP reads. [`facts`] are gathered, [`findings`] follow from them alone, and
//! [`words`] puts them before people.

pub mod facts;
pub mod findings;
pub mod words;

use serde::Serialize;

use self::facts::Facts;
use self::findings::{Finding, Severity};

/// Version of the document of `--json`.
pub const SCHEMA: &str = "shingle.doctor/1";

/// Everything the doctor has to say.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// What could not be told, with the reason.
    pub unknown: Vec<String>,
    /// What it follows from.
    pub facts: Facts,
}

impl Report {
    /// What follows from these facts.
    pub fn of(facts: Facts) -> Self {
        let mut unknown = facts.unknown.clone();
        unknown.extend(findings::gaps(&facts));
        Self { schema: SCHEMA, findings: findings::of(&facts), unknown, facts }
    }

    /// 1 where something will hurt, otherwise 0.
    pub fn exit_status(&self) -> u8 {
        self.findings.iter().any(|finding| finding.severity == Severity::Hurts).into()
    }
}
