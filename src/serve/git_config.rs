//! Git settings as `GIT_CONFIG_COUNT` and the variables that it counts, and as a file (git-config(1)).

use std::collections::BTreeMap;
use std::ops::Range;

use super::outer_server::OuterServer;
use super::variable::Variable;

/// A git setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) section: &'static str,
    pub(super) subsection: String,
    pub(super) name: &'static str,
    pub(super) value: String,
}

impl Setting {
    pub(super) fn key(&self) -> String {
        match self.subsection.as_str() {
            "" => format!("{}.{}", self.section, self.name),
            subsection => format!("{}.{subsection}.{}", self.section, self.name),
        }
    }
}

/// Returns the keys and values that the environment sets. If one of them is missing, git rejects all of them, so the
/// ones before it are returned.
fn existing_settings(existing: &impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let count = existing("GIT_CONFIG_COUNT").and_then(|count| count.trim().parse().ok()).unwrap_or(0_usize);
    let pair = |number| {
        let [key, value] = names(number);
        // An empty value is a value.
        Some((existing(&key)?, existing(&value).unwrap_or_default()))
    };
    (0..count).map_while(pair).collect()
}

fn names(number: usize) -> [String; 2] {
    [format!("GIT_CONFIG_KEY_{number}"), format!("GIT_CONFIG_VALUE_{number}")]
}

fn numbered(number: usize, key: &str, value: &str) -> [Variable; 2] {
    let [key_name, value_name] = names(number);
    [Variable::set(key_name, key), Variable::set(value_name, value)]
}

/// Returns the variables that add settings to the existing ones, and the numbers that the added ones get. Of two
/// settings with the same effect, git uses the last one if it can have only one value.
pub(super) fn added(settings: &[Setting], existing: &impl Fn(&str) -> Option<String>) -> (Vec<Variable>, Range<usize>) {
    if settings.is_empty() {
        return (Vec::new(), 0..0);
    }
    let first = existing_settings(existing).len();
    let numbers = first..first + settings.len();
    let count = Variable::set("GIT_CONFIG_COUNT", &numbers.end.to_string());
    let pairs = numbers.clone().zip(settings);
    let pairs = pairs.flat_map(|(number, setting)| numbered(number, &setting.key(), &setting.value));
    ([count].into_iter().chain(pairs).collect(), numbers)
}

/// Returns the changes that remove this program's settings from the existing ones: those that it added under these
/// numbers, and all rules that redirect to the server.
pub(super) fn removed(
    server: &OuterServer,
    added: Range<usize>,
    existing: &impl Fn(&str) -> Option<String>,
) -> Vec<Variable> {
    let all = existing_settings(existing);
    // If there are fewer settings, others have replaced them.
    let added = if added.end <= all.len() { added } else { 0..0 };
    let is_own = |number: usize, key: &str| added.contains(&number) || base(key).is_some_and(|base| server.has(base));
    let kept: Vec<_> = all.iter().enumerate().filter(|(number, (key, _))| !is_own(*number, key)).collect();
    if kept.len() == all.len() {
        return Vec::new();
    }
    let moved = kept.iter().enumerate().filter(|(to, (from, _))| to != from);
    let moved = moved.flat_map(|(to, (_, (key, value)))| {
        let [key_name, value_name] = names(to);
        [Variable::restored(key_name, key.clone()), Variable::restored(value_name, value.clone())]
    });
    let superfluous = (kept.len()..all.len()).flat_map(names).map(Variable::unset);
    let count = match kept.len() {
        0 => Variable::unset("GIT_CONFIG_COUNT"),
        count => Variable::set("GIT_CONFIG_COUNT", &count.to_string()),
    };
    [count].into_iter().chain(moved).chain(superfluous).collect()
}

/// Returns the base of `url.<base>.insteadOf`. Git ignores the case of the section's and the setting's names.
fn base(key: &str) -> Option<&str> {
    let (section, name) = key.rsplit_once('.')?;
    let (section, base) = section.split_once('.')?;
    (section.eq_ignore_ascii_case("url") && name.eq_ignore_ascii_case("insteadOf")).then_some(base)
}

/// Formats settings as a configuration file to include.
pub(super) fn file(settings: &[Setting]) -> String {
    let mut by_section: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for Setting { section, subsection, name, value } in settings {
        *by_section.entry((section, subsection)).or_default() += &format!("\t{name} = {}\n", quoted(value));
    }
    let section = |((section, subsection), lines): ((&str, &str), String)| match subsection {
        "" => format!("[{section}]\n{lines}"),
        subsection => format!("[{section} {}]\n{lines}", quoted(subsection)),
    };
    by_section.into_iter().map(section).collect()
}

