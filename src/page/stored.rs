//! The page about everything that is neither a package nor a git repository.

use maud::{Markup, html};

use super::layout::page;
use super::{Address, Frame};
use crate::model::{bytes, count};

/// Something that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredThing {
    /// Its name.
    pub name: String,
    /// The locks that pin it, and the packages that need it.
    pub wanted_by: Vec<String>,
    /// The size in bytes.
    pub bytes: u64,
    /// The checksum that identifies the content.
    pub checksum: String,
    /// How it is verified.
    pub trust: String,
    /// Whether only the first connection vouches for it.
    pub is_first_use: bool,
    /// The address that it was fetched from, if it is known.
    pub address: Option<String>,
}

/// Everything that is neither a package nor a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredThings {
    /// Hex and rebar3, and their lists.
    pub tools: Vec<StoredThing>,
    /// The plugins of rebar3, which are releases.
    pub plugins: Vec<StoredThing>,
    /// Precompiled files that packages use.
    pub artefacts: Vec<StoredThing>,
    /// Other files.
    pub downloads: Vec<StoredThing>,
    /// The policies of repositories.
    pub policies: Vec<StoredThing>,
    /// The keys that sign each repository's registry entries, by name.
    pub signers: Vec<(String, String)>,
}

/// Returns the page.
pub fn stored(frame: &Frame, things: &StoredThings) -> String {
    let sections = [
        ("Tools", "Hex and rebar3, for `mix local.hex` and `mix local.rebar`.", &things.tools),
        ("Plugins", "Plugins of rebar3. No lock of rebar3 pins them; hexmirror.lock does.", &things.plugins),
        ("Artefacts", "Precompiled files that packages would download.", &things.artefacts),
        ("Downloads", "Other files that settings name.", &things.downloads),
        ("Policies", "Rules of repositories for the releases that Hex may resolve to.", &things.policies),
    ];
    let content = html! {
        h1 { "What else is stored" }
        @for (title, about, things) in &sections {
            h2 { (title) }
            p.dim { (about) }
            (table(title, things))
        }
        h2 { "Signers" }
        p.dim { "The keys that signed the registry entries of each repository. Entries of another signer are refused." }
        @if things.signers.is_empty() { p.none { "None." } }
        @else { dl.facts { @for (repository, fingerprint) in &things.signers { dt { (repository) } dd { code { (fingerprint) } } } } }
    };
    page(frame, "What else is stored", &Address::Stored, &Address::Stored, &content)
}

fn table(title: &str, things: &[StoredThing]) -> Markup {
    html! {
        @if things.is_empty() { p.none { "None." } }
        @else {
            div.wide tabindex="0" role="region" aria-label=(title) { table {
                caption { (count(things.len(), "item", "items")) }
                thead { tr { th scope="col" { "Name" } th scope="col" { "For" } th scope="col" { "Verified by" } th.number scope="col" { "Size" } } }
                tbody { @for thing in things { tr {
                    th scope="row" {
                        bdi { (thing.name) }
                        @if let Some(address) = &thing.address { br; span.dim { bdi { (address) } } }
                    }
                    td { @for (index, name) in thing.wanted_by.iter().enumerate() { @if index > 0 { ", " } bdi { (name) } } }
                    td { span.badge.(if thing.is_first_use { "warn" } else { "good" }) { (thing.trust) } br; code.dim { (thing.checksum) } }
                    td.number { (bytes(thing.bytes)) }
                } } }
            } }
        }
    }
}
