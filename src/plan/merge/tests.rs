use std::collections::BTreeSet;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::hex::registry::{Dependency, Release};
use crate::lock::Lock;
use crate::model::{InnerChecksum, OuterChecksum};
use crate::plan::Wanted;

const VERSIONS: [&str; 3] = ["1.0.0", "1.1.0", "1.2.0"];
/// The number of an entry that another signer signed.
const FOREIGN: u8 = 8;

/// Facts about entries that are known by their numbers: bit `i` is set if the entry lists `VERSIONS[i]`, whose tarball
/// has the checksum `aa…`. Every release of plug depends on mime. No key is known for the repository acme.
#[derive(Default)]
struct Facts<'a> {
    input: Option<MergeInput<'a>>,
    needed: Needed,
    replaced: BTreeSet<EntryId>,
    replaced_policies: BTreeSet<PolicyId>,
}

impl Facts<'_> {
    fn number(&self, side: Side, id: &EntryId) -> Option<u8> {
        let input = self.input.expect("the mirrors are set");
        let manifest = if side == Side::Ours { input.ours } else { input.theirs };
        manifest.entries.get(id).map(|stored| stored.bytes as u8)
    }
}

impl MergeFacts for Facts<'_> {
    type Error = Infallible;

    fn verify(&self, side: Side, id: &EntryId) -> Result<CheckedEntry, Infallible> {
        let number = self.number(side, id).expect("only entries in the manifest are verified");
        Ok(match id.repository.to_string().as_str() {
            "acme" => CheckedEntry::NoKey,
            _ if number >= FOREIGN => CheckedEntry::OtherSigner,
            _ => CheckedEntry::Verified { package: package(id, number), signed: vec![number] },
        })
    }

    fn read(&self, side: Side, id: &EntryId) -> Result<Option<Package>, Infallible> {
        Ok(self.number(side, id).map(|number| package(id, number)))
    }

    fn needed(&self) -> Result<Needed, Infallible> {
        Ok(self.needed.clone())
    }

    fn replaced_entries(&self) -> Result<BTreeSet<EntryId>, Infallible> {
        Ok(self.replaced.clone())
    }

    fn verify_policy(&self, side: Side, id: &PolicyId) -> Result<PolicySignature, Infallible> {
        let input = self.input.expect("the mirrors are set");
        let manifest = if side == Side::Ours { input.ours } else { input.theirs };
        Ok(match id.repository.as_str() {
            "acme" => PolicySignature::NoKey,
            _ if manifest.policies[id].bytes >= u64::from(FOREIGN) => PolicySignature::OtherSigner,
            _ => PolicySignature::Verified,
        })
    }

    fn replaced_policies(&self) -> Result<BTreeSet<PolicyId>, Infallible> {
        Ok(self.replaced_policies.clone())
    }

    fn signer(&self, repository: &RepositoryName) -> Option<Fingerprint> {
        (*repository == RepositoryName::hexpm()).then(|| Fingerprint::from_bytes([1; 32]))
    }
}

fn package(id: &EntryId, number: u8) -> Package {
    let dependency = || Dependency {
        package: "mime".parse().unwrap(),
        requirement: ">= 0.0.0".into(),
        optional: false,
        app: None,
        repository: None,
    };
    let release = |version: &str| Release {
        version: version.parse().unwrap(),
        inner_checksum: InnerChecksum::from_bytes([7; 32]),
        outer_checksum: Some(OuterChecksum::from_bytes([0xaa; 32])),
        dependencies: if id.package.to_string() == "plug" { vec![dependency()] } else { Vec::new() },
        retired: None,
        advisories: Vec::new(),
        published_at: None,
    };
    let listed = (0..3).filter(|bit| number & (1 << bit) != 0).map(|bit| release(VERSIONS[bit])).collect();
    Package { name: id.package.clone(), releases: listed, advisories: Vec::new(), skipped: Vec::new() }
}

fn id(digit: u8) -> String {
    digit.to_string().repeat(40)
}

