//! What `doctor` found, and what needs doing.

use crate::ops::OpError;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// The system's git.
    Git,
    /// The Hex client, rebar3 and gleam.
    Clients,
    /// The locks in force.
    Locks,
    /// The mirror branch, and those of remotes as last fetched.
    Mirror,
    /// The remotes of the project.
    Remotes,
    /// The hooks.
    Hooks,
    /// The settings that differ from the defaults.
    Settings,
    /// The Hex repositories that `update` asks.
    Upstream,
    /// The variables and git settings that lead clients to a mirror.
    Environment,
    /// The disk space that the mirror takes.
    Disk,
}

impl Topic {
    /// Returns the word for this topic in the output and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Clients => "clients",
            Self::Locks => "locks",
            Self::Mirror => "mirror",
            Self::Remotes => "remotes",
            Self::Hooks => "hooks",
            Self::Settings => "settings",
            Self::Upstream => "upstream",
            Self::Environment => "environment",
            Self::Disk => "disk",
        }
    }
}

/// Something that was found.
#[derive(Debug)]
pub struct Finding {
    /// What it is about.
    pub topic: Topic,
    /// What was found, in one line, without credentials.
    pub text: String,
    /// What needs doing, if anything does.
    pub advice: Option<Advice>,
}

/// What needs doing.
#[derive(Debug)]
pub enum Advice {
    /// Run a command.
    Run(String),
    /// Do something else, as an imperative sentence.
    Do(String),
    /// Resolve an error, as its hint says.
    Resolve(OpError),
}

impl Finding {
    pub(super) fn good(topic: Topic, text: impl Into<String>) -> Self {
        Self { topic, text: text.into(), advice: None }
    }

    pub(super) fn run(topic: Topic, text: impl Into<String>, command: impl Into<String>) -> Self {
        Self { topic, text: text.into(), advice: Some(Advice::Run(command.into())) }
    }

    pub(super) fn act(topic: Topic, text: impl Into<String>, action: impl Into<String>) -> Self {
        Self { topic, text: text.into(), advice: Some(Advice::Do(action.into())) }
    }

    pub(super) fn error(topic: Topic, error: OpError) -> Self {
        Self { topic, text: error.with_causes(), advice: Some(Advice::Resolve(error)) }
    }
}
