//! After `update`, `status` reports a fresh mirror for any locks. Tests the pure plans of both with generated locks and
//! mirrors.

use std::collections::{BTreeMap, BTreeSet};

use git_hexmirror::lock::Lock;
use git_hexmirror::model::{
    EntryChecksum, EntryId, GitAddress, GitUrl, InnerChecksum, Manifest, OuterChecksum, ReleaseId, Revision, Storage,
    StoredEntry, StoredGit, StoredRelease,
};
use git_hexmirror::plan::{Comparison, FetchedRevisions, GitPlan, Needed, Pruning, RepositoryWant, Wanted};
use proptest::collection::vec;
use proptest::prelude::*;

/// The number of repositories, and of revisions per repository.
const REPOSITORIES: usize = 4;
const REVISIONS: usize = 3;

const NAMES: [&str; 6] = [
    "branch: \"main\"",
    "branch: \"a\"",
    "branch: \"a/b\"",
    "tag: \"v1\"",
    "ref: \"x\"",
    "tag: \"a\", branch: \"main\"",
];
const CUSTOM: [&str; 3] = ["{raw, GIT}", "{rebar3_custom_resource, GIT}", "{git_lfs, \"URL\", {ref, \"REV\"}}"];

/// A dependency in a lock.
#[derive(Debug, Clone)]
enum Dependency {
    Hex {
        package: usize,
        version: usize,
        checksums: usize,
        repository: bool,
    },
    Git {
        repository: usize,
        revision: usize,
        ssh: bool,
        name: Option<usize>,
        depth: Option<u8>,
        submodules: bool,
        folder: usize,
    },
    Other {
        kind: usize,
    },
}

#[derive(Debug, Clone)]
struct LockFile {
    rebar: bool,
    dependencies: Vec<Dependency>,
}

/// The submodules of each revision of each repository: earlier revisions of any repository.
type World = Vec<Vec<usize>>;

fn dependency() -> impl Strategy<Value = Dependency> {
    let git = (0..REPOSITORIES, 0..REVISIONS, any::<bool>(), proptest::option::of(0..NAMES.len()));
    let options = (proptest::option::of(1..4_u8), any::<bool>(), 0..3_usize);
    prop_oneof![
        2 => (0..3_usize, 0..3_usize, 0..3_usize, any::<bool>()).prop_map(|(package, version, checksums, repository)| {
            Dependency::Hex { package, version, checksums, repository }
        }),
        8 => (git, options).prop_map(|((repository, revision, ssh, name), (depth, submodules, folder))| {
            Dependency::Git { repository, revision, ssh, name, depth, submodules, folder }
        }),
        1 => (0..3_usize).prop_map(|kind| Dependency::Other { kind }),
    ]
}

fn lock() -> impl Strategy<Value = LockFile> {
    (any::<bool>(), vec(dependency(), 0..6)).prop_map(|(rebar, dependencies)| LockFile { rebar, dependencies })
}

fn locks() -> impl Strategy<Value = Vec<LockFile>> {
    vec(lock(), 1..4)
}

fn world() -> impl Strategy<Value = World> {
    vec(vec(0..REPOSITORIES * REVISIONS, 0..3), REPOSITORIES * REVISIONS)
}

fn revision(repository: usize, number: usize) -> String {
    format!("{repository}{number}").repeat(20)
}

fn url(repository: usize, ssh: bool) -> String {
    if ssh { format!("git@h.test:r{repository}.git") } else { format!("https://h.test/r{repository}") }
}

impl LockFile {
    fn text(&self) -> String {
        let entries: Vec<String> =
            self.dependencies.iter().enumerate().map(|(index, one)| self.entry(index, one)).collect();
        let entries = entries.join(",\n");
        if self.rebar { format!("{{\"1.2.0\",[{entries}]}}.\n") } else { format!("%{{{entries}}}\n") }
    }

