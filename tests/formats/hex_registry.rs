//! Registry entries: signatures of hex.pm are valid, an independent reader can read what this program signs, and
//! anything else is rejected.

use crate::support::data::real_input;
use crate::support::registry::key;
use git_hexmirror::hex::gzip;
use git_hexmirror::hex::registry::{
    Advisory, Dependency, KeyError, Names, NamesEntry, Package, PrivateKey, PublicKey, RegistryError, Release,
    Retirement, RetirementReason, Severity, Signed, Timestamp, Versions, VersionsEntry, contains_private_key,
    hexpm_key,
};
use git_hexmirror::model::{InnerChecksum, OuterChecksum, RepositoryName};
use proptest::prelude::*;

const LIMIT: usize = 32 << 20;

fn hexpm() -> RepositoryName {
    RepositoryName::hexpm()
}

/// Returns a published entry, decompressed.
fn published(name: &str) -> Option<Vec<u8>> {
    let packed = std::fs::read(real_input("hexpm-signed")?.join(name)).unwrap();
    Some(gzip::gunzip(&packed, LIMIT).unwrap())
}

#[test]
fn what_hexpm_signed_verifies_against_the_built_in_key() {
    let Some(entry) = published("package_exfmt") else { return };
    let signed = Signed::decode(&entry).unwrap();
    let package = Package::decode(signed.verify(hexpm_key()).unwrap(), &hexpm(), &"exfmt".parse().unwrap()).unwrap();
    let versions: Vec<String> = package.releases.iter().map(|release| release.version.to_string()).collect();
    assert_eq!(versions, ["0.0.0", "0.1.0", "0.2.0", "0.2.1", "0.2.2", "0.2.3", "0.2.4", "0.3.0", "0.4.0", "0.5.0"]);
    assert!(package.releases.iter().all(|release| release.outer_checksum.is_some()));
    assert_eq!(package.skipped, []);
    assert_eq!(package.encode(&hexpm()), signed.unverified_payload(), "nothing is lost");
    assert_eq!(signed.encode(), entry);

    let signed = Signed::decode(&published("versions").unwrap()).unwrap();
    let versions = Versions::decode(signed.verify(hexpm_key()).unwrap(), &hexpm()).unwrap();
    assert!(versions.packages.len() > 5000, "{}", versions.packages.len());
    let jason = versions.packages.iter().find(|entry| entry.name.as_str() == "phoenix").unwrap();
    assert!(jason.versions.contains(&"1.0.0".parse().unwrap()));
    assert_eq!(versions.skipped, []);
    assert_eq!(versions.encode(&hexpm()), signed.unverified_payload());

    let text = std::fs::read_to_string(real_input("hexpm-signed").unwrap().join("public_key")).unwrap();
    assert_eq!(PublicKey::from_pem(&text).as_ref(), Ok(hexpm_key()));
    assert_eq!(hexpm_key().to_pem(), text);
}

#[test]
fn one_flipped_bit_anywhere_is_noticed() {
    let Some(entry) = published("package_exfmt") else { return };
    let package = "exfmt".parse().unwrap();
    for position in 0..entry.len() {
        for bit in 0..8 {
            let mut damaged = entry.clone();
            damaged[position] ^= 1 << bit;
            // A flipped bit in the envelope makes the message unreadable or leaves payload and signature unchanged.
            let accepted = Signed::decode(&damaged).and_then(|signed| {
                Package::decode(signed.verify(hexpm_key())?, &hexpm(), &package).map(|_| signed.encode())
            });
            assert!(accepted.is_err() || accepted == Ok(entry.clone()), "byte {position}, bit {bit}");
        }
    }
    let Some(entry) = published("versions") else { return };
    let signed = Signed::decode(&entry).unwrap();
    for position in (0..entry.len()).step_by(entry.len() / 500) {
        let mut damaged = entry.clone();
        damaged[position] ^= 0x10;
        assert!(Signed::decode(&damaged).is_ok_and(|it| it != signed) || Signed::decode(&damaged).is_err());
        assert!(Signed::decode(&damaged).and_then(|it| it.verify(hexpm_key()).map(<[u8]>::len)).is_err(), "{position}");
    }
}