/// Returns the manifest line of a short form: `plug 1.0.0 a`, `entry plug 3`, `entry acme/plug 3`, `absent plug`,
/// `policy corp/strict 3`, `git a 1` (a revision with its pack), `shallow a 1`.
fn line(short: &str) -> String {
    let fields: Vec<&str> = short.split(' ').collect();
    let scoped = |name: &str| name.replace('/', " ").split(' ').count();
    let full = |name: &str| if scoped(name) == 2 { name.replace('/', " ") } else { format!("hexpm {name}") };
    match fields[..] {
        ["entry", name, number] => {
            format!(
                "registry {} {number} {}\n",
                full(name),
                format!("{:02x}", number.parse::<u8>().unwrap()).repeat(32)
            )
        }
        ["absent", name] => format!("absent {}\n", full(name)),
        ["policy", name, number] => {
            let sum = format!("{:02x}", number.parse::<u8>().unwrap()).repeat(32);
            format!("policy {} {number} {sum}\n", name.replace('/', " "))
        }
        ["git", name, digit] => {
            let id = id(digit.parse().unwrap());
            format!("git h/{name} {id} full\npack h/{name} {id} 9\n")
        }
        ["shallow", name, digit] => {
            let id = id(digit.parse().unwrap());
            format!("git h/{name} {id} 1\npack h/{name} {id} 5\nshallow h/{name} {id}\n")
        }
        [package, version, digit] => {
            format!("hex hexpm {package} {version} unpacked 10 {} {}\n", digit.repeat(64), "b".repeat(64))
        }
        _ => panic!("{short}"),
    }
}

/// Parses a manifest from its short form, items separated by commas.
fn manifest(short: &str) -> Manifest {
    let text: String = short.split(", ").filter(|item| !item.is_empty()).map(line).collect();
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines.sort_unstable();
    lines.concat().parse().unwrap()
}

