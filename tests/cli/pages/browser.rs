//! The pages in a real browser: Debian's chromium without a window. Without it, the tests are skipped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use super::hostile::hostile;
use super::site::Site;
use super::static_site::{export, folder};
use crate::support::stage::Stage;

/// A browser that has no other way out than a proxy of this test, which records what it is asked for.
struct Browser {
    profile: PathBuf,
    proxy: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Browser {
    fn find(stage: &Stage) -> Option<Self> {
        if Command::new("chromium").arg("--version").output().is_err() {
            println!("skipped: chromium is not installed");
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let proxy = listener.local_addr().expect("an address").to_string();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let recorded = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut line = String::new();
                let _ = BufReader::new(stream).read_line(&mut line);
                recorded.lock().unwrap().push(line);
            }
        });
        Some(Self { profile: stage.sandbox.path().join("chromium"), proxy, asked })
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
            ])
            .arg(format!("--user-data-dir={}", self.profile.display()))
            .arg(format!("--proxy-server={}", self.proxy))
            .args(arguments)
            .output()
            .expect("chromium can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Returns a page as the browser has it after it has run all scripts.
    fn document(&self, url: &str) -> String {
        self.run(&["--virtual-time-budget=2000", "--dump-dom", url])
    }

    /// Writes a picture of a page.
    fn picture(&self, url: &str, to: &Path, (width, height): (u32, u32), theme: &str) {
        // The numbers of the browser's `PreferredColorScheme`.
        let scheme = if theme == "dark" { 0 } else { 1 };
        let (size, to) = (format!("--window-size={width},{height}"), format!("--screenshot={}", to.display()));
        self.run(&[&format!("--blink-settings=preferredColorScheme={scheme}"), &size, &to, url]);
    }

    /// Returns the requests for hosts of packages.
    fn astray(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|line| line.contains("evil.example")).cloned().collect()
    }
}

#[test]
fn a_hostile_package_runs_nothing_and_asks_no_other_server() {
    let stage = hostile();
    let Some(browser) = Browser::find(&stage) else { return };
    let site = Site::serve(&stage);
    for path in [
        "/-/source/hexpm/evil/1.0.0/lib",
        "/-/source/hexpm/evil/1.0.0/lib/%3Cimg%20src=x%20onerror=alert(1)%3E.ex",
        "/-/stored",
        "/-/history",
        "/",
        "/-/packages",
        "/-/packages/hexpm/evil",
        "/-/packages?q=%3Cscript%3Edocument.title=1%3C/script%3E",
    ] {
        site.page(path);
        let document = browser.document(&format!("{}{path}", site.serving.url));
        assert!(document.contains("git-hexmirror</a>"), "{path}: {document}");
        let title = document.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
        assert!(title.is_some_and(|title| title.ends_with("· project")), "{path}: {title:?}");
        assert!(!document.contains("<script") && !document.contains("<img"), "{path}: {document}");
    }
    assert_eq!(browser.astray(), [""; 0]);
}

/// Opened without a server, the pages have their style, and a hostile package runs nothing.
#[test]
fn a_site_needs_no_server() {
    let stage = hostile();
    let Some(browser) = Browser::find(&stage) else { return };
    stage.lock(&["alpha 1.1.0", "evil 1.0.0"]);
    stage.run(&["update"]).ok();
    export(&stage, &[]).ok();
    let site = folder(&stage);
    let url = |name: &str| format!("file://{}/{name}", site.display());
    let hostile = fs::read_dir(site.join("-/source/hexpm/evil/1.0.0/lib")).expect("a folder").next();
    let hostile = hostile.expect("a page").expect("a page").file_name().into_string().expect("a name");
    let hostile = format!("-/source/hexpm/evil/1.0.0/lib/{hostile}");
    let names = [
        "index.html",
        "-/packages/hexpm/evil.html",
        "-/source/hexpm/alpha/1.1.0/lib/alpha.ex.html",
        "-/compare/hexpm/alpha/1.0.0..1.1.0.html",
        &hostile,
    ];
    let pictures = stage.sandbox.path().join("pictures");
    fs::create_dir_all(&pictures).expect("a writable folder");
    for name in names {
        let document = browser.document(&url(name));
        assert!(document.contains("git-hexmirror</a>"), "{name}: {document}");
        let title = document.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
        assert!(title.is_some_and(|title| title.ends_with("· project")), "{name}: {title:?}");
        assert!(!document.contains("<script") && !document.contains("<img"), "{name}: {document}");
        let picture = || {
            let file = pictures.join("page.png");
            browser.picture(&url(name), &file, (800, 600), "light");
            fs::read(file).expect("a picture")
        };
        let styled = picture();
        fs::rename(site.join("-/style.css"), site.join("-/away")).expect("a style sheet");
        let plain = picture();
        fs::rename(site.join("-/away"), site.join("-/style.css")).expect("a style sheet");
        assert!(styled != plain, "{name}: the style sheet was not applied");
    }
    // A download that is opened instead is text.
    let raw = fs::read_dir(site.join("-/raw/hexpm/evil/1.0.0")).expect("a folder").next().expect("a file");
    let raw = raw.expect("a file").path();
    assert!(fs::read_to_string(&raw).expect("a text").contains("<script>"));
    let document = browser.document(&format!("file://{}", raw.display()));
    assert!(document.contains("&lt;script&gt;") && !document.contains("<script"), "{document}");
    assert_eq!(browser.astray(), [""; 0]);
}

/// Writes pictures of all pages to look at, if a folder for them is named.
#[test]
fn the_style_reaches_the_browser() {
    let stage = super::flagged();
    let Some(browser) = Browser::find(&stage) else { return };
    let site = Site::serve(&stage);
    let folder = std::env::var_os("HEXMIRROR_TEST_PICTURES")
        .map_or_else(|| stage.sandbox.path().join("pictures"), PathBuf::from);
    fs::create_dir_all(&folder).expect("a writable folder");
    let mut sizes = Vec::new();
    for (name, path) in [("overview", "/"), ("packages", "/-/packages"), ("package", "/-/packages/hexpm/alpha")] {
        site.page(path);
        for (width, theme) in [(360, "light"), (360, "dark"), (1200, "light"), (1200, "dark")] {
            let file = folder.join(format!("{name}-{width}-{theme}.png"));
            browser.picture(&format!("{}{path}", site.serving.url), &file, (width, 900), theme);
            sizes.push((fs::metadata(&file).expect("a picture").len(), fs::read(&file).expect("a picture")));
        }
    }
    assert!(
        sizes.iter().all(|(size, _)| *size > 5_000),
        "{:?}",
        sizes.iter().map(|(size, _)| size).collect::<Vec<_>>()
    );
    // The themes differ, so the style sheet was loaded and applied.
    assert!(sizes.chunks(2).all(|pair| pair[0].1 != pair[1].1));
}
