//! Decides which settings of the tracked file are active.
//!
//! Anyone who can propose a branch can write this file, so it may only describe the project: which locks there are, how much
//! `prune` keeps, the URL of a repository that the user has not configured. A setting that decides whom to trust, or that makes a
//! hook act, is inactive until the user allows it. The user's own settings and Hex configuration always take precedence.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::{ConfigError, GitLayer, KEEP_DAYS, KeySetting, Layer, MAX_AGE, PostCheckout, PrePush, Setting, is_folder};
use crate::model::{RepositoryName, TrustHash};

/// The prefix of the hashed data. The number must change if the rules for what needs permission change.
const HASHED: &[u8] = b"git-hexmirror trust 3\n";

/// The state of a setting of the tracked file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The setting is active, because it only describes the project.
    Active,
    /// The setting is active, because the user has allowed it.
    Allowed,
    /// The setting is inactive until the user allows it.
    Inactive,
    /// The user's own settings or Hex configuration override the setting.
    Overridden,
}

/// A setting of the tracked file, with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The setting.
    pub setting: Setting,
    /// Whether the user's permission covers the setting.
    pub is_covered: bool,
    /// The state of the setting.
    pub standing: Standing,
}

/// The settings of the tracked file, with their states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tracked {
    /// The settings, in the order in which they are listed.
    pub settings: Vec<Judged>,
    /// The hash of the settings that the user's permission covers, if there are any.
    pub hash: Option<TrustHash>,
}

impl Tracked {
    /// Decides which tracked settings are active. `own` are the user's settings, and `hex` are the repositories in their Hex
    /// configuration, with or without a URL. `allowed` are the hashes that the user has allowed.
    ///
    /// # Errors
    /// Fails if the name of a repository is invalid.
    pub fn judge(
        tracked: &Layer,
        own: &[Layer],
        hex: &Layer,
        allowed: &BTreeSet<TrustHash>,
    ) -> Result<Self, ConfigError> {
        let (mut names, mut known) = (BTreeSet::new(), BTreeSet::from([RepositoryName::hexpm().to_string()]));
        for layer in own.iter().chain([hex]) {
            names.extend(layer.settings()?.iter().map(Setting::name));
            known.extend(layer.repositories.keys().map(|name| source(name).to_owned()));
        }
        let judge = |setting: Setting| {
            let standing = match needs_trust(&setting, &known) {
                _ if names.contains(&setting.name()) => Standing::Overridden,
                false => Standing::Active,
                true => Standing::Inactive,
            };
            Judged { is_covered: is_covered(&setting), setting, standing }
        };
        let mut settings: Vec<Judged> = tracked.settings()?.into_iter().map(judge).collect();
        let covered: Vec<&Setting> =
            settings.iter().filter(|judged| judged.is_covered).map(|judged| &judged.setting).collect();
        let hash = (!covered.is_empty()).then(|| hash(&covered));
        if hash.is_some_and(|hash| allowed.contains(&hash)) {
            let covered = settings.iter_mut().filter(|judged| judged.is_covered);
            let allowed = covered.filter(|judged| judged.standing != Standing::Overridden);
            allowed.for_each(|judged| judged.standing = Standing::Allowed);
        }
        Ok(Self { settings, hash })
    }

    /// Returns the active settings.
    pub fn in_force(&self) -> Layer {
        let counts = |judged: &&Judged| matches!(judged.standing, Standing::Active | Standing::Allowed);
        self.settings.iter().filter(counts).map(|judged| judged.setting.clone()).collect()
    }

    /// Returns the settings that are inactive until the user allows them.
    pub fn inactive(&self) -> impl Iterator<Item = &Setting> {
        let inactive = |judged: &&Judged| judged.standing == Standing::Inactive;
        self.settings.iter().filter(inactive).map(|judged| &judged.setting)
    }

    /// Returns whether only this file describes a repository, and the user has not allowed that. Hooks do not use such a
    /// repository.
    pub fn is_alone_with(&self, repository: &RepositoryName) -> bool {
        let describes = |setting: &Setting| match setting {
            Setting::Url(name, _) | Setting::PublicKey(name, _) => {
                name == repository || name.to_string() == repository.source()
            }
            _ => false,
        };
        self.settings.iter().any(|judged| judged.standing == Standing::Active && describes(&judged.setting))
    }
}

