//! `mix hex.docs` with the documentation of the mirror.

use std::fs;

use git_hexmirror::hex::tarball::{Tarball, TarballLimits};

use crate::mix::mix_home;
use crate::support::registry::tarball;
use crate::support::stage::{Ran, Stage};
use crate::{offline, told};

const MIX_EXS: &str = "defmodule App.MixProject do
  use Mix.Project
  def project, do: [app: :app, version: \"0.1.0\", deps: [{:alpha, \"1.0.0\"}]]
end
";

#[test]
fn mix_fetches_and_opens_documentation_through_run() {
    let stage = Stage::new();
    let Some(mix_home) = mix_home(&stage) else { return };
    let files = [("index.html".to_owned(), b"<h1>alpha</h1>".to_vec()), ("dist/a.js".to_owned(), b"1".to_vec())];
    let release = tarball("docs 1.0.0", &[], &files);
    let docs = Tarball::open(&release, &TarballLimits::default()).unwrap().contents().to_vec();
    stage.upstream.put("docs/alpha-1.0.0.tar.gz", &docs);
    stage.write("mix.exs", MIX_EXS);
    stage.run(&["update", "--docs"]).ok();
    let asked = stage.upstream.count("*");
    let data = stage.sandbox.path().join("hex");
    // `offline` opens a page with the first of these programs that exists.
    let bin = stage.sandbox.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let opened = stage.sandbox.path().join("opened");
    let path = bin.join("xdg-open");
    fs::write(&path, format!("#!/bin/sh\necho \"$1\" > {}\n", opened.display())).unwrap();
    #[cfg(unix)]
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let paths = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mix = |arguments: &[&str]| {
        let mut command = offline(&stage, "project", &[&["run", "--", "mix"], arguments].concat());
        Ran::of(command.env("MIX_HOME", &mix_home).env("HEX_HOME", &data).env("PATH", &paths))
    };
    let fetched = mix(&["hex.docs", "fetch", "alpha"]).ok();
    assert!(told(&fetched).contains("Docs fetched: "), "{}", told(&fetched));
    // Not in the folder that was made for this command alone.
    let folder = data.join("docs/hexpm/alpha/1.0.0");
    assert_eq!(fs::read(folder.join("alpha-1.0.0.tar.gz")).unwrap(), docs);
    assert_eq!(fs::read(folder.join("index.html")).unwrap(), b"<h1>alpha</h1>");
    fs::remove_dir_all(&folder).unwrap();
    mix(&["hex.docs", "offline", "alpha"]).ok();
    assert!(fs::read_to_string(&opened).unwrap().trim().ends_with("alpha/1.0.0/index.html"));
    assert!(folder.join("index.html").exists());
    // beta has none.
    let none = mix(&["hex.docs", "fetch", "beta", "0.3.0"]);
    assert!(told(&none).contains("Couldn't find docs"), "{}", told(&none));
    assert_eq!(stage.upstream.count("*"), asked);
}