    fn entry(&self, index: usize, dependency: &Dependency) -> String {
        let app = format!("app{index}");
        let source = match dependency {
            Dependency::Hex { package, version, checksums, repository } => {
                let (sum, version) = (format!("{package}{version}").repeat(32), format!("{version}.0.0"));
                if self.rebar {
                    let sums = [String::new(), format!(",<<\"{sum}\">>"), format!(",<<\"{sum}\">>,<<\"{sum}\">>")];
                    format!("{{pkg,<<\"p{package}\">>,<<\"{version}\">>{}}}", sums[*checksums])
                } else {
                    let from = if *repository { "acme" } else { "hexpm" };
                    match checksums {
                        0 => format!("{{:hex, :p{package}, \"{version}\"}}"),
                        1 => format!("{{:hex, :p{package}, \"{version}\", \"{sum}\", [:mix], [], \"{from}\"}}"),
                        _ => format!(
                            "{{:hex, :p{package}, \"{version}\", \"{sum}\", [:mix], [], \"{from}\", \"{sum}\"}}"
                        ),
                    }
                }
            }
            Dependency::Git { repository, revision: number, ssh, name, depth, submodules, folder } => {
                let (url, id) = (url(*repository, *ssh), revision(*repository, *number));
                if self.rebar {
                    let git = format!("{{git,\"{url}\",{{ref,\"{id}\"}}}}");
                    match folder {
                        0 => git,
                        1 => format!("{{git_subdir,\"{url}\",{{ref,\"{id}\"}},\"apps/x\"}}"),
                        _ => CUSTOM[index % CUSTOM.len()].replace("GIT", &git).replace("URL", &url).replace("REV", &id),
                    }
                } else {
                    let mut options: Vec<String> = name.iter().map(|name| NAMES[*name].to_owned()).collect();
                    options.extend(depth.map(|depth| format!("depth: {depth}")));
                    options.extend(submodules.then(|| "submodules: true".to_owned()));
                    options.extend([None, Some("sparse: \"x\""), Some("subdir: \"y\"")][*folder].map(str::to_owned));
                    format!("{{:git, \"{url}\", \"{id}\", [{}]}}", options.join(", "))
                }
            }
            Dependency::Other { kind } if self.rebar => {
                ["{hg,\"u\",{ref,\"1\"}}", "{odd,x}", "{git,\"../x\",{ref,\"1\"}}"][*kind].to_owned()
            }
            Dependency::Other { kind } => {
                ["{:hg, \"u\"}", "{:path, \"x\"}", "{:git, \"../x\", \"1\", []}"][*kind].to_owned()
            }
        };
        if self.rebar { format!("{{<<\"{app}\">>,{source},0}}") } else { format!("\"{app}\": {source}") }
    }
}

/// Reads locks as `status` and `update` do.
fn wanted(locks: &[LockFile]) -> Wanted {
    let mut wanted = Wanted::default();
    for lock in locks {
        let name = if lock.rebar { "rebar.lock" } else { "mix.lock" };
        let text = lock.text();
        let read = Lock::parse(name, &text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        wanted.add(&read).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    }
    wanted
}

/// Simulates an update without transferring data: records as stored what git and Hex would have stored.
fn update(manifest: &Manifest, wanted: &Wanted, world: &World, is_lost: bool) -> Manifest {
    let mut after = manifest.clone();
    let comparison = Comparison::new(wanted, manifest);
    let mut entries: BTreeSet<EntryId> = comparison.entries.iter().cloned().collect();
    for pin in comparison.to_fetch() {
        let (outer, inner) = checksums(&pin.id);
        assert!(pin.outer.is_none_or(|pinned| pinned == outer));
        after.releases.insert(pin.id.clone(), StoredRelease { outer, inner, storage: Storage::Unpacked, bytes: 1 });
        entries.insert(pin.id.entry());
    }
    let entry = StoredEntry { checksum: EntryChecksum::from_bytes([0; 32]), bytes: 1 };
    after.entries.extend(entries.into_iter().map(|id| (id, entry)));
    let mut plan = GitPlan::new(&wanted.git, manifest);
    loop {
        let round: Vec<(GitAddress, RepositoryWant)> =
            plan.next_round().map(|(address, want)| (address.clone(), want.clone())).collect();
        for (address, want) in round {
            let mut learned = FetchedRevisions::default();
            for (revision, want) in &want.revisions {
                if want.submodules {
                    learned.submodules.insert(*revision, submodules(*revision, world));
                }
                if want.optional && is_lost {
                    learned.dropped.insert(*revision);
                }
            }
            plan.record(&address, learned);
        }
        if !plan.advance().expect("few submodules") {
            break;
        }
    }
    for (address, _) in plan.fetched() {
        after.git.insert(address.clone(), packed(address, plan.stored(address)));
    }
    after
}

/// Returns the checksums of a release in all locks, if it has any.
fn checksums(id: &ReleaseId) -> (OuterChecksum, InnerChecksum) {
    let (package, version) = (id.package.to_string(), id.version.to_string());
    let sum = format!("{}{}", &package[1..], &version[..1]).repeat(32);
    (sum.parse().unwrap(), sum.parse().unwrap())
}

fn submodules(of: Revision, world: &World) -> Vec<(GitUrl, Revision)> {
    let place = (0..world.len()).find(|place| of == place_of(*place).1).expect("a revision of the world");
    // Only earlier revisions, because two commits cannot pin each other.
    world[place].iter().filter(|other| **other < place).map(|other| place_of(*other)).collect()
}

fn place_of(place: usize) -> (GitUrl, Revision) {
    let (number, repository) = (place / REPOSITORIES, place % REPOSITORIES);
    (url(repository, false).parse().unwrap(), revision(repository, number).parse().unwrap())
}

/// Adds what is only known after packing: packs, and the commits at which shallow histories end.
fn packed(address: &GitAddress, mut stored: StoredGit) -> StoredGit {
    let id = |text: String| {
        format!("{:040x}", text.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31) + u64::from(byte)))
    };
    let cut = stored.revisions.iter().filter_map(|(revision, stored)| Some((revision, stored.depth?)));
    stored.shallow = cut.map(|(revision, depth)| id(format!("{revision}{depth}")).parse().unwrap()).collect();
    stored.packs = BTreeMap::from([(id(address.to_string()).parse().unwrap(), 1)]);
    stored
}

