//! A bill of materials as CycloneDX 1.6 (<https://cyclonedx.org/docs/1.6/json/>).

use std::collections::BTreeMap;

use git_hexmirror::hex::license::License;
use git_hexmirror::hex::registry::{Advisory, Severity};
use git_hexmirror::model::{public_url, shortened};
use git_hexmirror::plan::{Component, ComponentId, Role, SbomProject};
use serde_json::{Value, json};

use super::bill::{self, Bill};

/// Who assigns the identifiers of vulnerabilities that begin with these letters, and where they are described.
const SOURCES: [(&str, &str, &str); 3] = [
    ("CVE-", "CVE", "https://www.cve.org/CVERecord?id="),
    ("GHSA-", "GitHub Advisory Database", "https://github.com/advisories/"),
    ("EEF-", "Erlang Ecosystem Foundation", "https://cna.erlef.org/osv/"),
];

/// Returns the document.
pub fn document(bill: &Bill<'_>) -> Value {
    let sbom = &bill.report.sbom;
    let projects = if bill.only_project().is_some() { &[][..] } else { &sbom.projects };
    let project = |project: &SbomProject| {
        let named =
            json!({ "type": "application", "bom-ref": bill::reference(project), "name": bill.name_of(project) });
        with_targets(named, project)
    };
    let components = projects.iter().map(project).chain(sbom.components.iter().map(|(id, one)| component(id, one)));
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata(bill),
        "components": components.collect::<Vec<_>>(),
        "dependencies": dependencies(bill),
    });
    let unresolved = sbom.components.iter().filter(|(_, one)| !one.is_resolved).map(|(id, _)| id.to_string());
    let unresolved: Vec<_> = unresolved.collect();
    if !unresolved.is_empty() {
        document["compositions"] = json!([{ "aggregate": "unknown", "dependencies": unresolved }]);
    }
    let vulnerabilities = vulnerabilities(&sbom.components);
    if !vulnerabilities.is_empty() {
        document["vulnerabilities"] = json!(vulnerabilities);
    }
    document["serialNumber"] = json!(format!("urn:uuid:{}", bill::uuid(&document)));
    document
}

fn metadata(bill: &Bill<'_>) -> Value {
    let only = bill.only_project();
    let name = only.map_or_else(|| bill.name.to_owned(), |project| bill.name_of(project));
    let mut root = json!({ "type": "application", "bom-ref": bill.root(), "name": name });
    if let Some(version) = bill.version {
        root["version"] = json!(version);
    }
    let tool = json!({ "type": "application", "name": "git-hexmirror", "version": env!("CARGO_PKG_VERSION") });
    let mut metadata = json!({
        "lifecycles": [{ "phase": "pre-build" }],
        "tools": { "components": [tool] },
        "component": only.map_or(root.clone(), |project| with_targets(root, project)),
    });
    if let Some(seconds) = bill.seconds {
        metadata["timestamp"] = json!(bill::time(seconds));
    }
    if let Some(day) = bill.report.refreshed {
        metadata["properties"] = json!([property("advisories-as-of", &day.to_string())]);
    }
    metadata
}

/// Adds the machines that a project is built on.
fn with_targets(mut root: Value, project: &SbomProject) -> Value {
    if !project.targets.is_empty() {
        let targets = project.targets.iter().map(|target| property("target", &target.to_string()));
        root["properties"] = targets.collect();
    }
    root
}

fn property(name: &str, value: &str) -> Value {
    json!({ "name": format!("hexmirror:{name}"), "value": value })
}

fn component(id: &ComponentId, component: &Component) -> Value {
    let kind = match component.role {
        Role::Tool => "application",
        Role::Artefact | Role::Download | Role::Documentation => "file",
        Role::Branch => "data",
        Role::Dependency | Role::Submodule | Role::Plugin => "library",
    };
    let mut document = json!({
        "type": kind,
        "bom-ref": id.to_string(),
        "name": id.name(),
        "properties": properties(id, component),
    });
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            document[name] = value;
        }
    };
    set("version", id.version().map(Value::from));
    set("purl", component.purl.as_deref().map(Value::from));
    set("scope", component.role.is_of_build().then(|| "excluded".into()));
    set("hashes", component.sha256.as_ref().map(|sum| json!([{ "alg": "SHA-256", "content": sum }])));
    set("licenses", licenses(component));
    let kind = if let ComponentId::Revision { revision, .. } = id {
        set("swhid", Some(json!([format!("swh:1:rev:{revision}")])));
        "vcs"
    } else {
        "distribution"
    };
    set("externalReferences", component.location.as_ref().map(|url| json!([{ "type": kind, "url": url }])));
    let place = |(file, line): &(String, usize)| json!({ "location": file, "line": line });
    let places: Vec<_> = component.places.iter().map(place).collect();
    set("evidence", (!places.is_empty()).then(|| json!({ "occurrences": places })));
    document
}

fn properties(id: &ComponentId, component: &Component) -> Vec<Value> {
    let mut properties = vec![property("role", component.role.as_str())];
    if let Some(id) = id.release() {
        properties.push(property("repository", id.repository.as_str()));
    }
    if let Some(listing) = &component.listing {
        properties.push(property("registry", listing.as_str()));
        let retired = listing.flags().and_then(|flags| flags.retired.as_ref());
        properties.extend(retired.map(|retired| property("retired", &bill::retirement(retired))));
    }
    properties.extend(component.trust.map(|trust| property("trust", &trust.to_string())));
    properties.extend(bill::absence(component).map(|reason| property("not-mirrored", reason)));
    properties
}

