//! A disk in memory that fails as it is told to, and forgets what was not synced.
//!
//! What a process sees and what is on the disk are kept apart. When the power is lost, of what was
//! written and not synced each block may be there or be zeros, in no order, and each change of a name
//! may be there or not. After a sync that has failed, what it was about is never on the disk, though
//! later syncs succeed.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::journal::disk::{Disk, Number, Output};

/// What is lost or kept together.
const BLOCK_BYTES: usize = 32;

/// The disk. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: Vec<Content>,
    /// The names as processes see them, and as they are on the disk: indices of `files`.
    names: BTreeMap<String, usize>,
    disk_names: BTreeMap<String, usize>,
    /// Changes of names that are not on the disk.
    changes: Vec<Change>,
    /// Operations so far, and which of them fail.
    operations: u64,
    faults: Vec<Fault>,
    is_dead: bool,
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    /// What the disk has, from the beginning on.
    disk: Vec<u8>,
    /// Where what the disk has lost in a sync that failed begins.
    lost: Option<usize>,
    /// A number that is mapped: where it is, and itself.
    mapped: Option<(usize, Arc<AtomicU64>)>,
}

enum Change {
    Named(String, usize),
    Renamed(String, String),
    Removed(String),
}

/// Operations that do not work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// The first of them, counted from 0, and how many.
    pub(super) at: u64,
    pub(super) count: u64,
    pub(super) kind: FaultKind,
    /// How much of a write is done, of 256.
    pub(super) part: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// A write writes less than it could. Other operations work.
    Short,
    /// There is no space: for writes, new files and names.
    NoSpace,
    /// The disk has an error.
    Broken,
    /// The process is killed in the middle of it: this and all later ones do nothing.
    Kill,
}

impl MemoryDisk {
    /// Has operations fail, counted from now on, instead of those that were to fail before.
    pub(super) fn set_faults(&self, faults: Vec<Fault>) {
        let mut state = self.0.lock().unwrap();
        (state.faults, state.operations, state.is_dead) = (faults, 0, false);
    }

    pub(super) fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    pub(super) fn is_dead(&self) -> bool {
        self.0.lock().unwrap().is_dead
    }

    /// What the next process finds after the last one has ended, however that was.
    pub(super) fn after_kill(&self) -> MemoryDisk {
        let mut state = self.0.lock().unwrap();
        state.is_dead = true;
        let mut next = State::default();
        for (name, index) in &state.names {
            next.names.insert(name.clone(), next.files.len());
            next.disk_names.insert(name.clone(), next.files.len());
            let content = &state.files[*index];
            let (bytes, mut disk) = (content.seen(), content.disk.clone());
            // A disk that has lied to one process does not lie to the next one.
            disk.truncate(content.lost.unwrap_or(disk.len()));
            next.files.push(Content { bytes, disk, lost: None, mapped: None });
        }
        MemoryDisk(Arc::new(Mutex::new(next)))
    }

    /// What is left after the machine has lost its power.
    pub(super) fn after_power_loss(&self, random: &mut fastrand::Rng) -> MemoryDisk {
        let mut state = self.0.lock().unwrap();
        state.is_dead = true;
        let mut names = std::mem::take(&mut state.disk_names);
        for change in std::mem::take(&mut state.changes) {
            if random.bool() {
                change.apply(&mut names);
            }
        }
        let mut next = State::default();
        for (name, index) in names {
            next.names.insert(name.clone(), next.files.len());
            next.disk_names.insert(name, next.files.len());
            let content = &state.files[index];
            let mut disk = content.disk.clone();
            write_out(&mut disk, &content.seen(), random);
            next.files.push(Content { bytes: disk.clone(), disk, lost: None, mapped: None });
        }
        MemoryDisk(Arc::new(Mutex::new(next)))
    }

    /// The names and contents of the files as processes see them.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.0.lock().unwrap();
        let seen = |(name, index): (&String, &usize)| (name.clone(), state.files[*index].seen());
        state.names.iter().map(seen).collect()
    }

    /// Puts a file there, on the disk as well.
    pub(super) fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.0.lock().unwrap();
        let index = state.files.len();
        state.files.push(Content { disk: bytes.clone(), bytes, lost: None, mapped: None });
        state.names.insert(name.to_owned(), index);
        state.disk_names.insert(name.to_owned(), index);
    }
}

impl State {
    /// Counts an operation, and says what becomes of it.
    fn operation(&mut self) -> io::Result<Option<Fault>> {
        if self.is_dead {
            return Err(io::Error::other("the process is dead"));
        }
        let now = self.operations;
        self.operations += 1;
        let hit = |fault: &&Fault| (fault.at..fault.at + fault.count).contains(&now);
        let fault = self.faults.iter().find(hit).copied();
        self.is_dead = fault.is_some_and(|fault| fault.kind == FaultKind::Kill);
        Ok(fault)
    }

