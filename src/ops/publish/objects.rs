//! The objects of a publication.
//!
//! As in a folder, what this program keeps is below `.git-hexmirror/`: the list of the objects that it wrote, and the state
//! of the last publication. Every object is written at once, so only the list can be behind.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::tempdir_in;

use super::claim::{Claim, OWN_HEADERS, claimed, last_phase};
use crate::bucket::{Bucket, BucketError, Headers};
use crate::model::{StaticPath, StaticStage};
use crate::ops::export::Export;
use crate::ops::export::content_check::ContentCheck;
use crate::ops::export::contents::{Content, Contents};
use crate::ops::export::error::ExportError;
use crate::ops::parallel::in_parallel_with;
use crate::ops::{ExportOptions, OpError, Result};
use crate::plan::lease::{Phase, WRITE};
use crate::plan::{Doubt, FileList, Presence, Publication, WrittenFile};
use crate::progress::{Event, Progress};
use crate::store::Snapshot;

const LIST: &str = ".git-hexmirror/files";
/// The longest list of objects that is read, in bytes.
const MAX_LIST: u64 = 256 << 20;
/// How many requests are sent at once.
const CONCURRENT: usize = 16;
/// The number of objects between two looks at the time.
const BATCH: usize = 128;
/// How often the list is saved, so that an interrupted publication need not begin again.
const SAVING: Duration = Duration::from_secs(5);

const IMMUTABLE: &str = "max-age=31536000, immutable";
const REVALIDATED: &str = "no-cache";

/// A publication to a bucket.
pub(super) struct Objects<'a> {
    pub bucket: &'a Bucket,
    pub snapshot: &'a Snapshot,
    pub contents: &'a Contents,
    pub options: ExportOptions,
    /// A folder for files that are about to be uploaded.
    pub folder: &'a Path,
    pub progress: &'a dyn Progress,
}

/// Carries out the steps of a plan, on several threads.
struct Steps<'a> {
    bucket: &'a Bucket,
    contents: &'a Contents,
    folder: &'a Path,
    progress: &'a dyn Progress,
    claim: &'a Claim<'a>,
    found: &'a Found,
}

/// What a bucket has.
#[derive(PartialEq)]
struct Found {
    objects: BTreeMap<String, u64>,
    list: FileList,
}

impl Objects<'_> {
    pub fn publish(&self) -> Result<Export> {
        let found = Found::read(self.bucket)?;
        let plan = self.plan(&found)?;
        let is_complete = self.is_done(&plan) && last_phase(self.bucket)? == Some(Phase::Published);
        if self.options.dry_run || is_complete {
            return Ok(self.export(plan, Vec::new(), 0));
        }
        claimed(self.bucket, self.progress, |claim| {
            // Another publication may have ended since.
            let again = Found::read(self.bucket)?;
            let plan = if again == found { plan } else { self.plan(&again)? };
            if self.is_done(&plan) {
                return Ok(self.export(plan, Vec::new(), 0));
            }
            let Self { bucket, contents, folder, progress, .. } = self;
            let steps = Steps { bucket, contents, folder, progress: *progress, claim, found: &again };
            let (remove, _) = plan.removals(self.options.delete);
            let (written, bytes) = steps.carry_out(self.snapshot, &plan, &remove)?;
            Ok(self.export(plan, written, bytes))
        })
    }

    fn plan(&self, found: &Found) -> Result<Publication> {
        if !found.list.may_be_of(self.contents.mirror()) {
            let destination = self.bucket.address().to_string();
            let list = format!("{destination}/{LIST}");
            return Err(ExportError::OtherMirror { destination, list }.into());
        }
        let presence = |path: &StaticPath| found.presence(path);
        let mut plan = Publication::new(&self.contents.keys(), &found.list, self.options.check, presence);
        let Self { bucket, contents, .. } = self;
        let is_identical = |snapshot: &Snapshot, doubt: &Doubt| -> Result<bool> {
            let mut check = ContentCheck::new(contents.load(snapshot, &doubt.path)?, doubt.bytes());
            bucket.read_pieces(doubt.path.as_str(), |piece| check.take(piece))?;
            Ok(check.finish())
        };
        let are_identical = in_parallel_with(CONCURRENT, &plan.doubtful, || self.snapshot.clone(), is_identical);
        plan.settle(&are_identical.into_iter().collect::<Result<Vec<_>>>()?);
        match plan.foreign.as_slice() {
            [] => Ok(plan),
            [path, more @ ..] => Err(foreign(self.bucket, path, more.len())),
        }
    }

    fn is_done(&self, plan: &Publication) -> bool {
        plan.is_done(self.options.delete)
    }

    /// Describes the outcome. In a dry run, everything planned counts as written.
    fn export(&self, plan: Publication, written: Vec<StaticPath>, bytes: u64) -> Export {
        let (removed, kept) = plan.removals(self.options.delete);
        let written = if self.options.dry_run { plan.write } else { written };
        let (commit, registry) = (self.snapshot.commit(), Some(self.contents.registry()));
        Export { commit, registry, written, removed, kept, unchanged: plan.unchanged.len(), bytes }
    }
}

