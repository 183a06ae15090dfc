//! What the commands of a server's `/env` record in the environment, and how it is restored.
//!
//! A shell cannot write previous values as JSON, and it must recognise itself what someone changed since then. So it records
//! the previous value of each variable that it changes in one whose name is `HEXMIRROR_BEFORE_` and that of the variable, and
//! the new one in `HEXMIRROR_SET_` and the name. Either is `=` and the value, or says that the variable is unset: `-`, or without a record of its own.
//! The variables of an outer `run`, `shell` or `env`, its record included, are recorded like any others.

use super::git_config;
use super::outer_server::{OuterServer, SERVER};
use super::record::{PREVIOUS, Previous, RECORDED};
use super::variable::Variable;

/// Begins the names of the variables with previous values.
pub(super) const BEFORE: &str = "HEXMIRROR_BEFORE_";
/// Begins the names of the variables with the values that replaced them.
pub(super) const SET: &str = "HEXMIRROR_SET_";

/// Returns the variables that may be recorded.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    RECORDED.into_iter().chain([SERVER, PREVIOUS])
}

/// Returns the changes that restore the environment of before the commands. A variable that someone has changed since then
/// is not restored.
pub(super) fn restoration(existing: &impl Fn(&str) -> Option<String>) -> Vec<Variable> {
    let set = |name: &str| existing(&format!("{SET}{name}"));
    let recorded: Vec<&str> = names().filter(|name| set(name).is_some()).collect();
    if recorded.is_empty() {
        return Vec::new();
    }
    let unchanged =
        recorded.iter().filter(|name| set(name).is_some_and(|set| value(&set) == existing(name).as_deref()));
    let restored = unchanged.map(|&name| {
        let before = existing(&format!("{BEFORE}{name}"));
        match before.as_deref().and_then(value) {
            Some(value) => Variable::restored(name, value.to_owned()),
            None => Variable::unset(name),
        }
    });
    let records = recorded.iter().flat_map(|name| [BEFORE, SET].map(|begin| format!("{begin}{name}")));
    let records = records.filter(|name| existing(name).is_some()).map(Variable::unset);
    let server = OuterServer::of_environment(existing);
    let effective = |name: &str| existing(name).filter(|value| !value.is_empty());
    let own = existing(PREVIOUS).and_then(|text| Previous::parse(&text)).unwrap_or_default();
    let of_git = git_config::removed(&server, own.git_config, &effective);
    restored.chain(of_git).chain(records).collect()
}

/// Returns the recorded value. `None` if the variable was unset.
fn value(record: &str) -> Option<&str> {
    record.strip_prefix('=')
}
