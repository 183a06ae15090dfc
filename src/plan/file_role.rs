//! Which files of a package do more than its other code: they run while it is compiled, or are native code.

/// Why a file of a package deserves a look when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileRole {
    /// It runs while the package is compiled, or says what does.
    BuildScript,
    /// It is source code that is compiled to native code.
    NativeCode,
    /// It has no text, or too much of it: nobody can review it.
    Binary,
    /// It lists the checksums of precompiled files.
    Checksums,
    /// It is a program or a script that can be run.
    Executable,
}

/// The files in the root of a package that build tools run or read.
const BUILD_SCRIPTS: [&str; 11] = [
    "mix.exs",
    "rebar.config",
    "rebar.config.script",
    "rebar",
    "rebar3",
    "erlang.mk",
    "configure",
    "cmakelists.txt",
    "build.zig",
    "gleam.toml",
    "bootstrap",
];
/// The folders of native code.
const NATIVE_FOLDERS: [&str; 2] = ["c_src", "native"];
/// The extensions of native code.
const NATIVE: [&str; 12] = ["c", "cc", "cpp", "cxx", "h", "hpp", "rs", "zig", "go", "s", "asm", "m"];
/// The extensions of compiled code.
const COMPILED: [&str; 12] = ["so", "dll", "dylib", "a", "o", "obj", "lib", "exe", "beam", "ez", "jar", "wasm"];

impl FileRole {
    /// Returns the role of a file, by its path, whether it is binary and whether it is executable; `None` for other files.
    pub fn of(path: &str, is_binary: bool, is_executable: bool) -> Option<Self> {
        let lower = path.to_ascii_lowercase();
        let name = lower.rsplit('/').next().unwrap_or(&lower);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let is_in_root = !lower.contains('/');
        if is_in_root && name.starts_with("checksum") && ["exs", "txt"].contains(&extension) {
            return Some(Self::Checksums);
        }
        if COMPILED.contains(&extension) || is_binary {
            return Some(Self::Binary);
        }
        let is_makefile = name.starts_with("makefile") || name == "gnumakefile" || extension == "mk";
        let is_script = (is_in_root && BUILD_SCRIPTS.contains(&name)) || name.ends_with(".app.src.script");
        if is_makefile || is_script || name == "build.rs" {
            return Some(Self::BuildScript);
        }
        let folder = lower.split('/').next().filter(|_| !is_in_root).unwrap_or_default();
        let is_native = NATIVE_FOLDERS.contains(&folder) || NATIVE.contains(&extension);
        if is_native { Some(Self::NativeCode) } else { is_executable.then_some(Self::Executable) }
    }

    /// Returns the words for the role.
    pub fn describe(self) -> &'static str {
        match self {
            Self::BuildScript => "build script",
            Self::NativeCode => "native code",
            Self::Binary => "binary or above 1 MiB",
            Self::Checksums => "checksums of precompiled files",
            Self::Executable => "executable file",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_follow_from_names() {
        for (path, binary, role) in [
            ("mix.exs", false, Some(FileRole::BuildScript)),
            ("lib/mix.exs", false, None),
            ("rebar.config.script", false, Some(FileRole::BuildScript)),
            ("src/x.app.src.script", false, Some(FileRole::BuildScript)),
            ("c_src/Makefile", false, Some(FileRole::BuildScript)),
            ("Makefile.win", false, Some(FileRole::BuildScript)),
            ("native/x/build.rs", false, Some(FileRole::BuildScript)),
            ("native/x/Cargo.toml", false, Some(FileRole::NativeCode)),
            ("c_src/x", false, Some(FileRole::NativeCode)),
            ("src/nif.C", false, Some(FileRole::NativeCode)),
            ("priv/x.so", false, Some(FileRole::Binary)),
            ("priv/data", true, Some(FileRole::Binary)),
            ("priv/data", false, None),
            ("doc/image.png", true, Some(FileRole::Binary)),
            ("checksum-Elixir.X.exs", false, Some(FileRole::Checksums)),
            ("lib/x.ex", false, None),
            ("native", false, None),
        ] {
            assert_eq!(FileRole::of(path, binary, false), role, "{path}");
            let executable = role.or(Some(FileRole::Executable));
            assert_eq!(FileRole::of(path, binary, true), executable, "{path}");
        }
    }
}
