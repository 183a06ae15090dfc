use super::*;
use crate::hex::registry::Package;
use crate::lock::RebarConfig;
use crate::model::{InnerChecksum, OuterChecksum, Revision};

fn checksum(digit: u8) -> OuterChecksum {
    OuterChecksum::from_bytes([digit; 32])
}

fn release(version: &str, dependencies: &[&str]) -> Release {
    let dependency = |text: &&str| {
        let (name, requirement) = text.trim_start_matches('?').split_once(' ').unwrap();
        crate::hex::registry::Dependency {
            package: name.parse().unwrap(),
            requirement: requirement.to_owned(),
            optional: text.starts_with('?'),
            app: None,
            repository: None,
        }
    };
    Release {
        version: version.parse().unwrap(),
        inner_checksum: InnerChecksum::from_bytes([0; 32]),
        outer_checksum: Some(checksum(1)),
        dependencies: dependencies.iter().map(dependency).collect(),
        retired: None,
        advisories: Vec::new(),
        published_at: None,
    }
}

fn id(text: &str) -> ReleaseId {
    let (package, version) = text.split_once(' ').unwrap();
    let (package, version) = (package.parse().unwrap(), version.parse().unwrap());
    ReleaseId { repository: RepositoryName::hexpm(), package, version }
}

/// An upstream with packages of given releases, all of which have a rebar.config.
fn facts(packages: &[(&str, Vec<Release>)], configs: &[(&str, &str)]) -> PluginFacts {
    let mut facts = PluginFacts::default();
    for (name, releases) in packages {
        let package = Package {
            name: name.parse().unwrap(),
            releases: releases.clone(),
            advisories: Vec::new(),
            skipped: Vec::new(),
        };
        for release in releases {
            facts.releases.insert(id(&format!("{name} {}", release.version)), PackageConfig::default());
        }
        let entry = EntryId { repository: RepositoryName::hexpm(), package: package.name.clone() };
        facts.entries.insert(entry, Some(package));
    }
    for (release, text) in configs {
        let config = RebarConfig::read(text.as_bytes()).unwrap();
        facts.releases.insert(id(release), PackageConfig { config, unread: Vec::new() });
    }
    facts
}

fn asks(texts: &[&str]) -> Vec<PluginAsk> {
    let ask = |text: &&str| {
        let (by, text) = text.split_once(": ").unwrap();
        PluginAsk { by: by.to_owned(), definition: Definition::of_text(text).unwrap() }
    };
    texts.iter().map(ask).collect()
}

fn locked(releases: &[&str]) -> LockedPlugins {
    let pin = |text: &&str| (id(text), Pin { id: id(text), inner: None, outer: Some(checksum(2)) });
    LockedPlugins { releases: releases.iter().map(pin).collect(), ..LockedPlugins::default() }
}

fn pinned(resolution: &Resolution) -> Vec<String> {
    let name = |(pin, by): &(Pin, BTreeSet<String>)| {
        format!("{} for {}", pin.id, Vec::from_iter(by.iter().cloned()).join(" "))
    };
    resolution.releases.values().map(name).collect()
}

fn resolved(asked: &[&str], facts: &PluginFacts) -> Vec<String> {
    pinned(&resolve(asks(asked), &LockedPlugins::default(), facts, false))
}

#[test]
fn the_highest_suitable_version_is_taken_with_its_dependencies() {
    let releases = |versions: &[&str]| versions.iter().map(|version| release(version, &[])).collect::<Vec<_>>();
    let pc = ["1.0.0", "1.9.0", "1.12.0", "1.13.0-rc.1", "1.12.1+build", "2.0.0"];
    let mut facts = facts(&[("pc", releases(&pc)), ("x", releases(&["0.1.0", "0.2.0"]))], &[]);
    assert_eq!(resolved(&["a: pc", "b: pc", "c: pc ~> 1.2"], &facts), ["pc 1.12.0 for c", "pc 2.0.0 for a b"]);
    assert_eq!(resolved(&["a: pc 1.0.0"], &facts), ["pc 1.0.0 for a"]);
    assert_eq!(resolved(&["a: pc ~> 1.13.0-rc.0"], &facts), ["pc 1.13.0-rc.1 for a"]);
    let entry = EntryId { repository: RepositoryName::hexpm(), package: "pc".parse().unwrap() };
    let needing = release("3.0.0", &["x < 0.2.0", "?none >= 0.0.0"]);
    facts.entries.get_mut(&entry).unwrap().as_mut().unwrap().releases.push(needing);
    facts.releases.insert(id("pc 3.0.0"), PackageConfig::default());
    assert_eq!(resolved(&["a: pc"], &facts), ["pc 3.0.0 for a", "x 0.1.0 for pc"]);
}

