//! Who may sign registry entries: attacks by someone with write access to the mirror branch, or in upstream's place.

use std::fs;
use std::path::{Path, PathBuf};

use git_hexmirror::hex::gzip::gzip;

use crate::support::http::get;
use crate::support::registry::{Registry, key, other_key};
use crate::support::stage::{PINNED, Ran, Serving};
use crate::support::tree::{flattened, manifest_files, path};
use crate::team::{Team, registry};

const SIGNED_BY: &str = "signer hexpm ";

pub fn own() -> String {
    key().public_key().fingerprint().to_string()
}

pub fn other() -> String {
    other_key().public_key().fingerprint().to_string()
}

/// Signs every entry with a key that is not the repository's.
fn resigned(registry: &Registry) -> Registry {
    let mut resigned = registry.clone();
    let entries: Vec<String> = registry.ids().map(|id| format!("{}/{}", id.repository, id.package)).collect();
    for entry in entries {
        resigned.forge(&entry, gzip(&registry.signed_as(&entry, &entry, other_key())));
    }
    resigned
}

/// Gives upstream and a clone's settings another key.
fn exchange_key(team: &Team, folder: &Path) {
    resigned(&team.stage.registry).put(&team.stage.upstream);
    let path = team.stage.sandbox.path().join("other.pem");
    fs::write(&path, other_key().public_key().to_pem()).unwrap();
    team.git(folder, &["config", "hexmirror.hexpm.publicKey", path.to_str().unwrap()]).ok();
}

pub fn manifest(team: &Team, folder: &Path) -> String {
    let text = team.ask(folder, &crate::support::tree::MANIFEST) + "\n";
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines.sort_unstable();
    lines.concat()
}

/// A team whose remote has a mirror, which a second clone has too. The first clone has all of it.
fn shared() -> (Team, PathBuf, PathBuf) {
    let team = Team::with(registry(), &PINNED);
    let (one, two) = (team.stage.project.clone(), team.clone("two"));
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    team.run(&two, &["pull"]).ok();
    (team, one, two)
}

/// Signs everything again with another key in the second clone, and pushes it.
fn attacked() -> (Team, PathBuf, PathBuf) {
    let (team, one, two) = shared();
    exchange_key(&team, &two);
    team.git(&two, &["config", "hexmirror.hexpm.signer", &other()]).ok();
    team.lock(&two, &["alpha 1.1.0"]);
    team.run(&two, &["update"]).ok();
    team.run(&two, &["push"]).ok();
    (team, one, two)
}

/// Replaces files of a clone's mirror in a new commit, as anyone with write access to the branch can.
pub fn edit(team: &Team, folder: &Path, files: &[(&str, &[u8])]) {
    edit_and_remove(team, folder, files, &[]);
}

/// As [`edit`], and removes some files.
pub fn edit_and_remove(team: &Team, folder: &Path, files: &[(&str, &[u8])], removed: &[&str]) {
    let git = |arguments: &[&str]| {
        let mut command = team.stage.sandbox.command("git", folder);
        Ran::of(command.args(arguments).env("GIT_INDEX_FILE", ".git/edited")).ok().stdout.trim().to_owned()
    };
    git(&["read-tree", "hexmirror"]);
    let put = |path: &str, text: &[u8]| {
        fs::write(folder.join(".git/text"), text).unwrap();
        let blob = git(&["hash-object", "-w", "--no-filters", ".git/text"]);
        git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
    };
    for (path, text) in files {
        if *path == "manifest" {
            git(&["rm", "--quiet", "-r", "--cached", "manifest"]);
            let files = manifest_files(std::str::from_utf8(text).unwrap());
            files.iter().for_each(|(path, text)| put(path, text.as_bytes()));
        } else {
            put(path, text);
        }
    }
    for path in removed {
        git(&["update-index", "--force-remove", path]);
    }
    let tree = git(&["write-tree"]);
    let commit = git(&["commit-tree", &tree, "-p", "hexmirror", "-m", "Edit"]);
    git(&["update-ref", "refs/heads/hexmirror", &commit]);
}

