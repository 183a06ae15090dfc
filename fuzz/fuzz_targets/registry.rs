//! Any bytes, as each registry message and as metadata: no panic, and what was read survives being written.
#![no_main]

use git_hexmirror::hex::metadata::Metadata;
use git_hexmirror::hex::registry::{Names, Package, Signed, Versions};
use git_hexmirror::hex::requirement::Requirement;
use git_hexmirror::model::RepositoryName;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let hexpm = RepositoryName::hexpm();
    if let Ok(signed) = Signed::decode(bytes) {
        assert_eq!(Signed::decode(&signed.encode()), Ok(signed));
    }
    if let Ok(package) = Package::decode(bytes, &hexpm, &"a".parse().expect("it is a name")) {
        let again = Package::decode(&package.encode(&hexpm), &hexpm, &package.name).expect("it was written here");
        assert_eq!(again.releases.len(), package.releases.len());
    }
    let _ = (Names::decode(bytes, &hexpm), Versions::decode(bytes, &hexpm), Metadata::parse(bytes));
    let _ = String::from_utf8_lossy(bytes).parse::<Requirement>();
});
