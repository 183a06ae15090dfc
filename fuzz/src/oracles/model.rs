//! Every type of the model reads back what it displays, and its values can be file names on every system.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use git_hexmirror::model::{
    EntryChecksum, EntryId, GitAddress, GitName, GitUrl, InnerChecksum, OuterChecksum, PackageName, ReleaseId,
    RepositoryName, Revision, Version, redacted,
};
use gix::bstr::ByteSlice;
use gix::validate::path::component;
use serde_json::Value;

/// The text as a value of each type, and three words as a release.
pub fn model(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    read_back::<OuterChecksum>(text);
    read_back::<InnerChecksum>(text);
    read_back::<EntryChecksum>(text);
    read_back::<Revision>(text);
    read_back::<GitName>(text);
    read_back::<PackageName>(text);
    read_back::<RepositoryName>(text);
    read_back::<Version>(text);
    if let Some(address) = read_back::<GitAddress>(text) {
        check_address(&address);
    }
    if let Ok(url) = text.parse::<GitUrl>() {
        assert_eq!(url.secret_text().parse().as_ref(), Ok(&url));
        assert_eq!(redacted(&url.to_string()), url.to_string(), "what is redacted holds no more secrets");
        check_address(url.address());
    }
    let mut words = text.split(' ');
    if let (Some(Ok(repository)), Some(Ok(package)), Some(Ok(version))) =
        (words.next().map(str::parse), words.next().map(str::parse), words.next().map(str::parse))
    {
        check_release(&ReleaseId { repository, package, version });
    }
}

fn read_back<T>(text: &str) -> Option<T>
where
    T: FromStr<Err: Debug> + Display + Debug + PartialEq + Clone + Into<String> + TryFrom<String, Error: Debug>,
{
    let value: T = text.parse().ok()?;
    let shown = value.to_string();
    let again = shown.parse::<T>();
    assert!(again.as_ref().is_ok_and(|again| *again == value), "{text:?} displays as {shown:?}, read as {again:?}");
    // The form that serde reads and writes.
    let written: String = value.clone().into();
    assert_eq!(written, shown);
    assert_eq!(T::try_from(written).as_ref().ok(), Some(&value));
    Some(value)
}

/// Checks that an address is read back, and that no other repository's folder is inside this repository's folder.
pub fn check_address(address: &GitAddress) {
    let shown = address.to_string();
    assert_eq!(shown.parse().as_ref(), Ok(address), "{shown:?}");
    assert_eq!(format!("{shown}.git").parse().as_ref(), Ok(address), "{shown:?} with .git");
    let url = format!("https://{shown}.git");
    assert!(url.len() > 1024 || url.parse::<GitUrl>().is_ok_and(|url| url.address() == address));
    assert!(shown.is_ascii() && !shown.contains([' ', '\n']), "{shown:?} is one word of a manifest");
    assert_eq!(serde_json::to_value(address).expect("an address is JSON"), Value::String(shown));
    let path = address.tree_path();
    check_tree_path(&path);
    let folders: Vec<&str> = path.split('/').collect();
    let (last, folders) = folders.split_last().expect("a path has a last component");
    assert!(last.ends_with(".git") && !folders[2..].iter().any(|folder| folder.ends_with(".git")), "{path}");
}

/// Checks that a release's name is unambiguous and its paths are valid.
pub fn check_release(id: &ReleaseId) {
    let shown = id.to_string();
    let (entry, version) = shown.rsplit_once(' ').expect("a version follows a blank");
    assert_eq!(entry, id.entry().to_string());
    let (repository, package) = entry.split_once('/').unwrap_or(("hexpm", entry));
    let again = EntryId {
        repository: repository.parse().expect("a repository's name"),
        package: package.parse().expect("a package's name"),
    };
    assert_eq!((again, version.parse().as_ref()), (id.entry(), Ok(&id.version)), "{shown:?} names one release");
    check_tree_path(&format!("hex/{}/packages/{}@{}/contents", id.repository, id.package, id.version));
    check_tree_path(&format!("packages/{}/{}", id.repository, id.tarball_name()));
}

/// Asserts that git accepts a path in a tree on all systems, and that each component can be a file name.
pub fn check_tree_path(path: &str) {
    let options = component::Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };
    for name in path.split('/') {
        assert!(name.len() <= 255, "{path:?} has a component of {} bytes", name.len());
        let judged = component(name.as_bytes().as_bstr(), None, options);
        assert!(judged.is_ok(), "git refuses {name:?} of {path:?}: {judged:?}");
    }
}