/// Simulates `prune`.
fn prune(manifest: &Manifest, needed: &Needed) -> Manifest {
    let pruning = Pruning::new(manifest, needed.clone());
    let mut after = manifest.clone();
    after.releases.retain(|id, _| !pruning.releases.contains_key(id));
    for (address, gone) in &pruning.revisions {
        let stored = after.git.get_mut(address).unwrap();
        stored.revisions.retain(|revision, _| !gone.contains(revision));
        needed.name(address, stored);
    }
    after.git.retain(|_, stored| !stored.revisions.is_empty());
    after
}

/// Simulates the merge of two mirrors that were not pruned. Also returns whether the result contains everything of
/// both.
fn merge(ours: &Manifest, theirs: &Manifest) -> (Manifest, bool) {
    let mut is_complete = true;
    let mut merged = theirs.clone();
    merged.releases.extend(ours.releases.iter().map(|(id, stored)| (id.clone(), *stored)));
    merged.entries.extend(ours.entries.iter().map(|(id, stored)| (id.clone(), *stored)));
    for (address, own) in &ours.git {
        let other = theirs.git.get(address).cloned().unwrap_or_default();
        let union = own.union(&other);
        is_complete &= union.is_some();
        merged.git.insert(address.clone(), union.unwrap_or_else(|| own.clone()));
    }
    (merged, is_complete)
}

/// Updates for several locks in sequence.
fn grow(manifest: Manifest, all: &[Vec<LockFile>], world: &World) -> Manifest {
    all.iter().fold(manifest, |manifest, locks| update(&manifest, &wanted(locks), world, false))
}

#[track_caller]
fn assert_fresh(locks: &[LockFile], manifest: &Manifest, when: &str) {
    let all = wanted(locks);
    let comparison = Comparison::new(&all, manifest);
    assert_eq!(comparison.lacking(), [""; 0], "{when}\n{manifest}");
    assert!(comparison.is_fresh(), "{when}");
    assert!(GitPlan::new(&all.git, manifest).is_empty(), "{when}: an update would ask git\n{manifest}");
    // A mirror that covers all entries together also covers each of them alone.
    for lock in locks {
        for dependency in &lock.dependencies {
            let alone = LockFile { rebar: lock.rebar, dependencies: vec![dependency.clone()] };
            assert!(Comparison::new(&wanted(&[alone]), manifest).is_fresh(), "{when}: {dependency:?}\n{manifest}");
        }
    }
    let read: Manifest = manifest.to_string().parse().unwrap();
    assert_eq!(read, *manifest, "{when}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 700, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_update_ends_fresh(mirrors in vec(vec(locks(), 0..3), 1..3), all in vec(locks(), 1..4), world in world(), is_lost: bool) {
        let mut manifest = mirrors.iter().map(|all| grow(Manifest::default(), all, &world)).reduce(|one, other| merge(&one, &other).0).unwrap();
        for locks in &all {
            let wanted = wanted(locks);
            let before = Comparison::new(&wanted, &manifest);
            assert_eq!(before.is_fresh(), before.lacking().is_empty());
            let after = update(&manifest, &wanted, &world, is_lost);
            assert_fresh(locks, &after, "after an update");
            assert_eq!(update(&after, &wanted, &world, is_lost), after, "a second update changes nothing");
            assert_eq!(before.is_fresh(), after == manifest, "an update changes a mirror that is not fresh, and no other");
            manifest = after;
        }
        if !is_lost {
            for locks in &all {
                assert_fresh(locks, &manifest, "after updates for other locks");
            }
        }
    }

    #[test]
    fn pruning_keeps_it_fresh(all in vec(locks(), 1..4), world in world(), stays: usize) {
        let manifest = grow(Manifest::default(), &all, &world);
        let stays = &all[stays % all.len()..];
        let mut needed = Needed::default();
        stays.iter().for_each(|locks| needed.add(&wanted(locks)));
        let pruned = prune(&manifest, &needed);
        for locks in stays {
            assert_fresh(locks, &pruned, "after pruning");
        }
    }

    #[test]
    fn merging_keeps_it_fresh(base in vec(locks(), 0..2), sides in [vec(locks(), 0..2), vec(locks(), 0..2)], last in locks(), world in world()) {
        let base = grow(Manifest::default(), &base, &world);
        let [ours, theirs] = sides.each_ref().map(|all| grow(base.clone(), all, &world));
        let (merged, is_complete) = merge(&ours, &theirs);
        for locks in sides.iter().flatten().filter(|_| is_complete) {
            assert_fresh(locks, &merged, "after a merge, for what either was fresh for");
        }
        let [ours, theirs] = [ours, theirs].map(|manifest| grow(manifest, std::slice::from_ref(&last), &world));
        for (one, other) in [(&ours, &theirs), (&theirs, &ours)] {
            assert_fresh(&last, &merge(one, other).0, "after a merge, for what both were fresh for");
        }
    }
}