/// Replaces an entry in a clone's mirror with a signed message, and adapts the manifest.
pub fn put_in_place(team: &Team, folder: &Path, entry: &str, signed: &[u8]) {
    let begin = format!("registry hexpm {entry} ");
    let line = format!("{begin}{} {}", signed.len(), crate::support::registry::checksum(signed));
    let manifest: String = manifest(team, folder)
        .lines()
        .map(|before| if before.starts_with(&begin) { format!("{line}\n") } else { format!("{before}\n") })
        .collect();
    edit(team, folder, &[("manifest", manifest.as_bytes()), (&path("registry", entry), signed)]);
}

/// Adds an entry that another key signed to a clone's mirror.
fn forge_in_place(team: &Team, folder: &Path, entry: &str) {
    put_in_place(team, folder, entry, &team.stage.registry.signed_as(entry, entry, other_key()));
}

#[test]
fn the_manifest_records_the_signer_of_each_repository() {
    let team = Team::new();
    let one = team.stage.project.clone();
    team.lock(&one, &["alpha 1.0.0", "hexpm:acme/secret 0.1.0"]);
    let document = team.run(&one, &["update", "--json"]).ok().json();
    assert_eq!(document["signers"], serde_json::json!([]), "none of them is another one than before");
    let message = team.ask(&one, &["log", "-1", "--format=%B", "hexmirror"]);
    assert!(message.contains(&format!("Signer of hexpm: {0}\nSigner of hexpm:acme: {0}\n", own())), "{message}");
    let manifest = manifest(&team, &one);
    let lines: Vec<&str> = manifest.lines().filter(|line| line.starts_with("signer ")).collect();
    assert_eq!(lines, [format!("signer hexpm {}", own()), format!("signer hexpm:acme {}", own())]);
    let tip = team.tip(&one);
    team.run(&one, &["update"]).ok().says("nothing to do");
    assert_eq!(team.tip(&one), tip);
}

#[test]
fn an_upstream_with_another_key_is_refused_until_the_user_allows_it() {
    let (team, one, _) = shared();
    exchange_key(&team, &one);
    let tip = team.tip(&one);
    team.lock(&one, &["alpha 1.1.0", "beta 0.3.0", "left 1.0.0"]);
    for arguments in [&["update"][..], &["update", "--refresh"], &["update", "--keep-going"]] {
        let ran = team.run(&one, arguments).exits(4);
        ran.says("the signer of the Hex repository hexpm changed")
            .says(&own())
            .says(&other())
            .says(&format!("git config hexmirror.hexpm.signer {}", other()));
    }
    assert_eq!(team.tip(&one), tip);
    // The setting is not accepted in the branch's own file.
    fs::write(one.join(".hexmirror.toml"), format!("[repositories.hexpm]\nsigner = \"{}\"\n", other())).unwrap();
    team.run(&one, &["update"]).exits(2).says(".hexmirror.toml").says("signer");
    fs::remove_file(one.join(".hexmirror.toml")).unwrap();
    team.git(&one, &["config", "hexmirror.hexpm.signer", "SHA256:nonsense"]).ok();
    team.run(&one, &["update"]).exits(2).says("hexmirror.hexpm.signer");

    team.git(&one, &["config", "hexmirror.hexpm.signer", &other()]).ok();
    team.run(&one, &["update"]).ok().says(&format!("recorded {} as the signer of hexpm", other()));
    // All entries have the new signer.
    assert!(manifest(&team, &one).contains(&format!("{SIGNED_BY}{}\n", other())));
    team.is_whole(&one);
    team.run(&one, &["push"]).ok();
    let tip = team.tip(&one);
    team.run(&one, &["update"]).ok().says("nothing to do");
    assert_eq!(team.tip(&one), tip);
    // The setting now protects against the old signer.
    team.stage.registry.put(&team.stage.upstream);
    team.configure(&one);
    team.run(&one, &["update", "--refresh"]).exits(4).says("set by hexmirror.hexpm.signer").says(&own());
}

#[test]
fn a_new_signer_replaces_all_entries_or_none() {
    let (team, one, _) = shared();
    exchange_key(&team, &one);
    team.git(&one, &["config", "hexmirror.hexpm.signer", &other()]).ok();
    let tip = team.tip(&one);
    team.stage.upstream.put("packages/gamma", &gzip(&team.stage.registry.signed("gamma")));
    team.run(&one, &["update", "--keep-going"]).exits(4).says("refused the registry entry of gamma");
    assert_eq!(team.tip(&one), tip);
}

