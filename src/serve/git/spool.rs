//! Stores the output of one run of git until every client that asked for it has received it. Slow clients therefore do
//! not slow git down, and clients that ask the same key at the same time share one run.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::{task, time};

/// The number of bytes to read at a time. This is also the maximum that an answer keeps in memory; the rest is in a
/// file.
pub(super) const STEP: usize = 64 * 1024;
/// The maximum size of the files of all answers together, in steps: 4 GiB.
const MAX_STEPS: usize = (4 << 30) / STEP;
/// How long an answer waits for others to free disk space.
const ROOM_TIME: Duration = Duration::from_secs(60);

/// The disk space that the files of all answers share. Clones share it.
#[derive(Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_STEPS)))
    }
}

/// The progress of an answer.
#[derive(Debug, Clone, Default)]
struct Progress {
    length: u64,
    end: Option<End>,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The answer is complete. git may still have printed an error message.
    Complete(Option<String>),
    /// The answer is incomplete.
    Broken(String),
}

/// An answer that is being written or is complete. Its writer stops when no reader is left.
pub(super) struct Spool {
    content: Arc<Content>,
    progress: watch::Receiver<Progress>,
}

/// The writing end of a [`Spool`].
pub(super) struct Writer {
    content: Arc<Content>,
    progress: watch::Sender<Progress>,
    room: Room,
}

#[derive(Default)]
struct Content {
    head: Mutex<Vec<u8>>,
    rest: Mutex<Rest>,
}

#[derive(Default)]
struct Rest {
    /// An anonymous file, which is deleted on drop.
    file: Option<File>,
    /// The part of the shared disk space that this answer uses.
    room: Option<OwnedSemaphorePermit>,
}

/// Creates an empty answer, which takes disk space from `room`.
pub(super) fn spool(room: &Room) -> (Writer, Spool) {
    let (sender, receiver) = watch::channel(Progress::default());
    let content = Arc::<Content>::default();
    let writer = Writer { content: content.clone(), progress: sender, room: room.clone() };
    (writer, Spool { content, progress: receiver })
}

impl Writer {
    /// Completes when no reader is left.
    pub(super) async fn is_left(&self) {
        self.progress.closed().await;
    }

    /// Appends at most [`STEP`] bytes. If a file is needed, it is created in `folder`, or else in the folder for
    /// temporary files.
    pub(super) async fn add(&self, bytes: Bytes, folder: &Path) -> io::Result<()> {
        let length = bytes.len() as u64;
        let fits = {
            let mut head = lock(&self.content.head);
            let fits = self.is_in_memory() && head.len() + bytes.len() <= STEP;
            if fits {
                head.extend_from_slice(&bytes);
            }
            fits
        };
        if !fits {
            let room = time::timeout(ROOM_TIME, self.room.0.clone().acquire_owned()).await;
            let room = room.map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?.map_err(io::Error::other)?;
            let (content, folder) = (self.content.clone(), folder.to_owned());
            task::spawn_blocking(move || content.add_to_file(&bytes, room, &folder)).await??;
        }
        self.progress.send_modify(|progress| progress.length += length);
        Ok(())
    }

    /// Ends the answer.
    pub(super) fn end(self, end: End) {
        self.progress.send_modify(|progress| progress.end = Some(end));
    }

    fn is_in_memory(&self) -> bool {
        lock(&self.content.rest).file.is_none()
    }
}

impl Content {
    fn add_to_file(&self, bytes: &[u8], room: OwnedSemaphorePermit, folder: &Path) -> io::Result<()> {
        let mut rest = lock(&self.rest);
        let Rest { file, room: taken } = &mut *rest;
        match taken {
            Some(taken) => taken.merge(room),
            None => *taken = Some(room),
        }
        let file = match file {
            Some(file) => file,
            None => file.insert(tempfile::tempfile_in(folder).or_else(|_| tempfile::tempfile())?),
        };
        file.seek(SeekFrom::End(0))?;
        file.write_all(bytes)
    }

    /// Reads from a position of the file, which has `length` bytes.
    fn read_file(&self, position: u64, length: u64) -> io::Result<Bytes> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(STEP).min(STEP)];
        let mut rest = lock(&self.rest);
        let file = rest.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.seek(SeekFrom::Start(position))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// The result of waiting for more data.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Bytes(Bytes),
    End(End),
}

impl Spool {
    /// Waits for the bytes that follow the first `position` bytes.
    pub(super) async fn next(self: Arc<Self>, position: u64) -> Next {
        let mut progress = self.progress.clone();
        let now = progress.wait_for(|progress| progress.length > position || progress.end.is_some()).await;
        let now = now.map(|now| now.clone()).unwrap_or_default();
        if now.length <= position {
            return Next::End(now.end.unwrap_or_else(|| End::Broken("the server stops".into())));
        }
        let in_memory = {
            let head = lock(&self.content.head);
            let from = usize::try_from(position).unwrap_or(usize::MAX);
            let bytes = head.get(from..).filter(|bytes| !bytes.is_empty()).map(Bytes::copy_from_slice);
            bytes.ok_or(head.len() as u64)
        };
        let head = match in_memory {
            Ok(bytes) => return Next::Bytes(bytes),
            Err(head) => head,
        };
        let content = self.content.clone();
        let read = task::spawn_blocking(move || content.read_file(position - head, now.length - position)).await;
        match read.map_err(io::Error::from).flatten() {
            Ok(bytes) => Next::Bytes(bytes),
            Err(error) => Next::End(End::Broken(format!("what git wrote cannot be read back: {error}"))),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No panic in this module leaves the guarded state inconsistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(spool: &Arc<Spool>) -> (Vec<u8>, End) {
        let mut bytes = Vec::new();
        loop {
            match spool.clone().next(bytes.len() as u64).await {
                Next::Bytes(more) => bytes.extend_from_slice(&more),
                Next::End(end) => return (bytes, end),
            }
        }
    }

    #[tokio::test]
    async fn every_reader_gets_all_of_it_whatever_its_size() {
        for length in [0, 1, STEP, STEP + 1, 5 * STEP + 7] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let (writer, spool) = spool(&Room::default());
            let spool = Arc::new(spool);
            let early = task::spawn({
                let spool = spool.clone();
                async move { read_all(&spool).await }
            });
            for chunk in bytes.chunks(10_007) {
                writer.add(Bytes::copy_from_slice(chunk), &std::env::temp_dir()).await.unwrap();
                task::yield_now().await;
            }
            writer.end(End::Complete(None));
            assert!(read_all(&spool).await == (bytes.clone(), End::Complete(None)), "{length}");
            assert!(early.await.unwrap() == (bytes, End::Complete(None)), "{length}");
        }
    }

    #[tokio::test]
    async fn a_writer_without_readers_frees_its_disk_space() {
        let room = Room::default();
        let (writer, spool) = spool(&room);
        for _ in 0..3 {
            writer.add(Bytes::from(vec![0; STEP]), &std::env::temp_dir()).await.unwrap();
        }
        assert_eq!(room.0.available_permits(), MAX_STEPS - 2);
        drop(spool);
        writer.is_left().await;
        drop(writer);
        assert_eq!(room.0.available_permits(), MAX_STEPS);
    }

    #[tokio::test]
    async fn readers_of_an_unfinished_answer_are_notified() {
        let (writer, spool) = spool(&Room::default());
        drop(writer);
        assert!(matches!(Arc::new(spool).next(0).await, Next::End(End::Broken(_))));
    }
}
