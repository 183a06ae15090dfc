//! The settings for clients as commands for a POSIX shell whose environment is not known here. They add to lists that are
//! there, as [`environment`](super::environment::environment) does with an environment that it knows.
//!
//! If commands of a server ran before, whichever server that was, these first undo them as
//! [`restoration`](super::outer::restoration) does. So the values of before the first one stay recorded, and what someone
//! changed meanwhile is recorded anew. See [`shell_record`](super::shell_record) for the form.
//!
//! Names of variables are always in braces: zsh reads `$NAME:h` as the name and a modifier.

use super::access::{self, Access, changes};
use super::environment::{settings, shell_quoted};
use super::git_config::Setting;
use super::outer_server::SERVER;
use super::record::PREVIOUS;
use super::shell_record::{BEFORE, SET, names};
use super::variable::Variable;

/// The variables that depend on what is there.
const DEPENDENT: [&str; 3] = ["no_proxy", "NO_PROXY", "http_proxy"];

/// The beginning of a record, before the number of the first setting of git.
const RECORD: &str = "{\"git_config\":{\"start\":";

/// Returns the commands.
pub(super) fn shell_script(access: &Access) -> String {
    let settings = settings(access);
    let mut script = numbers() + &undo() + &change();
    for Variable { name, value } in changes(access, |_| None) {
        if !DEPENDENT.contains(&&*name) {
            let value = value.map(|value| format!(" {}", shell_quoted(&value))).unwrap_or_default();
            script += &format!("hexmirror_change {name}{value}\n");
        }
    }
    script += &proxies(&access::host(&access.base_url));
    script += &protocol(&access.base_url);
    script += &git(access, &settings);
    script += &format!("hexmirror_change {SERVER} {}\n", shell_quoted(&access.base_url));
    script
        + "unset hexmirror_now hexmirror_set hexmirror_old hexmirror_name hexmirror_list hexmirror_start hexmirror_end \
              hexmirror_number hexmirror_rest\n\
              unset -f hexmirror_value hexmirror_change hexmirror_host\n"
}

/// Restores the variables that the commands of a server changed, except for those that someone changed since then.
fn undo() -> String {
    let names: Vec<_> = names().collect();
    let names = names.join(" ");
    format!(
        "hexmirror_value() {{\n\
         eval \"hexmirror_now=\\\"\\${{$1+=}}\\${{$1-}}\\\"\"\n\
         hexmirror_now=\"${{hexmirror_now:--}}\"\n\
         }}\n\
         for hexmirror_name in {names}; do\n\
         eval \"hexmirror_set=\\\"\\${{{SET}${{hexmirror_name}}-}}\\\" hexmirror_old=\\\"\\${{{BEFORE}${{hexmirror_name}}-}}\\\"\"\n\
         if [ -n \"${{hexmirror_set}}\" ]; then\n\
         hexmirror_value \"${{hexmirror_name}}\"\n\
         if [ \"${{hexmirror_now}}\" = \"${{hexmirror_set}}\" ]; then\n\
         case \"${{hexmirror_old}}\" in '='*) export \"${{hexmirror_name}}=${{hexmirror_old#?}}\" ;; *) unset \"${{hexmirror_name}}\" ;; esac\n\
         fi\n\
         unset \"{SET}${{hexmirror_name}}\" \"{BEFORE}${{hexmirror_name}}\"\n\
         fi\n\
         done\n"
    )
}

/// Defines the function that sets the variable `$1` to `$2`, or unsets it without `$2`, and records both values.
fn change() -> String {
    format!(
        "hexmirror_change() {{\n\
         hexmirror_value \"$1\"\n\
         if [ \"${{hexmirror_now}}\" != \"${{2+=}}${{2--}}\" ]; then\n\
         if [ \"${{hexmirror_now}}\" != - ]; then export \"{BEFORE}$1=${{hexmirror_now}}\"; fi\n\
         export \"{SET}$1=${{2+=}}${{2--}}\"\n\
         if [ -n \"${{2+x}}\" ]; then export \"$1=$2\"; else unset \"$1\"; fi\n\
         fi\n\
         }}\n"
    )
}

