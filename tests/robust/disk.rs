//! Full disks and read-only repositories.

use std::fs;
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::support::mount::Mount;
use crate::support::registry::Registry;
use crate::support::stage::{OtherUser, PINNED, Ran, Stage};

fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + u8::try_from((state >> 58) & 63).unwrap_or_default())
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn the_disk_is_full() {
    let mut registry = Registry::sample();
    registry.publish("bulky 1.0.0", &[], &[("lib/bulky.ex".into(), noise(600_000))]);
    let stage = Stage::without_lock(registry);
    let folder = stage.sandbox.path().join("small");
    let Some(_mount) = Mount::new(&folder, &["-t", "tmpfs", "-o", "size=2m", "none"]) else { return };
    stage.sandbox.git("small", &["init", "--quiet", "--template="]);
    fs::write(folder.join("mix.lock"), stage.registry.mix_lock(&PINNED)).unwrap();
    stage.run_in("small", &["update"]).ok();
    let tip = || stage.sandbox.git("small", &["rev-parse", "hexmirror"]);
    let before = tip();
    // From nearly full to just enough, so that it fails at different points.
    fs::write(folder.join("mix.lock"), stage.registry.mix_lock(&["bulky 1.0.0"])).unwrap();
    let mut failures = 0;
    for filling in (0..=15).rev() {
        fs::write(folder.join("filling"), vec![1; filling * 100_000]).unwrap_or_default();
        let ran = stage.run_in("small", &["update"]);
        if ran.code == Some(0) {
            break;
        }
        failures += 1;
        let ran = ran.exits(5).says("No space left on device").says("error: cannot");
        assert_eq!((ran.stdout.as_str(), tip()), ("", before.clone()));
        stage.sandbox.git("small", &["fsck", "--strict", "--no-dangling"]);
        fs::remove_file(folder.join("filling")).unwrap();
        fs::write(folder.join("filling"), vec![1; filling * 100_000]).unwrap_or_default();
    }
    assert!(failures >= 3, "{failures} failures");
    assert_ne!(tip(), before);
    fs::remove_file(folder.join("filling")).unwrap();
    stage.run_in("small", &["status"]).ok();
    stage.run_in("small", &["verify"]).ok();
    let packs = fs::read_dir(folder.join(".git/objects/pack")).unwrap();
    let rubbish: Vec<_> = packs
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("pack-"))
        .collect();
    assert!(rubbish.is_empty(), "{rubbish:?}");
}

#[test]
fn the_disk_is_full_while_tarballs_are_imported() {
    let mut registry = Registry::sample();
    for number in 0..8 {
        let name = format!("bulky{number} 1.0.0");
        registry.publish(&name, &[], &[("lib/bulky.ex".into(), format!("{number}{}", noise(300_000)))]);
    }
    let stage = Stage::without_lock(registry);
    let bulky: Vec<String> = (0..8).map(|number| format!("bulky{number} 1.0.0")).collect();
    let tarballs = stage.sandbox.path().join("tarballs");
    fs::create_dir(&tarballs).unwrap();
    for name in &bulky {
        fs::write(tarballs.join(name.replace(' ', "-") + ".tar"), &stage.registry.get(name).tarball).unwrap();
    }
    let folder = stage.sandbox.path().join("small");
    let Some(_mount) = Mount::new(&folder, &["-t", "tmpfs", "-o", "size=3m", "none"]) else { return };
    stage.sandbox.git("small", &["init", "--quiet", "--template="]);
    let bulky: Vec<&str> = bulky.iter().map(String::as_str).collect();
    fs::write(folder.join("mix.lock"), stage.registry.mix_lock(&bulky)).unwrap();
    let mut failures = 0;
    for filling in (0..=28).rev().step_by(4) {
        fs::write(folder.join("filling"), vec![1; filling * 100_000]).unwrap_or_default();
        let ran = stage.run_in("small", &["import", "../tarballs"]);
        if ran.code == Some(0) {
            break;
        }
        failures += 1;
        let ran = ran.exits(5).says("No space left on device").says("free some space");
        assert_eq!(ran.stderr.matches("error: ").count(), 1, "{ran:?}");
        fs::remove_file(folder.join("filling")).unwrap();
    }
    assert!(failures >= 3, "{failures} failures");
    fs::remove_file(folder.join("filling")).unwrap_or_default();
    stage.run_in("small", &["import", "../tarballs"]).ok();
    stage.run_in("small", &["verify"]).ok();
}

