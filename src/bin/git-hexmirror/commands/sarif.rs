//! The findings of an audit as a SARIF log
//! (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).

use std::collections::BTreeMap;

use git_hexmirror::model::public_url;
use git_hexmirror::ops::AuditFinding;
use git_hexmirror::plan::Concern;
use serde_json::{Value, json};

use super::concern::describe;

/// Returns the log. Paths are relative to the root of the worktree.
pub fn log(findings: &[AuditFinding]) -> Value {
    let rules: BTreeMap<String, Value> =
        findings.iter().map(|finding| (rule_id(&finding.concern), rule(finding))).collect();
    let indexes: Vec<&String> = rules.keys().collect();
    let results = findings.iter().map(|finding| {
        let id = rule_id(&finding.concern);
        let mut result = json!({
            "ruleId": id,
            "ruleIndex": indexes.binary_search(&&id).unwrap_or_default(),
            "level": finding.concern.level().as_str(),
            "message": { "text": plain(&format!("{}: {}", finding.subject, describe(&finding.concern))) },
            "partialFingerprints": { "hexmirror/v1": format!("{id}:{}", finding.subject) },
        });
        if let Some((file, line)) = &finding.place {
            let location = json!({ "artifactLocation": { "uri": uri(file) }, "region": { "startLine": line } });
            result["locations"] = json!([{ "physicalLocation": location }]);
        }
        result
    });
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "git-hexmirror",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.values().collect::<Vec<_>>(),
            } },
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

/// Returns a message with this text. In a message, brackets make links and braces are placeholders (SARIF 2.1.0, 3.11.5, 3.11.6).
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' | '[' | ']' => plain.extend(['\\', char]),
            '{' | '}' => plain.extend([char, char]),
            _ => plain.push(char),
        }
    }
    plain
}

/// Returns the id of the rule: that of an advisory, so that forges group its findings. Without a dash it is not one that an
/// authority gave, and could be that of another rule.
fn rule_id(concern: &Concern) -> String {
    match concern {
        Concern::Vulnerable(advisory) if advisory.id.contains('-') && advisory.id != Concern::NotMirrored.rule() => {
            advisory.id.clone()
        }
        Concern::Vulnerable(advisory) => format!("vulnerable:{}", advisory.id),
        other => other.rule().to_owned(),
    }
}

fn rule(finding: &AuditFinding) -> Value {
    let summary = match &finding.concern {
        Concern::Vulnerable(advisory) if !advisory.summary.is_empty() => advisory.summary.clone(),
        Concern::Vulnerable(advisory) => advisory.id.clone(),
        Concern::Retired(_) => "A pinned release is retired".to_owned(),
        Concern::Unlisted | Concern::NoPackage => "The registry does not list a pinned release".to_owned(),
        Concern::UndescribedAdvisory => "An advisory applies to a pinned release".to_owned(),
        Concern::FirstUse(_) => "Only the first download vouches for a pinned file".to_owned(),
        Concern::OldEntries { .. } => "The registry entries are older than allowed".to_owned(),
        Concern::Unsigned => "No signed registry entry vouches for a pinned release".to_owned(),
        Concern::NotMirrored => "The mirror lacks a pinned release".to_owned(),
        Concern::License { .. } | Concern::NoLicense => "A pinned release has no allowed license".to_owned(),
    };
    let mut rule = json!({
        "id": rule_id(&finding.concern),
        "shortDescription": { "text": summary },
        "defaultConfiguration": { "level": finding.concern.level().as_str() },
    });
    if let Concern::Vulnerable(advisory) = &finding.concern {
        rule["properties"] = json!({ "tags": ["security"] });
        if let Some(score) = advisory.cvss_score.filter(|score| (0.0..=10.0).contains(score)) {
            rule["properties"]["security-severity"] = json!(format!("{score:.1}"));
        }
        if let Some(url) = public_url(&advisory.html_url) {
            rule["helpUri"] = json!(url);
        }
    }
    rule
}

/// Returns a path as a relative URI.
fn uri(path: &str) -> String {
    percent_encoding::utf8_percent_encode(path, PATH).to_string()
}

/// What RFC 3986 does not allow in a path.
const PATH: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn messages_have_neither_links_nor_placeholders() {
        assert_eq!(plain(r"[a](https://b) {0} \["), r"\[a\](https://b) {{0}} \\\[");
    }
}
