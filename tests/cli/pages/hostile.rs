//! A package with markup in everything that it says about itself.

use git_hexmirror::hex::tarball::{BuildFile, build, metadata_text};

use super::site::Site;
use crate::support::registry::Registry;
use crate::support::stage::Stage;

/// Markup that would run a script, or ask another server.
const MARKUP: &str =
    "</title></code><script>document.title='PWNED'</script><img src=//evil.example/x onerror=alert(1)>'\\\" onload=x";

/// Returns a mirror with such a package.
pub fn hostile() -> Stage {
    let mut registry = Registry::sample();
    let path = "lib/<img src=x onerror=alert(1)>.ex";
    let files = [BuildFile { path, bytes: MARKUP.as_bytes(), executable: false }];
    let mut metadata = metadata_text("evil", "1.0.0", &[("alpha", MARKUP)], &files);
    for field in ["description", "elixir", "app"] {
        metadata.push_str(&format!("{{<<\"{field}\">>,<<\"{MARKUP}\">>}}.\n"));
    }
    for field in ["licenses", "build_tools"] {
        metadata.push_str(&format!("{{<<\"{field}\">>,[<<\"{MARKUP}\">>]}}.\n"));
    }
    let links = [
        "javascript:alert(1)",
        "http://evil.example/\\\"><script>alert(1)</script>",
        "data:text/html,<script>x</script>",
    ];
    let links: Vec<String> = links.iter().map(|link| format!("{{<<\"{MARKUP}\">>,<<\"{link}\">>}}")).collect();
    metadata.push_str(&format!("{{<<\"links\">>,[{}]}}.\n", links.join(",")));
    let tarball = build(&metadata, &files).expect("a tarball");
    registry.publish_tarball("evil 1.0.0", tarball);
    registry.advise(&["evil 1.0.0"], MARKUP);
    registry.retire("evil 1.0.0", MARKUP);
    let stage = Stage::with(registry, &["alpha 1.0.0", "evil 1.0.0"]);
    stage.run(&["update"]).ok();
    stage
}

#[test]
fn markup_is_text() {
    let stage = hostile();
    for (path, html) in Site::serve(&stage).crawl() {
        let lower = html.to_lowercase();
        for active in
            ["<script", "<img", "href=\"javascript:", "href=\"data:", "onerror=alert(1)>\"", "<iframe", "<svg"]
        {
            assert!(!lower.contains(active), "{path}: {active}");
        }
        if path.ends_with("/evil") {
            assert!(html.contains("&lt;script&gt;document.title='PWNED'&lt;/script&gt;"), "{html}");
            assert!(html.contains("href=\"http://evil.example/&quot;&gt;&lt;script&gt;"), "{html}");
        }
    }
}
