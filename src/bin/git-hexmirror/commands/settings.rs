//! `status --settings`

use git_hexmirror::config::{FILE, SettingValue, Standing};
use git_hexmirror::model::redacted;
use git_hexmirror::ops::{self, ListedSetting, Origin};
use serde_json::{Value, json};

use crate::outcome::{CommandError, Outcome};
use crate::output::{DIM, Text, styled};
use crate::session::Session;

pub fn run(session: &Session, json: bool) -> Outcome {
    let project = session.project()?;
    let settings = ops::settings(&project)?;
    if json {
        let document = json!({ "settings": settings.iter().map(document).collect::<Vec<_>>() });
        session.output.json(&document).map_err(CommandError::Print)?;
        return Ok(0);
    }
    let origins: Vec<String> = settings.iter().map(|listed| listed.origin.to_string()).collect();
    let width = origins.iter().map(|origin| origin.chars().count()).max().unwrap_or_default();
    for (listed, origin) in settings.iter().zip(origins) {
        let setting = &listed.setting;
        let line = format!("{origin:width$}  {}={}", setting.name(), quoted(&setting.value()));
        let line = match listed.standing {
            Standing::Active | Standing::Allowed => Text::from(line),
            standing => styled(DIM, format!("{line} ({})", standing_word(standing))),
        };
        session.output.result(line).map_err(CommandError::Print)?;
    }
    Ok(0)
}

fn document(listed: &ListedSetting) -> Value {
    let origin = match &listed.origin {
        Origin::Flag(name) => json!({ "kind": "flag", "name": name }),
        Origin::Variable(name) => json!({ "kind": "environment", "name": name }),
        Origin::Git { scope, file } => json!({ "kind": "git", "scope": scope, "file": file }),
        Origin::Hex => json!({ "kind": "hex" }),
        Origin::Tracked => json!({ "kind": "tracked", "file": FILE }),
        Origin::Default => json!({ "kind": "default" }),
    };
    json!({
        "name": listed.setting.name(),
        "value": value(&listed.setting.value()),
        "origin": origin,
        "state": standing_word(listed.standing),
    })
}

/// Returns a value for a document, without the password of an address.
pub fn value(value: &SettingValue) -> Value {
    match value {
        SettingValue::Text(text) => json!(redacted(text)),
        SettingValue::Number(number) => json!(number),
        SettingValue::Boolean(value) => json!(value),
        SettingValue::List(values) => json!(values),
    }
}

/// Writes a value for people, without the password of an address.
pub fn quoted(value: &SettingValue) -> String {
    match value {
        SettingValue::Text(text) => format!("{:?}", redacted(text)),
        SettingValue::List(values) => format!("{values:?}"),
        SettingValue::Number(_) | SettingValue::Boolean(_) => value.to_string(),
    }
}

/// Returns the word for the standing of a setting.
pub fn standing_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Active => "active",
        Standing::Allowed => "allowed",
        Standing::Inactive => "inactive",
        Standing::Overridden => "overridden",
    }
}
