//! `doctor`

use git_hexmirror::ops::{self, Advice, Finding};
use serde_json::json;

use super::{hooks, version};
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{CHANGED, DIM, GOOD, Text, styled};
use crate::report::{self, NOT_FRESH};
use crate::session::Session;

/// Check the setup of this clone, and name the command for what needs doing
///
/// Looks at hooks, branches, remotes, settings, clients, leftover variables and disk use. Shows what is fine, and for everything else the command that fixes it. Exits with 1 if something needs doing. Contacts no other
/// machine, so it knows remotes as they were last fetched.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.quiet_project()?;
    let found = ops::doctor(&project, &hooks::binary()?);
    let number = found.iter().filter(|finding| finding.advice.is_some()).count();
    if arguments.json.json {
        let document = json!({
            "ok": number == 0,
            "version": version::own(),
            "findings": found.iter().map(document).collect::<Vec<_>>(),
        });
        session.output.json(&document).map_err(CommandError::Print)?;
    } else {
        print(session, &found, number).map_err(CommandError::Print)?;
    }
    Ok(if number == 0 { 0 } else { NOT_FRESH })
}

fn document(finding: &Finding) -> serde_json::Value {
    let advice = finding.advice.as_ref();
    json!({
        "topic": finding.topic.as_str(),
        "state": if advice.is_some() { "todo" } else { "ok" },
        "text": finding.text,
        "do": advice.map(advised),
    })
}

fn print(session: &Session, found: &[Finding], number: usize) -> std::io::Result<()> {
    let output = &session.output;
    output.result(styled(DIM, format!("git-hexmirror {}", version::own())))?;
    let mut topic = "";
    for finding in found {
        let name = finding.topic.as_str();
        // The name of a topic is shown once.
        let shown = if name == topic { "" } else { name };
        topic = name;
        let mark = if finding.advice.is_some() { styled(CHANGED, "to do") } else { styled(GOOD, "ok   ") };
        output.result(Text::from(format!("{shown:12} ")) + mark + format!("  {}", finding.text))?;
        if let Some(advice) = &finding.advice {
            output.result(Text::from(" ".repeat(20)) + styled(CHANGED, "→ ") + advised(advice))?;
        }
    }
    match number {
        0 => output.say(styled(GOOD, "nothing needs doing")),
        1 => output.say(styled(CHANGED, "1 thing needs doing")),
        number => output.say(styled(CHANGED, format!("{number} things need doing"))),
    }
    Ok(())
}

fn advised(advice: &Advice) -> String {
    match advice {
        Advice::Run(command) => format!("run `{command}`"),
        Advice::Do(action) => action.clone(),
        Advice::Resolve(error) => report::hint(error).unwrap_or_else(|| "resolve this error".to_owned()),
    }
}
