//! Registry messages survive a round trip, and an independent reader reads the same.

use std::sync::LazyLock;

use git_hexmirror::hex::metadata::Metadata;
use git_hexmirror::hex::registry::{
    Advisory, Dependency, Names, Package, PrivateKey, Release, Retirement, Signed, Timestamp, Versions,
};
use git_hexmirror::hex::requirement::Requirement;
use git_hexmirror::model::{InnerChecksum, OuterChecksum, RepositoryName};

use super::Input;

/// Signing takes most of the time, so the independent reader checks only one in this many packages.
const SIGNED_ONE_IN: u32 = 64;

/// Arbitrary bytes as each message, as metadata, and as a requirement.
pub fn registry(bytes: &[u8]) {
    let hexpm = RepositoryName::hexpm();
    if let Ok(signed) = Signed::decode(bytes) {
        assert_eq!(Signed::decode(&signed.encode()), Ok(signed));
    }
    if let Ok(package) = Package::decode(bytes, &hexpm, &"a".parse().expect("it is a name")) {
        check_package(package);
    }
    if let Ok(names) = Names::decode(bytes, &hexpm) {
        let again = Names::decode(&names.encode(&hexpm), &hexpm);
        assert_eq!(again, Ok(Names { skipped: Vec::new(), ..names }));
    }
    if let Ok(versions) = Versions::decode(bytes, &hexpm) {
        let again = Versions::decode(&versions.encode(&hexpm), &hexpm);
        assert_eq!(again, Ok(Versions { skipped: Vec::new(), ..versions }));
    }
    if let Ok(metadata) = Metadata::parse(bytes) {
        assert_eq!(metadata.name.to_string().parse().as_ref(), Ok(&metadata.name));
    }
    if let Ok(requirement) = String::from_utf8_lossy(bytes).parse::<Requirement>() {
        assert_eq!(requirement.to_string().parse().as_ref(), Ok(&requirement));
    }
}

/// A package constructed from the bytes.
pub fn package(bytes: &[u8]) {
    let mut input = Input(bytes);
    let advisories = input.several(|input| Advisory {
        id: input.text(),
        summary: input.text(),
        html_url: input.text(),
        api_url: input.text(),
        severity: input.flag().then(|| input.number().cast_signed().into()),
        cvss_score: input.flag().then(|| f32::from_bits(input.number())),
        aliases: input.several(Input::text),
    });
    let count = u32::try_from(advisories.len()).expect("fifteen at most");
    let releases = input.several(|input| release(input, count));
    let package = Package { name: "a".parse().expect("a name"), releases, advisories, skipped: Vec::new() };
    check_package(package);
}

fn release(input: &mut Input<'_>, advisories: u32) -> Release {
    let dependency = |input: &mut Input<'_>| Dependency {
        package: input.text().parse().unwrap_or_else(|_| "b".parse().expect("a name")),
        requirement: input.text(),
        optional: input.flag(),
        app: input.flag().then(|| input.text()),
        repository: input.flag().then(|| input.text().parse().ok()).flatten(),
    };
    Release {
        version: input.text().parse().unwrap_or_else(|_| "1.0.0".parse().expect("a version")),
        inner_checksum: InnerChecksum::from_bytes([input.byte(); 32]),
        outer_checksum: input.flag().then(|| OuterChecksum::from_bytes([input.byte(); 32])),
        dependencies: input.several(dependency),
        retired: input.flag().then(|| Retirement {
            reason: input.number().cast_signed().into(),
            message: input.flag().then(|| input.text()),
        }),
        advisories: input
            .several(|input| input.number() % advisories.max(1))
            .into_iter()
            .filter(|_| advisories > 0)
            .collect(),
        published_at: input.flag().then(|| Timestamp {
            seconds: i64::from(input.number()) << (input.byte() & 31),
            nanos: input.number().cast_signed(),
        }),
    }
}

fn check_package(package: Package) {
    let hexpm = RepositoryName::hexpm();
    let mut package = Package { skipped: Vec::new(), ..package };
    let encoded = package.encode(&hexpm);
    let mut again = Package::decode(&encoded, &hexpm, &package.name).expect("it was written here");
    assert_eq!(again.encode(&hexpm), encoded);
    // NaN does not equal itself, so only the encoded bytes are compared.
    for advisory in again.advisories.iter_mut().chain(&mut package.advisories) {
        advisory.cvss_score = advisory.cvss_score.filter(|score| !score.is_nan());
    }
    assert_eq!(again, package);
    let sum = encoded.iter().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    if sum % SIGNED_ONE_IN == 0 {
        compare(&package, encoded);
    }
}

/// Compares a package with what the `hexpm` crate reads.
fn compare(package: &Package, encoded: Vec<u8>) {
    static KEY: LazyLock<(PrivateKey, String)> = LazyLock::new(|| {
        let key = PrivateKey::generate().expect("a key can be made");
        let public = key.public_key().to_pem();
        (key, public)
    });
    let (key, public) = &*KEY;
    let signed = Signed::sign(encoded, key).encode();
    let read = hexpm::repository_v2_package_parse_body(&signed, public.as_bytes());
    // The crate supports fewer forms of requirements, which this program treats as text.
    let Ok(read) = read else {
        let is_odd = |text: &str| text.parse::<Requirement>().is_err();
        let mut requirements = package.releases.iter().flat_map(|release| &release.dependencies);
        assert!(requirements.any(|dependency| is_odd(&dependency.requirement)), "{read:?}");
        return;
    };
    assert_eq!((read.name.as_str(), read.repository.as_str()), (package.name.as_str(), "hexpm"));
    assert_eq!(read.releases.len(), package.releases.len());
    for (read, ours) in read.releases.iter().zip(&package.releases) {
        assert_eq!(read.version.to_string(), ours.version.to_string());
        assert_eq!(read.outer_checksum, ours.outer_checksum.map_or(Vec::new(), |sum| sum.as_bytes().to_vec()));
        assert_eq!(read.retirement_status.is_some(), ours.retired.is_some());
        // The crate keeps the last of repeated packages.
        for (name, dependency) in &read.requirements {
            let ours = ours.dependencies.iter().rfind(|ours| ours.package.as_str() == name).expect("the same package");
            assert_eq!((dependency.optional, &dependency.app), (ours.optional, &ours.app));
            assert_eq!(dependency.repository, ours.repository.as_ref().map(ToString::to_string));
        }
        assert!(ours.dependencies.iter().all(|ours| read.requirements.contains_key(ours.package.as_str())));
    }
}
