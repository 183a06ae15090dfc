//! The variables that make unmodified clients ask this server.

/// One change of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The variable's name.
    pub name: &'static str,
    /// Its value; `None` where it must not be set at all.
    pub value: Option<String>,
}

/// Returns what has to be set and unset so that clients ask the server at `base_url` (no slash at its end).
///
/// `existing` reads a variable of the environment that the clients would otherwise see.
pub fn environment(base_url: &str, existing: impl Fn(&str) -> Option<String>) -> Vec<Variable> {
    let _ = (base_url, existing);
    todo!()
}

/// How variables are written for another program to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `export NAME='value'` and `unset NAME`, for `eval "$(…)"` in a POSIX shell.
    Shell,
    /// `NAME="value"`, for dotenv readers.
    Dotenv,
    /// `NAME=value` with nothing quoted, for `docker run --env-file`.
    Docker,
    /// `NAME=value`, to be appended to the file that `$GITHUB_ENV` names.
    Github,
    /// An object with a string or null for each name.
    Json,
}

/// Writes the variables in a format; ends with a line break.
pub fn format(variables: &[Variable], format: Format) -> String {
    let _ = (variables, format);
    todo!()
}
