//! Plugins that need each other to be built.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::lock::Definition;

/// The maximum number of definitions that are noted. Those of real projects are some dozens.
const MAX_NOTED: usize = 10_000;
/// The maximum number of plugins of packages that are followed.
const MAX_FOLLOWED: usize = 200;

/// What is installed because of each definition.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// The dependencies and plugins of each definition, each with whether it is a plugin.
    of: BTreeMap<Definition, BTreeMap<Definition, bool>>,
    noted: usize,
}

impl Needs {
    /// Notes that a definition needs another one.
    pub fn add(&mut self, from: &Definition, to: &Definition, is_plugin: bool) {
        if self.noted < MAX_NOTED {
            self.noted += 1;
            *self.of.entry(from.clone()).or_default().entry(to.clone()).or_default() |= is_plugin;
        }
    }

    /// Returns the names of plugins that need themselves, through others or directly: each cycle once, beginning with the
    /// alphabetically first name. Cycles of dependencies alone are not among them.
    pub fn cycles(&self) -> BTreeSet<Vec<&str>> {
        let all =
            self.of.iter().flat_map(|(from, needed)| needed.iter().map(move |(to, is_plugin)| (from, to, *is_plugin)));
        let plugins = all.filter(|(.., is_plugin)| *is_plugin).take(MAX_FOLLOWED);
        let paths = plugins.filter_map(|(from, to, _)| self.path(to, from));
        paths.map(from_first_name).collect()
    }

    /// Returns the shortest path from one definition to another one.
    fn path<'a>(&'a self, from: &'a Definition, to: &Definition) -> Option<Vec<&'a Definition>> {
        let (mut before, mut next) = (BTreeMap::from([(from, None)]), VecDeque::from([from]));
        while let Some(reached) = next.pop_front() {
            if reached == to {
                let mut path: Vec<&Definition> = std::iter::successors(Some(reached), |at| before[*at]).collect();
                path.reverse();
                return Some(path);
            }
            for needed in self.of.get(reached).into_iter().flat_map(BTreeMap::keys) {
                before.entry(needed).or_insert_with(|| {
                    next.push_back(needed);
                    Some(reached)
                });
            }
        }
        None
    }
}

/// Returns the names of a cycle, beginning with the alphabetically first one.
fn from_first_name(cycle: Vec<&Definition>) -> Vec<&str> {
    let mut names: Vec<&str> = cycle.into_iter().map(|definition| definition.name.as_str()).collect();
    let first = names.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(index, _)| index);
    names.rotate_left(first);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycles(needs: &[(&str, &str)]) -> Vec<String> {
        let definition = |name: &str| Definition::of_text(name).unwrap();
        let mut all = Needs::default();
        for (from, to) in needs {
            all.add(&definition(from), &definition(to.trim_start_matches('+')), to.starts_with('+'));
        }
        all.cycles().into_iter().map(|cycle| cycle.join(" ")).collect()
    }

    #[test]
    fn each_cycle_with_a_plugin_is_found_once() {
        assert_eq!(cycles(&[("b", "+a"), ("a", "+b")]), ["a b"]);
        assert_eq!(cycles(&[("a", "+a")]), ["a"]);
        assert_eq!(cycles(&[("c", "+b"), ("b", "a"), ("a", "+c"), ("a", "+d"), ("d", "e")]), ["a c b"]);
        assert_eq!(cycles(&[("a", "b"), ("b", "a"), ("c", "+a")]), [""; 0], "these are dependencies");
        assert_eq!(cycles(&[("a 2.0.0", "+b"), ("b", "+a 1.0.0")]), [""; 0], "another version need not need it");
    }

    #[test]
    fn many_plugins_end() {
        let names: Vec<String> = (0..60).map(|number| format!("p{number}")).collect();
        let pairs = names.iter().flat_map(|from| names.iter().map(move |to| (from.as_str(), format!("+{to}"))));
        let pairs: Vec<(&str, String)> = pairs.collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(from, to)| (*from, to.as_str())).collect();
        assert!(!cycles(&pairs).is_empty());
    }
}
