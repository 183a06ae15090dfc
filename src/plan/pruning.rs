//! What can be removed from a mirror because nothing requires it.

use std::collections::{BTreeMap, BTreeSet};

use super::{DocsPin, Wanted};
use crate::hex::registry::Package;
use crate::model::{EntryId, FileId, GitAddress, GitName, Manifest, PolicyId, ReleaseId, Revision, StoredGit, Target};

/// What must be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needed {
    /// The required releases.
    pub releases: BTreeSet<ReleaseId>,
    /// Those of the releases that locks pin as plugins.
    plugins: BTreeSet<ReleaseId>,
    /// The required policies.
    pub policies: BTreeSet<PolicyId>,
    /// The required files. Those that packages list are added by the machines that need them.
    pub files: BTreeSet<FileId>,
    /// The documentation that locks pin. It is required if its release is.
    docs: BTreeSet<FileId>,
    /// The machines that precompiled files are required for.
    pub targets: BTreeSet<Target>,
    /// The required revisions of git repositories, without those of their submodules.
    pub revisions: BTreeSet<(GitAddress, Revision)>,
    /// The refs that entries name for their revisions. If entries give one name to several revisions, the first entry
    /// wins.
    names: BTreeMap<GitAddress, BTreeMap<GitName, Revision>>,
}

impl Needed {
    /// Adds the pins of a lock.
    pub fn add(&mut self, wanted: &Wanted) {
        self.releases.extend(wanted.releases.keys().cloned());
        self.plugins.extend(wanted.plugins.iter().cloned());
        self.policies.extend(wanted.policies.iter().cloned());
        self.files.extend(wanted.files.keys().cloned());
        self.docs.extend(wanted.docs.values().filter_map(DocsPin::file).map(|pin| pin.id.clone()));
        self.targets.extend(wanted.targets.iter().cloned());
        for pin in &wanted.git {
            self.revisions.insert((pin.url.address().clone(), pin.revision));
            let names = self.names.entry(pin.url.address().clone()).or_default();
            for name in &pin.names {
                names.entry(name.clone()).or_insert(pin.revision);
            }
        }
    }

    /// Sets refs that were removed together with their revisions to revisions that are kept, so that every lock finds
    /// its refs.
    pub fn name(&self, address: &GitAddress, stored: &mut StoredGit) {
        for (name, revision) in self.names.get(address).into_iter().flatten() {
            if !stored.has_name(name) {
                stored.set_name(*revision, name);
            }
        }
    }

    /// Returns the packages that locks pin plugins of.
    pub fn plugin_packages(&self) -> BTreeSet<EntryId> {
        self.plugins.iter().map(ReleaseId::entry).collect()
    }

    /// Adds the versions of a plugin in a mirror that its stored entry lists and that are higher than a pinned one. rebar3
    /// takes the highest version that the entry lists, also if the lock pins a lower one. Returns what was added.
    pub fn add_listed_plugin(&mut self, manifest: &Manifest, entry: &EntryId, listed: &Package) -> Vec<ReleaseId> {
        let Some(pinned) = self.plugins.iter().find(|id| id.entry() == *entry) else { return Vec::new() };
        let stored = manifest.releases_of(&entry.repository, &entry.package).map(|(id, _)| id);
        let higher = stored.filter(|id| id.version > pinned.version && listed.release(&id.version).is_some());
        higher.filter(|id| self.releases.insert((*id).clone())).cloned().collect()
    }

    /// Adds everything in a mirror that is in none of the `earlier` manifests, because it was added since.
    pub fn add_recent(&mut self, manifest: &Manifest, earlier: &[&Manifest]) {
        let new = |id: &&ReleaseId| !earlier.iter().any(|earlier| earlier.releases.contains_key(*id));
        self.releases.extend(manifest.releases.keys().filter(new).cloned());
        let new = |id: &&PolicyId| !earlier.iter().any(|earlier| earlier.policies.contains_key(*id));
        self.policies.extend(manifest.policies.keys().filter(new).cloned());
        let new = |id: &&FileId| !earlier.iter().any(|earlier| earlier.files.contains_key(*id));
        self.files.extend(manifest.files.keys().filter(new).cloned());
        for (address, revision) in revisions(manifest) {
            if !earlier.iter().any(|earlier| has(earlier, address, revision)) {
                self.revisions.insert((address.clone(), revision));
            }
        }
    }