#[test]
fn the_samples_own_registry_verifies_against_its_own_key() {
    let Some(folder) = real_input("sample/.hex_repo") else { return };
    let key = PublicKey::from_pem(&std::fs::read_to_string(folder.join("public_key")).unwrap()).unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(folder.join("packages")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = gzip::gunzip(&std::fs::read(&path).unwrap(), LIMIT).unwrap();
        let signed = Signed::decode(&bytes).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let package = Package::decode(signed.verify(&key).unwrap(), &hexpm(), &name).unwrap();
        assert_eq!((package.releases.len(), package.skipped.len()), (1, 0), "{name}");
        assert_eq!(signed.verify(hexpm_key()), Err(RegistryError::BadSignature));
        count += 1;
    }
    assert_eq!(count, 32);
    let read = |name| {
        let bytes = gzip::gunzip(&std::fs::read(folder.join(name)).unwrap(), LIMIT).unwrap();
        Signed::decode(&bytes).unwrap().verify(&key).unwrap().to_vec()
    };
    assert_eq!(Names::decode(&read("names"), &hexpm()).unwrap().packages.len(), 32);
    assert_eq!(Versions::decode(&read("versions"), &hexpm()).unwrap().packages.len(), 32);
}

fn full_package() -> Package {
    let release = |version: &str| Release {
        version: version.parse().unwrap(),
        inner_checksum: InnerChecksum::from_bytes([1; 32]),
        outer_checksum: Some(OuterChecksum::from_bytes([2; 32])),
        dependencies: vec![],
        retired: None,
        advisories: vec![],
        published_at: None,
    };
    let dependency = |package: &str, optional| Dependency {
        package: package.parse().unwrap(),
        requirement: "~> 1.0 and != 1.0.1".into(),
        optional,
        app: optional.then(|| "other_app".into()),
        repository: optional.then(|| "hexpm".parse().unwrap()),
    };
    let retired = Retirement { reason: RetirementReason::Security, message: Some("see 1.0.1".into()) };
    let advisory = Advisory {
        id: "GHSA-1".into(),
        summary: "bad".into(),
        html_url: "https://osv.dev/GHSA-1".into(),
        api_url: "https://api.osv.dev/GHSA-1".into(),
        severity: Some(Severity::High),
        cvss_score: Some(7.5),
        aliases: vec!["CVE-1".into()],
    };
    Package {
        name: "acme".parse().unwrap(),
        releases: vec![
            Release { retired: Some(retired), advisories: vec![0], ..release("1.0.0") },
            Release {
                dependencies: vec![dependency("plug", false), dependency("jason", true)],
                published_at: Some(Timestamp { seconds: 1_700_000_000, nanos: 5 }),
                ..release("1.0.1-rc.1+build")
            },
        ],
        advisories: vec![advisory],
        skipped: vec![],
    }
}

