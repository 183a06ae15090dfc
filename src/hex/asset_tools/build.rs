//! Which build of a tool a machine needs: what the packages compute from the system and the processor.

use crate::model::{AssetBuild, AssetTool, Platform, Version};

/// Returns the build of a version that a package installs on a platform. `None` if it knows none. `client` is the version of
/// the package, if it is known.
pub fn build_for(
    tool: AssetTool,
    version: &Version,
    platform: &Platform,
    client: Option<&Version>,
) -> Option<AssetBuild> {
    let name = match tool {
        AssetTool::Esbuild if has_legacy_names(version) => esbuild_legacy(platform)?,
        AssetTool::Esbuild => esbuild(platform)?,
        AssetTool::Tailwind => tailwind(version, platform)?,
        AssetTool::DartSass => dart_sass(platform, client)?,
    };
    name.parse().ok()
}

/// Returns whether esbuild's packages have the names from before 0.16.
pub(super) fn has_legacy_names(version: &Version) -> bool {
    *version < of("0.16.0")
}

/// Returns a version from its text.
pub(super) fn of(text: &str) -> Version {
    text.parse().expect("a valid version")
}

/// `target/0` in `Esbuild`.
fn esbuild(platform: &Platform) -> Option<String> {
    let system = match platform.system() {
        "windows" => "win32",
        "solaris" | "illumos" => "sunos",
        other => other,
    };
    let processor = match platform.processor() {
        "i686" | "i386" => "ia32",
        _ if system == "win32" => "x64",
        "x86_64" => "x64",
        "aarch64" => "arm64",
        "riscv64" => "riscv64",
        processor if is_arm(processor) => "arm",
        _ => return None,
    };
    Some(format!("{system}-{processor}"))
}

/// `target_legacy/0` in `Esbuild`.
fn esbuild_legacy(platform: &Platform) -> Option<String> {
    let processor = match platform.processor() {
        "i686" | "i386" => "32",
        _ if platform.system() == "windows" => "64",
        "x86_64" => "64",
        "aarch64" => "arm64",
        processor if is_arm(processor) => "arm",
        _ => return None,
    };
    Some(format!("{}-{processor}", platform.system()))
}

/// `system_target/1` in `Tailwind`. Version 4 has builds for musl.
fn tailwind(version: &Version, platform: &Platform) -> Option<String> {
    let has_musl = *version >= of("4.0.0") && *version < of("5.0.0-0");
    let abi = if platform.abi() == "musl" && has_musl { "-musl" } else { "" };
    Some(match (platform.system(), platform.processor()) {
        ("windows", _) => "windows-x64.exe".to_owned(),
        ("darwin", "aarch64") => "macos-arm64".to_owned(),
        ("darwin", "x86_64") => "macos-x64".to_owned(),
        ("freebsd", "aarch64") => "freebsd-arm64".to_owned(),
        ("freebsd", "x86_64") => "freebsd-x64".to_owned(),
        ("linux", "aarch64") => format!("linux-arm64{abi}"),
        ("linux", processor) if is_arm(processor) => "linux-armv7".to_owned(),
        ("linux", "x86_64") => format!("linux-x64{abi}"),
        _ => return None,
    })
}

/// `target/0` in `DartSass`. Versions of the package before 0.8 do not know musl.
fn dart_sass(platform: &Platform, client: Option<&Version>) -> Option<String> {
    let is_old = client.is_some_and(|client| *client < of("0.8.0-0"));
    let abi = if platform.abi() == "musl" && !is_old { "-musl" } else { "" };
    Some(match (platform.system(), platform.processor()) {
        ("windows", "aarch64") if !is_old => "windows-arm64".to_owned(),
        ("windows", _) => "windows-x64".to_owned(),
        ("darwin", "aarch64") => "macos-arm64".to_owned(),
        ("darwin", "x86_64") => "macos-x64".to_owned(),
        ("linux", "aarch64") => format!("linux-arm64{abi}"),
        ("linux", "x86_64") => format!("linux-x64{abi}"),
        ("linux", "i686" | "i386") if is_old => "linux-ia32".to_owned(),
        ("linux", "arm") if !is_old => format!("linux-arm{abi}"),
        _ => return None,
    })
}

fn is_arm(processor: &str) -> bool {
    processor == "arm" || processor.starts_with("armv7")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(tool: &str, version: &str, platform: &str, client: Option<&str>) -> String {
        let client = client.map(of);
        let build = build_for(tool.parse().unwrap(), &of(version), &platform.parse().unwrap(), client.as_ref());
        build.map_or_else(|| "none".to_owned(), |build| build.to_string())
    }

    #[test]
    fn builds_are_those_that_the_packages_choose() {
        for (platform, esbuild, old_esbuild, tailwind3, tailwind4, sass) in [
            ("x86_64-pc-linux-gnu", "linux-x64", "linux-64", "linux-x64", "linux-x64", "linux-x64"),
            ("x86_64-alpine-linux-musl", "linux-x64", "linux-64", "linux-x64", "linux-x64-musl", "linux-x64-musl"),
            (
                "aarch64-unknown-linux-musl",
                "linux-arm64",
                "linux-arm64",
                "linux-arm64",
                "linux-arm64-musl",
                "linux-arm64-musl",
            ),
            ("arm-unknown-linux-gnueabihf", "linux-arm", "linux-arm", "linux-armv7", "linux-armv7", "linux-arm"),
            ("armv7l-unknown-linux-gnueabihf", "linux-arm", "linux-arm", "linux-armv7", "linux-armv7", "none"),
            ("i686-pc-linux-gnu", "linux-ia32", "linux-32", "none", "none", "none"),
            ("riscv64-unknown-linux-gnu", "linux-riscv64", "none", "none", "none", "none"),
            ("aarch64-apple-darwin23.1.0", "darwin-arm64", "darwin-arm64", "macos-arm64", "macos-arm64", "macos-arm64"),
            ("x86_64-apple-darwin", "darwin-x64", "darwin-64", "macos-x64", "macos-x64", "macos-x64"),
            ("amd64-portbld-freebsd13.2", "freebsd-x64", "freebsd-64", "freebsd-x64", "freebsd-x64", "none"),
            ("win32", "win32-x64", "windows-64", "windows-x64.exe", "windows-x64.exe", "windows-x64"),
        ] {
            assert_eq!(build("esbuild", "0.25.0", platform, None), esbuild, "{platform}");
            assert_eq!(build("esbuild", "0.14.41", platform, None), old_esbuild, "{platform}");
            assert_eq!(build("tailwind", "3.4.3", platform, None), tailwind3, "{platform}");
            assert_eq!(build("tailwind", "4.1.0", platform, None), tailwind4, "{platform}");
            assert_eq!(build("dart_sass", "1.77.8", platform, None), sass, "{platform}");
        }
        for (platform, sass) in
            [("x86_64-linux-musl", "linux-x64"), ("i686-linux-gnu", "linux-ia32"), ("arm-linux-gnu", "none")]
        {
            assert_eq!(build("dart_sass", "1.61.0", platform, Some("0.7.0")), sass, "{platform}");
        }
    }
}
