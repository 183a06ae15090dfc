//! What the list of packages shows.

use std::collections::BTreeSet;

use super::facts::{Facts, PackageFacts};
use super::words;
use crate::model::Storage;
use crate::page::{Badge, Letter, PackageList, PackageQuery, PackageRow, Tone};
use crate::plan::Concern;

/// The number of packages on a page of the list.
const ROWS: usize = 100;
/// How many versions of a package are named.
const VERSIONS: usize = 3;
/// The longest list of licenses, in characters.
const LICENSES: usize = 60;
/// How many licenses and locks there are to choose from.
const CHOICES: usize = 100;

/// Returns a page of the list of packages. A page beyond the last one is the last one.
pub(super) fn packages(facts: &Facts, query: &PackageQuery) -> PackageList {
    let text = query.text.to_lowercase();
    let lock = facts.locks.iter().position(|lock| lock.file == query.lock);
    let found: Vec<&PackageFacts> = facts
        .packages
        .iter()
        .filter(|package| text.is_empty() || package.id.to_string().to_lowercase().contains(&text))
        .filter(|package| query.lock.is_empty() || lock.is_some_and(|lock| is_pinned_by(package, lock)))
        .filter(|package| is_wanted(package, query))
        .collect();
    let pages = found.len().div_ceil(ROWS).max(1);
    let page = query.page.min(pages - 1);
    PackageList {
        query: PackageQuery { page, ..query.clone() },
        rows: found.iter().skip(page * ROWS).take(ROWS).map(|package| row(package)).collect(),
        found: found.len(),
        pages,
        licenses: licenses(facts),
        locks: facts.locks.iter().take(CHOICES).map(|lock| lock.file.clone()).collect(),
        is_complete: facts.is_judged,
        letters: Vec::new(),
    }
}

/// Returns a page of the list of all packages for a site, where it cannot be searched: sorted by name, with their first letters
/// if there are several pages.
pub(super) fn all_packages(facts: &Facts, page: usize) -> PackageList {
    let mut all: Vec<&PackageFacts> = facts.packages.iter().collect();
    all.sort_by_key(|package| (&package.id.package, &package.id.repository));
    let mut letters = Vec::<Letter>::new();
    for (index, package) in all.iter().enumerate().filter(|_| all.len() > ROWS) {
        let letter = package.id.package.as_str().chars().next().unwrap_or_default();
        if letters.last().is_none_or(|last| last.letter != letter) {
            letters.push(Letter { letter, page: index / ROWS, row: index % ROWS });
        }
    }
    let query = PackageQuery { page, ..PackageQuery::default() };
    let rows = all.iter().skip(page * ROWS).take(ROWS).map(|package| row(package)).collect();
    PackageList { rows, letters, licenses: Vec::new(), locks: Vec::new(), ..packages(facts, &query) }
}

fn is_pinned_by(package: &PackageFacts, lock: usize) -> bool {
    package.releases.iter().any(|release| release.locks.contains(&lock))
}

/// Returns whether a package fulfils the conditions about what it is.
fn is_wanted(package: &PackageFacts, query: &PackageQuery) -> bool {
    let has = |is_it: &dyn Fn(&Concern) -> bool| {
        package.releases.iter().flat_map(|release| release.concerns.iter()).any(is_it)
    };
    let has_license = |license: &String| license.eq_ignore_ascii_case(&query.license);
    let licenses = || package.releases.iter().flat_map(|release| release.licenses.iter());
    (!query.outdated || package.newer().is_some())
        && (!query.retired || has(&|concern| matches!(concern, Concern::Retired(_))))
        && (!query.advisories || has(&|concern| matches!(concern, Concern::Vulnerable(_))))
        && (!query.tarball || is_tarball(package))
        && (query.license.is_empty() || licenses().any(has_license))
}

fn is_tarball(package: &PackageFacts) -> bool {
    package.releases.iter().any(|release| release.storage == Storage::Tarball)
}

fn row(package: &PackageFacts) -> PackageRow {
    let mut versions: Vec<String> =
        package.releases.iter().rev().take(VERSIONS).map(|release| release.version.to_string()).collect();
    if package.releases.len() > VERSIONS {
        versions.push(format!("{} more", package.releases.len() - VERSIONS));
    }
    let licenses: BTreeSet<&str> =
        package.releases.iter().flat_map(|release| release.licenses.iter()).map(String::as_str).collect();
    let licenses = licenses.into_iter().collect::<Vec<_>>().join(", ");
    let locks: BTreeSet<usize> = package.releases.iter().flat_map(|release| release.locks.iter().copied()).collect();
    PackageRow {
        id: package.id.clone(),
        versions: versions.join(", "),
        licenses: cut(&licenses),
        bytes: package.releases.iter().map(|release| release.bytes).sum(),
        locks: locks.len(),
        badges: badges(package),
    }
}

/// Returns what is to be said about a package.
pub(super) fn badges(package: &PackageFacts) -> Vec<Badge> {
    let mut badges = words::badges(package.releases.iter().flat_map(|release| release.concerns.iter()));
    if let Some(newest) = package.newer() {
        badges.push(Badge { tone: Tone::Neutral, text: format!("newer: {newest}") });
    }
    if is_tarball(package) {
        badges.push(Badge { tone: Tone::Neutral, text: "tarball".to_owned() });
    }
    badges
}

/// Returns the licenses to choose from.
fn licenses(facts: &Facts) -> Vec<String> {
    let all = facts.packages.iter().flat_map(|package| &package.releases).flat_map(|release| release.licenses.iter());
    let short: BTreeSet<&String> = all.filter(|license| license.chars().count() <= LICENSES).collect();
    short.into_iter().take(CHOICES).cloned().collect()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LICENSES) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::EntryId;

    #[test]
    fn the_list_of_a_site_is_sorted_by_name() {
        let package = |repository: &str, name: String| PackageFacts {
            id: EntryId { repository: repository.parse().unwrap(), package: name.parse().unwrap() },
            entry: None,
            newest: None,
            releases: Vec::new(),
        };
        let names = (0..150).map(|number| format!("{}{number:03}", if number < 120 { 'a' } else { 'b' }));
        let mut packages: Vec<_> = names.map(|name| package("hexpm", name)).collect();
        packages.push(package("hexpm:acme", "aa".into()));
        let facts = Facts {
            locks: Vec::new(),
            more_locks: 0,
            packages,
            needed_by: BTreeMap::new(),
            updates: Vec::new(),
            contents: Vec::new(),
            is_judged: true,
        };
        let [first, second] = [0, 1].map(|page| all_packages(&facts, page));
        assert_eq!((first.rows.len(), second.rows.len(), second.pages), (100, 51, 2));
        assert_eq!(second.rows[20].id.to_string(), "hexpm:acme/aa");
        let letters = [('a', 0, 0), ('b', 1, 21)].map(|(letter, page, row)| Letter { letter, page, row });
        assert_eq!((&first.letters[..], &second.letters[..]), (&letters[..], &letters[..]));
    }
}