#[test]
fn an_independent_reader_reads_what_is_signed_here() {
    let key = PrivateKey::generate().unwrap();
    let pem = key.public_key().to_pem();
    let entry = Signed::sign(full_package().encode(&hexpm()), &key).encode();
    let package = hexpm::repository_v2_package_parse_body(&entry, pem.as_bytes()).unwrap();
    assert_eq!((&package.name[..], &package.repository[..], package.releases.len()), ("acme", "hexpm", 2));
    let [first, second] = &package.releases[..] else { panic!() };
    assert_eq!(first.version.to_string(), "1.0.0");
    assert_eq!(first.outer_checksum, [2; 32]);
    assert_eq!(first.retirement_status.as_ref().unwrap().message, "see 1.0.1");
    assert!(!second.is_retired() && first.is_retired());
    assert!(second.requirements["jason"].optional && !second.requirements["plug"].optional);
    assert_eq!(second.requirements["jason"].app.as_deref(), Some("other_app"));
    assert_eq!(second.requirements["plug"].requirement.as_str(), "~> 1.0 and != 1.0.1");

    let versions = Versions {
        packages: vec![VersionsEntry {
            name: "acme".parse().unwrap(),
            versions: vec!["1.0.0".parse().unwrap(), "1.1.0".parse().unwrap()],
            retired: vec![0],
            with_advisories: vec![0, 1],
        }],
        skipped: vec![],
    };
    let payload = versions.encode(&hexpm());
    assert_eq!(Versions::decode(&payload, &hexpm()), Ok(versions));
    let read = hexpm::repository_v2_get_versions_body(&Signed::sign(payload, &key).encode(), pem.as_bytes()).unwrap();
    assert_eq!(read["acme"].len(), 2);

    let other = PrivateKey::generate().unwrap().public_key().to_pem();
    assert!(hexpm::repository_v2_package_parse_body(&entry, other.as_bytes()).is_err());
}

#[test]
fn every_field_round_trips() {
    let package = full_package();
    let acme: RepositoryName = "hexpm:acme".parse().unwrap();
    for repository in [&hexpm(), &acme] {
        assert_eq!(Package::decode(&package.encode(repository), repository, &package.name), Ok(package.clone()));
    }
    let moment = Timestamp { seconds: 1, nanos: 2 };
    let entry = |name: &str, updated_at| NamesEntry { name: name.parse().unwrap(), updated_at };
    let names = Names { packages: vec![entry("a", Some(moment)), entry("b", None)], skipped: vec![] };
    assert_eq!(Names::decode(&names.encode(&acme), &acme), Ok(names));
}

#[test]
fn unknown_enum_values_round_trip() {
    let mut package = full_package();
    package.advisories[0].severity = Some(Severity::Unknown(77));
    package.releases[0].retired = Some(Retirement { reason: RetirementReason::Unknown(-3), message: None });
    assert_eq!(Package::decode(&package.encode(&hexpm()), &hexpm(), &package.name), Ok(package));
}

#[test]
fn an_entry_for_something_else_is_refused() {
    let payload = full_package().encode(&hexpm());
    let other = Package::decode(&payload, &hexpm(), &"plug".parse().unwrap());
    assert_eq!(other, Err(RegistryError::OtherPackage { expected: "plug".into(), found: "acme".into() }));
    let acme: RepositoryName = "hexpm:acme".parse().unwrap();
    let refused =
        |result| result == Err(RegistryError::OtherRepository { expected: "acme".into(), found: "hexpm".into() });
    assert!(refused(Package::decode(&payload, &acme, &"acme".parse().unwrap()).map(|_| ())));
    assert!(refused(Names::decode(&Names::default().encode(&hexpm()), &acme).map(|_| ())));
    assert!(refused(Versions::decode(&Versions::default().encode(&hexpm()), &acme).map(|_| ())));
    assert!(matches!(
        Package::decode(b"\x0a\xff", &acme, &"x".parse().unwrap()),
        Err(RegistryError::NotDecodable { .. })
    ));
    let size = (32 << 20) + 1;
    assert_eq!(Signed::decode(&vec![0; size]), Err(RegistryError::TooLarge { size }));
}

#[test]
fn an_invalid_release_is_skipped_and_named() {
    let good = full_package().encode(&hexpm());
    let package = "acme".parse().unwrap();
    // The versions of both releases, made invalid in place, and the length of a checksum.
    let damage = |from: &[u8], to: &[u8]| {
        let at = good.windows(from.len()).position(|window| window == from).unwrap();
        let damaged = [&good[..at], to, &good[at + from.len()..]].concat();
        Package::decode(&damaged, &hexpm(), &package).unwrap()
    };
    let read = damage(b"1.0.0", b"1.0.x");
    assert_eq!((read.releases.len(), read.skipped[0].item.as_str()), (1, "1.0.x"));
    let read = damage(b"plug", b"../p");
    assert_eq!((read.releases.len(), read.skipped[0].item.as_str()), (1, "1.0.1-rc.1+build"));
    assert!(read.skipped[0].reason.contains("../p"), "{:?}", read.skipped);
    let mut package = full_package();
    package.releases[0].advisories = vec![0, 1];
    let read = Package::decode(&package.encode(&hexpm()), &hexpm(), &package.name).unwrap();
    assert_eq!((read.releases.len(), read.skipped.len()), (1, 1));
}