#[test]
fn the_disk_is_full_of_precompiled_files() {
    const FILE: &str = "native-nif-2.16-x86_64-linux-gnu-1.0.0.tar.gz";
    let content = noise(600_000);
    let sum = git_hexmirror::model::hex_digits(&Sha256::digest(&content));
    let mut stage = Stage::without_lock(Registry::default());
    let url = stage.upstream.url();
    let files = [
        ("checksum.exs", format!("%{{\"{FILE}\" => \"sha256:{sum}\"}}\n")),
        ("mix.exs", format!("base_url: \"{url}/files\"")),
    ];
    stage.registry.publish("native 1.0.0", &[], &files.map(|(path, text)| (path.to_owned(), text)));
    stage.registry.put(&stage.upstream);
    stage.upstream.put(&format!("files/{FILE}"), content.as_bytes());
    let folder = stage.sandbox.path().join("small");
    let Some(_mount) = Mount::new(&folder, &["-t", "tmpfs", "-o", "size=2m", "none"]) else { return };
    stage.sandbox.git("small", &["init", "--quiet", "--template="]);
    stage.sandbox.git("small", &["config", "hexmirror.internalHosts", "127.0.0.1"]);
    fs::write(folder.join("mix.lock"), stage.registry.mix_lock(&["native 1.0.0"])).unwrap();
    fs::write(folder.join("hexmirror.lock"), "target x86_64-linux-gnu nif 2.16\n").unwrap();
    let mut failures = 0;
    for filling in (0..=17).rev() {
        fs::write(folder.join("filling"), vec![1; filling * 100_000]).unwrap_or_default();
        let ran = stage.run_in("small", &["update", "--locked"]);
        if ran.code == Some(0) {
            break;
        }
        failures += 1;
        ran.exits(5).says("No space left on device").says("error: cannot");
        let branches = stage.sandbox.git("small", &["for-each-ref"]);
        assert_eq!(branches, "", "nothing is stored without the file");
        fs::remove_file(folder.join("filling")).unwrap();
    }
    assert!(failures >= 3, "{failures} failures");
    fs::remove_file(folder.join("filling")).unwrap();
    stage.run_in("small", &["status"]).ok();
    stage.run_in("small", &["verify"]).ok().says("1 file,");
}

#[test]
fn the_repository_is_read_only() {
    let stage = Stage::mirrored();
    stage.run(&["status"]).ok();
    let project = stage.project.clone();
    let Some(_mount) = Mount::new(&project, &["--bind", project.to_str().unwrap()]) else { return };
    let remounted = Command::new("mount").args(["-o", "remount,ro,bind"]).arg(&project).status();
    if !remounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user may not mount anything read-only");
        return;
    }
    let tip = stage.tip();
    // Reading requires no write permission, …
    for command in ["status", "verify", "list", "diff", "log", "version"] {
        stage.run(&[command]).ok();
    }
    stage.run(&["doctor"]).exits(1).prints("the mirror has everything for mix.lock");
    stage.run(&["update"]).ok().says("nothing to do");
    stage.run(&["init"]).ok();
    stage.run(&["run", "--", "true"]).ok();
    // … and commands that require it report it.
    let other = stage.sandbox.path().join("other.lock");
    let ran = stage.run(&["update", "--refresh"]).exits(5).says("Read-only file system");
    assert!(ran.stderr.starts_with("error: cannot "), "{ran:?}");
    stage.run(&["init", "--branch=another"]).exits(5).says("Read-only file system");
    drop(other);
    assert_eq!(stage.tip(), tip);
}

#[test]
fn the_repository_belongs_to_another_user() {
    let stage = Stage::new();
    let Some(user) = OtherUser::owning(&stage, &[]) else { return };
    let mut command = user.command(&stage, &["update"]);
    command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
    let ran = Ran::of(&mut command).exits(5);
    assert!(ran.stderr.contains("Permission denied"), "{ran:?}");
    assert_eq!(stage.tip(), None);
}