/// Returns what a lock needs that pins `plug 1.0.0` or `git a 1`.
fn needs(pins: &str) -> Needed {
    let entry = |pin: &str| match pin.split(' ').collect::<Vec<_>>()[..] {
        ["git", name, digit] => {
            format!(r#""{name}": {{:git, "https://h/{name}", "{}", []}}"#, id(digit.parse().unwrap()))
        }
        [name, version] => format!(r#""{name}": {{:hex, :{name}, "{version}"}}"#),
        _ => panic!("{pin}"),
    };
    let mut needed = Needed::default();
    for pin in pins.split(", ").filter(|pin| !pin.is_empty()) {
        if let Some(policy) = pin.strip_prefix("policy ") {
            needed.policies.insert(policy.parse().unwrap());
            continue;
        }
        let mut wanted = Wanted::default();
        wanted.add(&Lock::parse("mix.lock", format!("%{{{}}}", entry(pin))).unwrap()).unwrap();
        needed.add(&wanted);
    }
    needed
}

/// Plans a merge and returns the plan's lines, without those that are the same for every mirror with entries.
fn planned(bases: &[&str], ours: &str, theirs: &str, local: Side, facts: Facts<'_>) -> String {
    let (ours, theirs) = (manifest(ours), manifest(theirs));
    let bases: Vec<Manifest> = bases.iter().map(|base| manifest(base)).collect();
    let bases: Vec<&Manifest> = bases.iter().collect();
    let input = MergeInput { ours: &ours, theirs: &theirs, bases: &bases, local };
    let Ok(plan) = merge(input, &Facts { input: Some(input), ..facts });
    let lines: Vec<String> =
        plan.to_string().lines().filter(|line| !line.starts_with("record signer hexpm")).map(str::to_owned).collect();
    lines.join("; ").replace(&id(1), "1").replace(&id(2), "2")
}

#[test]
fn a_merge_of_two_mirrors_copies_what_ours_lacks_and_removes_what_theirs_pruned() {
    let cases: &[(&[&str], &str, &str, &str)] = &[
        (&[], "", "", ""),
        (&[], "plug 1.0.0 a", "plug 1.0.0 a", ""),
        (&[], "plug 1.0.0 a", "plug 1.1.0 a, entry plug 3", "copy release plug 1.1.0; copy entry plug"),
        (&["plug 1.0.0 a"], "plug 1.0.0 a", "", "remove release plug 1.0.0"),
        (&["plug 1.0.0 a"], "", "plug 1.0.0 a", ""),
        // Without a merge base, nothing counts as pruned. With several, all must have had the item.
        (&["plug 1.0.0 a", ""], "plug 1.0.0 a", "", ""),
        // The published tarball wins, on either side.
        (&[], "plug 1.0.0 a, entry plug 1", "plug 1.0.0 c, entry plug 1", ""),
        (&[], "plug 1.0.0 c, entry plug 1", "plug 1.0.0 a, entry plug 1", "copy release plug 1.0.0"),
        (&[], "plug 1.0.0 c", "plug 1.0.0 a, entry plug 1", "copy release plug 1.0.0; copy entry plug"),
        (&[], "plug 1.0.0 c", "plug 1.0.0 d", "conflict: two tarballs of plug 1.0.0"),
        (&[], "plug 1.1.0 c, entry plug 1", "plug 1.1.0 a, entry plug 1", "conflict: two tarballs of plug 1.1.0"),
        // The newer entry wins; if neither is newer, the local one.
        (&[], "entry plug 1", "entry plug 3", "copy entry plug"),
        (&[], "entry plug 3", "entry plug 1", ""),
        (&[], "entry plug 3", "entry plug 5", "warning: the other entry plug lacks the release 1.1.0"),
        // An entry that another signer signed is left out, and ours of that kind is replaced.
        (&[], "entry plug 1", "entry plug 9", "warning: left out 1 entries of another signer"),
        (&[], "entry plug 9", "entry plug 1", "copy entry plug"),
        // Without a key, only what ours lacks is copied.
        (&[], "entry acme/plug 1", "entry acme/plug 3", "warning: no key for acme/plug"),
        (&[], "", "entry acme/plug 3", "copy entry acme/plug; warning: no key for acme/plug"),
        // An entry follows the releases that need it.
        (
            &["plug 1.0.0 a, entry plug 1"],
            "plug 1.0.0 a, entry plug 1",
            "",
            "remove release plug 1.0.0; remove entry plug",
        ),
        (
            &["plug 1.0.0 a, entry plug 1, entry mime 1"],
            "entry other 1",
            "plug 1.0.0 a, entry plug 3, entry mime 1, plug 1.1.0 a",
            "copy release plug 1.1.0; copy entry mime; copy entry plug",
        ),
        (
            &["plug 1.0.0 a, entry plug 1, absent mime"],
            "",
            "plug 1.1.0 a, entry plug 2, absent mime",
            "copy release plug 1.1.0; record absent entry mime; copy entry plug",
        ),
        (&["absent mime"], "absent mime", "", "remove entry mime"),
        (&[], "entry mime 1", "absent mime", ""),
        (&[], "", "absent mime", "record absent entry mime"),
        // A policy that only one side has is kept; of two, the one that changed, or else the local one.
        (&[], "policy corp/strict 1", "", ""),
        (&[], "", "policy corp/strict 1", "copy policy corp/strict"),
        (&["policy corp/strict 1"], "policy corp/strict 1", "policy corp/strict 2", "copy policy corp/strict"),
        (&["policy corp/strict 1"], "policy corp/strict 2", "policy corp/strict 1", ""),
        (&["policy corp/strict 1"], "policy corp/strict 2", "policy corp/strict 3", ""),
        (&["policy corp/strict 1"], "policy corp/strict 1", "", "remove policy corp/strict"),
        (&["policy corp/strict 1"], "", "policy corp/strict 1", ""),
        (&["policy corp/strict 1"], "", "policy corp/strict 2", "copy policy corp/strict"),
        (&[], "", "policy corp/strict 9", "warning: left out 1 entries of another signer"),
        (&[], "policy acme/strict 1", "policy acme/strict 2", ""),
        (&[], "", "policy acme/strict 2", "copy policy acme/strict"),
        // Git repositories.
        (&[], "git a 1", "git a 2", "copy repository h/a with 1, 2"),
        (&["git a 1"], "git a 1", "", "remove repository h/a"),
        (&["git a 1"], "", "git a 1", ""),
        (&["git a 1, git a 2"], "git a 1, git a 2", "git a 2", "copy repository h/a with 2"),
        (&[], "shallow a 1", "git a 1", "copy repository h/a with 1"),
        (&[], "shallow a 1", "shallow a 2", "warning: different depths of h/a"),
    ];
    for (bases, ours, theirs, expected) in cases {
        let found = planned(bases, ours, theirs, Side::Ours, Facts::default());
        assert_eq!(found, *expected, "{bases:?} | {ours} | {theirs}");
    }
}

#[test]
fn contents_that_a_lock_needs_are_kept_although_a_side_pruned_them() {
    for (base, ours, theirs, pin, expected) in [
        ("plug 1.0.0 a", "plug 1.0.0 a", "", "plug 1.0.0", ""),
        ("plug 1.0.0 a", "", "plug 1.0.0 a", "plug 1.0.0", "copy release plug 1.0.0"),
        // The lock expects a HEAD, which is recorded.
        ("git a 1", "git a 1", "", "git a 1", "copy repository h/a with 1"),
        ("git a 1", "", "git a 1", "git a 1", "copy repository h/a with 1"),
        ("policy corp/strict 1", "policy corp/strict 1", "", "policy corp/strict", ""),
        ("policy corp/strict 1", "", "policy corp/strict 1", "policy corp/strict", "copy policy corp/strict"),
    ] {
        let facts = || Facts { needed: needs(pin), ..Facts::default() };
        assert_eq!(planned(&[base], ours, theirs, Side::Ours, facts()), expected, "{base} | {ours} | {theirs}");
    }
}

#[test]
fn the_local_entry_wins_on_either_side() {
    for (ours, theirs, expected) in [
        ("entry plug 3", "entry plug 5", "copy entry plug; warning: the other entry plug lacks the release 1.2.0"),
        ("entry acme/plug 1", "entry acme/plug 3", "copy entry acme/plug; warning: no key for acme/plug"),
        ("entry plug 3", "entry plug 1", ""),
        ("policy corp/strict 1", "policy corp/strict 2", "copy policy corp/strict"),
    ] {
        assert_eq!(planned(&[], ours, theirs, Side::Theirs, Facts::default()), expected, "{ours} | {theirs}");
    }
}

#[test]
fn entries_of_a_replaced_signer_are_removed_unless_theirs_is_verified() {
    let replaced = || [EntryId { repository: RepositoryName::hexpm(), package: "plug".parse().unwrap() }].into();
    let facts = || Facts { replaced: replaced(), ..Facts::default() };
    let warned = "warning: left out 1 entries of another signer";
    assert_eq!(planned(&[], "entry plug 9", "", Side::Ours, facts()), format!("remove entry plug; {warned}"));
    assert_eq!(planned(&[], "entry plug 9", "entry plug 1", Side::Ours, facts()), format!("copy entry plug; {warned}"));
    let facts = || Facts { replaced_policies: ["corp/strict".parse().unwrap()].into(), ..Facts::default() };
    let [own, other] = ["policy corp/strict 9", "policy corp/strict 1"];
    assert_eq!(planned(&[], own, "", Side::Ours, facts()), format!("remove policy corp/strict; {warned}"));
    assert_eq!(planned(&[], own, other, Side::Ours, facts()), format!("copy policy corp/strict; {warned}"));
}

#[test]
fn signers_are_recorded_for_repositories_with_entries() {
    let (mut ours, mut theirs) = (manifest("entry plug 1"), manifest("entry acme/plug 1"));
    let [known, other] = [1, 2].map(|byte| Fingerprint::from_bytes([byte; 32]));
    let acme: RepositoryName = "acme".parse().unwrap();
    theirs.signers = [(acme.clone(), other), ("unused".parse().unwrap(), other)].into();
    let recorded = |ours: &Manifest| {
        let input = MergeInput { ours, theirs: &theirs, bases: &[], local: Side::Ours };
        let Ok(plan) = merge(input, &Facts { input: Some(input), ..Facts::default() });
        plan.signers
    };
    assert_eq!(recorded(&ours), [(RepositoryName::hexpm(), known), (acme.clone(), other)].into());
    ours.signers = [(RepositoryName::hexpm(), known)].into();
    assert_eq!(recorded(&ours), [(acme, other)].into());
}

#[test]
fn a_fast_forward_that_would_lose_something_is_recognised() {
    for (ours, theirs, expected) in [
        ("plug 1.0.0 a", "plug 1.0.0 a, plug 1.1.0 a", false),
        ("plug 1.0.0 a", "plug 1.1.0 a", true),
        ("entry plug 1", "", true),
        ("entry plug 1", "entry plug 3", false),
        ("git a 1", "git a 1, git a 2", false),
        ("git a 1", "git a 2", true),
        ("git a 1", "", true),
        ("policy corp/strict 1", "policy corp/strict 2", false),
        ("policy corp/strict 1", "", true),
    ] {
        assert_eq!(has_unshared_contents(&manifest(ours), &manifest(theirs)), expected, "{ours} | {theirs}");
    }
    for (ours, theirs, expected) in [
        ("entry plug 1", "entry plug 3", false),
        ("entry plug 3", "entry plug 1", true),
        ("entry plug 3", "entry plug 5", true),
    ] {
        let (ours, theirs) = (manifest(ours), manifest(theirs));
        let input = MergeInput { ours: &ours, theirs: &theirs, bases: &[], local: Side::Ours };
        let facts = Facts { input: Some(input), ..Facts::default() };
        let Ok(older) = has_older_entries(&ours, &theirs, |side, id| facts.read(side, id));
        assert_eq!(older, expected, "{ours} | {theirs}");
    }
}

/// Returns the manifest that a plan leads to.
fn result(plan: &MergePlan, ours: &Manifest, theirs: &Manifest) -> Manifest {
    let mut result = ours.clone();
    for (id, step) in &plan.releases {
        match step {
            ReleaseStep::Copy => drop(result.releases.insert(id.clone(), theirs.releases[id])),
            ReleaseStep::Remove => drop(result.releases.remove(id)),
        }
    }
    for (id, step) in &plan.entries {
        result.entries.remove(id);
        result.absent.remove(id);
        match step {
            EntryStep::Copy => drop(result.entries.insert(id.clone(), theirs.entries[id])),
            EntryStep::RecordAbsent => drop(result.absent.insert(id.clone())),
            EntryStep::Remove => {}
        }
    }
    for (id, step) in &plan.policies {
        match step {
            PolicyStep::Copy => drop(result.policies.insert(id.clone(), theirs.policies[id])),
            PolicyStep::Remove => drop(result.policies.remove(id)),
        }
    }
    for (address, step) in &plan.repositories {
        match step {
            RepositoryStep::Copy(stored) => drop(result.git.insert(address.clone(), stored.clone())),
            RepositoryStep::Remove => drop(result.git.remove(address)),
        }
    }
    result.signers.extend(plan.signers.clone());
    result
}

fn merged(
    bases: &[&Manifest],
    ours: &Manifest,
    theirs: &Manifest,
    local: Side,
    needed: &Needed,
) -> (Manifest, MergePlan) {
    let input = MergeInput { ours, theirs, bases, local };
    let Ok(plan) = merge(input, &Facts { input: Some(input), needed: needed.clone(), ..Facts::default() });
    (result(&plan, ours, theirs), plan)
}

const RELEASES: [&str; 4] = ["plug 1.0.0", "plug 1.1.0", "mime 1.0.0", "jason 1.2.0"];
const REVISIONS: [&str; 4] = ["git a 1", "git a 2", "git b 1", "git b 3"];
const ENTRIES: [&str; 3] = ["plug", "mime", "jason"];

/// Generates manifests from few items, so that they overlap. Entry 0 stands for no entry, and 8 for one that is absent
/// upstream.
fn mirrors() -> impl Strategy<Value = Manifest> {
    (any::<[bool; 4]>(), any::<[bool; 4]>(), prop::array::uniform3(0..=8_u8), 0..4_u8).prop_map(
        |(releases, revisions, entries, policy)| {
            let chosen = |items: [&'static str; 4], flags: [bool; 4]| {
                items.into_iter().zip(flags).filter(|(_, flag)| *flag).map(|(item, _)| item.to_owned())
            };
            let entry = |(name, number): (&str, u8)| match number {
                0 => None,
                8 => Some(format!("absent {name}")),
                number => Some(format!("entry {name} {number}")),
            };
            let mut items: Vec<String> = chosen(RELEASES, releases).map(|release| release + " a").collect();
            items.extend(chosen(REVISIONS, revisions));
            items.extend((policy > 0).then(|| format!("policy corp/strict {policy}")));
            items.extend(ENTRIES.into_iter().zip(entries).filter_map(entry));
            manifest(&items.join(", "))
        },
    )
}

fn needs_of() -> impl Strategy<Value = Needed> {
    let pins: Vec<&str> = RELEASES.into_iter().chain(REVISIONS).collect();
    prop::sample::subsequence(pins, 0..=4).prop_map(|pins| needs(&pins.join(", ")))
}

type Items = (BTreeSet<ReleaseId>, BTreeSet<String>);

/// Returns the releases and git revisions of a mirror.
fn items(manifest: &Manifest) -> Items {
    let revision =
        |(address, revision): (&crate::model::GitAddress, crate::model::Revision)| format!("{address} {revision}");
    (manifest.releases.keys().cloned().collect(), crate::plan::pruning::revisions(manifest).map(revision).collect())
}

proptest! {
    #[test]
    fn nothing_is_lost_but_what_a_side_pruned_and_no_lock_needs(
        [base, ours, theirs] in prop::array::uniform3(mirrors()),
        needed in needs_of(),
        has_base in any::<bool>(),
    ) {
        let bases: &[&Manifest] = if has_base { &[&base] } else { &[] };
        let (result, plan) = merged(bases, &ours, &theirs, Side::Ours, &needed);
        prop_assert_eq!(&plan.conflicts, &[]);
        let [of_base, of_ours, of_theirs, of_result] = [&base, &ours, &theirs, &result].map(items);
        for id in of_ours.0.union(&of_theirs.0) {
            let pruned = has_base && of_base.0.contains(id) && !(of_ours.0.contains(id) && of_theirs.0.contains(id));
            prop_assert_eq!(of_result.0.contains(id), !pruned || needed.releases.contains(id), "{}", id);
        }
        let pins: BTreeSet<String> = needed.revisions.iter().map(|(address, revision)| format!("{address} {revision}")).collect();
        for id in of_ours.1.union(&of_theirs.1) {
            let pruned = has_base && of_base.1.contains(id) && !(of_ours.1.contains(id) && of_theirs.1.contains(id));
            prop_assert_eq!(of_result.1.contains(id), !pruned || pins.contains(id), "{}", id);
        }
        let policies = [&base, &ours, &theirs].map(|manifest| manifest.policies.len());
        let pruned = has_base && policies[0] > 0 && policies[1] + policies[2] < 2;
        prop_assert!(pruned || result.policies.len() >= policies[1].max(policies[2]));
        prop_assert!(of_result.0.is_subset(&of_ours.0.union(&of_theirs.0).cloned().collect()));
        prop_assert!(of_result.1.is_subset(&of_ours.1.union(&of_theirs.1).cloned().collect()));
        for id in ours.entries.keys().chain(theirs.entries.keys()) {
            let is_needed = result.releases.keys().any(|release| release.entry() == *id);
            prop_assert!(has_base && !is_needed || result.entries.contains_key(id), "the entry {}", id);
        }
        // The kept entry lacks nothing that the local one has.
        for (id, own) in &ours.entries {
            let kept = result.entries.get(id).map_or(own.bytes, |kept| kept.bytes);
            prop_assert_eq!(kept & own.bytes, own.bytes, "the entry {}", id);
        }
        let statistics = MergeStatistics::between(&ours, &result);
        prop_assert_eq!(plan.statistics, statistics);
        let added = of_result.0.difference(&of_ours.0).count();
        prop_assert_eq!((statistics.releases, statistics.pruned), (added, of_ours.0.difference(&of_result.0).count()));
        prop_assert_eq!(statistics.revisions, of_result.1.difference(&of_ours.1).count());
    }

    #[test]
    fn a_second_merge_changes_nothing([base, ours, theirs] in prop::array::uniform3(mirrors()), needed in needs_of()) {
        let (result, _) = merged(&[&base], &ours, &theirs, Side::Ours, &needed);
        for other in [&ours, &theirs] {
            // A merge commit has both sides as parents, so each is the base of the next merge with it.
            let (again, plan) = merged(&[other], &result, other, Side::Ours, &needed);
            prop_assert_eq!(&again, &result, "{}", plan);
        }
    }

    #[test]
    fn both_sides_merge_to_the_same_mirror([base, ours, theirs] in prop::array::uniform3(mirrors()), needed in needs_of()) {
        let (one, _) = merged(&[&base], &ours, &theirs, Side::Ours, &needed);
        let (other, _) = merged(&[&base], &theirs, &ours, Side::Theirs, &needed);
        prop_assert_eq!(one.to_string(), other.to_string());
    }
}