#[test]
fn keys_round_trip_and_invalid_ones_are_refused() {
    let key = PrivateKey::generate().unwrap();
    let again = PrivateKey::from_pem(&key.to_pem()).unwrap();
    assert_eq!(again.public_key(), key.public_key());
    let signed = Signed::sign(b"payload".to_vec(), &again);
    assert_eq!(signed.verify(&key.public_key()), Ok(&b"payload"[..]));
    assert_eq!(signed.verify(&PublicKey::from_pem(&key.public_key().to_pem()).unwrap()), Ok(&b"payload"[..]));
    assert_eq!(signed.verify(hexpm_key()), Err(RegistryError::BadSignature));
    assert!(!format!("{key:?}").contains("BEGIN"));

    let both = key.to_pem() + &key.to_pem();
    assert_eq!(PrivateKey::from_pem(&both).err(), Some(KeyError::Several));
    let small = include_str!("../../fixtures/keys/rsa-1024.pem");
    assert_eq!(PrivateKey::from_pem(small).err(), Some(KeyError::NotForSigning));
    assert!(contains_private_key(small.as_bytes()) && !contains_private_key(key.public_key().to_pem().as_bytes()));

    assert_eq!(PublicKey::from_pem("not a key"), Err(KeyError::NotPem));
    let private = PublicKey::from_pem(&key.to_pem());
    assert!(matches!(private, Err(KeyError::OtherKind { found, .. }) if found == "PRIVATE KEY"));
    assert!(matches!(PrivateKey::from_pem(&key.public_key().to_pem()), Err(KeyError::OtherKind { .. })));
    let cut = hexpm_key().to_pem().replace("MIIBIjAN", "MIIBIjAM");
    assert_eq!(PublicKey::from_pem(&cut), Err(KeyError::NotUsable));
    let unsigned = Signed::decode(b"\x0a\x01x").unwrap();
    assert_eq!(unsigned.verify(hexpm_key()), Err(RegistryError::BadSignature));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Signed::decode(&bytes).map(|signed| signed.verify(hexpm_key()).map(<[u8]>::len));
        let _ = Package::decode(&bytes, &hexpm(), &"acme".parse().unwrap());
        let _ = Names::decode(&bytes, &hexpm());
        let _ = Versions::decode(&bytes, &hexpm());
    }

    #[test]
    fn damaged_keys_never_panic(position in 0usize..1300, byte in any::<u8>()) {
        let (public, private) = (hexpm_key().to_pem(), key().to_pem());
        for text in [public, private] {
            let (label, mut der) = pem_rfc7468::decode_vec(text.as_bytes()).unwrap();
            let position = position % der.len();
            der[position] = byte;
            let text = pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, &der).unwrap();
            let read = PublicKey::from_pem(&text);
            let read = read.or_else(|_| PrivateKey::from_pem(&text).map(|key| key.public_key()));
            if let Ok(read) = read {
                prop_assert_eq!(PublicKey::from_pem(&read.to_pem()).unwrap().fingerprint(), read.fingerprint());
                prop_assert!(Signed::decode(b"\x0a\x01x").unwrap().verify(&read).is_err());
            }
        }
    }

    #[test]
    fn damaged_entries_never_panic(position in 0usize..400, byte in any::<u8>()) {
        let mut payload = full_package().encode(&hexpm());
        let position = position % payload.len();
        payload[position] = byte;
        let _ = Package::decode(&payload, &hexpm(), &"acme".parse().unwrap());
    }
}