/// Adds the server's host to the lists of hosts that need no proxy, and moves a proxy as `environment` does.
fn proxies(host: &str) -> String {
    let host = shell_quoted(host);
    format!(
        "hexmirror_host() {{\n\
         hexmirror_list=\"$2\"\n\
         case \",$2,\" in *,{host},*) ;; *)\n\
         while :; do case \"${{hexmirror_list}}\" in *[,\\ ]) hexmirror_list=\"${{hexmirror_list%?}}\" ;; *) break ;; esac; done\n\
         hexmirror_list=\"${{hexmirror_list:+${{hexmirror_list}},}}\"{host} ;; esac\n\
         hexmirror_change \"$1\" \"${{hexmirror_list}}\"\n\
         }}\n\
         hexmirror_rest=\"${{NO_PROXY:-${{no_proxy-}}}}\"\n\
         hexmirror_host no_proxy \"${{no_proxy:-${{NO_PROXY-}}}}\"\n\
         hexmirror_host NO_PROXY \"${{hexmirror_rest}}\"\n\
         if [ -n \"${{HTTP_PROXY:-${{http_proxy-}}}}\" ]; then hexmirror_change HTTP_PROXY \"${{HTTP_PROXY:-${{http_proxy}}}}\"; fi\n\
         hexmirror_change http_proxy\n"
    )
}

/// Adds the server's protocol to those that git may use, if they are limited.
fn protocol(base_url: &str) -> String {
    let scheme = access::scheme(base_url);
    format!(
        "case \":${{GIT_ALLOW_PROTOCOL:-{scheme}}}:\" in *:{scheme}:*) ;; \
         *) hexmirror_change GIT_ALLOW_PROTOCOL \"${{GIT_ALLOW_PROTOCOL}}:{scheme}\" ;; esac\n"
    )
}

/// Determines the number of the first setting of git. If the last ones are those of earlier commands, or of an outer `run`,
/// `shell` or `env`, it removes them.
fn numbers() -> String {
    let begin = shell_quoted(RECORD);
    format!(
        "hexmirror_start=\"${{GIT_CONFIG_COUNT:-0}}\"\n\
         case \"${{{SERVER}:+${{{PREVIOUS}-}}}}\" in {begin}*)\n\
         hexmirror_number=${{{PREVIOUS}#{begin}}}\n\
         hexmirror_end=\"${{hexmirror_number#*:}}\" hexmirror_number=\"${{hexmirror_number%%,*}}\"\n\
         hexmirror_end=\"${{hexmirror_end%%\\}}*}}\"\n\
         if [ \"${{hexmirror_end}}\" = \"${{hexmirror_start}}\" ]; then\n\
         hexmirror_start=\"${{hexmirror_number}}\"\n\
         while [ \"${{hexmirror_number}}\" -lt \"${{hexmirror_end}}\" ]; do\n\
         unset \"GIT_CONFIG_KEY_${{hexmirror_number}}\" \"GIT_CONFIG_VALUE_${{hexmirror_number}}\"\n\
         hexmirror_number=$((hexmirror_number + 1))\n\
         done\n\
         fi ;;\n\
         esac\n"
    )
}

