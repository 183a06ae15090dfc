//! The clients that are installed, with their versions. They are read from files, because starting the Erlang machine takes
//! longer than all other checks.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Topic};
use crate::ops::{Environment, Project, Rebar3Key, Result, lacking_rebar3_key};

/// How much of a file is read, in bytes.
const MAX_READ: u64 = 64 << 10;
/// How many folders of archives are read.
const MAX_FOLDERS: usize = 200;

/// Returns a finding for each installed client, and for what rebar3 lacks.
pub fn clients(project: &Project) -> Result<Vec<Finding>> {
    let mut found = installed(&project.environment);
    if let Some(Rebar3Key { file, line }) = lacking_rebar3_key(project)? {
        let text =
            "rebar3 does not have the key that the settings give hexpm, so it refuses the mirror's registry entries";
        found.push(Finding::act(Topic::Clients, text, format!("add this line to {}: {line}", file.display())));
    }
    Ok(found)
}

/// Returns a finding for each installed client.
fn installed(environment: &Environment) -> Vec<Finding> {
    let mix_home = mix_home(environment);
    let archives = environment.get("MIX_ARCHIVES").map(PathBuf::from);
    let archives = archives.or_else(|| Some(mix_home.as_ref()?.join("archives")));
    let mut found: Vec<String> = archives.iter().flat_map(|folder| hex_archives(folder)).collect();
    let of_mix = mix_home.iter().flat_map(|home| rebar3_of_mix(home));
    let of_path = on_path(environment, "rebar3").into_iter();
    found.extend(of_path.chain(of_mix).map(|path| rebar3(&path)));
    let others = ["mix", "gleam"].into_iter().filter_map(|name| Some((name, on_path(environment, name)?)));
    found.extend(others.map(|(name, path)| format!("{name} ({})", path.display())));
    match found.is_empty() {
        true => vec![Finding::good(Topic::Clients, "no Hex, rebar3, mix or gleam found")],
        false => found.into_iter().map(|text| Finding::good(Topic::Clients, text)).collect(),
    }
}

/// Returns the folder with the archives and escripts of mix (`Mix.Utils.mix_home/0`).
fn mix_home(environment: &Environment) -> Option<PathBuf> {
    if let Some(home) = environment.get("MIX_HOME") {
        return Some(home.into());
    }
    let home = environment.home.as_ref()?;
    if environment.get("MIX_XDG").is_some_and(|value| value == "1" || value == "true") {
        let data = environment.get("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from);
        return Some(data.join("mix"));
    }
    Some(home.join(".mix"))
}

/// Describes the installed versions of Hex: `archives/hex-VERSION/hex-VERSION/ebin/hex.app`. mix loads an archive whatever its
/// name is.
fn hex_archives(archives: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for outer in folders(archives) {
        for inner in folders(&outer) {
            let app = inner.join("ebin/hex.app");
            if let Some(text) = beginning(&app) {
                found.push(described("Hex", version_in_app(&text), &outer));
            }
        }
    }
    found
}

/// Returns the rebar3 of `mix local.rebar`: `elixir/VERSION/rebar3`, or `rebar3` with Elixir before 1.14.
fn rebar3_of_mix(home: &Path) -> Vec<PathBuf> {
    let of_elixir = folders(&home.join("elixir")).into_iter().map(|folder| folder.join("rebar3"));
    of_elixir.chain([home.join("rebar3")]).filter(|path| path.is_file()).collect()
}

fn rebar3(path: &Path) -> String {
    let version = beginning(path).and_then(|text| version_in_escript(&text).map(str::to_owned));
    described("rebar3", version.as_deref(), path)
}

fn described(name: &str, version: Option<&str>, path: &Path) -> String {
    format!("{name} {} ({})", version.unwrap_or("of unknown version"), path.display())
}

/// Returns the version in an application resource file: `{vsn,"1.2.3"}`.
fn version_in_app(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("{vsn,")?;
    let version = rest.trim_start().strip_prefix('"')?.split('"').next()?;
    is_version(version).then_some(version)
}

/// Returns the version in the comment of an escript: `%% Rebar3 1.2.3`.
fn version_in_escript(text: &str) -> Option<&str> {
    let comments = text.lines().take(5).filter_map(|line| line.strip_prefix("%%"));
    let version = comments.filter_map(|comment| comment.trim().strip_prefix("Rebar3 ")).next()?.trim();
    is_version(version).then_some(version)
}

fn is_version(text: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    text.starts_with(|first: char| first.is_ascii_digit()) && text.len() <= 40 && text.chars().all(is_fine)
}

fn on_path(environment: &Environment, name: &str) -> Option<PathBuf> {
    let path = environment.get("PATH")?;
    path.split(':').map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_FOLDERS);
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Reads the beginning of a file.
fn beginning(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    if !path.is_file() {
        return None;
    }
    File::open(path).ok()?.take(MAX_READ).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_files() {
        for (text, expected) in [
            ("{application,hex,\n [{vsn,\"2.5.1\"},\n {x,\"1\"}]}", Some("2.5.1")),
            ("{application,hex,[{vsn, \"2.5.1-dev\"}]}", Some("2.5.1-dev")),
            ("{application,hex,[{vsn,\"\u{1b}[2J\"}]}", None),
            ("", None),
        ] {
            assert_eq!(version_in_app(text), expected, "{text}");
        }
        for (text, expected) in [
            ("#!/usr/bin/env escript\n%% Rebar3 3.19.0\n%%! +sbtu +A1\nPK", Some("3.19.0")),
            ("#!/usr/bin/env escript\n%% Rebar3 built\n", None),
            ("#!/bin/sh\nexec rebar3\n", None),
        ] {
            assert_eq!(version_in_escript(text), expected, "{text}");
        }
    }
}
