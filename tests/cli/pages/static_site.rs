//! `export --site`: the pages as files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use percent_encoding::percent_decode_str;
use walkdir::WalkDir;

use super::flagged;
use super::hostile::hostile;
use super::site::{links, resolved};
use crate::support::mount::Mount;
use crate::support::registry::Registry;
use crate::support::stage::{PINNED, Ran, Stage};

const OWN: &str = ".git-hexmirror";

/// The largest page, in bytes.
const MAX_BYTES: usize = 60_000;

pub fn export(stage: &Stage, options: &[&str]) -> Ran {
    stage.run(&[&["export", "--site", "../site"], options].concat())
}

pub fn folder(stage: &Stage) -> PathBuf {
    stage.sandbox.path().join("site")
}

/// Returns the files below a folder with their contents and times, without this program's own.
fn files(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let entries = WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file()).map(|entry| {
        let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        (name, (fs::read(entry.path()).unwrap(), entry.metadata().unwrap().modified().unwrap()))
    });
    files.filter(|(name, _)| !name.starts_with(OWN)).collect()
}

/// Returns the contents of the files.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    files(folder).into_iter().map(|(name, (bytes, _))| (name, bytes)).collect()
}

/// Follows all links of a site, and checks each page. Returns the pages by name.
fn checked(folder: &Path) -> BTreeMap<String, String> {
    let files = contents(folder);
    let (mut linked, mut pages) = (BTreeSet::from(["index.html".to_owned()]), BTreeMap::new());
    for (name, bytes) in &files {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-~/".contains(&b);
        assert!(name.bytes().all(is_plain) && !name.contains("/."), "{name}");
        if !name.ends_with(".html") {
            continue;
        }
        let html = String::from_utf8(bytes.clone()).unwrap();
        assert!(html.len() < MAX_BYTES, "{name} has {} bytes", html.len());
        let lower = html.to_lowercase();
        for active in ["<script", "<img", "<form", "<iframe", "<style", " style=", "href=\"javascript:", "href=\"data:"]
        {
            assert!(!lower.contains(active), "{name}: {active}");
        }
        assert!(html.contains("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "), "{name}");
        let levels: Vec<u32> = html.split("<h").skip(1).filter_map(|rest| rest.chars().next()?.to_digit(10)).collect();
        assert!(levels[0] == 1 && levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{name}: {levels:?}");
        for link in links(&html).iter().filter_map(|link| resolved(&format!("/{name}"), link)) {
            let link = percent_decode_str(link.trim_start_matches('/')).decode_utf8().unwrap().into_owned();
            assert!(files.contains_key(&link), "{name} links to {link}, which does not exist");
            linked.insert(link);
        }
        pages.insert(name.clone(), html);
    }
    assert_eq!(files.keys().collect::<Vec<_>>(), linked.iter().collect::<Vec<_>>(), "every file is linked");
    pages
}

/// A mirror whose newest update raised `alpha`, of which it no longer has the old version.
fn raised() -> Stage {
    let stage = flagged();
    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    stage.run(&["prune", "--keep-days=0"]).ok();
    stage
}

#[test]
fn every_link_of_a_site_leads_to_a_file() {
    let stage = raised();
    let ran = export(&stage, &[]).ok();
    let pages = checked(&folder(&stage));
    ran.says("exported: ../site").says(&format!("the site has {} files", contents(&folder(&stage)).len()));
    for name in [
        "index.html",
        "-/packages.html",
        "-/packages/hexpm/alpha.html",
        "-/source/hexpm/alpha/1.1.0.html",
        "-/source/hexpm/alpha/1.1.0/lib/alpha.ex.html",
        "-/compare/hexpm/alpha/1.0.0..1.1.0.html",
        "-/compare/hexpm/alpha/1.0.0..1.1.0~1-split.html",
        "-/git.html",
        "-/stored.html",
        "-/history.html",
    ] {
        assert!(pages.contains_key(name), "{name}: {:?}", pages.keys());
    }
    // Only the history has it, so it is compared and not shown.
    assert!(!pages.keys().any(|name| name.starts_with("-/source/hexpm/alpha/1.0.0")), "{:?}", pages.keys());
    let overview = &pages["index.html"];
    assert!(overview.contains("git hexmirror run -- mix deps.get") && !overview.contains("http://"), "{overview}");
    assert!(overview.contains(&stage.tip().unwrap()[..12]) && !overview.contains("as of today"), "{overview}");
    for html in pages.values() {
        assert!(!html.contains("oad this page again"), "{html}");
    }
    let raw = contents(&folder(&stage)).into_iter().filter(|(name, _)| name.starts_with("-/raw/"));
    let raw: Vec<_> = raw.collect();
    assert!(!raw.is_empty() && raw.iter().all(|(name, _)| name.ends_with(".txt")), "{raw:?}");
}

#[test]
fn the_same_mirror_gives_the_same_site() {
    let stage = raised();
    // The history names the commits of the project.
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    export(&stage, &[]).ok();
    stage.run(&["export", "--site", "../again"]).ok();
    assert!(contents(&folder(&stage)) == contents(&stage.sandbox.path().join("again")));
    // Another clone, whose folder has the same name.
    fs::create_dir(stage.sandbox.path().join("elsewhere")).unwrap();
    stage.git(&["clone", "--quiet", ".", "../elsewhere/project"]);
    let clone = stage.sandbox.path().join("elsewhere/project");
    stage.sandbox.git(&clone, &["fetch", "--quiet", "origin", "hexmirror:hexmirror"]);
    stage.run_in(&clone, &["export", "--site", "../site"]).ok();
    let [one, other] = [folder(&stage), stage.sandbox.path().join("elsewhere/site")].map(|folder| contents(&folder));
    let differ = one.iter().filter(|(name, bytes)| other.get(*name) != Some(bytes)).map(|(name, _)| name);
    assert_eq!((differ.collect::<Vec<_>>(), other.len()), (Vec::<&String>::new(), one.len()));
}

#[test]
fn again_only_what_differs_is_written() {
    let stage = flagged();
    let plan = export(&stage, &["--dry-run", "--json"]).ok().json();
    assert!(!folder(&stage).exists(), "a dry run changes nothing");
    let document = export(&stage, &["--json"]).ok().json();
    assert_eq!((&plan["written"], &plan["site"]), (&document["written"], &document["site"]));
    assert!(document["registry"].is_null() && document["site"]["files"].as_u64() > Some(10), "{document}");
    let before = files(&folder(&stage));
    export(&stage, &[]).ok().says("up to date: ../site");
    assert_eq!(files(&folder(&stage)), before);

    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    stage.run(&["prune", "--keep-days=0"]).ok();
    fs::write(folder(&stage).join("-/ours.txt"), "ours").unwrap();
    export(&stage, &[]).ok();
    let after = files(&folder(&stage));
    let source = "-/source/hexpm/beta/0.3.0/lib/beta.ex.html";
    assert_eq!(after[source], before[source], "what did not change keeps its time");
    assert!(!folder(&stage).join("-/source/hexpm/alpha/1.0.0").exists());
    fs::remove_file(folder(&stage).join("-/ours.txt")).unwrap();
    checked(&folder(&stage));

    // Size and time of a file can stay the same while its content changes.
    let mut bytes = after[source].0.clone();
    bytes[50] ^= 1;
    fs::write(folder(&stage).join(source), bytes).unwrap();
    export(&stage, &[]).ok().says("up to date");
    let document = export(&stage, &["--check", "--json"]).ok().json();
    assert_eq!(document["written"], serde_json::json!([source]));
    // A lost list is made again.
    fs::remove_file(folder(&stage).join(OWN).join("site")).unwrap();
    export(&stage, &[]).ok().says("up to date");
    assert!(folder(&stage).join(OWN).join("site").exists());
}

#[test]
fn files_of_others_stay_and_a_registry_can_be_beside_the_site() {
    let stage = Stage::mirrored();
    fs::create_dir(folder(&stage)).unwrap();
    fs::write(folder(&stage).join("index.html"), "theirs").unwrap();
    for options in [&[][..], &["--dry-run"], &["--check"]] {
        export(&stage, options).exits(2).says("/site/index.html was not written by this program");
    }
    assert_eq!(fs::read_dir(folder(&stage)).unwrap().count(), 1);
    fs::remove_file(folder(&stage).join("index.html")).unwrap();
    fs::create_dir(folder(&stage).join("-")).unwrap();
    fs::write(folder(&stage).join("-/stored.html"), "theirs").unwrap();
    export(&stage, &[]).exits(2).says("/site/-/stored.html was not written by this program");
    assert_eq!(files(&folder(&stage)).len(), fs::read_dir(folder(&stage)).unwrap().count());
    fs::remove_file(folder(&stage).join("-/stored.html")).unwrap();
    stage.run(&["export", "../site"]).ok();
    let registry = contents(&folder(&stage));
    export(&stage, &[]).ok();
    export(&stage, &[]).ok().says("up to date");
    stage.run(&["export", "../site", "--check"]).ok().says("up to date");
    let both = contents(&folder(&stage));
    assert!(registry.iter().all(|(name, bytes)| both.get(name) == Some(bytes)) && both.contains_key("index.html"));
    let other = Stage::with(Registry::sample(), &["beta 0.3.0"]);
    other.run(&["update"]).ok();
    let path = folder(&stage);
    other.run(&["export", "--site", path.to_str().unwrap()]).exits(2).says("has the files of another mirror");
    // A list that someone changed cannot make it remove other files.
    let list = path.join(OWN).join("site");
    let text = fs::read_to_string(&list).unwrap();
    for line in ["x 4 packages/alpha", "x 4 -/../names", "x 4 /etc/passwd", "x 4 .htaccess"] {
        fs::write(&list, format!("{text}{line}\n")).unwrap();
        export(&stage, &[]).exits(5).says("cannot use");
    }
    stage.run(&["export", "--site", "--registry=signed", "../site"]).exits(2);
    stage.run(&["export", "--site", ".git/site"]).exits(2).says("is in the git repository");
}

/// All pages are made before the first one is replaced.
#[test]
fn a_full_disk_leaves_the_site_as_it_was() {
    let stage = flagged();
    let Some(_mount) = Mount::new(&folder(&stage), &["-t", "tmpfs", "-o", "size=2m", "none"]) else { return };
    export(&stage, &[]).ok();
    let before = files(&folder(&stage));
    let filling = vec![1; 2 << 20];
    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    assert!(fs::write(folder(&stage).join("filling"), filling).is_err(), "the disk is full now");
    // There is room for some pages, and not for all that change.
    let file = fs::File::options().write(true).open(folder(&stage).join("filling")).unwrap();
    file.set_len(file.metadata().unwrap().len() - (24 << 10)).unwrap();
    drop(file);
    export(&stage, &[]).exits(5).says("No space left on device");
    fs::remove_file(folder(&stage).join("filling")).unwrap();
    assert_eq!(files(&folder(&stage)), before);
    export(&stage, &[]).ok();
    checked(&folder(&stage));
}

#[test]
fn a_site_of_hostile_packages_is_text() {
    let stage = hostile();
    export(&stage, &[]).ok();
    let pages = checked(&folder(&stage));
    let package = &pages["-/packages/hexpm/evil.html"];
    assert!(package.contains("&lt;script&gt;document.title='PWNED'&lt;/script&gt;"), "{package}");
    assert!(pages.keys().any(|name| name.starts_with("-/source/hexpm/evil/1.0.0/lib/-img-src")), "{:?}", pages.keys());
}

/// Names that differ only in case, that a server would run, or that are devices.
#[test]
fn awkward_names_have_pages_of_their_own() {
    let mut registry = Registry::sample();
    let long = format!("lib/{}.ex", "a/".repeat(60) + &"b".repeat(80));
    let names = [
        "lib/a.ex",
        "lib/A.ex",
        "lib/a.EX",
        "lib/a.html",
        "lib/a.html.d/x",
        "lib/a/index.ex",
        "lib/index",
        "lib/a.ex.html/x",
        "aux.c",
        "lib/x.php",
        ".hidden/.htaccess",
        "_private/a",
        "lib/a b?c#d%2F&\".ex",
        "lib/a.",
        "lib/\u{e9}",
        "~a",
        "-",
        "lib/a~1",
        &long,
    ];
    let content = |index: usize| format!("content_{}", (b'a'..).nth(index).map(char::from).unwrap());
    let file = |(index, name): (usize, &&str)| ((*name).to_owned(), content(index));
    registry.publish("awkward 1.0.0", &[], &names.iter().enumerate().map(file).collect::<Vec<_>>());
    let stage = Stage::with(registry, &["awkward 1.0.0"]);
    stage.run(&["update"]).ok();
    export(&stage, &[]).ok();
    let pages = checked(&folder(&stage));
    let raw = contents(&folder(&stage)).into_iter().filter(|(name, _)| name.starts_with("-/raw/"));
    let raw: BTreeSet<String> = raw.map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect();
    for (index, name) in names.iter().enumerate() {
        assert_eq!(pages.values().filter(|html| html.contains(&content(index))).count(), 1, "{name}");
        assert!(raw.contains(&content(index)), "{name}");
    }
}

/// A file of several pages: `Next` leads through all lines.
#[test]
fn long_files_and_the_history_have_all_their_pages() {
    let mut registry = Registry::sample();
    let lines: String = (1..=3000).map(|line| format!("line {line}\n")).collect();
    registry.publish("long 1.0.0", &[], &[("lib/many.txt".to_owned(), lines)]);
    let stage = Stage::with(registry, &["long 1.0.0"]);
    stage.run(&["update"]).ok();
    export(&stage, &[]).ok();
    let pages = checked(&folder(&stage));
    let many: Vec<&String> =
        pages.iter().filter(|(name, _)| name.contains("/many.txt")).map(|(_, html)| html).collect();
    assert!(many.len() > 1, "{:?}", pages.keys());
    for line in 1..=3000 {
        let id = format!("id=\"L{line}\"");
        assert_eq!(many.iter().filter(|html| html.contains(&id)).count(), 1, "{line}");
    }
}

#[test]
fn a_lock_that_cannot_be_read_is_named() {
    let stage = flagged();
    stage.write("mix.lock", "%{ broken");
    export(&stage, &[]).ok().says("mix.lock cannot be read");
    let overview = fs::read_to_string(folder(&stage).join("index.html")).unwrap();
    assert!(overview.contains("1 of 1 lock cannot be read") && !overview.contains("lacks what"), "{overview}");
}
