//! Runs the chained hook, which existed before this program's hook was installed, as git would run it.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use super::install::chained_path;

/// Shells that can read their scripts with `.`.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ash", "ksh", "zsh"];
/// The longest first line that is read, in bytes; kernels read 256.
const MAX_LINE: u64 = 512;

/// Runs the hook that is chained to the one at `path`, with git's arguments and standard input. Returns its exit status,
/// or `None` if there is no chained hook.
///
/// # Errors
/// Returns an error if the hook cannot be started.
pub fn run_chained(path: &Path, arguments: &[String], input: Option<&[u8]>) -> io::Result<Option<ExitStatus>> {
    let chained = followed(path, chained_path(path));
    if !is_executable(&chained) {
        return Ok(None);
    }
    let stdin = || if input.is_some() { Stdio::piped() } else { Stdio::inherit() };
    let child = match shell_of(&chained) {
        // A shell script may derive its name and the location of its files from $0, as husky's hooks do. Reading the
        // script with `.` keeps $0 unchanged.
        Some(shell) => {
            let (program, options) = shell.split_first().ok_or(io::ErrorKind::NotFound)?;
            let script = format!(". {}", quoted(&chained));
            Command::new(program).args(options).arg("-c").arg(script).arg(path).args(arguments).stdin(stdin()).spawn()
        }
        None => Command::new(&chained).args(arguments).stdin(stdin()).spawn(),
    };
    let mut child = child?;
    if let Some((mut stdin, input)) = child.stdin.take().zip(input) {
        // The hook may exit without reading its input.
        let _ = stdin.write_all(input);
    }
    child.wait().map(Some)
}

/// Resolves a relative symbolic link against its original folder.
fn followed(path: &Path, chained: PathBuf) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new("."));
    match fs::read_link(&chained) {
        Ok(target) if target.is_relative() => folder.join(target),
        _ => chained,
    }
}

/// Returns the words of the first line if it names a shell. As for git, a script without `#!` runs with `sh`.
fn shell_of(path: &Path) -> Option<Vec<String>> {
    let mut start = Vec::new();
    fs::File::open(path).ok()?.take(MAX_LINE).read_to_end(&mut start).ok()?;
    let line = start.split(|byte| *byte == b'\n').next()?;
    let Some(line) = line.strip_prefix(b"#!") else {
        // A file that is not text is a program.
        return std::str::from_utf8(&start).is_ok_and(|text| !text.contains('\0')).then(|| vec!["sh".to_owned()]);
    };
    let words: Vec<String> = std::str::from_utf8(line).ok()?.split_whitespace().map(str::to_owned).collect();
    let is_shell = |word: &String| SHELLS.contains(&word.rsplit('/').next().unwrap_or_default());
    words.iter().any(is_shell).then_some(words)
}

fn quoted(path: &Path) -> String {
    // A path without a slash would be searched on the PATH.
    let path = Path::new(".").join(path);
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

fn is_executable(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 == 0 {
        return false;
    }
    metadata.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &[u8]) -> Option<Vec<String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        shell_of(file.path())
    }

    #[test]
    fn shells_are_told_from_other_interpreters_and_programs() {
        assert_eq!(shell(b"#!/bin/sh -e\nexit\n").unwrap(), ["/bin/sh", "-e"]);
        assert_eq!(shell(b"#!/usr/bin/env bash\n").unwrap(), ["/usr/bin/env", "bash"]);
        assert_eq!(shell(b"echo without a first line\n").unwrap(), ["sh"]);
        assert_eq!(shell(b"#!/usr/bin/env ruby\n"), None);
        assert_eq!(shell(b"#!/usr/bin/python3\n"), None);
        assert_eq!(shell(b"\x7fELF\0\0"), None);
    }
}