/// Returns whether the user's permission covers a tracked setting, on any machine: the settings that need it there, and
/// all repositories, because hooks use those only with permission.
fn is_covered(setting: &Setting) -> bool {
    matches!(setting, Setting::Url(..) | Setting::PublicKey(..)) || needs_trust(setting, &BTreeSet::new())
}

/// Returns whether a tracked setting needs the user's permission. `known` are the sources of the repositories that the user has
/// configured.
fn needs_trust(setting: &Setting, known: &BTreeSet<String>) -> bool {
    match setting {
        Setting::Locks(_) | Setting::Opaque(_) | Setting::Submodules(_) | Setting::Shallow(_) => false,
        // What they name is pinned, and fetched from outside only.
        Setting::Downloads(_)
        | Setting::Tools(_)
        | Setting::Artefacts(_)
        | Setting::AssetTools(_)
        | Setting::Docs(_) => false,
        // As for git dependencies of a lock: what it names is pinned by a lock, and read by whoever asks for its address.
        Setting::Git(_) => false,
        // They lead into the user's network.
        Setting::InternalHosts(_) => true,
        Setting::Extra(_) | Setting::Policies(_) | Setting::Jobs(_) | Setting::Timeout(_) | Setting::KeepTags(_) => {
            false
        }
        Setting::Branch(name) => !is_name_of_mirrors(name),
        Setting::PrePush(PrePush::Push | PrePush::Check | PrePush::Off) => false,
        Setting::PostCheckout(PostCheckout::Notify | PostCheckout::Off) => false,
        Setting::PostCheckout(PostCheckout::Pull | PostCheckout::Update) => true,
        Setting::NoVerifyRepoOrigin(value) => *value,
        // Other users may still need what prune removes.
        Setting::KeepDays(days) => *days < KEEP_DAYS,
        // A branch must not silence the notice that retirements and advisories may be missing.
        Setting::MaxAge(days) => *days == 0 || *days > MAX_AGE,
        // The tracked file cannot set these.
        Setting::Signer(..) | Setting::NpmKeys(_) => true,
        // A repository's organisations share its URL and key, so the source is compared.
        // A path could lead to any folder of the user's.
        Setting::Url(_, url) if is_folder(url) => true,
        Setting::Url(repository, _) | Setting::PublicKey(repository, _) => known.contains(repository.source()),
    }
}

/// Returns whether a ref has a name that is only used for mirrors.
fn is_name_of_mirrors(name: &str) -> bool {
    match name.strip_prefix("refs/") {
        Some(name) => name.starts_with("heads/hexmirror") || name.starts_with("hexmirror/"),
        None => name.starts_with("hexmirror"),
    }
}

fn source(name: &str) -> &str {
    name.split_once(':').map_or(name, |(source, _)| source)
}

