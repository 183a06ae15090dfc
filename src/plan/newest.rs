//! Recognises commands whose answer depends on what is newest upstream, which a mirror does not know.

use std::path::Path;

/// The tasks of mix and the commands of rebar3 that look for newer releases, retirements or advisories.
const MIX: [&str; 3] = ["deps.update", "hex.audit", "hex.outdated"];
const REBAR3: [&str; 2] = ["update", "upgrade"];
/// Programs that run another one, which follows their options.
const WRAPPERS: [&str; 15] = [
    "asdf", "chronic", "direnv", "doas", "elixir", "env", "iex", "ionice", "mise", "nice", "nohup", "setsid", "sudo",
    "time", "timeout",
];

/// What a command asks for that may have changed upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Newest {
    /// The named command looks for news.
    Always(String),
    /// The named command resolves versions if the project's requirements have changed.
    IfRequirementsChanged(String),
}

impl Newest {
    /// Returns what a command asks for, also if another program runs it, as in `env MIX_ENV=test mix deps.get`. Options in
    /// front of a task are not understood, as in `mix --version`.
    pub fn of(program: &str, arguments: &[String]) -> Option<Self> {
        let name = file_name(program)?;
        if WRAPPERS.contains(&name) {
            let client = arguments.iter().position(|word| matches!(file_name(word), Some("mix" | "rebar3")))?;
            return Self::of(&arguments[client], &arguments[client + 1..]);
        }
        let tasks = tasks(arguments);
        let named = |known: &[&str]| {
            let found = tasks.iter().find(|task| known.contains(task));
            found.map(|task| format!("{name} {task}"))
        };
        match name {
            "mix" => named(&MIX).map(Self::Always).or_else(|| named(&["deps.get"]).map(Self::IfRequirementsChanged)),
            "rebar3" => named(&REBAR3).map(Self::Always),
            _ => None,
        }
    }
}

/// Returns the name of a program, without its folder.
fn file_name(program: &str) -> Option<&str> {
    Path::new(program).file_name()?.to_str()
}

/// Returns the tasks of a command line: the first word, or those that `do` separates by `+` or `,`.
fn tasks(arguments: &[String]) -> Vec<&str> {
    match arguments.split_first() {
        Some((first, rest)) if first == "do" => {
            let is_end = |word: &String| word == "+" || word.ends_with(',');
            let parts = rest.split_inclusive(is_end);
            parts.filter_map(|part| part.first()).map(|task| task.trim_end_matches(',')).collect()
        }
        Some((first, _)) => vec![first],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &str) -> Option<Newest> {
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        Newest::of(&words[0], &words[1..])
    }

    #[test]
    fn commands_that_look_for_news() {
        let always = |text: &str| Some(Newest::Always(text.into()));
        assert_eq!(of("mix deps.update --all"), always("mix deps.update"));
        assert_eq!(of("/usr/bin/mix hex.outdated"), always("mix hex.outdated"));
        assert_eq!(of("mix do deps.get, hex.audit"), always("mix hex.audit"));
        assert_eq!(of("mix do deps.get + deps.update jason + compile"), always("mix deps.update"));
        assert_eq!(of("rebar3 upgrade --all"), always("rebar3 upgrade"));
        for wrapper in
            ["env MIX_ENV=test", "/usr/bin/env -u X", "timeout 60", "mise exec --", "elixir -S", "env nice -n 5"]
        {
            assert_eq!(of(&format!("{wrapper} mix deps.update --all")), always("mix deps.update"), "{wrapper}");
        }
    }

    #[test]
    fn commands_that_do_not() {
        let resolving = Some(Newest::IfRequirementsChanged("mix deps.get".into()));
        assert_eq!(of("mix deps.get"), resolving);
        assert_eq!(of("mix do deps.get + deps.compile"), resolving);
        for command in [
            "mix",
            "mix compile",
            "mix run deps.update",
            "make deps.update",
            "env",
            "env mix",
            "echo mix deps.update",
            "rebar3 compile",
            "mix do",
        ] {
            assert_eq!(of(command), None, "{command}");
        }
    }
}
