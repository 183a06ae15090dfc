//! Validators of SARIF, CycloneDX and SPDX that do not come from this project.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// The exit code of `validate.py` if the validators are not installed.
const ABSENT: i32 = 69;

/// Checks documents in a format: `sarif`, `cyclonedx` or `spdx`. Prints a message and returns if the validators are not
/// installed.
#[track_caller]
pub fn check(format: &str, documents: &[impl AsRef<str>]) {
    static SAID: OnceLock<()> = OnceLock::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = documents.iter().enumerate().map(|(number, document)| {
        let file = folder.path().join(format!("{number}.{format}.json"));
        // spdx-tools chooses its parser by the name.
        std::fs::write(&file, document.as_ref()).expect("a writable folder");
        file
    });
    let files: Vec<_> = files.collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = root.join("target/validators/bin/python");
    let python = if own.exists() { own } else { "python3".into() };
    let ran = Command::new(python).arg(root.join("tests/support/validate.py")).arg(format).args(files).output();
    match ran {
        Ok(ran) if ran.status.code() != Some(ABSENT) => {
            let printed = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            assert!(ran.status.success(), "{format}: {}", printed.concat());
        }
        _ => {
            SAID.get_or_init(|| eprintln!("skipped: there are no validators of {format} (./test installs them)"));
        }
    }
}