#[test]
fn plugins_have_plugins() {
    let one = |name: &'static str| (name, vec![release("1.0.0", &[])]);
    let configs = [("pc 1.0.0", "{plugins, [inner]}. {project_plugins, [no]}."), ("inner 1.0.0", "{plugins, [pc]}.")];
    let facts = facts(&[one("pc"), one("inner")], &configs);
    assert_eq!(resolved(&["a: pc"], &facts), ["inner 1.0.0 for pc", "pc 1.0.0 for a inner"]);
}

#[test]
fn a_pin_is_kept_while_it_suits_and_the_highest_version_is_stored() {
    let mut facts = facts(&[("pc", vec![release("1.0.0", &[]), release("1.1.0", &[])])], &[]);
    let kept = |asked: &str, facts: &PluginFacts, refresh| {
        pinned(&resolve(asks(&[asked]), &locked(&["pc 1.0.0"]), facts, refresh))
    };
    assert_eq!(kept("a: pc", &facts, false), ["pc 1.1.0 for a"], "rebar3 takes what the entry lists");
    facts.stored.insert(id("pc 1.1.0"));
    assert_eq!(kept("a: pc", &facts, false), ["pc 1.0.0 for a"]);
    let outdated = |refresh| resolve(asks(&["a: pc"]), &locked(&["pc 1.0.0"]), &facts, refresh).outdated;
    assert_eq!(outdated(false), [(id("pc 1.0.0"), "1.1.0".parse().unwrap())].into());
    assert_eq!(outdated(true), [].into());
    assert_eq!(kept("a: pc", &facts, true), ["pc 1.1.0 for a"]);
    assert_eq!(kept("a: pc ~> 1.1", &facts, false), ["pc 1.1.0 for a"]);
    let pin = &resolve(asks(&["a: pc"]), &locked(&["pc 1.0.0"]), &facts, false).releases[&id("pc 1.0.0")].0;
    assert_eq!(pin.outer, Some(checksum(2)), "the lock is believed, not the registry");
}

#[test]
fn what_cannot_be_pinned_is_named() {
    let mut facts = facts(&[("pc", vec![release("1.0.0-rc.1", &[])]), ("bad", vec![release("1.0.0", &[])])], &[]);
    let none = EntryId { repository: RepositoryName::hexpm(), package: "none".parse().unwrap() };
    facts.entries.insert(none, None);
    facts.releases.get_mut(&id("bad 1.0.0")).unwrap().unread.push("rebar.config is code".to_owned());
    for (asked, reason) in [
        ("a: none", "upstream has no such package"),
        ("a: pc", "upstream has no stable version of pc"),
        ("a: pc ~> 2.0", "upstream has no suitable (~> 2.0) version of pc"),
        ("a: pc latest", "\"latest\" is not a version requirement"),
        ("a: bad", "rebar.config is code"),
    ] {
        let resolution = resolve(asks(&[asked]), &LockedPlugins::default(), &facts, false);
        let problem = resolution.problems.first().unwrap_or_else(|| panic!("{asked}"));
        assert!(problem.reason.starts_with(reason), "{asked}: {}", problem.reason);
        assert_eq!(resolution.unresolved, [], "{asked}");
    }
}