#[test]
fn a_pushed_mirror_of_another_signer_is_neither_pulled_nor_merged() {
    let (team, one, _) = attacked();
    let tip = team.tip(&one);
    let refused = |arguments: &[&str]| {
        let ran = team.run(&one, arguments).exits(4).says("the signer of the Hex repository hexpm changed");
        ran.says(&format!("{} (recorded in the mirror of origin)", other())).says(&own());
        assert_eq!(team.tip(&one), tip);
    };
    refused(&["pull"]);
    refused(&["push"]);
    team.stage.registry.put(&team.stage.upstream);
    team.lock(&one, &["left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    let tip = team.tip(&one);
    for arguments in [&["pull"][..], &["push"]] {
        team.run(&one, arguments).exits(4).says(&format!("{} (recorded in the mirror of origin)", other()));
        assert_eq!(team.tip(&one), tip);
    }
}

#[test]
fn a_mirror_of_another_signer_is_not_adopted_served_or_used_by_a_fresh_clone() {
    let (team, ..) = attacked();
    let three = team.clone("three");
    team.lock(&three, &["alpha 1.1.0"]);
    let commands = [
        &["pull"][..],
        &["update"],
        &["init"],
        &["verify"],
        &["serve"],
        &["run", "--", "true"],
        &["prune"],
        &["compact"],
    ];
    for arguments in commands {
        let ran = team.run(&three, arguments).exits(4).says("the signer of the Hex repository hexpm changed");
        ran.says(&format!("{} (recorded in the mirror of origin)", other()))
            .says(&format!("{} (of the public key", own()));
        assert_eq!(team.tip(&three), None, "{arguments:?}");
    }
}

#[test]
fn a_clone_without_the_setting_for_the_key_is_told_so_by_every_command() {
    let (team, one, _) = shared();
    let three = team.clone("three");
    for (folder, recorded) in [(&one, "recorded in the local mirror"), (&three, "recorded in the mirror of origin")] {
        team.run(folder, &["status"]).ok().prints("fresh:");
        // hexpm's own key is built in.
        team.git(folder, &["config", "--unset", "hexmirror.hexpm.publicKey"]).ok();
        let told = |ran: Ran| {
            let problem = format!("are signed by {} ({recorded}), and no setting here names that key", own());
            ran.exits(4).says(&problem).says("git config hexmirror.hexpm.publicKey PATH")
        };
        for arguments in [&["run", "--", "true"][..], &["serve"], &["verify"], &["update", "--refresh"]] {
            told(team.run(folder, arguments));
        }
        let ran = told(team.run(folder, &["status"]));
        assert!(ran.stdout.starts_with("not usable: ") && !ran.stdout.contains("fresh"), "{ran:?}");
        let document = told(team.run(folder, &["status", "--json"])).json();
        assert_eq!(document["fresh"], false);
        assert!(document["refused"].as_str().unwrap().contains(recorded), "{document}");
        let ran = team.run(folder, &["doctor"]).exits(1).prints("and no setting here names that key");
        ran.prints("git config hexmirror.hexpm.publicKey PATH");
        // What it asks for is enough.
        let pem = team.stage.sandbox.path().join("hexpm.pem");
        team.git(folder, &["config", "hexmirror.hexpm.publicKey", pem.to_str().unwrap()]).ok();
        team.run(folder, &["status"]).ok().prints("fresh:");
        team.run(folder, &["run", "--", "true"]).ok();
    }
}

#[test]
fn a_record_that_stays_does_not_cover_an_entry_of_another_signer() {
    let (team, one, two) = shared();
    forge_in_place(&team, &two, "alpha");
    // The attacker pushes with plain git.
    team.git(&two, &["push", "--quiet", "--no-verify", "origin", "hexmirror"]).ok();
    let tip = team.tip(&one);
    team.run(&one, &["pull"]).exits(4).says("refused the registry entry of alpha");
    team.run(&one, &["push"]).exits(4).says("refused the registry entry of alpha");
    assert_eq!(team.tip(&one), tip);
    let three = team.clone("three");
    for arguments in [&["pull"][..], &["update"], &["verify"]] {
        let ran = team.run(&three, arguments).exits(4);
        assert!((ran.stderr.clone() + &ran.stdout).contains("registry entry of alpha"), "{ran:?}");
    }
    // CI fetches it with plain git, bypassing the program's checks.
    team.git(&three, &["fetch", "--quiet", "origin", "+hexmirror:hexmirror"]).ok();
    team.run(&three, &["verify"]).exits(4).prints("registry entry of alpha");
    let serving = Serving::start(&mut team.stage.bare_command_in(&three, &["serve", "--listen=127.0.0.1:0"]));
    let (of_alpha, of_beta) = (get(serving.authority(), "/packages/alpha"), get(serving.authority(), "/packages/beta"));
    assert_eq!((of_alpha.status, of_beta.status), (500, 200));
}

#[test]
fn what_is_forged_here_is_not_pushed() {
    let team = Team::with(registry(), &PINNED);
    let one = team.stage.project.clone();
    team.run(&one, &["init"]).ok();
    team.run(&one, &["update"]).ok();
    forge_in_place(&team, &one, "beta");
    team.run(&one, &["push"]).exits(4).says("refused the registry entry of beta");
    team.commit_lock(&one, &["alpha 1.0.0"]);
    for refs in [&["main"][..], &["hexmirror"], &["main", "hexmirror"]] {
        let ran = team.git(&one, &[&["push", "origin"], refs].concat());
        assert_ne!(ran.code, Some(0), "{ran:?}");
        ran.says("refused the registry entry of beta");
        assert_eq!(team.tip(&team.remote), None);
    }
    team.run(&one, &["compact"]).ok();
    team.run(&one, &["push", "--force-with-lease"]).exits(4).says("refused the registry entry of beta");
    assert_eq!(team.tip(&team.remote), None);
}

#[test]
fn the_record_of_a_repository_whose_key_is_not_known_here_holds() {
    let mut registry = registry();
    registry.publish("other/thing 1.0.0", &[], &[("a.ex".into(), "a".into())]);
    registry.publish("other/more 1.0.0", &[], &[("a.ex".into(), "b".into())]);
    let team = Team::with(registry.clone(), &["alpha 1.0.0"]);
    let (one, two) = (team.stage.project.clone(), team.clone("two"));
    let pem = team.stage.sandbox.path().join("hexpm.pem");
    for folder in [&one, &two] {
        team.git(folder, &["config", "hexmirror.other.url", &format!("{}/repos/other", team.stage.upstream.url())])
            .ok();
        team.git(folder, &["config", "hexmirror.other.publicKey", pem.to_str().unwrap()]).ok();
    }
    for id in registry.ids().filter(|id| id.repository.to_string() == "other") {
        let (tarball, entry) = (registry.get(&format!("{}/{} {}", id.repository, id.package, id.version)), &id.package);
        team.stage.upstream.put(&format!("repos/other/tarballs/{}", id.tarball_name()), &tarball.tarball);
        team.stage
            .upstream
            .put(&format!("repos/other/packages/{entry}"), &gzip(&registry.signed(&format!("other/{entry}"))));
    }
    team.lock(&one, &["other/thing 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).ok();
    // Without the key, the entries are not verified, but the record still counts.
    team.git(&one, &["config", "--unset", "hexmirror.other.publicKey"]).ok();
    team.run(&two, &["pull"]).ok();
    let text = manifest(&team, &two).replace(&format!("signer other {}", own()), &format!("signer other {}", other()));
    edit(&team, &two, &[("manifest", text.as_bytes())]);
    team.git(&two, &["push", "--quiet", "--no-verify", "origin", "hexmirror"]).ok();
    let tip = team.tip(&one);
    team.run(&one, &["pull"])
        .exits(4)
        .says("the signer of the Hex repository other changed")
        .says(&other())
        .says(&own());
    assert_eq!(team.tip(&one), tip);
}

#[test]
fn a_manifest_that_is_not_that_of_its_tree_is_not_taken_over() {
    let (team, one, two) = shared();
    let tip = team.tip(&one);
    edit(&team, &two, &[("hex/hexpm/registry/1b/surplus", b"nobody names it")]);
    team.git(&two, &["push", "--quiet", "--no-verify", "origin", "hexmirror"]).ok();
    let problem = "hex/hexpm/registry/1b/surplus";
    team.run(&one, &["pull"]).exits(5).says(problem);
    assert_eq!(team.tip(&one), tip);
    let three = team.clone("three");
    for arguments in [&["pull"][..], &["update"]] {
        team.run(&three, arguments).exits(5).says(problem);
        assert_eq!(team.tip(&three), None);
    }
    team.lock(&one, &["left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    team.run(&one, &["push"]).exits(5).says(problem);
}

#[test]
fn a_new_signer_that_one_allowed_reaches_the_others_when_they_allow_it() {
    let (team, one, _) = attacked();
    // What was an attack before is a legitimate change of keys once the user configures it.
    exchange_key(&team, &one);
    team.run(&one, &["pull"]).exits(4);
    team.git(&one, &["config", "hexmirror.hexpm.signer", &other()]).ok();
    team.run(&one, &["pull"]).ok();
    team.is_whole(&one);
    assert_eq!(team.tip(&one), team.tip(&team.remote));
}

#[test]
fn mirrors_that_went_apart_over_a_change_of_keys_are_merged() {
    let (team, one, _) = attacked();
    // It has an entry of its own, from the old signer.
    team.stage.registry.put(&team.stage.upstream);
    team.lock(&one, &["alpha 1.1.0", "left 1.0.0"]);
    team.run(&one, &["update"]).ok();
    exchange_key(&team, &one);
    team.git(&one, &["config", "hexmirror.hexpm.signer", &other()]).ok();
    team.run(&one, &["pull"]).ok().says("signed by a key other than the configured signer");
    assert!(manifest(&team, &one).contains(&format!("{SIGNED_BY}{}\n", other())));
    team.run(&one, &["update"]).ok();
    team.run(&one, &["status"]).ok();
    team.is_whole(&one);
    team.run(&one, &["push"]).ok();
}

/// Converts a clone's mirror to the format before signers were recorded.
fn make_older(team: &Team, folder: &Path) {
    let text: String = manifest(team, folder)
        .lines()
        .filter(|line| !line.starts_with("signer "))
        .map(|line| format!("{line}\n"))
        .collect();
    flatten(team, folder, &text, "format = 1\n");
}

/// Converts a clone's mirror to a format without shards, with this manifest.
pub fn flatten(team: &Team, folder: &Path, manifest: &str, mirror: &str) {
    let git = |arguments: &[&str], input: &str| {
        let file = folder.join(".git/input");
        fs::write(&file, input).unwrap();
        let mut command = team.stage.sandbox.command("git", folder);
        command.args(arguments).env("GIT_INDEX_FILE", ".git/edited").stdin(fs::File::open(&file).unwrap());
        Ran::of(&mut command).ok().stdout.trim().to_owned()
    };
    git(&["read-tree", "hexmirror"], "");
    let staged = git(&["ls-files", "--stage"], "");
    git(&["read-tree", "--empty"], "");
    let blob = |text: &str| git(&["hash-object", "-w", "--stdin"], text);
    let more = [("manifest", manifest), ("mirror.toml", mirror)]
        .map(|(path, text)| format!("100644 {}\t{path}\n", blob(text)));
    git(&["update-index", "--index-info"], &(flattened(&staged) + &more.concat()));
    let tree = git(&["write-tree"], "");
    let commit = git(&["commit-tree", &tree, "-p", "hexmirror", "-m", "Edit"], "");
    git(&["update-ref", "refs/heads/hexmirror", &commit], "");
}

#[test]
fn a_mirror_of_an_older_format_is_read_and_the_next_update_records_its_signers() {
    let (team, one, two) = shared();
    make_older(&team, &one);
    team.run(&one, &["status"]).ok();
    team.run(&one, &["verify"]).ok();
    let asked = team.stage.upstream.count("*");
    let ran = team.run(&one, &["update"]).ok().says("migrated the mirror to format 3");
    ran.says(&format!("recorded {} as the signer of hexpm", own()));
    assert_eq!(team.stage.upstream.count("*"), asked);
    assert_eq!(team.ask(&one, &["log", "-1", "--format=%s", "hexmirror"]), "Migrate the mirror to format 3");
    assert!(manifest(&team, &one).contains(&format!("{SIGNED_BY}{}\n", own())));
    assert!(team.ask(&one, &["show", "hexmirror:mirror.toml"]).contains("format = 3"));
    team.is_whole(&one);
    let tip = team.tip(&one);
    team.run(&one, &["update"]).ok();
    assert_eq!(team.tip(&one), tip);
    // A mirror in the older format is merged, in either direction.
    make_older(&team, &two);
    team.lock(&two, &["alpha 1.0.0", "right 1.0.0"]);
    team.run(&one, &["push"]).ok();
    team.run(&two, &["pull"]).ok();
    assert!(manifest(&team, &two).contains(&format!("{SIGNED_BY}{}\n", own())));
}

#[test]
fn an_older_mirror_with_an_entry_of_another_signer_is_not_recorded() {
    let (team, one, _) = shared();
    forge_in_place(&team, &one, "beta");
    make_older(&team, &one);
    let tip = team.tip(&one);
    team.run(&one, &["update"]).exits(4).says("refused the registry entry of beta");
    assert_eq!(team.tip(&one), tip);
    // If the signer is set, entries of other signers are fetched again.
    team.git(&one, &["config", "hexmirror.hexpm.signer", &own()]).ok();
    team.run(&one, &["update"]).ok();
    team.is_whole(&one);
}

#[test]
fn an_older_entry_that_is_pushed_takes_the_place_of_none() {
    let (team, one, two) = shared();
    // It was signed before the retirement.
    let mut before = registry();
    before.listed("delta 4.5.6+build.7").retired = None;
    put_in_place(&team, &two, "delta", &before.signed("delta"));
    team.git(&two, &["push", "--quiet", "--no-verify", "origin", "hexmirror"]).ok();
    team.run(&one, &["pull"]).ok().says("is ahead of origin");
    let entry =
        || team.stage.sandbox.try_git(&one, &["cat-file", "blob", "hexmirror:hex/hexpm/registry/4f/delta"]).stdout;
    assert_eq!(entry(), team.stage.registry.signed("delta"));
    team.run(&one, &["push"]).ok();
    assert_eq!(entry(), team.stage.registry.signed("delta"));
    assert_eq!(team.tip(&one), team.tip(&team.remote));
    team.is_whole(&one);
}

#[test]
fn tracked_settings_do_not_disable_the_check_of_a_pushed_mirror() {
    let (team, one) = Team::hooked();
    team.git(&one, &["push", "--quiet"]).ok();
    let other = team.stage.sandbox.path().join("other.git");
    team.git("", &["init", "--quiet", "--bare", other.to_str().unwrap()]).ok();
    forge_in_place(&team, &one, "beta");
    team.git(&one, &["tag", "forged", "hexmirror"]).ok();
    let refs = [
        "hexmirror",
        "hexmirror:refs/heads/elsewhere",
        "hexmirror:refs/hexmirror/main",
        "forged",
        "hexmirror~0:refs/heads/x",
    ];
    for settings in ["", "hooks.pre_push = \"off\"\n", "hooks.pre_push = \"check\"\n", "branch = \"hexmirror-x\"\n"] {
        fs::write(one.join(".hexmirror.toml"), settings).unwrap();
        for pushed in refs {
            let ran = team.git(&one, &["push", other.to_str().unwrap(), pushed]).exits(1);
            ran.says("refused the registry entry of beta").says("git push --no-verify");
        }
    }
    assert_eq!(team.ask(&other, &["for-each-ref"]), "");
    // Only the user can disable the check. Files with the same names are not a mirror.
    fs::write(one.join(".hexmirror.toml"), "hooks.pre_push = \"off\"\n").unwrap();
    for file in ["mirror.toml", "manifest"] {
        fs::write(one.join(file), "").unwrap();
    }
    team.commit(&one, "Files");
    team.git(&one, &["push", "--quiet", other.to_str().unwrap(), "main"]).ok().silent();
    team.git(&one, &["config", "hexmirror.prePush", "off"]).ok();
    team.git(&one, &["push", "--quiet", other.to_str().unwrap(), "hexmirror"]).ok();
}
