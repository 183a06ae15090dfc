//! `diff --source`

use std::io::{IsTerminal, stdout};

use git_hexmirror::ops::{self, ComparedStates, Printing, Project, SourceDiff};
use git_hexmirror::plan::{LockChange, Locked};

use super::changes;
use crate::options::Color;
use crate::outcome::CommandError;
use crate::output::{BAD, Output, Text, styled};

/// The outcome of a comparison of sources.
pub struct Shown {
    pub changed: bool,
    /// Whether the mirror had both sides of every change.
    pub complete: bool,
}

/// Shows the difference of the sources of dependencies.
pub fn run(
    output: &Output,
    project: &Project,
    between: Option<ComparedStates>,
    packages: &[String],
    stat: bool,
) -> Result<Shown, CommandError> {
    let named = between.is_some();
    let between = between.map_or_else(|| ComparedStates::head_and_worktree(project), Ok)?;
    let diff = ops::source_diff(project, between, packages, stat)?;
    say(output, &diff, named);
    diff.print(project, Printing { color: color(output), terminal: stdout().is_terminal() })?;
    lacks(output, &diff);
    Ok(Shown { changed: diff.changed, complete: diff.lacking.is_empty() })
}

/// Prints what the comparison does not show, and why.
fn say(output: &Output, diff: &SourceDiff, named: bool) {
    let (before, after) = (diff.between.before.shown(), diff.between.after.shown());
    if !diff.changed && diff.unchanged.is_empty() {
        output.say(format!("no dependency changed between {before} and {after}"));
    }
    for package in &diff.unchanged {
        output.say(format!("{package} did not change between {before} and {after}"));
    }
    if !diff.changed && !named {
        output.say("to compare two commits, run `git hexmirror diff --source REV..REV`");
    }
    let of_kind = |is: fn(&LockChange) -> bool| {
        let locked = diff.passed_over.iter().filter(|change| is(change));
        locked.filter_map(|change| change.before().or(change.after())).map(changes::named).collect::<Vec<_>>()
    };
    for (word, list) in [
        ("added", of_kind(|change| change.before().is_none())),
        ("removed", of_kind(|change| change.after().is_none())),
    ] {
        if !list.is_empty() {
            output.say(format!("{word} (name the package to see its source): {}", list.join(", ")));
        }
    }
    for change in &diff.same_code {
        output.say(Text::from("same source: ") + changes::described(change));
    }
    for change in &diff.unmirrored {
        let side = |locked: Option<&Locked>| locked.map_or_else(|| "nothing".to_owned(), changes::shown);
        let (before, after) = (side(change.before()), side(change.after()));
        let name = change.name();
        output.say(format!("not shown, because it is not mirrored: {name} {before} → {after}"));
    }
}

fn lacks(output: &Output, diff: &SourceDiff) {
    for locked in &diff.lacking {
        let what = changes::named(locked);
        output.always(styled(BAD, "error:") + format!(" neither the mirror nor its history has {what}"));
    }
    if diff.is_behind {
        output.always("hint: run `git hexmirror update` first: the mirror does not have what the locks pin now");
    } else if !diff.lacking.is_empty() {
        output.always(
            "hint: check out the lock that pins it (git worktree add ../old REV) and run `git hexmirror update` there; \
             `git hexmirror compact` may have removed it from the history, or this clone may be shallow (`git fetch --unshallow`)",
        );
    }
}

/// Returns whether git should use colors; `None` leaves it to git's own configuration.
fn color(output: &Output) -> Option<bool> {
    match output.choice {
        Color::Always => Some(true),
        Color::Never => Some(false),
        Color::Auto => std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()).then_some(false),
    }
}
