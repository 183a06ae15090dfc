//! The settings of git's own command line, as in `git -c hexmirror.branch=NAME hexmirror status`.

use super::{Git, GitSettings, Result};

/// The variable in which git hands its `-c` settings to the commands that it starts. Its form is git's own affair.
const PARAMETERS: &str = "GIT_CONFIG_PARAMETERS";

impl Git {
    /// Returns the settings of git's command line as `KEY=VALUE`, or `KEY` for one without a value, in their order.
    /// `parameters` is the value of `GIT_CONFIG_PARAMETERS`.
    ///
    /// # Errors
    /// Fails if git cannot be run, or did not write this value.
    pub fn command_line_settings(parameters: &str) -> Result<Vec<String>> {
        let git = Self::unchecked(GitSettings::default());
        let run = git.run_plain(&["config", "--list", "--null", "--show-scope"]).variable(PARAMETERS, parameters);
        // Settings that are given by these variables are read from them directly.
        let output = run.variable("GIT_CONFIG_COUNT", "0").output("list the settings of the command line")?;
        Ok(parse(&String::from_utf8_lossy(&output)))
    }
}

/// Reads what `git config --list --null --show-scope` prints: scope and setting in turns, each ended by NUL, with a line feed
/// between key and value.
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
