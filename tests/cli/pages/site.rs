//! A running server with pages, and what reads them as a browser does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::http::{Answer, get_with};
use crate::support::stage::{Serving, Stage};

const BROWSER: &str = "accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

/// The largest page, in bytes.
const MAX_BYTES: usize = 60_000;

/// How long a test waits for an expected change.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Site {
    pub serving: Serving,
}

impl Site {
    pub fn serve(stage: &Stage) -> Self {
        Self::serve_in(stage, &stage.project)
    }

    pub fn serve_in(stage: &Stage, folder: impl AsRef<Path>) -> Self {
        let arguments = ["open", "--no-browser", "--listen=127.0.0.1:0"];
        Self { serving: Serving::start(&mut stage.command_in(folder, &arguments)) }
    }

    pub fn get(&self, path: &str) -> Answer {
        get_with(self.serving.authority(), path, BROWSER)
    }

    /// Returns a page's HTML. Loads it again while the mirror is being read.
    pub fn page(&self, path: &str) -> String {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let answer = self.get(path);
            let html = String::from_utf8(answer.body).expect("pages are UTF-8");
            assert_eq!(answer.status, 200, "{path}: {html}");
            if !html.contains("load this page again") && !html.contains("Load this page again") {
                return html;
            }
        }
        panic!("{path} never became complete")
    }

    /// Loads a page until it has a text: a changed lock or branch is noticed within a second.
    pub fn page_with(&self, path: &str, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let html = self.page(path);
            if html.contains(text) {
                return html;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} never has {text}: {html}");
        }
    }

    /// Loads all pages that are linked from the first one, and returns them by address. Checks each.
    pub fn crawl(&self) -> BTreeMap<String, String> {
        let (mut pages, mut next) = (BTreeMap::new(), BTreeSet::from(["/".to_owned()]));
        while let Some(path) = next.pop_first() {
            let answer = self.get(&path);
            assert_eq!(answer.status, 200, "{path}");
            let policy = answer.header("content-security-policy").expect("a policy");
            assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{path}: {policy}");
            if !answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
                pages.insert(path, String::new());
                continue;
            }
            let html = self.page(&path);
            assert!(html.len() < MAX_BYTES, "{path} has {} bytes", html.len());
            let lower = html.to_lowercase();
            assert!(!lower.contains("<script") && !lower.contains("javascript:\""), "{path}");
            let found = links(&html).into_iter().filter_map(|link| resolved(&path, &link));
            next.extend(found.filter(|link| !pages.contains_key(link)));
            pages.insert(path.clone(), html);
            next.retain(|link| !pages.contains_key(link));
        }
        pages
    }
}

/// Returns the addresses that a page links to, decoded.
pub fn links(html: &str) -> Vec<String> {
    let attributes = ["href=\"", "action=\"", "src=\""].into_iter().flat_map(|name| html.split(name).skip(1));
    attributes.filter_map(|rest| rest.split_once('"')).map(|(link, _)| link.replace("&amp;", "&")).collect()
}

/// Resolves a relative address as RFC 3986 does, without the fragment. `None` for one that leads to another server.
pub fn resolved(path: &str, link: &str) -> Option<String> {
    if link.contains("://") {
        return None;
    }
    assert!(!link.starts_with('/'), "{link} is not relative");
    let link = link.split('#').next().unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    if link.is_empty() {
        return Some(path.to_owned());
    }
    let (link, query) = link.split_once('?').map_or((link, String::new()), |(link, query)| (link, format!("?{query}")));
    let mut folders: Vec<&str> = path.split('/').skip(1).collect();
    folders.pop();
    let mut last = "";
    for segment in link.split('/') {
        last = segment;
        match segment {
            ".." => assert!(folders.pop().is_some(), "{link} leads out of the server, from {path}"),
            "." | "" => {}
            name => folders.push(name),
        }
    }
    let slash = if matches!(last, "" | "." | "..") && !folders.is_empty() { "/" } else { "" };
    Some(format!("/{}{slash}{query}", folders.join("/")))
}