    /// Adds the submodules of everything that must be kept, recursively.
    fn add_submodules(&mut self, manifest: &Manifest) {
        let mut next: Vec<_> = self.revisions.iter().cloned().collect();
        while let Some((address, revision)) = next.pop() {
            let stored = manifest.git.get(&address).and_then(|stored| stored.revisions.get(&revision));
            for submodule in stored.and_then(|stored| stored.submodules.as_ref()).into_iter().flatten() {
                if self.revisions.insert(submodule.clone()) {
                    next.push(submodule.clone());
                }
            }
        }
    }
}

/// What to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruning {
    /// The releases, with the sizes of their tarballs in bytes.
    pub releases: BTreeMap<ReleaseId, u64>,
    /// The registry entries, with their sizes in bytes. Records that upstream has no entry have the size 0.
    pub entries: BTreeMap<EntryId, u64>,
    /// The policies, with their sizes in bytes.
    pub policies: BTreeMap<PolicyId, u64>,
    /// The files, with their sizes in bytes.
    pub files: BTreeMap<FileId, u64>,
    /// The revisions of git repositories.
    pub revisions: BTreeMap<GitAddress, BTreeSet<Revision>>,
}

impl Pruning {
    /// Lists the releases, policies, files and revisions of a mirror that need not be kept. [`Pruning::drop_entries`] adds the registry
    /// entries that are then no longer needed.
    pub fn new(manifest: &Manifest, mut needed: Needed) -> Self {
        needed.add_submodules(manifest);
        let releases = manifest.releases.iter().filter(|(id, _)| !needed.releases.contains(*id));
        let mut pruning = Self { releases: releases.map(|(id, s)| (id.clone(), s.bytes)).collect(), ..Self::default() };
        let policies = manifest.policies.iter().filter(|(id, _)| !needed.policies.contains(*id));
        pruning.policies = policies.map(|(id, stored)| (id.clone(), stored.bytes)).collect();
        let of_release = |id: &FileId| id.path.docs_release().is_some_and(|release| needed.releases.contains(&release));
        let is_needed = |id: &FileId| needed.files.contains(id) || (needed.docs.contains(id) && of_release(id));
        let files = manifest.files.iter().filter(|(id, _)| !is_needed(id));
        pruning.files = files.map(|(id, stored)| (id.clone(), stored.bytes)).collect();
        for (address, revision) in revisions(manifest) {
            if !needed.revisions.contains(&(address.clone(), revision)) {
                pruning.revisions.entry(address.clone()).or_default().insert(revision);
            }
        }
        pruning
    }

    /// Lists what the mirror `pruned` removed since it diverged from `other`, and what `other` still has unchanged.
    /// `shared` are the manifests of the merge bases. If there are several, all of them must contain an item; otherwise
    /// a side may have added the item again.
    pub fn since(shared: &[&Manifest], pruned: &Manifest, other: &Manifest) -> Self {
        let Some((first, rest)) = shared.split_first() else { return Self::default() };
        let mut gone = Self::default();
        for (id, stored) in &first.releases {
            let same = |there: &Manifest| there.releases.get(id).is_some_and(|there| there.outer == stored.outer);
            if same(other) && rest.iter().all(|shared| same(shared)) && !pruned.releases.contains_key(id) {
                gone.releases.insert(id.clone(), stored.bytes);
            }
        }
        for (id, stored) in &first.entries {
            let same = |there: &Manifest| there.entries.get(id) == Some(stored);
            if same(other) && rest.iter().all(|shared| same(shared)) && !knows(pruned, id) {
                gone.entries.insert(id.clone(), stored.bytes);
            }
        }
        for (id, stored) in &first.policies {
            let same = |there: &Manifest| there.policies.get(id) == Some(stored);
            if same(other) && rest.iter().all(|shared| same(shared)) && !pruned.policies.contains_key(id) {
                gone.policies.insert(id.clone(), stored.bytes);
            }
        }
        for (id, stored) in &first.files {
            let same = |there: &Manifest| there.files.contains_key(id);
            if same(other) && rest.iter().all(|shared| same(shared)) && !pruned.files.contains_key(id) {
                gone.files.insert(id.clone(), stored.bytes);
            }
        }
        for id in first.absent.intersection(&other.absent).filter(|id| !knows(pruned, id)) {
            if rest.iter().all(|shared| shared.absent.contains(id)) {
                gone.entries.insert(id.clone(), 0);
            }
        }
        for (address, revision) in revisions(first) {
            let there = |manifest: &Manifest| has(manifest, address, revision);
            if there(other) && rest.iter().all(|shared| there(shared)) && !there(pruned) {
                gone.revisions.entry(address.clone()).or_default().insert(revision);
            }
        }
        gone
    }