/// Quotes a text for a configuration file (git-config(1), "Syntax").
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Environment = BTreeMap<String, String>;

    fn setting(subsection: &str, name: &'static str, value: &str) -> Setting {
        Setting { section: "url", subsection: subsection.into(), name, value: value.into() }
    }

    fn rules(url: &str) -> [Setting; 2] {
        let base = format!("{url}/git/h/lib");
        [setting(&base, "insteadOf", "https://h/lib"), setting("https://h/lib", "pushInsteadOf", "https://h/lib")]
    }

    fn environment(of_git: &[(&str, &str)]) -> Environment {
        let count = [("GIT_CONFIG_COUNT".to_owned(), of_git.len().to_string())];
        let pair = |(number, (key, value)): (usize, &(&str, &str))| {
            let [key_name, value_name] = names(number);
            [(key_name, (*key).to_owned()), (value_name, (*value).to_owned())]
        };
        count.into_iter().chain(of_git.iter().enumerate().flat_map(pair)).collect()
    }

    fn apply(variables: &[Variable], environment: &mut Environment) {
        for Variable { name, value } in variables {
            match value {
                Some(value) => environment.insert(name.to_string(), value.clone()),
                None => environment.remove(&**name),
            };
        }
    }

    fn add(settings: &[Setting], environment: &mut Environment) -> Range<usize> {
        let (variables, numbers) = added(settings, &|name| environment.get(name).cloned());
        apply(&variables, environment);
        numbers
    }

    fn remove(url: &str, numbers: Range<usize>, environment: &mut Environment) {
        let server = OuterServer::of_environment(|_| Some(url.to_owned()));
        apply(&removed(&server, numbers, &|name| environment.get(name).cloned()), environment);
    }

    fn pairs(environment: &Environment) -> Vec<(String, String)> {
        let pairs = existing_settings(&|name| environment.get(name).cloned());
        assert_eq!(environment.len(), 2 * pairs.len() + 1, "each number has a key and a value: {environment:?}");
        pairs
    }

    #[test]
    fn existing_settings_are_kept() {
        let mut environment = environment(&[("user.name", "Me"), ("user.email", "")]);
        assert_eq!(add(&rules("http://h"), &mut environment), 2..4);
        let pairs = pairs(&environment);
        assert_eq!(pairs[..2], [("user.name".into(), "Me".into()), ("user.email".into(), String::new())]);
        assert_eq!(pairs[2], ("url.http://h/git/h/lib.insteadOf".into(), "https://h/lib".into()));
        assert_eq!(pairs.len(), 4);
    }

    #[test]
    fn a_wrong_count_is_not_trusted() {
        for count in ["x", "-1", "99999999999999999999", "4000000000"] {
            let mut environment = Environment::from([("GIT_CONFIG_COUNT".into(), count.into())]);
            assert_eq!(add(&rules("http://h"), &mut environment), 0..2, "{count}");
            assert_eq!(pairs(&environment).len(), 2);
        }
    }

    #[test]
    fn what_others_added_meanwhile_stays() {
        let before = [("user.name", "Me")];
        let mut environment = environment(&before);
        let numbers = add(&rules("http://h"), &mut environment);
        add(&[setting("https://inner/", "insteadOf", "https://h/")], &mut environment);
        remove("http://h", numbers, &mut environment);
        let expected: [(String, String); 2] =
            [("user.name".into(), "Me".into()), ("url.https://inner/.insteadOf".into(), "https://h/".into())];
        assert_eq!(pairs(&environment), expected);
    }

    #[test]
    fn numbers_that_do_not_exist_are_not_believed() {
        let before = [("user.name", "Me"), ("user.email", "me@h")];
        for numbers in [0..3, 5..7, 0..usize::MAX, usize::MAX - 1..usize::MAX] {
            let mut environment = environment(&before);
            remove("http://h", numbers.clone(), &mut environment);
            assert_eq!(pairs(&environment).len(), 2, "{numbers:?}");
        }
    }

    #[test]
    fn rules_that_redirect_to_the_server_are_removed_without_a_record_too() {
        let (server, other) = ("URL.http://h/git/h/lib.InsteadOf", "url.http://h2/git/h/lib.insteadOf");
        let mut environment = environment(&[(server, "https://h/lib"), (other, "https://h/lib")]);
        remove("http://h", 0..0, &mut environment);
        assert_eq!(pairs(&environment), [(other.to_owned(), "https://h/lib".to_owned())]);
        remove("http://h2", 0..0, &mut environment);
        assert_eq!(environment, Environment::new(), "nothing is left");
    }
}
