//! What builds need besides packages: the configuration that names it, and the lists and manifests that vouch for it.

use std::collections::BTreeSet;

use git_hexmirror::hex::asset_tools::{
    AssetConfig, NpmKeys, NpmPackage, NpmSignature, installed_files, mentions_tool, signed_integrity,
};
use git_hexmirror::hex::installers::{Installer, digests, elixir_key, is_signed};
use git_hexmirror::lock::{DefinedSource, Definition, RebarConfig};
use git_hexmirror::model::{AssetToolId, Tool, ToolsPair};
use git_hexmirror::term::erlang;

use super::model::check_tree_path;

/// The text as a file of `config/`.
pub fn asset_config(bytes: &[u8]) {
    let mut config = AssetConfig::default();
    config.add("config/config.exs", bytes);
    assert!(mentions_tool(bytes) || config == AssetConfig::default(), "only a file that mentions a tool counts");
    let again = &mut config.clone();
    again.add("config/config.exs", bytes);
    assert_eq!(*again, config, "a file counts once");
    let text = String::from_utf8_lossy(bytes);
    let check_place = |place: &str| {
        let line = place.split(':').nth(1).and_then(|line| line.parse::<usize>().ok()).expect("a line");
        assert!((1..=text.split('\n').count()).contains(&line), "{place}");
    };
    for ((_, version), literal) in &config.literals {
        assert!(text.contains(&version.to_string()) || text.contains('\\'), "{version} is in the file");
        check_place(&literal.place);
    }
    let literals: BTreeSet<_> = config.literals.keys().cloned().collect();
    assert_eq!(literals, config.versions, "each version has a place");
    config.unread.iter().for_each(|(_, problem)| check_place(problem));
}

/// The text as a list of versions of Hex and rebar3, and as the signature beside one.
pub fn installers(bytes: &[u8]) {
    assert!(!is_signed(bytes, bytes, std::slice::from_ref(elixir_key())));
    let rest = bytes.iter().position(|byte| *byte == b'\n').map(|end| &bytes[end + 1..]);
    let all = digests(bytes);
    for pair in ["1.14.5 otp 25", "1.18.4 otp 27", "1.19.0-rc.1 otp 28"] {
        let pair: ToolsPair = pair.parse().expect("a pair");
        for tool in Tool::ALL {
            let Some(chosen) = Installer::choose(bytes, tool, &pair) else { continue };
            assert!(all.contains(&chosen.sha512) && chosen.sha512.len() == 128, "{chosen:?}");
            let path = chosen.path.as_str();
            assert!(path.starts_with("installs/") && path.contains(&chosen.version.to_string()), "{path}");
            check_tree_path(path);
            let of_rest = rest.and_then(|rest| Installer::choose(rest, tool, &pair));
            assert!(of_rest.is_none_or(|of_rest| of_rest == chosen), "the last row that fits counts");
        }
    }
}

/// The text as a manifest of npm, and as keys and signatures.
pub fn npm(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let package = NpmPackage::of(&"esbuild 0.25.0 linux-x64".parse().expect("a build")).expect("npm publishes esbuild");
    let signed = signed_integrity(bytes, &package, &NpmKeys::npm());
    assert!(signed.is_err(), "npm signed no seed, so nothing made of one is signed either");
    if let Ok(keys) = NpmKeys::from_pem(&text) {
        assert!(text.contains("-----BEGIN PUBLIC KEY-----"));
        assert!(signed_integrity(bytes, &package, &keys).is_err());
    }
    if let Ok(signature) = text.parse::<NpmSignature>() {
        assert_eq!(signature.to_string(), text);
        assert!(!text.contains(char::is_whitespace), "a signature is one word of a lock");
        assert!(NpmKeys::npm().check(&package, bytes, &signature).is_err());
    }
}

/// The text as a rebar.config, and each line as a plugin of the setting `extra`.
pub fn rebar_config(bytes: &[u8]) {
    match (RebarConfig::read(bytes), erlang::consult(bytes)) {
        (Ok(config), terms) => {
            assert!(terms.is_ok(), "a rebar.config is literal terms");
            let all = config.plugins().chain(config.dependencies()).chain(config.plugins_of_project());
            all.for_each(check_definition);
        }
        (Err(error), _) => assert!(error.span.range().end <= bytes.len(), "{:?}", error.span),
    }
    for line in String::from_utf8_lossy(bytes).lines() {
        let Ok(definition) = Definition::of_text(line) else { continue };
        check_definition(&definition);
        assert!(matches!(definition.source, DefinedSource::Package { .. }));
    }
}

fn check_definition(definition: &Definition) {
    match &definition.source {
        DefinedSource::Package { package, requirement } => {
            assert!(package.as_str().parse().as_ref() == Ok(package));
            assert!(requirement.as_ref().is_none_or(|requirement| !requirement.contains('\n')), "{requirement:?}");
        }
        DefinedSource::Git { url, subdir, .. } => {
            assert!(!url.address().to_string().is_empty());
            subdir.iter().for_each(|subdir| check_tree_path(subdir));
        }
        DefinedSource::Unknown { reason } => assert!(!reason.is_empty()),
    }
}

/// The bytes as the published files of tools.
pub fn asset_archive(bytes: &[u8]) {
    for id in [
        "esbuild 0.25.0 linux-x64",
        "esbuild 0.14.0 windows-64",
        "tailwind 4.1.0 windows-x64.exe",
        "dart_sass 1.77.8 linux-x64-musl",
        "dart_sass 1.77.8 windows-x64",
    ] {
        let id: AssetToolId = id.parse().expect("a build");
        let Ok(files) = installed_files(&id, None, bytes.to_vec()) else { continue };
        assert!(!files.is_empty());
        for file in files {
            assert!(!file.name.contains('/'), "{}", file.name);
            check_tree_path(&file.name);
            let begins = |magic: &&[u8]| file.content.starts_with(magic);
            let magics: [&[u8]; 5] = [b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"MZ", b"#!"];
            assert!(!file.is_executable || magics.iter().any(begins), "{} is a program", file.name);
        }
    }
}
