//! What locks and trees contain about git repositories: addresses, names and submodules.

use std::collections::BTreeMap;

use git_hexmirror::git::surface;
use git_hexmirror::lock::Lock;
use git_hexmirror::model::{GitName, GitUrl, Manifest, StoredRevision};
use git_hexmirror::plan::Wanted;
use git_hexmirror::serve::surface::repositories;
use gix::bstr::ByteSlice;

use super::manifest::check_repository;
use super::model::check_address;

/// Names of branches and tags are accepted exactly if git accepts them, except for a few that are rejected deliberately.
pub fn name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let by_git = gix::validate::reference::name(format!("refs/heads/{text}").as_bytes().as_bstr()).is_ok();
    // Names that could be an option, "the current branch" or a word or line of the manifest, or that cannot be a file
    // name.
    let refused = text.starts_with('-')
        || text == "@"
        || text.chars().any(|c| c.is_control() || c.is_whitespace())
        || text.len() > 255
        || text.split('/').any(|part| part.len() > 250);
    assert_eq!(GitName::branch(text).is_ok(), by_git && !refused, "{text:?}, which git accepts: {by_git}");
    assert_eq!(GitName::tag(text).is_ok(), GitName::branch(text).is_ok(), "{text:?}");
}

/// Up to four lock entries, each with an address, a branch and a tag on separate lines. The manifest of a mirror of
/// these entries can be parsed, and the server finds each repository at its address.
pub fn lock(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines: Vec<&str> = text.split('\n').take(12).collect();
    for (file, lock) in [("mix.lock", mix_lock(&lines)), ("rebar.lock", rebar_lock(&lines))] {
        // A text that the language itself rejects, such as one with a character that reorders text, is not a lock.
        let Ok(lock) = Lock::parse(file, &lock) else { continue };
        let mut wanted = Wanted::default();
        match wanted.add(&lock) {
            Ok(()) => check_wanted(&wanted),
            Err(error) => assert!(!error.message.is_empty()),
        }
    }
}

fn check_wanted(wanted: &Wanted) {
    let mut manifest = Manifest::default();
    for pin in &wanted.git {
        let (address, submodules) =
            (pin.url.address(), pin.submodules.then(|| [(pin.url.address().clone(), pin.revision)]));
        let stored = manifest.git.entry(address.clone()).or_default();
        let revision =
            StoredRevision { depth: pin.depth, submodules: submodules.map(Into::into), ..Default::default() };
        stored.revisions.insert(pin.revision, revision);
        pin.names.iter().for_each(|name| stored.set_name(pin.revision, name));
    }
    let text = manifest.to_string();
    let read = text.parse::<Manifest>();
    assert_eq!(read.as_ref(), Ok(&manifest), "{text}");
    for pin in &wanted.git {
        let address = pin.url.address();
        check_address(address);
        assert!(text.contains(&Manifest::revision_line(address, pin.revision)));
        let path = format!("/git/{address}.git/info/refs");
        assert_eq!(repositories(&path, None, None).as_deref(), Some(&[address.clone()][..]), "{path}");
    }
    manifest.git.values().for_each(check_repository);
}

/// Returns forty digits as the revision of an entry.
fn revision(number: usize) -> String {
    number.to_string().repeat(40)
}

fn mix_lock(lines: &[&str]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('#', "\\#"));
    let entry = |(number, entry): (usize, &[&str])| {
        let option = |name: &str, line: usize| match entry.get(line) {
            Some(text) if !text.is_empty() => format!("{name}: {}, ", quoted(text)),
            _ => String::new(),
        };
        let options = [option("branch", 1), option("tag", 2)].concat();
        let (url, revision) = (quoted(entry[0]), revision(number));
        format!("  \"a{number}\": {{:git, {url}, \"{revision}\", [{options}submodules: true]}},\n")
    };
    format!("%{{\n{}}}\n", lines.chunks(3).enumerate().map(entry).collect::<String>())
}

fn rebar_lock(lines: &[&str]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let entry = |(number, entry): (usize, &[&str])| {
        format!("{{<<\"a{number}\">>,{{git,{},{{ref,\"{}\"}}}},0}}", quoted(entry[0]), revision(number))
    };
    let entries: Vec<String> = lines.chunks(3).enumerate().map(entry).collect();
    format!("[{}].\n", entries.join(",\n"))
}

/// The address of a repository and, on the next line, of a submodule, which is resolved as git does. Also the settings
/// of a `.gitmodules`.
pub fn submodule(bytes: &[u8]) {
    settings(bytes);
    let Some((base, url)) = std::str::from_utf8(bytes).ok().and_then(|text| text.split_once('\n')) else { return };
    let Ok(base) = base.parse::<GitUrl>() else { return };
    let resolved = base.submodule(url);
    if !(url.starts_with("./") || url.starts_with("../")) {
        assert_eq!(resolved, url.parse());
        return;
    }
    match relative_url(base.secret_text(), url) {
        Some(expected) => assert_eq!(resolved, expected.parse(), "{base:?} {url:?} is {expected:?}"),
        None => assert!(resolved.is_err(), "{base:?} {url:?} leads above the host"),
    }
}

/// Reimplements git's `relative_url` (`remote.c`) for addresses that are not paths, and never goes above the host.
fn relative_url(base: &str, url: &str) -> Option<String> {
    let top = base.find("://").map_or(0, |at| at + 3);
    let mut base = base.strip_suffix('/').unwrap_or(base).to_owned();
    let (mut url, mut by_colon) = (url, false);
    loop {
        if let Some(rest) = url.strip_prefix("../") {
            url = rest;
            let slash = base.rfind('/');
            let end = slash.or_else(|| base.rfind(':')).filter(|end| *end > top)?;
            by_colon |= slash.is_none();
            base.truncate(end);
        } else if let Some(rest) = url.strip_prefix("./") {
            url = rest;
        } else {
            break;
        }
    }
    let joined = format!("{base}{}{url}", if by_colon { ":" } else { "/" });
    Some(if url.ends_with('/') { joined[..joined.len() - 1].to_owned() } else { joined })
}

/// Settings are read the same after git has rewritten them.
fn settings(bytes: &[u8]) {
    let read = surface::submodule_addresses(bytes);
    let mut written = Vec::new();
    for (number, (path, url)) in read.iter().enumerate() {
        assert!(!path.contains('\0') && !url.contains('\0'));
        for (key, value) in [("path", path), ("url", url)] {
            written.extend_from_slice(format!("submodule.{number}.x.{key}\n{value}\0").as_bytes());
        }
        written.extend_from_slice(format!("submodule.{number}.none.path\n{path}\0").as_bytes());
    }
    assert_eq!(surface::submodule_addresses(&written), read);
    let links: BTreeMap<_, _> = surface::gitlinks(bytes).into_iter().collect();
    let listing: String = links.iter().map(|(path, commit)| format!("160000 commit {commit}\t{path}\0")).collect();
    assert_eq!(surface::gitlinks(listing.as_bytes()).into_iter().collect::<BTreeMap<_, _>>(), links);
}
