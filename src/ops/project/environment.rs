//! The environment that the program runs in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::serve::environment::{Access, OuterServer, Variable, environment, restoration};

/// The part of the process environment that the library may see.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The environment variables with valid Unicode values.
    pub variables: BTreeMap<String, String>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// The server of an outer `run`, `shell` or `env`.
    pub(in crate::ops) outer: OuterServer,
    /// The changes that led from the process's environment to `variables`.
    restored: Vec<Variable>,
}

impl Environment {
    /// Creates the environment from the process's variables. If they direct clients to a server of this program, the
    /// variables of before are restored.
    pub fn new(mut variables: BTreeMap<String, String>, home: Option<PathBuf>) -> Self {
        let existing = |name: &str| variables.get(name).cloned();
        let (outer, restored) = (OuterServer::of_environment(existing), restoration(existing));
        for Variable { name, value } in &restored {
            match value {
                Some(value) => variables.insert(name.to_string(), value.clone()),
                None => variables.remove(&**name),
            };
        }
        Self { variables, home, outer, restored }
    }

    /// Returns the changes to the process's environment that make clients use a server.
    pub fn directed_to(&self, access: &Access) -> Vec<Variable> {
        let changes = environment(access, |name| self.variables.get(name).cloned());
        let is_replaced = |restored: &&Variable| changes.iter().any(|change| change.name == restored.name);
        let restored: Vec<_> = self.restored.iter().filter(|restored| !is_replaced(restored)).cloned().collect();
        restored.into_iter().chain(changes).collect()
    }

    /// Returns the changes to the process's environment after which clients no longer use the server of an outer
    /// `run`, `shell` or `env`.
    pub fn restored(&self) -> &[Variable] {
        &self.restored
    }

    /// Returns a variable's value. An empty value counts as unset.
    pub fn get(&self, name: &str) -> Option<String> {
        self.variables.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// Returns the value of the first of these variables that is set.
    pub fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.get(name))
    }
}