    /// Removes from this list what must be kept.
    pub fn keep(&mut self, needed: &Needed) {
        self.releases.retain(|id, _| !needed.releases.contains(id));
        self.policies.retain(|id, _| !needed.policies.contains(id));
        self.files.retain(|id, _| !needed.files.contains(id));
        for (address, gone) in &mut self.revisions {
            gone.retain(|revision| !needed.revisions.contains(&(address.clone(), *revision)));
        }
        self.revisions.retain(|_, gone| !gone.is_empty());
    }

    /// Removes submodules from the lists of two mirrors if a revision that is kept in either mirror requires them.
    pub fn keep_submodules(lists: [&mut Self; 2], mirrors: [&Manifest; 2]) {
        let [one, other] = lists;
        let mut stays = Needed::default();
        for (address, revision) in mirrors.into_iter().flat_map(revisions) {
            if !one.drops(address, revision) && !other.drops(address, revision) {
                stays.revisions.insert((address.clone(), revision));
            }
        }
        // Each mirror may know submodules that the other one does not.
        let before = stays.revisions.clone();
        while {
            let known = stays.revisions.len();
            mirrors.into_iter().for_each(|mirror| stays.add_submodules(mirror));
            stays.revisions.len() > known
        } {}
        for (address, revision) in stays.revisions.difference(&before) {
            for list in [&mut *one, &mut *other] {
                list.revisions.entry(address.clone()).or_default().remove(revision);
            }
        }
        [one, other].into_iter().for_each(|list| list.revisions.retain(|_, gone| !gone.is_empty()));
    }

    /// Returns whether a git revision is to be removed.
    pub fn drops(&self, address: &GitAddress, revision: Revision) -> bool {
        self.revisions.get(address).is_some_and(|gone| gone.contains(&revision))
    }

    /// Adds the registry entries that no remaining release needs. `mentioned` are the entries of the remaining releases
    /// and of their dependencies.
    pub fn drop_entries(&mut self, manifest: &Manifest, mentioned: &BTreeSet<EntryId>) {
        let entries = manifest.entries.iter().map(|(id, stored)| (id, stored.bytes));
        let all = entries.chain(manifest.absent.iter().map(|id| (id, 0)));
        self.entries.extend(all.filter(|(id, _)| !mentioned.contains(*id)).map(|(id, bytes)| (id.clone(), bytes)));
    }

    /// Returns whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        let is_hex_empty = self.releases.is_empty() && self.entries.is_empty() && self.policies.is_empty();
        is_hex_empty && self.files.is_empty() && self.revisions.is_empty()
    }
}

pub(super) fn revisions(manifest: &Manifest) -> impl Iterator<Item = (&GitAddress, Revision)> {
    manifest.git.iter().flat_map(|(address, stored)| stored.revisions.keys().map(move |revision| (address, *revision)))
}

fn knows(manifest: &Manifest, entry: &EntryId) -> bool {
    manifest.entries.contains_key(entry) || manifest.absent.contains(entry)
}

