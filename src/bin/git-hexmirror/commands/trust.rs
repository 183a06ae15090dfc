//! `trust`

use git_hexmirror::config::{FILE, Judged, KeySetting, Setting, Standing, is_folder};
use git_hexmirror::hex::registry::PublicKey;
use git_hexmirror::model::count;
use git_hexmirror::ops::{self, Allowance, Project};
use serde_json::{Value, json};

use super::settings::{quoted, standing_word};
use crate::options::Json;
use crate::outcome::{CommandError, Outcome};
use crate::output::{BOLD, CHANGED, DIM, GOOD, Output, Text, styled};
use crate::session::Session;

/// Show the settings of .hexmirror.toml that need your permission, or allow them
///
/// Every branch that you check out can change this file. Settings that only describe the project are active immediately: locks,
/// limits, a mirror branch whose name starts with hexmirror, and repositories that you have not configured. Settings that decide
/// whom to trust, or that make a hook act, are inactive until you allow them: another URL or key for hexpm or for a repository
/// that you have configured, hooks that pull or update, any other mirror branch, and fewer days to keep than the default.
///
/// If a lock needs a repository that only this file describes, hooks do not fetch for it until you allow these settings.
///
/// Without an option, this command changes nothing. The hash covers exactly the settings shown and the key files that they
/// name. If one of them changes, all of them become inactive again. In CI, set the environment variable HEXMIRROR_TRUST to the
/// hash. Your own settings and your Hex configuration always take precedence.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Allow the settings: record their hash in this repository's git configuration (hexmirror.trust)
    #[arg(long, conflicts_with = "revoke")]
    yes: bool,
    /// Remove all recorded hashes
    #[arg(long)]
    revoke: bool,
    #[command(flatten)]
    json: Json,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let mut project = session.quiet_project()?;
    let (mut recorded, mut removed) = (false, 0);
    if arguments.yes {
        recorded = ops::allow(&project)?;
    } else if arguments.revoke {
        removed = ops::revoke(&project)?;
    }
    if recorded || removed > 0 {
        project = session.quiet_project()?;
    }
    let allowance = ops::allowance(&project)?;
    if arguments.json.json {
        session.output.json(&document(&project, allowance)).map_err(CommandError::Print)?;
        return Ok(0);
    }
    let output = &session.output;
    if arguments.revoke {
        output.say(match removed {
            0 => "nothing to revoke: this clone has no recorded permission".to_owned(),
            number => format!("removed {}", count(number, "recorded hash", "recorded hashes")),
        });
    }
    print(output, &project, allowance, recorded).map_err(CommandError::Print)?;
    Ok(0)
}

fn covered(project: &Project) -> impl Iterator<Item = &Judged> {
    project.tracked.settings.iter().filter(|judged| judged.is_covered)
}

fn print(output: &Output, project: &Project, allowance: Allowance, recorded: bool) -> std::io::Result<()> {
    let Some(hash) = project.tracked.hash else {
        return output.result(format!("{FILE} has no setting that needs your permission"));
    };
    for judged in covered(project) {
        let standing = match judged.standing {
            Standing::Inactive => styled(CHANGED, "inactive"),
            Standing::Active => styled(CHANGED, "active, but not for hooks"),
            standing => styled(GOOD, standing_word(standing)),
        };
        let setting = format!("{} = {} (", judged.setting.name(), quoted(&judged.setting.value()));
        output.result(Text::from(setting) + standing + ")")?;
        output.result(styled(DIM, format!("    {}", effect(&judged.setting))))?;
    }
    output.result(format!("hash: {hash}"))?;
    if recorded {
        output.say(styled(GOOD, "allowed") + " these settings in this repository");
    } else if allowance.recorded || allowance.in_environment {
        let by = if allowance.recorded { "git's setting hexmirror.trust" } else { "HEXMIRROR_TRUST" };
        output.say(format!("{by} allows these settings"));
    } else {
        if allowance.has_others {
            output.say("the settings or key files have changed since you allowed them");
        }
        output.say(
            styled(BOLD, "hint:")
                + format!(
                    " if you trust the author, run `git hexmirror trust --yes`; in CI, set HEXMIRROR_TRUST={hash}"
                ),
        );
    }
    Ok(())
}

fn document(project: &Project, allowance: Allowance) -> Value {
    let setting = |judged: &Judged| {
        json!({
            "name": judged.setting.name(),
            "value": super::settings::value(&judged.setting.value()),
            "signer": signer(&judged.setting).ok(),
            "state": standing_word(judged.standing),
            "effect": effect(&judged.setting),
        })
    };
    json!({
        "file": FILE,
        "hash": project.tracked.hash.map(|hash| hash.to_string()),
        "allowed": allowance.recorded || allowance.in_environment,
        "recorded": allowance.recorded,
        "settings": covered(project).map(setting).collect::<Vec<_>>(),
    })
}

/// Describes the effect of a setting.
fn effect(setting: &Setting) -> String {
    match setting {
        Setting::Branch(name) => format!("the mirror is stored, pushed and pulled as the branch {name:?}"),
        Setting::PostCheckout(_) => {
            "each checkout, merge or rebase may fetch from remotes or upstream and change the mirror".to_owned()
        }
        Setting::MaxAge(_) => {
            "`git hexmirror status` says later than by default, or never, that registry entries are old".to_owned()
        }
        Setting::KeepDays(_) => "`git hexmirror prune` keeps less than by default".to_owned(),
        Setting::NoVerifyRepoOrigin(_) => {
            "registry entries and policies are accepted that name another repository than the one they come from"
                .to_owned()
        }
        Setting::Url(repository, url) if is_folder(url) => {
            format!("packages of {repository} are read from this folder on your machine")
        }
        Setting::Url(repository, _) => {
            format!("packages of {repository} are fetched from this URL, without your keys")
        }
        Setting::PublicKey(repository, key) => {
            let file = if matches!(key, KeySetting::Pem(_)) { "this key" } else { "the key in this file" };
            let signer = signer(setting).unwrap_or_else(|problem| problem);
            format!("registry entries of {repository} are accepted if they are signed with {file} ({signer})")
        }
        Setting::InternalHosts(_) => {
            "files are fetched from these hosts, also if they are in your private network, and by http".to_owned()
        }
        // These need no permission.
        Setting::Locks(_)
        | Setting::Extra(_)
        | Setting::Jobs(_)
        | Setting::Timeout(_)
        | Setting::Opaque(_)
        | Setting::Submodules(_) => String::new(),
        Setting::Policies(_)
        | Setting::Downloads(_)
        | Setting::Git(_)
        | Setting::Tools(_)
        | Setting::Artefacts(_)
        | Setting::Docs(_)
        | Setting::AssetTools(_)
        | Setting::NpmKeys(_)
        | Setting::Shallow(_)
        | Setting::PrePush(_)
        | Setting::KeepTags(_)
        | Setting::Signer(..) => String::new(),
    }
}

/// Returns the fingerprint of the key that a setting gives, or why it cannot be used.
fn signer(setting: &Setting) -> Result<String, String> {
    let pem = match setting {
        Setting::PublicKey(_, KeySetting::Pem(text)) => text.clone(),
        Setting::PublicKey(_, KeySetting::Tracked { content: Ok(content), .. }) => {
            String::from_utf8_lossy(content).into_owned()
        }
        Setting::PublicKey(_, KeySetting::Tracked { content: Err(problem), .. }) => return Err(problem.clone()),
        _ => return Err(String::new()),
    };
    let key = PublicKey::from_pem(&pem).map_err(|error| error.to_string())?;
    Ok(key.fingerprint().to_string())
}