    /// As [`State::operation`], for one that is done or not.
    fn whole_operation(&mut self, takes_space: bool) -> io::Result<()> {
        match self.operation()? {
            None => Ok(()),
            Some(fault) => fault.error(takes_space).map_or(Ok(()), Err),
        }
    }

    fn index(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }
}

impl Content {
    fn seen(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if let Some((offset, number)) = &self.mapped {
            let number = number.load(Ordering::SeqCst).to_ne_bytes();
            bytes[*offset..*offset + 8].copy_from_slice(&number);
        }
        bytes
    }
}

/// Has the disk have some of the blocks of what was appended, and of a number that was changed.
fn write_out(disk: &mut Vec<u8>, seen: &[u8], random: &mut fastrand::Rng) {
    let had = disk.len();
    let length = random.usize(had..=seen.len());
    disk.resize(length, 0);
    for begin in (0..length).step_by(BLOCK_BYTES) {
        let end = (begin + BLOCK_BYTES).min(length);
        // What is old and unchanged stays as it is.
        if random.bool() {
            disk[begin..end].copy_from_slice(&seen[begin..end]);
        }
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Change::Named(name, index) => {
                names.insert(name.clone(), *index);
            }
            Change::Renamed(from, to) => {
                if let Some(index) = names.remove(from) {
                    names.insert(to.clone(), index);
                }
            }
            Change::Removed(name) => {
                names.remove(name);
            }
        }
    }
}

impl Fault {
    fn error(&self, takes_space: bool) -> Option<io::Error> {
        match self.kind {
            FaultKind::Short => None,
            FaultKind::NoSpace => takes_space.then(|| ErrorKind::StorageFull.into()),
            FaultKind::Broken => Some(io::Error::from_raw_os_error(libc::EIO)),
            FaultKind::Kill => Some(io::Error::other("the process is killed")),
        }
    }
}

impl Disk for MemoryDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let state = self.0.lock().unwrap();
        let bytes = state.files[state.index(name)?].seen();
        let length = bytes.len() as u64;
        Ok((Box::new(io::Cursor::new(bytes)), length))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Output>> {
        let mut state = self.0.lock().unwrap();
        state.whole_operation(true)?;
        let index = state.files.len();
        state.files.push(Content::default());
        state.change(Change::Named(name.to_owned(), index));
        Ok(Box::new(MemoryFile { disk: self.clone(), index }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.whole_operation(true)?;
        state.index(from)?;
        state.change(Change::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.whole_operation(false)?;
        state.index(name)?;
        state.change(Change::Removed(name.to_owned()));
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.whole_operation(false)?;
        state.changes.clear();
        state.disk_names = state.names.clone();
        Ok(())
    }

    fn sync_file(&self, name: &str) -> io::Result<()> {
        let index = self.0.lock().unwrap().index(name)?;
        MemoryFile { disk: self.clone(), index }.sync()
    }

    fn map(&self, name: &str, offset: usize) -> io::Result<Number> {
        let mut state = self.0.lock().unwrap();
        let index = state.index(name)?;
        let content = &mut state.files[index];
        let number = content.bytes[offset..].first_chunk().copied().map(u64::from_ne_bytes);
        let number = Arc::new(AtomicU64::new(number.unwrap()));
        content.mapped = Some((offset, Arc::clone(&number)));
        Ok(Number::Own(number))
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("memory").join(name)
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    index: usize,
}

impl Output for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.0.lock().unwrap();
        let fault = state.operation()?;
        let is_first = fault.is_some_and(|fault| fault.at + 1 == state.operations);
        let part = match fault {
            None => 256,
            // The last bytes of space are used up by then.
            Some(fault) if fault.kind == FaultKind::NoSpace && !is_first => 0,
            Some(fault) => usize::from(fault.part),
        };
        let mut count = bytes.len() * part / 256;
        let error = fault.and_then(|fault| fault.error(true));
        if error.is_none() {
            count = count.max(1);
        }
        let content = &mut state.files[self.index];
        content.bytes.extend_from_slice(&bytes[..count]);
        match error {
            // The next write says that there is no space.
            Some(error) if count == 0 || error.kind() != ErrorKind::StorageFull => Err(error),
            _ => Ok(count),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        let fault = state.operation()?;
        let error = fault.and_then(|fault| fault.error(false));
        let content = &mut state.files[self.index];
        if let Some(error) = error {
            if fault.is_some_and(|fault| fault.kind == FaultKind::Broken) {
                // It is held to be written, and is not.
                let had = content.disk.len();
                content.lost.get_or_insert(had);
                content.disk.resize(content.bytes.len().max(had), 0);
            }
            return Err(error);
        }
        let had = content.disk.len();
        let new = content.bytes[had..].to_vec();
        content.disk.extend_from_slice(&new);
        Ok(())
    }
}
