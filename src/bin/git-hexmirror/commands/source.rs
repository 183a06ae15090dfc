//! `diff --source`

use std::io::{IsTerminal, stdout};

use git_hexmirror::ops::{self, Between, Printing, Project, SourceDiff};
use git_hexmirror::plan::{LockChange, Locked};

use super::{CommandError, changes};
use crate::cli::Color;
use crate::output::{BAD, Output, Text, styled};

/// What a difference of sources comes to.
pub struct Shown {
    pub changed: bool,
    pub complete: bool,
}

/// Shows the difference of the sources of dependencies.
pub fn run(
    output: &Output,
    project: &Project,
    between: Option<Between>,
    packages: &[String],
    stat: bool,
) -> Result<Shown, CommandError> {
    let named = between.is_some();
    let between = between.map_or_else(|| Between::head_and_worktree(project), Ok)?;
    let diff = ops::source_diff(project, between, packages, stat)?;
    say(output, &diff, named);
    diff.print(project, Printing { color: color(output), terminal: stdout().is_terminal() })?;
    lacks(output, &diff);
    Ok(Shown { changed: diff.changed, complete: diff.lacking.is_empty() })
}

/// Says what is not shown, and why.
fn say(output: &Output, diff: &SourceDiff, named: bool) {
    let (before, after) = (diff.between.before.shown(), diff.between.after.shown());
    if !diff.changed && diff.unchanged.is_empty() {
        output.say(format!("no dependency changed between {before} and {after}"));
    }
    for package in &diff.unchanged {
        output.say(format!("{package} did not change between {before} and {after}"));
    }
    if !diff.changed && !named {
        output.say("name two commits to see what changed between them: git hexmirror diff --source REV..REV");
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
            output.say(format!("{word}, shown where named: {}", list.join(", ")));
        }
    }
    for change in &diff.same_code {
        output.say(Text::from("the code is the same: ") + changes::described(change));
    }
    for change in &diff.unmirrored {
        let side = |locked: Option<&Locked>| locked.map_or_else(|| "nothing".to_owned(), changes::shown);
        let (before, after) = (side(change.before()), side(change.after()));
        let name = change.name();
        output.say(format!("not mirrored, so not shown: {name} {before} → {after}"));
    }
}

fn lacks(output: &Output, diff: &SourceDiff) {
    for locked in &diff.lacking {
        let what = changes::named(locked);
        output.always(styled(BAD, "error:") + format!(" the mirror has {what} neither now nor in its history"));
    }
    if !diff.lacking.is_empty() {
        output.always(
            "hint: run `git hexmirror update` with the lock that pins it (git worktree add ../there REV); the history that had \
             it may have gone with `git hexmirror compact`, or be cut short here (`git fetch --unshallow`)",
        );
    }
}

/// Returns whether git is to colour; `None` leaves it to git's own settings.
fn color(output: &Output) -> Option<bool> {
    match output.choice {
        Color::Always => Some(true),
        Color::Never => Some(false),
        Color::Auto => std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()).then_some(false),
    }
}
