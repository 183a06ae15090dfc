//! The limits of a server.

use std::num::NonZero;
use std::thread;
use std::time::Duration;

use crate::page::MAX_DOWNLOAD;

/// Limits on the use of the server, in total and per client.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The maximum number of connections, which also never exceeds half of the process's file descriptor limit. A
    /// further connection replaces the one that has been idle longest. While all are busy, it waits.
    pub connections: usize,
    /// The maximum number of connections of one peer that are served at a time. Does not apply to this machine. With
    /// IPv6, a peer is a /64 network.
    pub connections_per_peer: usize,
    /// The maximum time to receive a complete request header, counted from the end of the previous request. It
    /// therefore also limits how long an idle connection is kept.
    pub header_time: Duration,
    /// The maximum time in which a client must read at least 16 KiB of a response.
    pub write_time: Duration,
    /// The maximum size of a request header in bytes. At least 8192.
    pub header_bytes: usize,
    /// The time that active requests get to finish when the server stops.
    pub drain_time: Duration,
    /// The maximum size of the body of a git client's request in bytes, both compressed and decompressed.
    pub body_bytes: u64,
    /// The maximum time to receive the complete body of a git client's request.
    pub body_time: Duration,
    /// The maximum number of concurrent git processes. A peer other than this machine gets at most half of them.
    /// Further requests wait.
    pub git_processes: usize,
    /// The maximum number of web pages that are made at a time, with the same share for each peer. Further requests wait.
    pub pages: usize,
    /// The same for the pages about what differs between two versions, which take longest. Other pages do not wait for them.
    /// Requests that would wait too long are answered with status 503.
    pub comparisons: usize,
    /// The room for the files that browsers download, in bytes of memory. A peer other than this machine gets half of it. Requests
    /// that would wait too long for room are answered with status 503.
    pub download_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(2, NonZero::get);
        Self {
            connections: 512,
            connections_per_peer: 128,
            header_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            header_bytes: 16 * 1024,
            drain_time: Duration::from_secs(5),
            // A client sends 50 bytes for each commit that it has, and names some thousands at most.
            body_bytes: 16 * 1024 * 1024,
            body_time: Duration::from_secs(60),
            git_processes: 2 * cores,
            pages: cores,
            comparisons: (cores / 2).max(1),
            // So every peer can download every file.
            download_bytes: 2 * MAX_DOWNLOAD as usize,
        }
    }
}