#[test]
fn dependencies_that_form_a_cycle_are_named_and_end() {
    let facts =
        facts(&[("p", vec![release("1.0.0", &["q ~> 1.0"])]), ("q", vec![release("1.0.0", &["p ~> 1.0"])])], &[]);
    let resolution = resolve(asks(&["a: p"]), &LockedPlugins::default(), &facts, false);
    assert_eq!(pinned(&resolution), ["p 1.0.0 for a", "q 1.0.0 for p"]);
    assert!(resolution.problems.first().unwrap().reason.contains("p → q → p"), "{:?}", resolution.problems);
}

#[test]
fn plugins_that_need_each_other_are_named() {
    let one = |name: &'static str| (name, vec![release("1.0.0", &[])]);
    let configs =
        [("p 1.0.0", "{plugins, [q]}."), ("q 1.0.0", "{plugins, [p]}."), ("self 1.0.0", "{plugins, [self]}.")];
    let facts = facts(&[one("p"), one("q"), one("self")], &configs);
    for (asked, by, cycle) in [("a: q", "p", "p → q → p;"), ("a: self", "self", "self → self;")] {
        let resolution = resolve(asks(&[asked]), &LockedPlugins::default(), &facts, false);
        assert_eq!(resolution.problems.len(), 1, "{:?}", resolution.problems);
        let problem = resolution.problems.first().unwrap();
        assert!(problem.reason.contains(cycle) && problem.reason.contains("never ends"), "{}", problem.reason);
        assert_eq!((problem.name.as_deref(), problem.by.as_str()), (None, by));
    }
}

#[test]
fn lacking_facts_are_asked_for_one_after_the_other() {
    let mut facts = facts(&[("pc", vec![release("1.0.0", &[])])], &[]);
    facts.releases.clear();
    let of = |facts: &PluginFacts, locked: &LockedPlugins| {
        let resolution = resolve(asks(&["a: pc"]), locked, facts, false);
        let facts: Vec<String> = resolution.unresolved.iter().map(|one| format!("{:?}", one.fact)).collect();
        (facts.concat(), resolution.unpinned(locked).len())
    };
    let none = LockedPlugins::default();
    assert!(matches!(of(&PluginFacts::default(), &none), (fact, 1) if fact.starts_with("Entry")));
    assert!(matches!(of(&facts, &none), (fact, 1) if fact.starts_with("Release")));
    assert!(matches!(of(&facts, &locked(&["pc 1.0.0"])), (fact, 0) if fact.starts_with("Release")));
    assert!(matches!(of(&PluginFacts::default(), &locked(&["pc 1.0.0"])), (fact, 0) if fact.starts_with("Entry")));
}

