//! Packages with precompiled files compile offline, on a machine with empty caches: those of elixir_make, those of
//! rustler_precompiled, and XLA.
//!
//! The clients are the published ones if the real input has their sources (`artefacts/NAME`), or else stand-ins that look for
//! files and check them in the same way.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::mix::mix_home;
use crate::support::data::real_input;
use crate::support::registry::{Registry, key};
use crate::support::stage::{Ran, Stage};
use crate::support::upstream::TestUpstream;
use crate::{nobody_was_asked, told};

/// What the test takes for XLA.
const TENSORS: &[u8] = b"the native code of XLA";

/// The clients, with the version under which the test publishes them.
const CLIENTS: [(&str, &[&str]); 3] = [
    ("elixir_make 0.9.0", &[]),
    ("cc_precompiler 0.1.11", &["elixir_make ~> 0.7"]),
    ("rustler_precompiled 0.8.4", &["castore ~> 0.1 or ~> 1.0"]),
];

/// What both stand-ins do (`verify_and_decompress/4` in `ElixirMake.Artefact`, `download_or_reuse_nif_file/2` in
/// `RustlerPrecompiled`).
const UNPACK: &str = "def unpack(variable, name, list, priv) do
    path = Path.join(System.fetch_env!(variable), name)
    content = File.read!(path)
    {map, _} = Code.eval_file(list)
    \"sha256:\" <> sum = Map.fetch!(map, name)
    ^sum = :crypto.hash(:sha256, content) |> Base.encode16(case: :lower)
    File.mkdir_p!(priv)
    :ok = :erl_tar.extract({:binary, content}, [:compressed, cwd: priv])
  end";

