//! A bill of materials as SPDX 2.3 (<https://spdx.github.io/spdx-spec/v2.3/>).

use std::collections::BTreeMap;

use git_hexmirror::hex::license::License;
use git_hexmirror::model::{public_url, shortened};
use git_hexmirror::plan::{Component, ComponentId, Concern, Role};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::bill::{self, Bill};
use super::concern::describe;

/// What a field has that nothing is known about.
const UNKNOWN: &str = "NOASSERTION";
/// The maximum length of the readable part of an identifier, in characters.
const READABLE: usize = 60;

/// Returns the document.
pub fn document(bill: &Bill<'_>) -> Value {
    let sbom = &bill.report.sbom;
    let mut texts = BTreeMap::new();
    let only = bill.only_project();
    let mut packages = Vec::with_capacity(sbom.components.len() + 1);
    let name = only.map_or_else(|| bill.name.to_owned(), |project| bill.name_of(project));
    let mut root = application(&bill.root(), &name);
    if let Some(version) = bill.version {
        root["versionInfo"] = json!(version);
    }
    packages.push(root);
    if only.is_none() {
        let project = |project| application(&bill::reference(project), &bill.name_of(project));
        packages.extend(sbom.projects.iter().map(project));
    }
    packages.extend(sbom.components.iter().map(|(id, component)| package(id, component, &mut texts)));
    let extracted = texts.iter().map(|(id, text)| {
        let text = shortened(text);
        json!({ "licenseId": id, "name": text, "extractedText": text })
    });
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": bill.name,
        "creationInfo": {
            "created": bill::time(bill.seconds.unwrap_or(bill.report.seconds)),
            "creators": [concat!("Tool: git-hexmirror-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relationships(bill),
    });
    if let Some(day) = bill.report.refreshed {
        document["comment"] = json!(format!("Retirements and security advisories are as of {day}."));
    }
    if !texts.is_empty() {
        document["hasExtractedLicensingInfos"] = extracted.collect();
    }
    let name = utf8_percent_encode(bill.name, NON_ALPHANUMERIC);
    document["documentNamespace"] = json!(format!("https://spdx.org/spdxdocs/{name}-{}", bill::uuid(&document)));
    document
}

/// Returns the identifier of what a reference refers to: a readable part, and what keeps it apart from all others.
fn spdx_id(reference: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let readable: String = reference.chars().take(READABLE).map(|c| if is_allowed(c) { c } else { '-' }).collect();
    format!("SPDXRef-{readable}-{}", bill::digest(reference, 16))
}

fn application(reference: &str, name: &str) -> Value {
    json!({
        "SPDXID": spdx_id(reference),
        "name": name,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
        "primaryPackagePurpose": "APPLICATION",
    })
}

/// Describes a component. Adds the texts of licenses that are not SPDX's to `texts`, by their identifiers.
fn package(id: &ComponentId, component: &Component, texts: &mut BTreeMap<String, String>) -> Value {
    let mut package = application(&id.to_string(), &id.name());
    package["licenseDeclared"] = json!(declared(component, texts));
    package["primaryPackagePurpose"] = json!(match component.role {
        Role::Tool => "APPLICATION",
        Role::Artefact | Role::Download | Role::Documentation => "FILE",
        Role::Branch => "OTHER",
        Role::Dependency | Role::Submodule | Role::Plugin => "LIBRARY",
    });
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            package[name] = value;
        }
    };
    set("versionInfo", id.version().map(Value::from));
    set("downloadLocation", component.location.as_deref().map(Value::from));
    set("checksums", component.sha256.as_ref().map(|sum| json!([{ "algorithm": "SHA256", "checksumValue": sum }])));
    let references = references(id, component);
    set("externalRefs", (!references.is_empty()).then(|| json!(references)));
    let places: Vec<_> = component.places.iter().map(|(file, line)| format!("{file}:{line}")).collect();
    set("sourceInfo", (!places.is_empty()).then(|| format!("pinned by {}", places.join(", ")).into()));
    set("comment", Some(comments(component).join("\n").into()));
    package
}

