//! The graph of which source file imports which, and the circles in it.

use std::collections::{BTreeMap, BTreeSet};

use super::source;

/// The module paths of a crate's files, each with its sources.
pub type Sources = BTreeMap<Vec<String>, String>;

/// The imports of each module.
pub type Graph = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

/// The re-exports of each module: a name, and the path that it stands for.
type Exports = BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>;

/// The maximum number of re-exports that lead to one definition.
const MAX_STEPS: usize = 8;

/// Returns which module imports which. A re-export is not an import of the file that contains it: a path through one
/// leads to the file that defines the name.
pub fn graph(sources: &Sources) -> Graph {
    let (mut exports, mut used) = (Exports::new(), BTreeMap::new());
    for (module, text) in sources {
        let words = source::without_tests(&source::words(text));
        let (public, own) = split(&words);
        let names: Vec<&str> = module.iter().map(String::as_str).collect();
        let named = source::paths(&public, &names).into_iter().filter_map(|path| {
            let path = within(path, module, sources)?;
            Some((path.last()?.clone(), path))
        });
        exports.insert(module.clone(), named.collect());
        used.insert(module, source::paths(&own, &names));
    }
    let imports = |module: &Vec<String>, paths: BTreeSet<Vec<String>>| {
        let targets = paths.into_iter().filter_map(|path| defining(within(path, module, sources)?, &exports, sources));
        targets.filter(|target| target != module).collect()
    };
    used.into_iter().map(|(module, paths)| (module.clone(), imports(module, paths))).collect()
}

/// Separates the words of `pub use …;` from all others.
fn split(words: &[String]) -> (source::Words, source::Words) {
    let (mut public, mut own, mut at) = (Vec::new(), Vec::new(), 0);
    while at < words.len() {
        let end = match words[at].as_str() {
            "pub" => at + 1 + visibility(&words[at + 1..]),
            _ => words.len(),
        };
        if words.get(end).is_some_and(|word| word == "use") {
            let length = words[end..].iter().take_while(|word| *word != ";").count();
            public.extend_from_slice(&words[end..end + length]);
            at = end + length;
        } else {
            own.push(words[at].clone());
            at += 1;
        }
    }
    (public, own)
}

/// Returns the length of `(super)` or `(in path)` after `pub`.
fn visibility(words: &[String]) -> usize {
    match words.first().map(String::as_str) {
        Some("(") => words.iter().position(|word| word == ")").map_or(0, |end| end + 1),
        _ => 0,
    }
}

/// Returns a path without `crate`, if it leads into the crate: from its root, or to a child of the module.
fn within(path: Vec<String>, module: &[String], sources: &Sources) -> Option<Vec<String>> {
    if path.first().is_some_and(|first| first == "crate") {
        return Some(path[1..].to_vec());
    }
    let child = [module, &path[..1]].concat();
    sources.contains_key(&child).then(|| [module, &path[..]].concat())
}

/// Returns the file that defines what a path names.
fn defining(mut path: Vec<String>, exports: &Exports, sources: &Sources) -> Option<Vec<String>> {
    for _ in 0..MAX_STEPS {
        let length = (1..=path.len()).rev().find(|length| sources.contains_key(&path[..*length]))?;
        let name = path.get(length).cloned();
        let exported = name.and_then(|name| exports.get(&path[..length])?.get(&name).cloned());
        match exported {
            Some(exported) => path = [&exported[..], &path[length + 1..]].concat(),
            None => return Some(path[..length].to_vec()),
        }
    }
    None
}

/// Returns the circles: sets of modules that all import each other, directly or through others.
pub fn circles(graph: &Graph) -> Vec<BTreeSet<Vec<String>>> {
    let reached: BTreeMap<_, _> = graph.keys().map(|module| (module, reachable(module, graph))).collect();
    let with = |module: &Vec<String>| -> BTreeSet<Vec<String>> {
        let back = |other: &&Vec<String>| reached.get(other).is_some_and(|reached| reached.contains(module));
        reached[module].iter().filter(back).cloned().collect()
    };
    let circles: BTreeSet<_> = graph.keys().map(with).filter(|circle| !circle.is_empty()).collect();
    circles.into_iter().collect()
}

fn reachable(from: &[String], graph: &Graph) -> BTreeSet<Vec<String>> {
    let (mut found, mut next) = (BTreeSet::new(), vec![from.to_vec()]);
    while let Some(module) = next.pop() {
        let new = graph.get(&module).into_iter().flatten().filter(|import| !found.contains(*import));
        let new: Vec<_> = new.cloned().collect();
        found.extend(new.iter().cloned());
        next.extend(new);
    }
    found
}