/// Hashes the names and values of settings, and the contents of key files. Each part is preceded by its length, so that different
/// lists of settings never result in the same bytes.
fn hash(settings: &[&Setting]) -> TrustHash {
    let mut digest = Sha256::new_with_prefix(HASHED);
    let mut add = |part: &[u8]| {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    };
    for setting in settings {
        add(setting.name().as_bytes());
        match setting {
            Setting::Branch(text) | Setting::Url(_, text) | Setting::Signer(_, text) => add(text.as_bytes()),
            Setting::PublicKey(_, key) | Setting::NpmKeys(key) => {
                add(key.to_string().as_bytes());
                match key {
                    KeySetting::Tracked { content: Ok(content), .. } => add(content),
                    KeySetting::Tracked { content: Err(_), .. } | KeySetting::Pem(_) | KeySetting::File(_) => add(b""),
                }
            }
            Setting::PrePush(_) | Setting::PostCheckout(_) => add(setting.value().to_string().as_bytes()),
            Setting::Jobs(number) | Setting::Timeout(number) | Setting::MaxAge(number) | Setting::KeepDays(number) => {
                add(number.to_string().as_bytes());
            }
            Setting::Docs(value) | Setting::NoVerifyRepoOrigin(value) | Setting::Shallow(value) => {
                add(value.to_string().as_bytes())
            }
            Setting::Git(list) => {
                add(list.len().to_string().as_bytes());
                for GitLayer { url, branch } in list {
                    [url, branch].into_iter().for_each(|part| add(part.as_bytes()));
                }
            }
            Setting::Locks(list)
            | Setting::Opaque(list)
            | Setting::Submodules(list)
            | Setting::Extra(list)
            | Setting::Policies(list)
            | Setting::Downloads(list)
            | Setting::Tools(list)
            | Setting::Artefacts(list)
            | Setting::AssetTools(list)
            | Setting::InternalHosts(list)
            | Setting::KeepTags(list) => {
                add(list.len().to_string().as_bytes());
                list.iter().for_each(|value| add(value.as_bytes()));
            }
        }
    }
    TrustHash::from_bytes(digest.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(toml: &str) -> Layer {
        let read = |file: &str| if file == "absent.pem" { Err("absent".into()) } else { Ok(file.as_bytes().to_vec()) };
        Layer::from_toml(toml).unwrap().with_key_files(read)
    }

    fn judged(toml: &str, own: &str, hex: &str) -> Tracked {
        Tracked::judge(&layer(toml), &[layer(own)], &layer(hex), &BTreeSet::new()).unwrap()
    }

    fn inactive(toml: &str, own: &str, hex: &str) -> Vec<String> {
        judged(toml, own, hex).inactive().map(Setting::name).collect()
    }

    #[test]
    fn what_describes_is_active_and_what_acts_or_decides_trust_is_not() {
        for toml in [
            "locks = ['a/mix.lock']\njobs = 256\ntimeout = 3600\nopaque = ['a']\nsubmodules = ['b']\nshallow = true",
            "artefacts = ['off']",
            "docs = true",
            "[[git]]\nurl = 'https://h/advisories.git'\nbranch = 'main'",
            "asset_tools = ['esbuild@0.25.0']",
            "[prune]\nkeep_days = 30\nkeep_tags = ['*']",
            "max_age = 30",
            "max_age = 1",
            "[hooks]\npre_push = 'push'\npost_checkout = 'notify'",
            "[hooks]\npre_push = 'check'\npost_checkout = 'off'",
            "[hooks]\npre_push = 'off'",
            "branch = 'hexmirror'",
            "branch = 'hexmirror-2/x'",
            "branch = 'refs/heads/hexmirror2'",
            "branch = 'refs/hexmirror/main'",
            "[repositories.acme]\nurl = 'https://acme'\npublic_key = 'acme.pem'",
            "[repositories.'acme:x']\nurl = 'https://acme'",
        ] {
            let tracked = judged(toml, "", "");
            assert!(tracked.settings.iter().all(|judged| judged.standing == Standing::Active), "{toml}: {tracked:?}");
            assert_eq!((tracked.hash.is_some(), tracked.in_force()), (toml.contains("[rep"), layer(toml)), "{toml}");
        }
        for (toml, name) in [
            ("branch = 'main'", "branch"),
            ("branch = 'refs/heads/deploy/production'", "branch"),
            ("branch = 'refs/heads/Hexmirror'", "branch"),
            ("branch = 'refs/hexmirror'", "branch"),
            ("branch = 'refs/hexmirror-remotes/x'", "branch"),
            ("branch = 'x/refs/heads/hexmirror'", "branch"),
            ("branch = ''", "branch"),
            ("[hooks]\npost_checkout = 'pull'", "hooks.post_checkout"),
            ("[hooks]\npost_checkout = 'update'", "hooks.post_checkout"),
            ("[prune]\nkeep_days = 29", "prune.keep_days"),
            ("max_age = 0", "max_age"),
            ("max_age = 31", "max_age"),
            ("[repositories.hexpm]\nurl = 'https://x'", "repositories.hexpm.url"),
            ("[repositories.hexpm]\npublic_key = 'x.pem'", "repositories.hexpm.public_key"),
            ("[repositories.'hexpm:acme']\nurl = 'https://x'", "repositories.hexpm:acme.url"),
            ("[repositories.'hexpm:acme']\npublic_key = 'x.pem'", "repositories.hexpm:acme.public_key"),
        ] {
            assert_eq!(inactive(toml, "", ""), [name], "{toml}");
            assert_eq!(judged(toml, "", "").in_force(), Layer::default(), "{toml}");
        }
    }

    #[test]
    fn a_repository_that_the_user_knows_is_not_described_anew() {
        let tracked = "[repositories.acme]\nurl = 'https://evil'\npublic_key = 'evil.pem'";
        let both = ["repositories.acme.url", "repositories.acme.public_key"];
        // Known without an address or a key, itself or by an organisation, to this program or to Hex.
        for known in ["[repositories.acme]", "[repositories.'acme:x']\nurl = 'https://x'"] {
            assert_eq!(inactive(tracked, "", known), both, "{known}");
            assert_eq!(inactive(tracked, known, ""), both, "{known}");
        }
        let of_organisation = tracked.replace("acme", "'acme:y'");
        assert_eq!(inactive(&of_organisation, "", "[repositories.acme]").len(), 2);
        // What the user has said wins; what they have not said needs their permission.
        let url = "[repositories.acme]\nurl = 'https://acme'";
        for (own, hex) in [(url, ""), ("", url)] {
            let judged = judged(tracked, own, hex);
            assert_eq!(judged.settings[0].standing, Standing::Overridden);
            assert_eq!(judged.inactive().map(Setting::name).collect::<Vec<_>>(), [both[1]]);
        }
        // Others say nothing about it.
        assert_eq!(inactive(tracked, "[repositories.other]\nurl = 'https://x'", "[repositories.hexpm]"), [""; 0]);
    }

    #[test]
    fn the_user_wins_over_what_they_have_allowed() {
        let tracked = layer("[repositories.hexpm]\nurl = 'https://x'\n[hooks]\npost_checkout = 'update'");
        let own = layer("[hooks]\npost_checkout = 'off'");
        let hash = Tracked::judge(&tracked, &[], &Layer::default(), &BTreeSet::new()).unwrap().hash.unwrap();
        let allowed = BTreeSet::from([hash]);
        let judged = Tracked::judge(&tracked, &[own], &Layer::default(), &allowed).unwrap();
        let standings: Vec<Standing> = judged.settings.iter().map(|judged| judged.standing).collect();
        assert_eq!(standings, [Standing::Overridden, Standing::Allowed]);
        // The hash is that of the file, whatever the user's own settings are.
        assert_eq!(judged.hash, Some(hash));
    }

    #[test]
    fn hooks_use_no_repository_that_only_the_file_describes_until_that_is_allowed() {
        let file = "[repositories.acme]\nurl = 'https://x'\n[repositories.'other:x']\npublic_key = 'x.pem'";
        let name = |name: &str| name.parse::<RepositoryName>().unwrap();
        for (own, alone) in [
            ("", &["acme", "acme:y", "other:x"][..]),
            ("[repositories.other]", &["acme", "acme:y"]),
            ("[repositories.acme]\nurl = 'https://y'", &["other:x"]),
            ("[repositories.'acme:y']\n[repositories.'other:y']", &[]),
        ] {
            for (own, hex) in [(own, ""), ("", own)] {
                let tracked = judged(file, own, hex);
                let all = ["hexpm", "hexpm:acme", "acme", "acme:y", "other", "other:x", "other:y", "y"];
                let found: Vec<&str> = all.into_iter().filter(|of| tracked.is_alone_with(&name(of))).collect();
                assert_eq!(found, alone, "{own}{hex}");
                let allowed = BTreeSet::from([tracked.hash.unwrap()]);
                let allowed = Tracked::judge(&layer(file), &[layer(own)], &layer(hex), &allowed).unwrap();
                assert!(all.iter().all(|of| !allowed.is_alone_with(&name(of))), "{own}{hex}");
                assert_eq!(allowed.inactive().count(), 0);
            }
        }
    }

    #[test]
    fn the_hash_is_that_of_what_needs_permission_and_of_all_of_it() {
        let base = "branch = 'main'\njobs = 1\n[hooks]\npost_checkout = 'pull'\npre_push = 'off'\n\
                    [repositories.hexpm]\nurl = 'https://a'\npublic_key = 'a.pem'\n[repositories.acme]\nurl = 'https://b'\n";
        let hash = |toml: &str| judged(toml, "", "").hash.unwrap();
        let first = hash(base);
        for (from, to) in [("jobs = 1", "jobs = 2"), ("'off'", "'check'")] {
            assert_eq!(hash(&base.replace(from, to)), first, "{from}");
        }
        let mut others = BTreeSet::from([first]);
        for (from, to) in [
            ("'main'", "'mainx'"),
            ("'pull'", "'update'"),
            ("https://a", "https://ab"),
            ("'a.pem'", "'absent.pem'"),
            ("https://b", "https://c"),
            ("repositories.acme", "repositories.other"),
        ] {
            assert!(others.insert(hash(&base.replace(from, to))), "{from}");
        }
        let with = |content: &[u8]| {
            let layer = Layer::from_toml(base).unwrap().with_key_files(|_| Ok(content.to_vec()));
            Tracked::judge(&layer, &[], &Layer::default(), &BTreeSet::new()).unwrap().hash.unwrap()
        };
        assert_eq!(with(b"a.pem"), first);
        assert!(others.insert(with(b"another key")));
    }
}
