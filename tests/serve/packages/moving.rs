//! A branch that moves and loses its previous contents during requests.

use super::server::{Client, Memory, Stored, entry, get, serve, tarball};
use git_hexmirror::serve::Options;

const PLUG: &str = "/tarballs/plug-1.0.0.tar";

fn memory() -> std::sync::Arc<Memory> {
    let memory = Memory::new("new");
    memory.put_bytes(tarball("plug", "1.0.0"), "k-plug", "a tarball");
    memory.put_bytes(entry("plug"), "k-entry", "an entry");
    for old in ["old", "older"] {
        memory.lose(old);
    }
    memory
}

#[test]
fn requests_for_a_deleted_tip_are_answered_from_the_next() {
    for path in [PLUG, "/packages/plug"] {
        for passed in [&["old"][..], &["older", "old"], &["old", "older", "old"]] {
            let memory = memory();
            memory.pass(passed);
            let server = serve(memory.clone(), Options::default());
            let answer = get(server.local_addr(), path);
            assert_eq!(answer.status, 200, "{path} {passed:?}");
            assert_eq!(memory.refreshed(), passed.len());
        }
    }
}

#[test]
fn an_item_found_at_a_deleted_tip_is_loaded_from_the_next() {
    let memory = Memory::new("old");
    memory.put_bytes(tarball("plug", "1.0.0"), "k-plug", "a tarball");
    let server = serve(memory.clone(), Options::default());
    memory.close();
    let mut clients: Vec<Client> = (0..2).map(|_| Client::connect(server.local_addr())).collect();
    for client in &mut clients {
        client.send(&format!("GET {PLUG} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
        memory.wait_for_loads(1);
    }
    memory.lose("old");
    memory.set_tip(Some("new"));
    memory.open();
    for client in &mut clients {
        assert_eq!(client.read(true).unwrap().text(), "a tarball");
    }
}

#[test]
fn a_permanent_error_is_reported_after_one_retry() {
    let memory = memory();
    memory.set_tip(Some("old"));
    memory.put(tarball("torn", "1.0.0"), "k-torn", Stored::Damaged);
    let server = serve(memory.clone(), Options::default());
    assert_eq!(get(server.local_addr(), PLUG).status, 503);
    assert_eq!(memory.refreshed(), 1);
    memory.set_tip(Some("new"));
    assert_eq!(get(server.local_addr(), "/tarballs/torn-1.0.0.tar").status, 500);
    assert_eq!((memory.refreshed(), memory.loads().len()), (2, 2));
    memory.set_tip(None);
    assert_eq!(get(server.local_addr(), "/health").status, 503);
    assert_eq!(get(server.local_addr(), "/nothing").status, 404);
    assert_eq!(memory.refreshed(), 3, "what the mirror never has is not looked for again");
}
