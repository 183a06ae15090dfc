//! Recognises commands whose answer depends on what is newest upstream, which a mirror does not know.

use std::path::Path;

/// The tasks of mix and the commands of rebar3 that look for newer releases, retirements or advisories.
const MIX: [&str; 3] = ["deps.update", "hex.audit", "hex.outdated"];
const REBAR3: [&str; 2] = ["update", "upgrade"];

/// What a command asks for that may have changed upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Newest {
    /// The named command looks for news.
    Always(String),
    /// The named command resolves versions if the project's requirements have changed.
    IfRequirementsChanged(String),
}

impl Newest {
    /// Returns what a command asks for. Options in front of a task are not understood, as in `mix --version`.
    pub fn of(program: &str, arguments: &[String]) -> Option<Self> {
        let name = Path::new(program).file_name()?.to_str()?;
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
    }

    #[test]
    fn commands_that_do_not() {
        let resolving = Some(Newest::IfRequirementsChanged("mix deps.get".into()));
        assert_eq!(of("mix deps.get"), resolving);
        assert_eq!(of("mix do deps.get + deps.compile"), resolving);
        for command in ["mix", "mix compile", "mix run deps.update", "make deps.update", "rebar3 compile", "mix do"] {
            assert_eq!(of(command), None, "{command}");
        }
    }
}
