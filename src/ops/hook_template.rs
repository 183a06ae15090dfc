//! Installs the hooks into git's template, from which every new clone on this machine gets them.

use std::fs;
use std::path::{Path, PathBuf};

use super::hooks::changed;
use super::{Environment, OpError, Result};
use crate::git::Git;
use crate::hook::Hook;
use crate::hook::install::HooksDir;

/// The setting for the folder whose contents git copies into new repositories.
const SETTING: &str = "init.templateDir";

/// The hooks in git's template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateHooks {
    /// Their folder.
    pub folder: PathBuf,
    /// The hooks that changed.
    pub changed: Vec<Hook>,
}

/// Installs the hooks into the template folder of the user's settings. Creates a folder and sets it if there is none.
///
/// # Errors
/// Fails if a file or the setting cannot be written.
pub fn install_template(environment: &Environment, binary: &Path) -> Result<TemplateHooks> {
    let configured = Git::user_path(SETTING)?;
    let template = match &configured {
        Some(template) => template.clone(),
        None => own_template(environment)?,
    };
    let hooks = HooksDir::new(template.join("hooks"), binary).in_template();
    let changed = changed(Hook::ALL, |hook| Ok(hooks.install(hook)?))?;
    if configured.is_none() {
        // git's own template has this file, to which other programs append.
        let exclude = template.join("info/exclude");
        let written = fs::create_dir_all(template.join("info")).and_then(|()| fs::write(&exclude, ""));
        written.map_err(|source| OpError::Machine { action: "write", path: exclude, source })?;
        Git::set_user_setting(SETTING, Some(&template.display().to_string()))?;
    }
    Ok(TemplateHooks { folder: hooks.folder().to_owned(), changed })
}

/// Removes the hooks from the template folder. Removes the setting too if this program created the folder.
///
/// # Errors
/// Fails if a file or the setting cannot be written.
pub fn uninstall_template(environment: &Environment, binary: &Path) -> Result<TemplateHooks> {
    let own = own_template(environment)?;
    let configured = Git::user_path(SETTING)?;
    let template = configured.clone().unwrap_or_else(|| own.clone());
    let hooks = HooksDir::new(template.join("hooks"), binary).in_template();
    let changed = changed(Hook::ALL, |hook| Ok(hooks.uninstall(hook)?))?;
    if configured.as_ref() == Some(&own) && remove_own(&own) {
        Git::set_user_setting(SETTING, None)?;
    }
    Ok(TemplateHooks { folder: hooks.folder().to_owned(), changed })
}

/// Removes the template folder that this program created. Returns whether it is gone: it stays if the user added files.
fn remove_own(template: &Path) -> bool {
    let exclude = template.join("info/exclude");
    if exclude.metadata().is_ok_and(|metadata| metadata.len() == 0) {
        // If a file or folder cannot be removed, the last folder stays, too.
        let _ = fs::remove_file(exclude);
    }
    for folder in ["info", "hooks", ""] {
        let _ = fs::remove_dir(template.join(folder));
    }
    !template.exists()
}

/// Returns the template folder that this program creates if the user has none.
fn own_template(environment: &Environment) -> Result<PathBuf> {
    let config = environment.get("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let config = config.or_else(|| Some(environment.home.as_ref()?.join(".config")));
    let missing = || OpError::Machine {
        action: "find the folder of your settings,",
        path: "~/.config".into(),
        source: std::io::ErrorKind::NotFound.into(),
    };
    config.map(|config| config.join("git-hexmirror/template")).ok_or_else(missing)
}