#[test]
fn git_plugins_are_pinned_to_the_commit_of_their_ref() {
    let text = "{plugins, [{g, {git, \"https://h/g.git\", {branch, \"main\"}}}]}.";
    let definition = RebarConfig::read(text.as_bytes()).unwrap().plugins().next().unwrap().clone();
    let ask = || vec![PluginAsk { by: PROJECT.to_owned(), definition: definition.clone() }];
    let DefinedSource::Git { url, checkout, .. } = &definition.source else { unreachable!() };
    let [one, two]: [Revision; 2] = ["1", "2"].map(|digit| digit.repeat(40).parse().unwrap());
    let mut facts = PluginFacts::default();
    let none = LockedPlugins::default();
    let unresolved = resolve(ask(), &none, &facts, false).unresolved;
    assert!(matches!(unresolved[0].fact, LackingFact::Ref(_)));
    assert_eq!(resolve(ask(), &none, &facts, false).unpinned(&none), [("g".to_owned(), PROJECT.to_owned())].into());
    // That upstream does not have it is remembered until a refresh.
    let absent =
        PluginFacts { refs: [((url.clone(), checkout.clone()), RefAnswer::NoRef)].into(), ..PluginFacts::default() };
    let line = "plugin-git g https://h/g.git none heads/main for .";
    assert_eq!(resolve(ask(), &none, &absent, false).lines(), [line]);
    let mut wanted = crate::plan::Wanted::default();
    wanted.add(&crate::lock::Lock::parse("hexmirror.lock", line).unwrap()).unwrap();
    let of = |one: &crate::plan::Unmirrored| Some((one.app.clone(), one.url.clone(), one.revision.clone()?));
    let remembered = LockedPlugins { absent: wanted.unmirrored.iter().filter_map(of).collect(), ..none.clone() };
    let resolution = resolve(ask(), &remembered, &facts, false);
    assert_eq!((resolution.lines(), resolution.unresolved.len()), (vec![line.to_owned()], 0));
    assert_eq!(resolve(ask(), &remembered, &facts, true).unresolved.len(), 1);
    facts.refs.insert((url.clone(), checkout.clone()), RefAnswer::Commit(one));
    let config = RebarConfig::read(b"{deps, [dep]}. {plugins, [inner]}.").unwrap();
    for revision in [one, two] {
        let config = PackageConfig { config: config.clone(), unread: Vec::new() };
        facts.revisions.insert((url.address().clone(), revision, None), config);
    }
    let resolution = resolve(ask(), &none, &facts, false);
    let line = format!("plugin-git g https://h/g.git {one} heads/main for .");
    assert_eq!(resolution.lines(), [line]);
    let lacking: Vec<&str> = resolution.unresolved.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(lacking, ["dep", "inner"]);
    let locked = LockedPlugins { git: resolution.git.iter().map(|(pin, _)| pin.clone()).collect(), ..none };
    facts.refs.insert((url.clone(), checkout.clone()), RefAnswer::Commit(two));
    assert_eq!(resolve(ask(), &locked, &facts, false).git[0].0.revision, one);
    assert_eq!(resolve(ask(), &locked, &facts, true).git[0].0.revision, two);
}

#[test]
fn only_an_answer_replaces_what_is_pinned_of_a_repository() {
    let text = "{plugins, [{g, {git, \"https://h/g.git\", {branch, \"main\"}}}]}.";
    let definition = RebarConfig::read(text.as_bytes()).unwrap().plugins().next().unwrap().clone();
    let DefinedSource::Git { url, checkout, .. } = definition.source.clone() else { unreachable!() };
    let ask = PluginAsk { by: PROJECT.to_owned(), definition };
    let [one, two]: [Revision; 2] = ["1", "2"].map(|digit| digit.repeat(40).parse().unwrap());
    let facts = |answer| PluginFacts {
        refs: [((url.clone(), checkout.clone()), answer)].into(),
        revisions: [one, two].map(|id| ((url.address().clone(), id, None), PackageConfig::default())).into(),
        ..PluginFacts::default()
    };
    let new = |locked: &LockedPlugins, answer| resolve(vec![ask.clone()], locked, &facts(answer), true);
    let locked = |resolution: Resolution| {
        let git = resolution.git.into_iter().map(|(pin, _)| pin).collect();
        LockedPlugins { git, ..LockedPlugins::default() }
    };
    let none = LockedPlugins::default();
    let pinned = locked(new(&none, RefAnswer::Commit(one)));
    let absent = [("g".to_owned(), "https://h/g.git".to_owned(), "heads/main".to_owned())].into();
    let absent = LockedPlugins { absent, ..LockedPlugins::default() };
    let line = |what: &dyn std::fmt::Display| vec![format!("plugin-git g https://h/g.git {what} heads/main for .")];
    for (before, answer, lines, is_unanswered) in [
        (&pinned, RefAnswer::Commit(two), line(&two), false),
        (&pinned, RefAnswer::NoRef, line(&"none"), false),
        (&pinned, RefAnswer::NoRepository, line(&one), false),
        (&pinned, RefAnswer::None, line(&one), false),
        (&absent, RefAnswer::None, line(&"none"), false),
        (&none, RefAnswer::NoRepository, line(&"none"), false),
        (&none, RefAnswer::None, vec![], true),
    ] {
        let resolution = new(before, answer);
        assert_eq!((resolution.lines(), resolution.unresolved.len()), (lines, 0), "{before:?} {answer:?}");
        assert_eq!(!resolution.unanswered.is_empty(), is_unanswered, "{before:?} {answer:?}");
    }
}
