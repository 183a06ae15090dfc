//! Reads the settings of git's own command line, as in `git -c hexmirror.branch=NAME hexmirror status`.

use super::{Git, GitSettings, Result};

/// The variable in which git passes `-c` settings to its child processes. Its format is internal to git.
const PARAMETERS: &str = "GIT_CONFIG_PARAMETERS";

impl Git {
    /// Returns the settings of git's command line in order, as `KEY=VALUE`, or as `KEY` for a setting without a value.
    /// `parameters` is the value of `GIT_CONFIG_PARAMETERS`.
    ///
    /// # Errors
    /// Fails if git cannot be run, or if the value was not written by git.
    pub fn command_line_settings(parameters: &str) -> Result<Vec<String>> {
        let git = Self::unchecked(GitSettings::default());
        let run = git.run_plain(&["config", "--list", "--null", "--show-scope"]).variable(PARAMETERS, parameters);
        // The settings from `GIT_CONFIG_COUNT` and its companions are read directly elsewhere.
        let output = run.variable("GIT_CONFIG_COUNT", "0").output("list the settings of the command line")?;
        Ok(parse(&String::from_utf8_lossy(&output)))
    }
}

/// Parses the output of `git config --list --null --show-scope`: scope and setting alternate, each terminated by NUL,
/// with a line feed between key and value.
fn parse(printed: &str) -> Vec<String> {
    let mut fields = printed.split_terminator('\0');
    let pairs = std::iter::from_fn(|| Some((fields.next()?, fields.next()?)));
    pairs.filter(|(scope, _)| *scope == "command").map(|(_, setting)| setting.replacen('\n', "=", 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn only_the_settings_of_the_command_line_are_returned() {
        let printed = "global\0user.name\nx\0command\0a.b\nc=d\ne\0command\0a.empty\n\0command\0a.none\0";
        assert_eq!(parse(printed), ["a.b=c=d\ne", "a.empty=", "a.none"]);
    }
}