pub(super) fn has(manifest: &Manifest, address: &GitAddress, revision: Revision) -> bool {
    manifest.git.get(address).is_some_and(|stored| stored.revisions.contains_key(&revision))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::registry::Release;
    use crate::lock::Lock;

    fn manifest(lines: &[&str]) -> Manifest {
        let line = |line: &&str| line.replace('#', &"a".repeat(64)) + "\n";
        let mut lines: Vec<String> = lines.iter().map(line).collect();
        lines.sort_unstable();
        lines.concat().replace("ONE", &"1".repeat(40)).replace("TWO", &"2".repeat(40)).parse().unwrap()
    }

    fn mirror() -> Manifest {
        manifest(&[
            "absent hexpm gone",
            "git h/a ONE full submodules HEAD",
            "submodule h/a ONE h/b TWO",
            "git h/b ONE full",
            "git h/b TWO full submodules",
            "hex hexpm plug 1.0.0 unpacked 10 # #",
            "hex hexpm plug 1.1.0 unpacked 20 # #",
            "registry hexpm mime 5 #",
            "registry hexpm plug 7 #",
        ])
    }

    fn needed(lock: &str) -> Needed {
        let mut wanted = Wanted::default();
        wanted.add(&Lock::parse("mix.lock", lock.replace("ONE", &"1".repeat(40))).unwrap()).unwrap();
        let mut needed = Needed::default();
        needed.add(&wanted);
        needed
    }

    #[test]
    fn unneeded_contents_are_pruned_and_submodules_are_kept() {
        let mirror = mirror();
        let lock = r#"%{"plug": {:hex, :plug, "1.0.0"}, "a": {:git, "https://h/a", "ONE", [submodules: true]}}"#;
        let mut pruning = Pruning::new(&mirror, needed(lock));
        let shown: Vec<String> = pruning.releases.keys().map(ToString::to_string).collect();
        assert_eq!(shown, ["plug 1.1.0"]);
        let gone: Vec<_> = pruning.revisions.iter().map(|(address, gone)| (address.to_string(), gone.len())).collect();
        assert_eq!(gone, [("h/b".to_owned(), 1)]);
        let entry = |name: &str| EntryId { repository: "hexpm".parse().unwrap(), package: name.parse().unwrap() };
        pruning.drop_entries(&mirror, &[entry("plug")].into());
        assert_eq!(pruning.entries, [(entry("gone"), 0), (entry("mime"), 5)].into());
    }

    #[test]
    fn higher_versions_of_plugins_that_the_entry_lists_are_kept() {
        let lock = format!("plugin hexpm plug 1.0.0 {} for .\n", "a".repeat(64));
        let mut wanted = Wanted::default();
        wanted.add(&Lock::parse("hexmirror.lock", lock).unwrap()).unwrap();
        let version = |version: &str| format!("hex hexpm plug {version} unpacked 1 # #");
        let lines = ["0.9.0", "1.0.0", "1.1.0", "1.2.0"].map(version);
        let mirror = manifest(&lines.each_ref().map(String::as_str));
        let entry = EntryId { repository: "hexpm".parse().unwrap(), package: "plug".parse().unwrap() };
        let mut listed =
            Package { name: entry.package.clone(), releases: Vec::new(), advisories: Vec::new(), skipped: Vec::new() };
        for version in ["0.9.0", "1.0.0", "1.1.0", "2.0.0"] {
            listed.releases.push(Release {
                version: version.parse().unwrap(),
                inner_checksum: crate::model::InnerChecksum::from_bytes([0; 32]),
                outer_checksum: None,
                dependencies: Vec::new(),
                retired: None,
                advisories: Vec::new(),
                published_at: None,
            });
        }
        let kept = |wanted: &Wanted| {
            let mut needed = Needed::default();
            needed.add(wanted);
            needed.add_listed_plugin(&mirror, &entry, &listed);
            needed.releases.iter().map(|id| id.version.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(kept(&wanted), ["1.0.0", "1.1.0"]);
        wanted.plugins.clear();
        assert_eq!(kept(&wanted), ["1.0.0"], "only plugins are not locked for clients");
    }

    #[test]
    fn contents_that_one_side_pruned_are_distinguished_from_additions() {
        let shared = mirror();
        let pruned = manifest(&["hex hexpm plug 1.1.0 unpacked 20 # #", "registry hexpm plug 7 #"]);
        let gone = Pruning::since(&[&shared], &pruned, &shared);
        assert_eq!((gone.releases.len(), gone.entries.len(), gone.revisions.len()), (1, 2, 2));
        assert!(Pruning::since(&[], &pruned, &shared).is_empty(), "nothing is known of what they shared");
        assert!(Pruning::since(&[&pruned], &pruned, &shared).is_empty(), "all of it is new");
        assert!(Pruning::since(&[&shared, &pruned], &pruned, &shared).is_empty(), "it was added again");
        let refreshed = manifest(&["registry hexpm mime 6 #", "hex hexpm plug 1.0.0 unpacked 10 # #"]);
        let gone = Pruning::since(&[&shared], &pruned, &refreshed);
        assert_eq!((gone.releases.len(), gone.entries.len()), (1, 0), "the entry of mime is another one by now");
    }

    #[test]
    fn submodules_of_kept_repositories_are_kept() {
        let shared = manifest(&["git h/b TWO full", "git h/c ONE full"]);
        let (pruned, added) = (manifest(&[]), mirror());
        let mut dropped = Pruning::since(&[&shared], &pruned, &added);
        assert_eq!(dropped.revisions.len(), 1);
        Pruning::keep_submodules([&mut dropped, &mut Pruning::default()], [&pruned, &added]);
        assert!(dropped.is_empty());
    }

    #[test]
    fn recent_contents_are_kept() {
        let mirror = mirror();
        let mut needed = Needed::default();
        needed.add_recent(&mirror, &[&manifest(&["hex hexpm plug 1.0.0 unpacked 10 # #", "git h/b ONE full"])]);
        let pruning = Pruning::new(&mirror, needed);
        let shown: Vec<String> = pruning.releases.keys().map(ToString::to_string).collect();
        assert_eq!((shown, pruning.revisions.len()), (vec!["plug 1.0.0".to_owned()], 1));
        let mut needed = Needed::default();
        needed.add_recent(&mirror, &[]);
        assert!(Pruning::new(&mirror, needed).is_empty());
    }
}