/// Returns the licenses that a package declares. A document has either single ones or one expression, so an expression beside
/// other texts is a name.
fn licenses(component: &Component) -> Option<Value> {
    if component.licenses.is_empty() {
        return None;
    }
    let is_simple = component.licenses.iter().all(|license| matches!(license, License::Id(_)));
    let expression = if is_simple { None } else { expression(component) };
    if let Some(expression) = expression {
        return Some(json!([{ "expression": expression, "acknowledgement": "declared" }]));
    }
    let license = |license: &License| {
        let mut document = json!({ "acknowledgement": "declared" });
        match license {
            License::Id(id) => document["id"] = json!(id),
            License::Expression(text) | License::Named(text) => document["name"] = json!(shortened(text)),
        }
        json!({ "license": document })
    };
    Some(component.licenses.iter().map(license).collect())
}

/// Returns all licenses as one expression, unless one of them is a name.
fn expression(component: &Component) -> Option<String> {
    let part = |license: &License| match license {
        License::Id(id) => Some((*id).to_owned()),
        License::Expression(text) if component.licenses.len() == 1 => Some(text.clone()),
        License::Expression(text) => Some(format!("({text})")),
        License::Named(_) => None,
    };
    let parts: Option<Vec<String>> = component.licenses.iter().map(part).collect();
    parts.map(|parts| parts.join(" AND "))
}

fn dependencies(bill: &Bill<'_>) -> Vec<Value> {
    let sbom = &bill.report.sbom;
    let node = |reference: String, requires: Vec<String>| json!({ "ref": reference, "dependsOn": requires });
    let texts = |ids: &std::collections::BTreeSet<ComponentId>| ids.iter().map(ToString::to_string).collect();
    let mut nodes = Vec::with_capacity(sbom.components.len() + 1);
    if bill.only_project().is_none() {
        nodes.push(node(bill.root(), sbom.projects.iter().map(bill::reference).collect()));
    }
    nodes.extend(sbom.projects.iter().map(|project| node(bill::reference(project), texts(&project.requires))));
    nodes.extend(sbom.components.iter().map(|(id, component)| node(id.to_string(), texts(&component.requires))));
    nodes
}

/// Returns the advisories, each with everything that it applies to.
fn vulnerabilities(components: &BTreeMap<ComponentId, Component>) -> Vec<Value> {
    let mut found = BTreeMap::<&str, (&Advisory, Vec<&ComponentId>)>::new();
    for (id, component) in components {
        let flags = component.listing.as_ref().and_then(|listing| listing.flags());
        for advisory in flags.into_iter().flat_map(|flags| &flags.advisories) {
            let (_, affected) = found.entry(&advisory.id).or_insert((advisory, Vec::new()));
            // An entry can name an advisory twice.
            if affected.last() != Some(&id) {
                affected.push(id);
            }
        }
    }
    found.into_values().map(|(advisory, affected)| vulnerability(advisory, &affected)).collect()
}

fn vulnerability(advisory: &Advisory, affected: &[&ComponentId]) -> Value {
    let Advisory { id, summary, html_url, severity, cvss_score, .. } = advisory;
    let affects = affected.iter().map(|id| {
        let versions = id.version().map(|version| json!([{ "version": version, "status": "affected" }]));
        json!({ "ref": id.to_string(), "versions": versions.unwrap_or_else(|| json!([])) })
    });
    let mut document = json!({
        "id": shortened(id),
        "source": source(id, html_url),
        "affects": affects.collect::<Vec<_>>(),
    });
    let mut rating = json!({ "severity": severity_name(*severity) });
    if let Some(score) = cvss_score.filter(|score| (0.0..=10.0).contains(score)) {
        // The score has one decimal, which a conversion between binary fractions would turn into many.
        rating["score"] = json!((f64::from(score) * 10.0).round() / 10.0);
    }
    document["ratings"] = json!([rating]);
    if !summary.is_empty() {
        document["description"] = json!(shortened(summary));
    }
    if let Some(url) = public_url(html_url) {
        document["advisories"] = json!([{ "url": url }]);
    }
    let aliases = advisory.ids().filter(|alias| alias != id);
    let references: Vec<Value> =
        aliases.map(|alias| json!({ "id": shortened(alias), "source": source(alias, "") })).collect();
    if !references.is_empty() {
        document["references"] = json!(references);
    }
    document
}

/// Returns who assigned an identifier. `url` is the address of its page, if the registry names one.
fn source(id: &str, url: &str) -> Value {
    let known = SOURCES.iter().find(|(begin, ..)| id.starts_with(begin));
    let described = known.map(|(_, _, base)| format!("{base}{id}"));
    let url = public_url(url).or_else(|| described.as_deref().and_then(public_url));
    let mut source = json!({ "name": known.map_or("the package's registry", |(_, name, _)| name) });
    if let Some(url) = url {
        source["url"] = json!(url);
    }
    source
}

fn severity_name(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::None) => "none",
        Some(Severity::Low) => "low",
        Some(Severity::Medium) => "medium",
        Some(Severity::High) => "high",
        Some(Severity::Critical) => "critical",
        None | Some(_) => "unknown",
    }
}