/// Adds settings to those that `GIT_CONFIG_COUNT` counts, and records their numbers. If the server has an authority of its own,
/// one that the client has in `GIT_SSL_CAINFO` moves to a setting, as by `environment`.
fn git(access: &Access, settings: &[Setting]) -> String {
    let mut script = String::new();
    for (number, setting) in settings.iter().enumerate() {
        for (kind, value) in [("KEY", &setting.key()), ("VALUE", &setting.value)] {
            let value = shell_quoted(&value.replace(char::is_control, ""));
            script += &format!("export \"GIT_CONFIG_{kind}_$((hexmirror_start + {number}))\"={value}\n");
        }
    }
    script += &format!("hexmirror_end=$((hexmirror_start + {}))\n", settings.len());
    if access.authority.is_some() {
        script += "hexmirror_old=\"${GIT_SSL_CAINFO-}\"\n\
             if [ -n \"${hexmirror_old}\" ]; then\n\
             export \"GIT_CONFIG_KEY_${hexmirror_end}\"=http.sslCAInfo \"GIT_CONFIG_VALUE_${hexmirror_end}\"=\"${hexmirror_old}\"\n\
             hexmirror_end=$((hexmirror_end + 1))\n\
             hexmirror_change GIT_SSL_CAINFO\n\
             fi\n";
    }
    let (begin, end) = (shell_quoted(RECORD), shell_quoted(",\"end\":"));
    script
        + &format!(
            "if [ \"${{hexmirror_end}}\" -gt 0 ]; then export GIT_CONFIG_COUNT=\"${{hexmirror_end}}\"; else unset GIT_CONFIG_COUNT; fi\n\
             hexmirror_change {PREVIOUS} {begin}\"${{hexmirror_start}}\"{end}\"${{hexmirror_end}}\"'}}}}'\n"
        )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::Command;

    use super::super::environment::{InsteadOfRules, environment};
    use super::super::outer::restoration;
    use super::*;

    fn access() -> Access {
        let mut instead_of = InsteadOfRules::default();
        instead_of.add(&"h/lib".parse().unwrap());
        Access {
            base_url: "http://mirror:4040".into(),
            instead_of,
            authority: Some("/it's".into()),
            ..Access::default()
        }
    }

    /// Runs the script with an environment, in a shell that refuses unset variables, and returns the environment after it.
    fn after(before: &[(&str, &str)], times: usize) -> BTreeMap<String, String> {
        let before = before.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        run(&shell_script(&access()).repeat(times), &before)
    }

    fn apply(changes: Vec<Variable>, variables: &mut BTreeMap<String, String>) {
        for Variable { name, value } in changes {
            match value {
                Some(value) => variables.insert(name.into_owned(), value),
                None => variables.remove(&*name),
            };
        }
    }

    fn restored(mut variables: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let changes = restoration(|name| variables.get(name).cloned());
        apply(changes, &mut variables);
        variables
    }

    /// The installed ones of the shells that users have.
    fn shells() -> impl Iterator<Item = &'static str> {
        let is_installed = |name: &&str| Command::new(name).args(["-c", ":"]).output().is_ok();
        ["sh", "bash", "zsh"].into_iter().filter(is_installed)
    }

    /// Requires that every shell does the same.
    fn run(script: &str, before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut found = shells().map(|shell| (shell, run_in(shell, script, before)));
        let (_, first) = found.next().expect("every system has sh");
        found.for_each(|(shell, other)| assert_eq!(other, first, "{shell}"));
        first
    }

    fn run_in(shell: &str, script: &str, before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let script = format!("set -eu\n{script}env -0");
        let mut command = Command::new(shell);
        command.args(["-c", &script]).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        let output = command.envs(before).output().unwrap();
        assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let own = text.split('\0').filter_map(|variable| variable.split_once('='));
        let own =
            own.filter(|(name, _)| !matches!(*name, "PATH" | "PWD" | "OLDPWD" | "SHLVL" | "_" | "HOME" | "LOGNAME"));
        own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn a_shell_does_what_would_be_done_if_its_environment_were_known() {
        let git = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*")];
        for before in [
            &[][..],
            &git,
            &[("no_proxy", ".corp,10.0.0.1"), ("HEX_TRUSTED_MIRROR", "x"), ("REBAR_OFFLINE", "1")],
            &[("NO_PROXY", "a"), ("http_proxy", "http://p:1")],
            &[("GIT_SSL_CAINFO", "/corp's ca.pem"), ("GIT_ALLOW_PROTOCOL", "https:ssh")],
            &[("GIT_ALLOW_PROTOCOL", "https:http"), git[0], git[1], git[2], ("GIT_SSL_CAINFO", "/c")],
            &[("NO_PROXY", "mirror,a"), ("no_proxy", "b"), ("http_proxy", "http://p:1"), ("HTTP_PROXY", "http://q:1")],
        ] {
            let existing =
                |name: &str| before.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
            let mut expected: BTreeMap<String, String> =
                before.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            for variable in environment(&access(), existing) {
                match variable.value {
                    Some(value) => drop(expected.insert(variable.name.into_owned(), value)),
                    None => drop(expected.remove(&*variable.name)),
                }
            }
            let mut found = after(before, 1);
            found.retain(|name, _| !name.starts_with(BEFORE) && !name.starts_with(SET));
            // The script cannot know the previous values, but which of git's settings are its own.
            let [recorded, wanted] = [found.remove(PREVIOUS).unwrap(), expected.remove(PREVIOUS).unwrap()]
                .map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap()["git_config"].clone());
            assert_eq!((&found, recorded), (&expected, wanted), "{before:?}");
        }
    }

    #[test]
    fn whatever_was_there_is_restored_however_often_the_commands_ran() {
        let git = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*")];
        for before in [
            &[][..],
            &git,
            &[("GIT_SSL_CAINFO", "/corp's ca.pem"), ("GIT_ALLOW_PROTOCOL", "https:ssh"), git[0], git[1], git[2]],
            &[("http_proxy", "http://me:secret@p:1"), ("no_proxy", ".corp,"), ("HEX_MIRROR", "it's \"x\" \\ $y")],
            &[
                ("HTTP_PROXY", "http://q:1"),
                ("HEX_TRUSTED_MIRROR", "http://t"),
                ("HEX_OFFLINE", "0"),
                ("NO_PROXY", "a"),
            ],
            &[
                ("http_proxy", "http://p:1"),
                ("HTTP_PROXY", "http://q:1"),
                ("HEX_CACERTS_PATH", "/c"),
                ("REBAR_OFFLINE", "1"),
            ],
            &[
                ("HEX_TRUSTED_MIRROR", ""),
                ("http_proxy", ""),
                ("no_proxy", ""),
                ("HEX_MIRROR", ""),
                ("HEX_OFFLINE", ""),
            ],
            &[("HEX_MIRROR", "a\nb\n"), ("no_proxy", "a\n"), ("HTTP_PROXY", "\n"), ("GIT_ALLOW_PROTOCOL", "ssh\n")],
        ] {
            let before: BTreeMap<String, String> =
                before.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let mut more = access();
            more.instead_of.add(&"h/other".parse().unwrap());
            let other = Access { base_url: "https://other".into(), authority: Some("/o".into()), ..more.clone() };
            let plain = Access { base_url: "http://mirror:1".into(), authority: None, ..access() };
            for scripts in [
                &[access()][..],
                &[access(), access()],
                &[access(), more.clone(), more.clone()],
                &[more, access(), access()],
                &[access(), other.clone(), plain.clone()],
                &[plain.clone(), plain.clone(), other.clone(), access()],
            ] {
                let script: String = scripts.iter().map(shell_script).collect();
                let found = run(&script, &before);
                assert_eq!(restored(found), before, "{} times", scripts.len());
            }
        }
    }

    #[test]
    fn what_someone_changed_between_two_runs_is_recorded() {
        let script = shell_script(&access());
        let change = "export http_proxy=http://new:1 no_proxy=new HEX_OFFLINE=1\nunset HEX_CDN\n";
        let found = run(&format!("{script}{change}{script}"), &[("http_proxy".into(), "http://old:1".into())].into());
        let found = restored(found);
        for (name, value) in [("http_proxy", "http://new:1"), ("no_proxy", "new"), ("HEX_OFFLINE", "1")] {
            assert_eq!(found.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(!found.contains_key("HEX_CDN") && !found.contains_key("HEX_MIRROR"), "{found:?}");
    }

    #[test]
    fn what_the_program_recorded_is_kept() {
        let other = Access { base_url: "https://other".into(), authority: Some("/o".into()), ..access() };
        let git = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "user.name"), ("GIT_CONFIG_VALUE_0", "a\nb")];
        for before in [
            &[("HEX_MIRROR", "https://corp"), ("no_proxy", "a\nb"), ("HEX_TRUSTED_MIRROR", "")][..],
            &[("GIT_SSL_CAINFO", "/c"), ("http_proxy", "http://p:1"), git[0], git[1], git[2]],
        ] {
            let before: BTreeMap<String, String> =
                before.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            for (first, then) in [(access(), access()), (access(), other.clone()), (other.clone(), access())] {
                let mut variables = before.clone();
                let changes = environment(&first, |name| before.get(name).cloned());
                apply(changes, &mut variables);
                let (once, again) = (shell_script(&then), shell_script(&then) + &shell_script(&first));
                for script in [once.clone(), once.repeat(2), again] {
                    let found = run(&script, &variables);
                    assert!(
                        found["GIT_CONFIG_COUNT"].parse::<usize>().unwrap() <= settings(&then).len() + 2,
                        "{found:?}"
                    );
                    assert_eq!(restored(found), before);
                }
            }
        }
    }

    #[test]
    fn no_shell_reads_a_modifier_after_a_name() {
        let variables = after(&[("GIT_ALLOW_PROTOCOL", "https:ssh")], 1);
        assert_eq!(variables["GIT_ALLOW_PROTOCOL"], "https:ssh:http");
    }

    #[test]
    fn a_host_is_added_once() {
        let variables = after(&[("no_proxy", "a")], 2);
        assert_eq!((&*variables["no_proxy"], &*variables["NO_PROXY"]), ("a,mirror", "a,mirror"));
    }
}
