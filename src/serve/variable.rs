//! A change to the environment of clients.

use std::borrow::Cow;

/// A change to one environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The variable's name.
    pub name: Cow<'static, str>,
    /// Its value. `None` if the variable must be unset.
    pub value: Option<String>,
}

impl Variable {
    /// Sets a variable. Removes control characters, so that the value fits on one line.
    pub(super) fn set(name: impl Into<Cow<'static, str>>, value: &str) -> Self {
        Self { name: name.into(), value: Some(value.replace(char::is_control, "")) }
    }

    /// Sets a variable to a value that the user gave it before, whatever it contains.
    pub(super) fn restored(name: impl Into<Cow<'static, str>>, value: String) -> Self {
        Self { name: name.into(), value: Some(value) }
    }

    /// Unsets a variable.
    pub(super) fn unset(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), value: None }
    }
}
