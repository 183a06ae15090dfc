//! The main use case on the real project, with 32 tarballs as published by hex.pm.

use crate::support::http::{get, get_with};
use crate::support::sample::Sample;
use crate::support::stage::Serving;
use git_hexmirror::hex::gzip::gunzip;

#[test]
fn mirrors_and_serves_the_real_project() {
    let Some(sample) = Sample::new() else { return };
    let stage = &sample.stage;
    let git = stage.run(&["status", "--json"]).exits(1).json()["git"].clone();
    assert_eq!(git.as_array().unwrap().len(), 2);
    sample.without_git();
    let document = stage.run(&["update", "--json"]).ok().json();
    let added = document["added"].as_array().unwrap();
    assert_eq!(added.len(), 32);
    assert!(added.iter().all(|release| release["storage"] == "unpacked"), "{document}");
    stage.run(&["status"]).ok().prints("32 releases");
    stage.run(&["verify"]).ok();
    let list = stage.run(&["list", "--json"]).ok().json();
    assert_eq!(list.as_array().unwrap().iter().filter(|thing| thing["kind"] == "hex").count(), 32);
    stage.git(&["fsck", "--strict", "--no-dangling"]);
    stage.sandbox.git("", &["init", "--quiet", "--bare", "remote.git"]);
    stage.sandbox.git("remote.git", &["config", "transfer.fsckObjects", "true"]);
    stage.git(&["push", "--quiet", "../remote.git", "hexmirror"]);

    let asked = stage.upstream.count("*");
    let serving = Serving::start(&mut stage.command(&["serve", "--listen", "127.0.0.1:0"]));
    let (tarballs, entries) = (sample.tarballs(), sample.entries());
    assert_eq!((tarballs.len(), entries.len()), (32, 32));
    for (name, published) in &tarballs {
        let path = format!("/tarballs/{name}");
        let answer = get(serving.authority(), &path);
        assert_eq!(answer.status, 200, "{name}");
        assert_eq!(answer.header("content-length"), Some(published.len().to_string().as_str()));
        assert!(answer.body == *published, "{name} is not the published one");
        let etag = answer.header("etag").expect("an ETag");
        let answer = get_with(serving.authority(), &path, &format!("if-none-match: {etag}\r\n"));
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{name}");
    }
    for (name, published) in &entries {
        let answer = get(serving.authority(), &format!("/packages/{name}"));
        assert_eq!(answer.status, 200, "{name}");
        let signed = |bytes: &[u8]| gunzip(bytes, 1 << 24).expect("a gzipped entry");
        assert!(signed(&answer.body) == signed(published), "the entry of {name} is not the published one");
    }
    serving.stop("TERM").ok();
    assert_eq!(stage.upstream.count("*"), asked, "the server asked upstream");
}
