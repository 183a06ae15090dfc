//! `import`: what it takes from folders, what it refuses, and what an update makes of it.

use std::fs;
use std::path::{Path, PathBuf};

use git_hexmirror::hex::gzip::gzip;
use git_hexmirror::hex::registry::{Package, PrivateKey, Signed};
use git_hexmirror::model::RepositoryName;
use git_hexmirror::plan::IndexLists;
use serde_json::json;
use walkdir::WalkDir;

use crate::support::registry::{Registry, key, other_key, tarball};
use crate::support::stage::{OtherUser, PINNED, Ran, Stage};

/// A folder beside the project.
fn beside(stage: &Stage, name: &str) -> PathBuf {
    stage.sandbox.path().join(name)
}

fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Writes the tarballs of hexpm to a folder.
fn tarballs(registry: &Registry, folder: &Path) {
    for id in registry.ids().filter(|id| id.repository == RepositoryName::hexpm()) {
        put(folder, &id.tarball_name(), &registry.get(&id.to_string()).tarball);
    }
}

/// Writes a repository as `mix hex.registry build` does, signed with a key.
fn hex_repo(registry: &Registry, folder: &Path, key: &PrivateKey) {
    let hexpm = RepositoryName::hexpm();
    tarballs(registry, &folder.join("tarballs"));
    let mut lists = IndexLists::default();
    for id in registry.ids().filter(|id| id.repository == hexpm) {
        let signed = registry.signed_as(id.package.as_str(), id.package.as_str(), key);
        let payload = Signed::decode(&signed).unwrap();
        lists.put(&Package::decode(payload.unverified_payload(), &hexpm, &id.package).unwrap());
        put(folder, &format!("packages/{}", id.package), &gzip(&signed));
    }
    for (name, payload) in [("names", lists.names().encode(&hexpm)), ("versions", lists.versions().encode(&hexpm))] {
        put(folder, name, &gzip(&Signed::sign(payload, key).encode()));
    }
    put(folder, "public_key", key.public_key().to_pem().as_bytes());
}

/// Runs `import` where no server may be asked.
fn import(stage: &Stage, arguments: &[&str]) -> Ran {
    let before = stage.upstream.count("*");
    let ran = stage.run(&[&["import"], arguments].concat());
    assert_eq!(stage.upstream.count("*"), before, "upstream was asked: {ran:?}");
    ran
}