impl Steps<'_> {
    /// Returns what was written, and the number of bytes.
    fn carry_out(
        &self,
        snapshot: &Snapshot,
        plan: &Publication,
        remove: &[StaticPath],
    ) -> Result<(Vec<StaticPath>, u64)> {
        self.progress.report(Event::Planned { items: plan.write.len() as u64 });
        let mut list = plan.begun(&self.found.list, self.contents.mirror());
        self.save(&list)?;
        let (mut written, mut bytes, mut saved) = (Vec::new(), 0, Instant::now());
        for stage in StaticStage::ALL {
            let paths: Vec<&StaticPath> = plan.write.iter().filter(|path| path.stage() == stage).collect();
            for batch in paths.chunks(BATCH) {
                let put = |snapshot: &Snapshot, path: &&StaticPath| self.put(snapshot, path);
                let results = in_parallel_with(CONCURRENT, batch, || snapshot.clone(), put);
                let mut failed = None;
                for (path, result) in batch.iter().zip(results) {
                    match result {
                        Ok(file) => {
                            bytes += file.bytes;
                            list.record((*path).clone(), file);
                            written.push((*path).clone());
                        }
                        Err(error) => failed = failed.or(Some(error)),
                    }
                }
                if failed.is_some() || saved.elapsed() > SAVING {
                    let result = self.save(&list);
                    failed.map_or(Ok(()), Err)?;
                    result?;
                    saved = Instant::now();
                }
            }
        }
        self.remove(remove, &mut list)?;
        self.save(&list)?;
        Ok((written, bytes))
    }

    /// Deletes what is no longer wanted, beginning with what refers to other objects.
    fn remove(&self, paths: &[StaticPath], list: &mut FileList) -> Result<()> {
        let mut paths = paths.to_vec();
        paths.sort_by_key(|path| Reverse(path.stage()));
        let delete = |_: &(), path: &StaticPath| {
            self.claim.permit()?;
            Ok(self.bucket.delete(path.as_str())?)
        };
        let results: Vec<Result<()>> = in_parallel_with(CONCURRENT, &paths, || (), delete);
        let mut failed = None;
        for (path, result) in paths.iter().zip(results) {
            match result {
                Ok(()) => list.forget(path),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            None => Ok(()),
            Some(error) => self.save(list).and(Err(error)),
        }
    }

    fn put(&self, snapshot: &Snapshot, path: &StaticPath) -> Result<WrittenFile> {
        let cache_control = if path.is_immutable() { IMMUTABLE } else { REVALIDATED };
        let headers = Headers { media_type: path.media_type(), cache_control };
        let bytes = match self.contents.load(snapshot, path)? {
            Content::Bytes(content) => {
                let bytes = content.len() as u64;
                if !path.is_immutable() {
                    self.claim.permit()?;
                    self.bucket.put(path.as_str(), content, headers, Some(WRITE))?;
                } else if self.found.presence(path) == Presence::Absent {
                    self.create(path, content, headers)?;
                } else {
                    self.bucket.put(path.as_str(), content, headers, None)?;
                }
                bytes
            }
            Content::Large(large) => {
                let folder = tempdir_in(self.folder).map_err(OpError::machine("create a folder in", self.folder))?;
                let file = folder.path().join("object");
                large.write_to(snapshot, &file)?;
                self.bucket.upload(path.as_str(), &file, headers)?;
                file.metadata().map_err(OpError::machine("read", &file))?.len()
            }
        };
        self.progress.report(Event::Finished { item: path.to_string() });
        Ok(WrittenFile { key: self.contents.key(path), bytes })
    }

    /// Writes an object that was not in the bucket when it was listed. If it is there now, it must be identical: a
    /// retry may find the object of a first attempt whose response was lost.
    fn create(&self, path: &StaticPath, content: Vec<u8>, headers: Headers) -> Result<()> {
        if self.bucket.create(path.as_str(), content.clone(), headers)? {
            return Ok(());
        }
        match self.bucket.read(path.as_str(), content.len() as u64) {
            Ok(Some((found, _))) if found == content => Ok(()),
            Ok(_) | Err(BucketError::TooLarge { .. }) => Err(foreign(self.bucket, path, 0)),
            Err(error) => Err(error.into()),
        }
    }

    fn save(&self, list: &FileList) -> Result<()> {
        self.claim.permit()?;
        Ok(self.bucket.put(LIST, list.to_string().into_bytes(), OWN_HEADERS, Some(WRITE))?)
    }
}

impl Found {
    fn read(bucket: &Bucket) -> Result<Self> {
        let list = list(bucket)?;
        Ok(Self { objects: bucket.list()?, list })
    }

    fn presence(&self, path: &StaticPath) -> Presence {
        self.objects.get(path.as_str()).map_or(Presence::Absent, |bytes| Presence::File { bytes: *bytes })
    }
}

/// Returns the list of the objects that this program wrote.
///
/// # Errors
/// Fails if the list cannot be read.
pub(super) fn list(bucket: &Bucket) -> Result<FileList> {
    let Some((bytes, _)) = bucket.read(LIST, MAX_LIST)? else { return Ok(FileList::default()) };
    let path = || format!("{}/{LIST}", bucket.address()).into();
    Ok(String::from_utf8_lossy(&bytes).parse().map_err(|source| ExportError::List { path: path(), source })?)
}

fn foreign(bucket: &Bucket, path: &StaticPath, more: usize) -> OpError {
    ExportError::Foreign { path: format!("{}/{path}", bucket.address()).into(), more }.into()
}