/// XLA's search for its file (`archive_path!/0` in `XLA`).
const XLA: &str = "defmodule XLA do
  def archive_path!() do
    [arch, _, os, abi] = String.split(to_string(:erlang.system_info(:system_architecture)), \"-\")
    name = \"xla_extension-0.10.0-#{arch}-#{os}-#{abi}-cpu.tar.gz\"
    path = Path.join([System.fetch_env!(\"XLA_CACHE_DIR\"), \"0.10.0\", \"download\", name])
    true = File.exists?(path)
    path
  end
end
";

fn mix_exs(name: &str, version: &str, more: &str, deps: &str) -> (String, String) {
    let project = format!("app: :{name}, version: \"{version}\", {more} deps: [{deps}]");
    let module = name.split('_').map(|part| part[..1].to_uppercase() + &part[1..]).collect::<String>();
    let text = format!(
        "defmodule {module}.MixProject do\n  use Mix.Project\n  @version \"{version}\"\n  def project, do: [{project}]\n  \
         def application, do: [extra_applications: [:logger, :crypto, :inets, :ssl]]\n  def version, do: @version\nend\n"
    );
    ("mix.exs".to_owned(), text)
}

/// The files of a stand-in.
fn stand_in(name: &str) -> Vec<(String, String)> {
    let (file, text) = match name {
        "elixir_make" => (
            "lib/task.ex",
            format!(
                "defmodule Mix.Tasks.Compile.ElixirMake do\n  use Mix.Task\n  {UNPACK}\n  def run(_) do\n    config = Mix.Project.config()\n    \
                 name = \"#{{config[:app]}}-nif-2.16-#{{CCPrecompiler.target()}}-#{{config[:version]}}.tar.gz\"\n    \
                 unpack(\"ELIXIR_MAKE_CACHE_DIR\", name, \"checksum.exs\", Path.join(Mix.Project.app_path(config), \"priv\"))\n    {{:ok, []}}\n  end\nend\n"
            ),
        ),
        "cc_precompiler" => (
            "lib/target.ex",
            "defmodule CCPrecompiler do\n  def target do\n    [arch, _, os, abi] = \
             String.split(to_string(:erlang.system_info(:system_architecture)), \"-\")\n    \"#{arch}-#{os}-#{abi}\"\n  end\nend\n"
                .to_owned(),
        ),
        _ => (
            "lib/use.ex",
            format!(
                "defmodule RustlerPrecompiled do\n  {UNPACK}\n  defmacro __using__(opts) do\n    \
                 [arch, _, os, abi] = String.split(to_string(:erlang.system_info(:system_architecture)), \"-\")\n    \
                 name = \"lib#{{opts[:crate]}}-v1.0.0-nif-2.15-#{{arch}}-unknown-#{{os}}-#{{abi}}.so.tar.gz\"\n    \
                 priv = Application.app_dir(opts[:otp_app], \"priv/native\")\n    \
                 unpack(\"RUSTLER_PRECOMPILED_GLOBAL_CACHE_PATH\", name, \"checksum-#{{__CALLER__.module}}.exs\", priv)\n    nil\n  end\nend\n"
            ),
        ),
    };
    if name == "xla" {
        return vec![mix_exs(name, "0.10.0", "", ""), ("lib/xla.ex".to_owned(), XLA.to_owned())];
    }
    let deps = if name == "cc_precompiler" { "{:elixir_make, \"~> 0.7\"}" } else { "" };
    vec![mix_exs(name, "0.9.0", "", deps), (file.to_owned(), text)]
}

/// The files of a client's real source.
fn real(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for top in ["mix.exs", "lib", "README.md"] {
        let found = walkdir::WalkDir::new(folder.join(top)).into_iter().map(|entry| entry.unwrap());
        for entry in found.filter(|entry| entry.file_type().is_file()) {
            let path = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            files.push((path, fs::read_to_string(entry.path()).unwrap()));
        }
    }
    files
}

/// Packs a file as both clients expect it.
fn packed(stage: &Stage, file: &str) -> Vec<u8> {
    let folder = stage.sandbox.path();
    fs::write(folder.join(file), format!("native code of {file}")).unwrap();
    let archive = folder.join("packed.tar.gz");
    let packed = Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(folder).arg(file).status().unwrap();
    assert!(packed.success());
    fs::read(archive).unwrap()
}

/// Publishes clients and two packages that use them, and the files for this machine.
fn publish(stage: &mut Stage, triple: &str) {
    let [processor, system, abi] = triple.split('-').collect::<Vec<_>>()[..] else { panic!("{triple}") };
    let made = format!("by_make-nif-2.16-{processor}-{system}-{abi}-1.0.0.tar.gz");
    let rusty = format!("libby_rust-v1.0.0-nif-2.15-{processor}-unknown-{system}-{abi}.so.tar.gz");
    let mut list = Vec::new();
    for (name, file) in [(&made, "by_make.so"), (&rusty, rusty.strip_suffix(".tar.gz").unwrap())] {
        let content = packed(stage, file);
        stage.upstream.put(&format!("v1.0.0/{name}"), &content);
        let sum = git_hexmirror::model::hex_digits(&Sha256::digest(content));
        let other = "libx-v1.0.0-nif-2.15-x86_64-pc-windows-msvc.dll.tar.gz";
        list.push(format!(
            "%{{\n  \"{name}\" => \"sha256:{sum}\",\n  \"{other}\" => \"sha256:{}\"\n}}\n",
            "0".repeat(64)
        ));
    }
    let url = stage.upstream.url();
    for (release, dependencies) in CLIENTS {
        let name = release.split(' ').next().unwrap();
        let source = real_input(&format!("artefacts/{name}"));
        stage.registry.publish(release, dependencies, &source.map_or_else(|| stand_in(name), |folder| real(&folder)));
    }
    let tensors = format!("xla_extension-0.10.0-{triple}-cpu.tar.gz");
    stage.upstream.put(&format!("xla-0.10.0/{tensors}"), TENSORS);
    let sum = git_hexmirror::model::hex_digits(&Sha256::digest(TENSORS));
    let xla = real_input("artefacts/xla").map_or_else(|| stand_in("xla"), |folder| real(&folder));
    let xla: Vec<_> = xla.into_iter().chain([("checksum.txt".to_owned(), format!("{sum}  {tensors}\n"))]).collect();
    stage.registry.publish("xla 0.10.0", &["elixir_make ~> 0.4"], &xla);
    let store = [mix_exs("castore", "1.0.0", "", ""), ("lib/c.ex".into(), "defmodule CAStore do\nend\n".into())];
    stage.registry.publish("castore 1.0.0", &[], &store);
    let more = format!(
        "compilers: [:elixir_make] ++ Mix.compilers(), make_precompiler: {{:nif, CCPrecompiler}}, \
         make_precompiler_url: \"{url}/v#{{@version}}/@{{artefact_filename}}\", make_precompiler_nif_versions: [versions: [\"2.16\"]],"
    );
    let deps = "{:elixir_make, \"~> 0.7\"}, {:cc_precompiler, \"~> 0.1\"}";
    let files = [
        mix_exs("by_make", "1.0.0", &more, deps),
        ("checksum.exs".into(), list[0].clone()),
        ("lib/m.ex".into(), "defmodule ByMake do\nend\n".into()),
    ];
    stage.registry.publish("by_make 1.0.0", &["elixir_make ~> 0.7", "cc_precompiler ~> 0.1"], &files);
    let module = format!(
        "defmodule ByRust do\n  version = \"1.0.0\"\n  use RustlerPrecompiled,\n    otp_app: :by_rust,\n    crate: \"by_rust\",\n    \
         base_url: \"{url}/v#{{version}}\",\n    version: version\nend\n"
    );
    let files = [
        mix_exs("by_rust", "1.0.0", "", "{:rustler_precompiled, \"~> 0.8\"}"),
        ("checksum-Elixir.ByRust.exs".into(), list[1].clone()),
        ("lib/r.ex".into(), module),
    ];
    stage.registry.publish("by_rust 1.0.0", &["rustler_precompiled ~> 0.8"], &files);
    stage.registry.put(&stage.upstream);
}

/// Returns the platform of this machine as C compilers spell it. `None`, with a message, if it has no Erlang or an unusual
/// one.
fn this_triple() -> Option<String> {
    let say = "io:format(\"~s ~s\",[erlang:system_info(system_architecture),erlang:system_info(nif_version)]),halt().";
    let said = Command::new("erl").args(["-noinput", "-eval", say]).output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (architecture, nif) = said.split_once(' ')?;
    let parts: Vec<&str> = architecture.split('-').collect();
    match (&parts[..], nif) {
        ([processor, _, system, abi], "2.16" | "2.17") => Some(format!("{processor}-{system}-{abi}")),
        _ => {
            eprintln!("skipped: the files of this test are not for {said}");
            None
        }
    }
}

fn mix(stage: &Stage, arguments: &[&str], mix_home: &OsString) -> Ran {
    let mut command = stage.bare_command_in("project", arguments);
    command.env("HEXMIRROR_URL", "http://127.0.0.1:1");
    command.env("HEXMIRROR_PUBLIC_KEY", stage.sandbox.path().join("hexpm.pem"));
    Ran::of(command.env("MIX_HOME", mix_home).env("HEX_HOME", stage.sandbox.path().join("hex")))
}

#[test]
fn packages_with_native_code_compile_without_a_compiler_and_a_network() {
    let mut stage = Stage::without_lock(Registry::default());
    let (Some(mix_home), Some(triple)) = (mix_home(&stage), this_triple()) else { return };
    publish(&mut stage, &triple);
    stage.lock(&[
        "by_make 1.0.0",
        "by_rust 1.0.0",
        "castore 1.0.0",
        "cc_precompiler 0.1.11",
        "elixir_make 0.9.0",
        "rustler_precompiled 0.8.4",
        "xla 0.10.0",
    ]);
    let (file, project) =
        mix_exs("app", "0.1.0", "", "{:by_make, \"~> 1.0\"}, {:by_rust, \"~> 1.0\"}, {:xla, \"~> 0.10\"}");
    stage.write(&file, &project);
    stage.git(&["config", "hexmirror.internalHosts", "127.0.0.1"]);
    // XLA's own address is outside.
    stage.git(&["config", "hexmirror.artefacts", &format!("xla={}/xla-@{{version}}", stage.upstream.url())]);
    stage.run(&["update"]).ok();
    stage.run(&["status"]).ok();
    stage.run(&["verify"]).ok().says("3 files");
    let nowhere = tempfile::tempdir().unwrap();
    stage.upstream = TestUpstream::serve(nowhere.path());

    // mix trusts the key of the test's registry as a user would configure it.
    fs::write(stage.sandbox.path().join("key.pem"), key().public_key().to_pem()).unwrap();
    let trust = ["run", "--", "mix", "hex.repo", "set", "hexpm", "--public-key", "../key.pem"];
    mix(&stage, &trust, &mix_home).ok();
    let ran = mix(&stage, &["run", "--offline", "--", "mix", "do", "deps.get", "+", "compile"], &mix_home).ok();
    let told = told(&ran);
    assert!(!told.contains("Downloading") && !told.contains("from source"), "{told}");
    let lib = stage.project.join("_build/dev/lib");
    let made =
        |path: &str| fs::read_to_string(lib.join(path)).unwrap_or_else(|error| panic!("{path}: {error}\n{told}"));
    assert_eq!(made("by_make/priv/by_make.so"), "native code of by_make.so");
    let rusty = format!("libby_rust-v1.0.0-nif-2.15-{}.so", triple.replacen('-', "-unknown-", 1));
    assert_eq!(made(&format!("by_rust/priv/native/{rusty}")), format!("native code of {rusty}"));
    let copy = "File.cp!(XLA.archive_path!(), \"tensors\")";
    mix(&stage, &["run", "--offline", "--", "mix", "run", "-e", copy], &mix_home).ok();
    assert_eq!(fs::read(stage.project.join("tensors")).unwrap(), TENSORS);
    nobody_was_asked(&stage);
}