/// Checks that the mirror is intact, for the repository's own key.
fn intact(stage: &Stage) {
    stage.run(&["verify"]).ok();
    stage.git(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn tarballs_are_verified_by_the_lock_and_an_update_fetches_the_entries() {
    let stage = Stage::new();
    tarballs(&stage.registry, &beside(&stage, "tars"));
    let ran = import(&stage, &["../tars"]).ok();
    let ran = ran.says("3 packages verified by the locks").says("3 files left out").says("not fresh");
    assert!(!ran.stderr.contains("alpha 1.1.0"), "{ran:?}");
    intact(&stage);
    assert_eq!(stage.git(&["rev-list", "--count", "hexmirror"]), "1");
    let message = stage.git(&["log", "-1", "--format=%B", "hexmirror"]);
    assert!(message.starts_with("Import 3 packages: alpha 1.0.0, beta 0.3.0, delta 4.5.6+build.7\n"), "{message}");
    assert!(message.contains("\nLock: mix.lock sha256:"), "{message}");
    stage.run(&["status"]).exits(1);
    // The entry of an optional dependency is only known from the entry of the release that mentions it.
    stage.run(&["update"]).ok();
    let asked: Vec<_> = stage.upstream.requests("*").iter().map(|request| request.path().to_owned()).collect();
    assert!(!asked.iter().any(|path| path.contains("tarballs")), "the tarballs were there: {asked:?}");
    assert_eq!(asked.iter().filter(|path| path.ends_with("packages/gamma")).count(), 1, "{asked:?}");
    stage.run(&["status"]).ok();
    intact(&stage);
    import(&stage, &["../tars"]).ok().says("up to date").says("3 already there");
}

#[test]
fn everything_is_imported_if_the_user_wants_it() {
    let stage = Stage::new();
    tarballs(&stage.registry, &beside(&stage, "tars"));
    let document = import(&stage, &["../tars", "--all", "--json"]).ok().json();
    let added = document["added"].as_array().unwrap();
    let by = |word: &str| added.iter().filter(|release| release["verified_by"] == word).count();
    assert_eq!((by("lock"), by("registry"), by("tarball")), (3, 0, 3), "{document}");
    assert_eq!((&document["unpinned"], &document["before"]), (&json!([]), &json!(null)));
    intact(&stage);
    stage.run(&["update", "--refresh"]).ok();
    intact(&stage);
    let entries = stage.paths().into_iter().filter(|path| path.contains("/registry/") && path.ends_with("/gamma"));
    assert_eq!(entries.count(), 1, "upstream's entry of what no lock pins");
}

#[test]
fn entries_that_their_repository_signed_make_the_mirror_fresh() {
    let stage = Stage::new();
    hex_repo(&stage.registry, &beside(&stage, "hex_repo"), key());
    import(&stage, &["../hex_repo"]).ok().says("3 packages verified by the locks").says("4 registry entries");
    stage.run(&["status"]).ok();
    intact(&stage);
    assert!(!stage.paths().iter().any(|path| path.contains("/index/")));
    // Nothing but the registry knows the checksums.
    let other = Stage::new();
    other.write("mix.lock", "%{}\n");
    hex_repo(&other.registry, &beside(&other, "hex_repo"), key());
    let document = import(&other, &["../hex_repo", "--all", "--json"]).ok().json();
    let added = document["added"].as_array().unwrap();
    assert!(added.iter().all(|release| release["verified_by"] == "registry"), "{document}");
}

#[test]
fn a_registry_of_another_key_is_the_index_until_an_update_replaces_it() {
    let stage = Stage::new();
    let folder = beside(&stage, "hex_repo");
    hex_repo(&stage.registry, &folder, other_key());
    let signer = other_key().public_key().fingerprint().to_string();
    import(&stage, &["../hex_repo"]).ok().says("kept the registry of hexpm").says(&signer).says("not fresh");
    intact(&stage);
    stage.run(&["status"]).exits(1);
    assert!(!stage.paths().iter().any(|path| path.contains("/registry/")), "hexpm did not sign these entries");
    stage.run(&["export", "../www", "--registry=pinned"]).ok();
    for name in ["names", "versions", "packages/alpha", "packages/gamma", "public_key", "tarballs/alpha-1.0.0.tar"] {
        let [exported, imported] = ["www", "hex_repo"].map(|of| fs::read(beside(&stage, of).join(name)).unwrap());
        assert!(exported == imported, "{name}");
    }
    import(&stage, &["../hex_repo"]).ok().says("up to date");
    stage.run(&["update"]).ok().says("removed the imported index of hexpm").says("without --registry pinned");
    assert!(!stage.paths().iter().any(|path| path.contains("/index/")));
    stage.run(&["status"]).ok();
    intact(&stage);
    // Now it is of no use any more.
    import(&stage, &["../hex_repo"]).ok().says("up to date");
}

#[test]
fn an_index_of_the_mirrors_own_replaces_an_imported_one() {
    let stage = Stage::new();
    hex_repo(&stage.registry, &beside(&stage, "hex_repo"), other_key());
    import(&stage, &["../hex_repo"]).ok();
    let ran = stage.run(&["index", "--init", "--json"]).ok();
    let recipe = other_key().public_key().fingerprint();
    let ran = ran.says(&format!("the index replaces the imported registry of hexpm, which {recipe} signed"));
    let document = ran.json();
    assert_ne!(document["signer"], other_key().public_key().fingerprint().to_string());
    intact(&stage);
    import(&stage, &["../hex_repo"]).ok().says("the mirror has a pinned index of its own");
    stage.run(&["update"]).ok();
    assert!(stage.paths().iter().any(|path| path.contains("/index/")), "it is the mirror's own");
    intact(&stage);
    // The key of the recipe signs on, if it is given.
    let stage = Stage::new();
    hex_repo(&stage.registry, &beside(&stage, "hex_repo"), other_key());
    import(&stage, &["../hex_repo"]).ok();
    put(&beside(&stage, "keys"), "recipe.pem", other_key().to_pem().as_bytes());
    let ran = stage.run(&["index", "--init", "--private-key=../keys/recipe.pem", "--json"]).ok();
    assert!(!ran.stderr.contains("replaces"), "{ran:?}");
    let document = ran.json();
    assert_eq!(document["signer"], other_key().public_key().fingerprint().to_string());
    intact(&stage);
}

/// Clients of the registry that was imported first have its key.
#[test]
fn a_registry_of_another_signer_does_not_replace_an_imported_one_silently() {
    let stage = Stage::new();
    let (first, second) = (PrivateKey::generate().unwrap(), other_key());
    hex_repo(&stage.registry, &beside(&stage, "first"), &first);
    hex_repo(&stage.registry, &beside(&stage, "second"), second);
    import(&stage, &["../first"]).ok();
    stage.run(&["export", "../www", "--registry=pinned"]).ok();
    let signer = first.public_key().fingerprint();
    let replaced = format!("second replaces the imported registry of hexpm, which {signer} signed");
    import(&stage, &["../second"]).ok().says(&replaced);
    let changed = "www changes the key of the pinned index of hexpm";
    stage.run(&["export", "../www", "--dry-run"]).ok().says(changed);
    stage.run(&["export", "../www"]).ok().says(changed);
    let ran = stage.run(&["export", "../www"]).ok();
    assert!(!ran.stderr.contains("changes"), "{ran:?}");
    intact(&stage);
}

/// `mix hex.registry build --name=NAME` signs for a repository that no lock names.
#[test]
fn a_registry_of_which_no_release_is_imported_is_named() {
    let mut named = Registry::default();
    for release in PINNED {
        named.publish(&format!("team/{release}"), &[], &[]);
    }
    let stage = Stage::new();
    let folder = beside(&stage, "hex_repo");
    tarballs(&stage.registry, &folder.join("tarballs"));
    for name in ["alpha", "beta"] {
        let entry = format!("team/{name}");
        put(&folder, &format!("packages/{name}"), &gzip(&named.signed_as(&entry, &entry, other_key())));
    }
    put(&folder, "public_key", other_key().public_key().to_pem().as_bytes());
    let ran = import(&stage, &["../hex_repo"]).ok().says("3 packages verified by the locks");
    ran.says("left out the registry in ").says("which team did not sign: no release of team was imported");
}

#[test]
fn the_cache_of_hex_names_the_repositories() {
    let stage = Stage::new();
    stage.lock(&[PINNED[0], "hexpm:acme/secret 0.1.0"]);
    let cache = beside(&stage, "hex/packages");
    tarballs(&stage.registry, &cache.join("hexpm"));
    let secret = &stage.registry.get("hexpm:acme/secret 0.1.0").tarball;
    put(&cache, "hexpm:acme/secret-0.1.0.tar", secret);
    // A download that Hex did not finish, and no lock pins.
    put(&cache, "hexpm/unfinished-1.0.0.tar", &secret[..700]);
    let document = import(&stage, &["../hex", "--json"]).ok().json();
    let names: Vec<_> = document["added"].as_array().unwrap().iter().map(|added| added["package"].clone()).collect();
    assert_eq!(names, ["alpha", "secret"]);
    assert_eq!(document["added"][1]["repository"], "hexpm:acme");
    assert!(document["unpinned"].as_array().unwrap().iter().any(|path| path.as_str().unwrap().contains("unfinished")));
    intact(&stage);
}

/// Each of these refuses the whole import, and nothing is left behind.
#[test]
fn bad_input_is_refused_and_nothing_is_stored() {
    let stage = Stage::new();
    let objects = stage.git(&["count-objects"]);
    let good = stage.registry.get(PINNED[0]).tarball.clone();
    let changed = tarball(PINNED[0], &[], &[("lib/evil.ex".into(), b"evil".to_vec())]);
    let beta = stage.registry.get(PINNED[1]).tarball.clone();
    type Files<'a> = &'a [(&'a str, &'a [u8])];
    let cases: [(&str, Files<'_>, &[&str], &str); 7] = [
        ("checksum", &[("alpha-1.0.0.tar", &changed)], &[], "the lock requires the outer checksum"),
        (
            "beside",
            &[("a/alpha-1.0.0.tar", &good), ("b/alpha-1.0.0.tar", &changed)],
            &[],
            "b/alpha-1.0.0.tar: the lock",
        ),
        ("name", &[("alpha-1.0.0.tar", &beta)], &[], "alpha-1.0.0.tar is a tarball of beta 0.3.0"),
        ("version", &[("beta-0.4.0.tar", &beta)], &[], "is a tarball of beta 0.3.0"),
        ("truncated", &[("alpha-1.0.0.tar", &good[..good.len() / 2])], &[], "is not a usable tarball"),
        ("flipped", &[("alpha-1.0.0.tar", &flipped(&good))], &[], "alpha-1.0.0.tar"),
        ("garbage", &[("x.tar", b"garbage"), ("alpha-1.0.0.tar", &good)], &["--all"], "is not a usable tarball"),
    ];
    for (name, files, options, problem) in cases {
        let folder = beside(&stage, name);
        files.iter().for_each(|(file, bytes)| put(&folder, file, bytes));
        let folder = format!("../{name}");
        for more in [&["--dry-run"][..], &[]] {
            import(&stage, &[&[folder.as_str()], options, more].concat())
                .exits(4)
                .says(problem)
                .says("nothing was imported");
        }
        assert_eq!(stage.tip(), None, "{name}");
    }
    stage.lock(&[PINNED[1]]);
    let two = [("a/alpha-1.0.0.tar", &good), ("b/alpha-1.0.0.tar", &changed)];
    two.iter().for_each(|(file, bytes)| put(&beside(&stage, "two"), file, bytes));
    import(&stage, &["../two", "--all"]).exits(4).says("both claim to be alpha 1.0.0, with different contents");
    assert_eq!(stage.git(&["count-objects"]), objects);
    let left = WalkDir::new(stage.project.join(".git/objects/pack")).into_iter().map(Result::unwrap);
    assert_eq!(left.filter(|entry| entry.file_type().is_file()).count(), 0, "a pack was left behind");
}

fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

#[test]
fn bad_registries_are_refused() {
    let stage = Stage::new();
    let folder = beside(&stage, "hex_repo");
    let refused = |problem: &str| {
        import(&stage, &["../hex_repo"]).exits(4).says(problem);
        assert_eq!(stage.tip(), None, "{problem}");
        fs::remove_dir_all(&folder).unwrap();
    };
    hex_repo(&stage.registry, &folder, other_key());
    put(&folder, "public_key", other_key().to_pem().as_bytes());
    refused("public_key is a private key");
    hex_repo(&stage.registry, &folder, other_key());
    let alone = PrivateKey::generate().unwrap();
    put(&folder, "packages/beta", &gzip(&stage.registry.signed_as("beta", "beta", &alone)));
    refused("the registry entry of beta is signed neither with");
    hex_repo(&stage.registry, &folder, other_key());
    put(&folder, "packages/beta", &gzip(&stage.registry.signed_as("alpha", "alpha", other_key())));
    refused("it is for the package \"alpha\", not \"beta\"");
    hex_repo(&stage.registry, &folder, other_key());
    put(&folder, "versions", b"garbage");
    refused("versions is damaged");
    let mut other = stage.registry.clone();
    other.listed(PINNED[0]).outer_checksum = Some(stage.registry.get(PINNED[1]).outer);
    hex_repo(&other, &folder, other_key());
    refused("it lists alpha 1.0.0 with other checksums");
    hex_repo(&other, &folder, key());
    refused("the registry requires the outer checksum");
}

#[test]
fn folders_without_anything_of_use_are_named() {
    let stage = Stage::new();
    fs::create_dir(beside(&stage, "empty")).unwrap();
    import(&stage, &["../empty"]).exits(2).says("found neither tarballs nor git repositories in");
    import(&stage, &["../nowhere"]).exits(2).says("nowhere does not exist");
    let mut other = Registry::default();
    other.publish("other 1.0.0", &[], &[("lib/other.ex".into(), "other".into())]);
    tarballs(&other, &beside(&stage, "other"));
    import(&stage, &["../other"]).exits(2).says("no lock pins any of the 1 tarballs").says("--all");
    assert_eq!(stage.tip(), None);
}

#[test]
fn a_dry_run_says_the_same_and_changes_nothing() {
    let stage = Stage::new();
    hex_repo(&stage.registry, &beside(&stage, "hex_repo"), key());
    let plan = import(&stage, &["../hex_repo", "--dry-run", "--json"]).ok().json();
    assert_eq!((stage.tip(), &plan["commit"]), (None, &json!(null)));
    let shown = import(&stage, &["../hex_repo", "--dry-run"]).ok().says("would import");
    assert!(shown.stdout.contains("+ alpha 1.0.0 (verified by the lock)"), "{shown:?}");
    let document = import(&stage, &["../hex_repo", "--json"]).ok().json();
    for field in ["added", "entries", "indexes", "present", "unpinned", "lacking", "before"] {
        assert_eq!(plan[field], document[field], "{field}");
    }
    assert_eq!((&plan["dry_run"], &document["dry_run"]), (&json!(true), &json!(false)));
    assert_eq!(document["commit"], stage.tip().unwrap());
}

#[test]
fn an_export_can_be_imported_and_gives_the_same_export() {
    let stage = Stage::new();
    stage.lock(&[PINNED[0], PINNED[1], PINNED[2], "hexpm:acme/secret 0.1.0"]);
    stage.run(&["update"]).ok();
    stage.run(&["export", "../www"]).ok();
    let clone = stage.sandbox.repository("clone");
    fs::copy(stage.project.join("mix.lock"), clone.join("mix.lock")).unwrap();
    fs::copy(stage.project.join("mix.exs"), clone.join("mix.exs")).ok();
    let asked = stage.upstream.count("*");
    stage.run_in(&clone, &["--lock=mix.lock", "import", "../www"]).ok().says("4 packages verified by the locks");
    stage.run_in(&clone, &["--lock=mix.lock", "status"]).ok();
    stage.run_in(&clone, &["--lock=mix.lock", "export", "../again"]).ok();
    assert_eq!(stage.upstream.count("*"), asked);
    let files = |folder: &str| {
        let entries = WalkDir::new(beside(&stage, folder)).sort_by_file_name().into_iter().map(Result::unwrap);
        let files = entries.filter(|entry| entry.file_type().is_file()).map(|entry| {
            let name = entry.path().strip_prefix(beside(&stage, folder)).unwrap().to_owned();
            (name, fs::read(entry.path()).unwrap())
        });
        files.filter(|(name, _)| !name.starts_with(".git-hexmirror")).collect::<Vec<_>>()
    };
    assert!(files("www") == files("again"));
}

/// What cannot be read may be irrelevant, so that it does not stop the import.
#[test]
fn an_unreadable_folder_is_named_and_left_out() {
    let stage = Stage::new();
    let folder = beside(&stage, "tars");
    tarballs(&stage.registry, &folder);
    let Some(user) = OtherUser::owning(&stage, &["project", "tars"]) else { return };
    let secret = folder.join("secret");
    fs::create_dir(&secret).unwrap();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let plan = user.run(&stage, &["import", "../tars", "--dry-run", "--json"]).exits(1).json();
    assert_eq!(plan["unreadable"], json!([secret.to_str().unwrap()]));
    let ran = user.run(&stage, &["import", "../tars"]).exits(1).says("3 packages verified by the locks");
    let ran = ran.says(&format!("left out {}, which cannot be read: Permission denied", secret.display()));
    assert_eq!(ran.stderr.matches("Permission denied").count(), 1, "{ran:?}");
    user.run(&stage, &["import", "../tars/secret"]).exits(5).says("cannot read");
}

/// The entries of a registry and the objects of a repository are below the folders that show what they are.
#[test]
fn unreadable_parts_of_registries_and_repositories_are_left_out_too() {
    let stage = Stage::new();
    let (registry, git) = (beside(&stage, "hex_repo"), beside(&stage, "git"));
    hex_repo(&stage.registry, &registry, other_key());
    stage.sandbox.git("", &["init", "--quiet", "--bare", "git/lib.git"]);
    let Some(user) = OtherUser::owning(&stage, &["project", "hex_repo", "git"]) else { return };
    let secret = [registry.join("packages"), git.join("lib.git/objects")];
    for folder in &secret {
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    }
    let ran = user.run(&stage, &["import", "../hex_repo", "../git"]).exits(1).says("3 packages verified by the locks");
    for folder in &secret {
        let left_out = format!("left out {}, which cannot be read: ", folder.display());
        assert_eq!(ran.stderr.matches(&left_out).count(), 1, "{ran:?}");
    }
}

#[test]
fn a_wrong_entry_is_named_by_its_file() {
    let stage = Stage::new();
    let folder = beside(&stage, "hex_repo");
    hex_repo(&stage.registry, &folder, key());
    fs::copy(folder.join("packages/beta"), folder.join("packages/alpha")).unwrap();
    import(&stage, &["../hex_repo"]).exits(4).says("hex_repo/packages/alpha is damaged: ");
    assert_eq!(stage.tip(), None);
}
