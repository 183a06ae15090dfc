//! Holds the files that browsers download in memory, but only so many bytes at a time: all who download the same file share one copy,
//! which is kept until the last of them has read it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time;

use super::blocking::blocking;
use super::contents::ContentsError;
use super::work_limits::{WorkLimits, WorkPermit};

/// How long a request waits for room.
const PATIENCE: Duration = Duration::from_secs(10);
/// The unit of room, in bytes.
const UNIT: usize = 1024;

/// A file while somebody downloads it.
type Shared = Arc<Mutex<Weak<Held>>>;

/// The files that are being downloaded.
pub(super) struct Downloads {
    /// The room for files, in units.
    room: WorkLimits,
    /// How many files are read at a time: reading can take more memory than the file has.
    reads: WorkLimits,
    patience: Duration,
    shared: SyncMutex<HashMap<String, Shared>>,
}

/// A file in memory, in the room that it takes.
struct Held {
    bytes: Vec<u8>,
    _room: WorkPermit,
}

/// Keeps a file in memory.
struct Holder(Arc<Held>);

impl AsRef<[u8]> for Holder {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl Downloads {
    /// Creates room for this many bytes. A peer other than this machine gets half of it. Reads this many files at a time.
    pub(super) fn new(bytes: usize, reads: usize) -> Self {
        let (room, reads) = (WorkLimits::new(bytes / UNIT), WorkLimits::new(reads));
        Self { room, reads, patience: PATIENCE, shared: SyncMutex::default() }
    }

    /// Returns a file of at most `size` bytes. Requests with the same `key` share one copy; without one, calls `read`. The copy
    /// takes room until the last of the returned [`Bytes`] is dropped. `None` if there is no room in time.
    pub(super) async fn file(
        &self,
        peer: IpAddr,
        key: String,
        size: u64,
        read: impl FnOnce() -> Result<Vec<u8>, ContentsError> + Send + 'static,
    ) -> Option<Result<Bytes, ContentsError>> {
        let units = u32::try_from(size.div_ceil(UNIT as u64)).unwrap_or(u32::MAX).max(1);
        let shared = self.shared(key);
        let file = async {
            let mut held = shared.lock().await;
            if let Some(held) = held.upgrade() {
                return Ok(held);
            }
            let room = self.room.acquire_many(peer, units).await;
            let permit = self.reads.acquire(peer).await;
            // If nobody waits for it any more, the read still goes on, so it has both permits.
            let read = move || {
                let bytes = read();
                drop(permit);
                bytes.map(|bytes| Arc::new(Held { bytes, _room: room }))
            };
            let read = blocking(|| "this file".to_owned(), read).await;
            if let Ok(file) = &read {
                *held = Arc::downgrade(file);
            }
            read
        };
        let file = time::timeout(self.patience, file).await.ok()?;
        Some(file.map(|held| Bytes::from_owner(Holder(held))))
    }

    fn shared(&self, key: String) -> Shared {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared
            .retain(|_, file| Arc::strong_count(file) > 1 || file.try_lock().is_ok_and(|held| held.strong_count() > 0));
        shared.entry(key).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Waker};

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const SIZE: u64 = 4 * UNIT as u64;

    /// Creates room for two files of [`SIZE`].
    fn downloads() -> Downloads {
        Downloads::new(2 * usize::try_from(SIZE).unwrap(), 2)
    }

    async fn file(downloads: &Downloads, peer: IpAddr, key: &str) -> Option<Bytes> {
        let file = downloads.file(peer, key.to_owned(), SIZE, || Ok(vec![0; SIZE as usize]));
        file.await.map(Result::unwrap)
    }

    #[tokio::test]
    async fn files_take_no_more_memory_than_there_is_room() {
        let mut downloads = downloads();
        let [one, _other] = [file(&downloads, HERE, "one").await, file(&downloads, HERE, "other").await];
        assert!(one.is_some());
        downloads.patience = Duration::ZERO;
        assert!(file(&downloads, HERE, "third").await.is_none(), "there is no room, and nobody waits forever");
        downloads.patience = PATIENCE;
        let part = one.as_ref().unwrap().slice(1..2);
        let mut third = pin!(file(&downloads, HERE, "third"));
        drop(one);
        assert!(third.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(part);
        assert!(third.await.is_some(), "it waited for the last reader of another file");
    }

    #[tokio::test]
    async fn those_who_download_the_same_file_share_it() {
        let (downloads, reads) = (downloads(), Arc::new(AtomicUsize::new(0)));
        let same = || {
            let reads = reads.clone();
            downloads.file(HERE, "same".to_owned(), SIZE, move || {
                reads.fetch_add(1, Ordering::SeqCst);
                Ok(vec![0; SIZE as usize])
            })
        };
        let (one, two, three) = tokio::join!(same(), same(), same());
        assert_eq!(reads.load(Ordering::SeqCst), 1);
        drop((one, two, three));
        assert!(file(&downloads, HERE, "other").await.is_some());
        assert_eq!(downloads.shared.lock().unwrap().len(), 1, "what nobody downloads is forgotten");
        assert!(same().await.is_some());
        assert_eq!(reads.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_peer_leaves_room_for_others() {
        let mut downloads = downloads();
        let _one = file(&downloads, ELSEWHERE, "one").await.unwrap();
        assert!(file(&downloads, HERE, "other").await.is_some());
        downloads.patience = Duration::ZERO;
        assert!(file(&downloads, ELSEWHERE, "third").await.is_none());
    }

    #[tokio::test]
    async fn a_failed_read_takes_no_room() {
        let downloads = downloads();
        for _ in 0..3 {
            let failed = downloads.file(HERE, "one".to_owned(), 2 * SIZE, || {
                Err(ContentsError::Damaged { item: "x".into(), source: "broken".into() })
            });
            assert!(failed.await.unwrap().is_err());
        }
    }
}
