//! What the formats of bills of materials have in common.

use git_hexmirror::hex::registry::Retirement;
use git_hexmirror::model::hex_digits;
use git_hexmirror::ops::SbomReport;
use git_hexmirror::plan::{Component, Concern, SbomProject};
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The last second that a timestamp can state.
pub const LAST_SECOND: i64 = 253_402_207_200;

/// A bill of materials, and what the command line says about it.
#[derive(Debug, Clone, Copy)]
pub struct Bill<'a> {
    pub report: &'a SbomReport,
    /// The name of the whole.
    pub name: &'a str,
    /// The version of the whole.
    pub version: Option<&'a str>,
    /// The time to state, in seconds since 1970.
    pub seconds: Option<i64>,
}

impl<'a> Bill<'a> {
    /// Returns the only project, which is then the whole.
    pub fn only_project(&self) -> Option<&'a SbomProject> {
        match &self.report.sbom.projects[..] {
            [project] => Some(project),
            _ => None,
        }
    }

    /// Returns the name of a project.
    pub fn name_of(&self, project: &SbomProject) -> String {
        if project.folder.is_empty() { self.name.to_owned() } else { format!("{}/{}", self.name, project.folder) }
    }

    /// Returns what refers to the whole.
    pub fn root(&self) -> String {
        self.only_project().map_or_else(|| "repository".to_owned(), reference)
    }
}

/// Returns what refers to a project.
pub fn reference(project: &SbomProject) -> String {
    format!("project:{}", project.folder)
}

/// Returns a time as RFC 3339, in UTC.
pub fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds.clamp(0, LAST_SECOND)).unwrap_or_default().to_string()
}

/// Returns an identifier that follows from a document's content, in the form of a UUID (version 8 of RFC 9562).
pub fn uuid(document: &Value) -> String {
    let mut bytes: [u8; 16] = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(document.to_string())[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex_digits(&bytes);
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]).join("-")
}

/// Returns the first hexadecimal digits of a text's SHA-256.
pub fn digest(text: &str, digits: usize) -> String {
    hex_digits(&Sha256::digest(text))[..digits].to_owned()
}

/// Describes a retirement in one line.
pub fn retirement(retired: &Retirement) -> String {
    Concern::Retired(retired.clone()).text()
}

/// Returns why the mirror does not have a component, if it does not.
pub fn absence(component: &Component) -> Option<&str> {
    (!component.is_mirrored).then(|| component.reason.as_deref().unwrap_or("the mirror does not have it"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_beyond_the_calendar_are_its_ends() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(i64::MIN), "1970-01-01T00:00:00Z");
        assert_eq!(time(i64::MAX), "9999-12-30T22:00:00Z");
    }

    #[test]
    fn identifiers_follow_from_the_content() {
        let [one, other] = [json!({"a": 1}), json!({"a": 2})].map(|document| uuid(&document));
        assert_eq!((one.len(), &one[14..15]), (36, "8"));
        assert_ne!(one, other);
        assert_eq!(one, uuid(&json!({"a": 1})));
    }
}