/// Returns the licenses that a package declares. A package that names several is taken to be under all of them.
fn declared(component: &Component, texts: &mut BTreeMap<String, String>) -> String {
    let is_one = component.licenses.len() == 1;
    let part = |license: &License| match license {
        License::Id(id) => (*id).to_owned(),
        License::Expression(text) if is_one => text.clone(),
        License::Expression(text) => format!("({text})"),
        License::Named(text) => {
            let is_allowed = |c: &char| c.is_ascii_alphanumeric() || *c == '.';
            let readable: String = text.chars().filter(is_allowed).take(READABLE).collect();
            let id = format!("LicenseRef-{readable}-{}", bill::digest(text, 8));
            texts.insert(id.clone(), text.clone());
            id
        }
    };
    let parts: Vec<String> = component.licenses.iter().map(part).collect();
    if parts.is_empty() { UNKNOWN.to_owned() } else { parts.join(" AND ") }
}

fn references(id: &ComponentId, component: &Component) -> Vec<Value> {
    let reference = |category: &str, kind: &str, locator: &str| json!({ "referenceCategory": category, "referenceType": kind, "referenceLocator": locator });
    let mut references = Vec::new();
    references.extend(component.purl.as_ref().map(|purl| reference("PACKAGE-MANAGER", "purl", purl)));
    if let ComponentId::Revision { revision, .. } = id {
        references.push(reference("PERSISTENT-ID", "swh", &format!("swh:1:rev:{revision}")));
    }
    let flags = component.listing.as_ref().and_then(|listing| listing.flags());
    let advisories = flags.into_iter().flat_map(|flags| &flags.advisories);
    let urls = advisories.filter_map(|advisory| public_url(&advisory.html_url));
    references.extend(urls.map(|url| reference("SECURITY", "advisory", url)));
    references
}

/// Returns what no field of the format is for.
fn comments(component: &Component) -> Vec<String> {
    let mut comments = vec![format!("role: {}", component.role.as_str())];
    if let Some(listing) = &component.listing {
        comments.push(format!("registry: {}", listing.as_str()));
        let flags = listing.flags();
        let retired = flags.and_then(|flags| flags.retired.as_ref());
        comments.extend(retired.map(|retired| format!("retired: {}", bill::retirement(retired))));
        let advisories = flags.into_iter().flat_map(|flags| &flags.advisories);
        comments.extend(
            advisories.map(|advisory| format!("vulnerable: {}", describe(&Concern::Vulnerable(advisory.clone())))),
        );
    }
    comments.extend(component.trust.map(|trust| format!("trust: {trust}")));
    comments.extend(bill::absence(component).map(|reason| format!("not mirrored: {reason}")));
    comments
}

fn relationships(bill: &Bill<'_>) -> Vec<Value> {
    let sbom = &bill.report.sbom;
    let relationship = |from: &str, kind: &str, to: &str| json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to });
    let ids: BTreeMap<&ComponentId, String> = sbom.components.keys().map(|id| (id, spdx_id(&id.to_string()))).collect();
    let root = spdx_id(&bill.root());
    let mut all = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", &root)];
    for project in &sbom.projects {
        let id = spdx_id(&bill::reference(project));
        if id != root {
            all.push(relationship(&root, "CONTAINS", &id));
        }
        for required in &project.requires {
            let is_of_build = sbom.components.get(required).is_some_and(|component| component.role.is_of_build());
            all.push(match is_of_build {
                true => relationship(&ids[required], "BUILD_TOOL_OF", &id),
                false => relationship(&id, "DEPENDS_ON", &ids[required]),
            });
        }
    }
    for (id, component) in &sbom.components {
        all.extend(component.requires.iter().map(|required| relationship(&ids[id], "DEPENDS_ON", &ids[required])));
        if !component.is_resolved {
            all.push(relationship(&ids[id], "DEPENDS_ON", UNKNOWN));
        }
    }
    all
}
