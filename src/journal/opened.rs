//! A folder that was opened: what is in it is read, and then a life begins.
//!
//! Segments are read in the order of their files. Each says with which record it begins, so:
//!
//! - What follows the last whole record of a segment is left out, if the next one begins with the
//!   record that would be there, or with one before it. That is how it is where a process was
//!   killed, a machine has lost its power, or a write has failed and was done again elsewhere.
//!   Nothing there was kept by the promise: a segment is on the disk before the next one begins.
//! - If the next one begins with a later record, something is missing that was kept: the disk has
//!   lost it, or somebody has changed the files. Then nothing is begun ([`JournalError::Damaged`]).
//!   A hub that went on would tell its clients that they miss nothing, and it cannot know what else
//!   is wrong.
//!   So a start is also refused after three faults in a row: a sync fails, the process is killed
//!   before it has written elsewhere, and the machine loses its power later.
//! - Records that were read already are passed over.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use parking::Parker;

use super::disk::{Disk, TEMPORARY};
use super::error::JournalError;
use super::folder::{self, segment_name, segment_of, Lock};
use super::handle::Journal;
use super::head::{self, Boot};
use super::life::{self, Ended, Life, LIVES, LIVES_BYTES_MAX};
use super::open_segment::Position;
use super::options::JournalOptions;
use super::segment::{Beginning, Header, Kind, Scan, HEADER_BYTES, VERSION};
use super::shared::{Segment, Shared};
use super::summary;
use super::writer::Writer;
use crate::id::Epoch;

/// A journal's folder, locked.
pub(crate) struct Opened {
    disk: Arc<dyn Disk>,
    /// Files that exist in memory alone have none.
    lock: Option<Lock>,
    options: JournalOptions,
    boot: Boot,
    /// The files of segments, in their order.
    files: Vec<u64>,
    lives: Vec<Life>,
    contents: Option<Contents>,
}

/// What was found in the segments.
struct Contents {
    segments: Vec<Segment>,
    /// Besides the last one, files of which the disk may not have all that the system has: the next
    /// one was to have some of their records again.
    unsure: BTreeSet<u64>,
    end: Position,
    /// Whether the last thing in the last segment says that nothing is missing.
    is_ended: bool,
    /// The highest number that is known to have been given.
    given: u64,
}

impl Opened {
    /// Opens a folder, which is made if it is missing.
    pub(super) fn open(path: &Path, options: JournalOptions) -> Result<Opened, JournalError> {
        let (folder, lock) = folder::open(path)?;
        Opened::on(Arc::new(folder), Some(lock), options, head::boot())
    }

    /// Opens the files of a disk.
    pub(super) fn on(
        disk: Arc<dyn Disk>,
        lock: Option<Lock>,
        options: JournalOptions,
        boot: Boot,
    ) -> Result<Opened, JournalError> {
        let names = disk.names().map_err(JournalError::io("cannot list", &disk.path("")))?;
        for name in names.iter().filter(|name| name.ends_with(TEMPORARY)) {
            // What was to replace a file and was not finished. It takes space, no more.
            let _ = disk.remove(name);
        }
        let mut files: Vec<u64> = names.iter().filter_map(|name| segment_of(name)).collect();
        files.sort_unstable();
        let path = disk.path(LIVES);
        let listed = disk.read_small(LIVES, LIVES_BYTES_MAX);
        let lives = match listed.map_err(JournalError::io("cannot read", &path))? {
            Some(bytes) => life::decode(&bytes, &path)?,
            None if files.is_empty() => Vec::new(),
            None => {
                let what = "the list of the hub's lives is missing".to_owned();
                return Err(JournalError::Damaged { path, at: 0, what });
            }
        };
        let opened = Opened { disk, lock, options, boot, files, lives, contents: None };
        // A newer program's files are refused before anything is done with the others.
        for file in &opened.files {
            opened.scan(*file)?;
        }
        Ok(opened)
    }

    /// The earlier lives, the last one at the end; how that one ended is known once all is read.
    pub(crate) fn lives(&self) -> &[Life] {
        &self.lives
    }

    /// The first number of the life that is to begin; known once all is read.
    pub(crate) fn next(&self) -> u64 {
        let given = self.contents.as_ref().map_or(0, |contents| contents.given);
        self.lives.iter().map(Life::reached).max().unwrap_or(0).max(given) + 1
    }

    /// Reads all records in their order: each gets its number and payload.
    pub(crate) fn read(&mut self, mut each: impl FnMut(u64, &[u8])) -> Result<(), JournalError> {
        let mut contents = Contents {
            segments: Vec::with_capacity(self.files.len()),
            unsure: BTreeSet::new(),
            end: Position { serial: 0, number: 0 },
            is_ended: false,
            given: 0,
        };
        let mut left_out = None;
        for file in self.files.clone() {
            let (beginning, scan, file_bytes) = self.scan(file)?;
            let Beginning::Header(header, _) = beginning else {
                // The header is on the disk before anything is behind it.
                if file_bytes > HEADER_BYTES as u64 {
                    return Err(self.damaged(file, 0, "it has no header".to_owned()));
                }
                continue;
            };
            if contents.segments.is_empty() && contents.end.serial == 0 {
                // The oldest segments may have been removed by hand.
                contents.end.serial = header.serial;
            }
            if header.serial > contents.end.serial {
                let missing = header.serial - contents.end.serial;
                let (file, at) = left_out.unwrap_or((file, 0));
                let what = format!("{missing} records are missing behind it");
                return Err(self.damaged(file, at, what));
            }
            left_out =
                Some((file, self.read_segment(file, header, scan, &mut contents, &mut each)?));
        }
        self.finish_lives(&mut contents)?;
        self.contents = Some(contents);
        Ok(())
    }

    /// Reads the records of a segment that were not read before. Returns where they end.
    fn read_segment(
        &self,
        file: u64,
        header: Header,
        mut scan: Scan,
        contents: &mut Contents,
        each: &mut impl FnMut(u64, &[u8]),
    ) -> Result<u64, JournalError> {
        for earlier in contents.segments.iter().rev() {
            if earlier.serial_end <= header.serial {
                break;
            }
            contents.unsure.insert(earlier.file);
        }
        let end = &mut contents.end;
        let begin = end.serial;
        let is_known = header.serial_end.is_some_and(|serial_end| serial_end <= begin);
        let mut serial = header.serial;
        end.number = end.number.max(header.reached);
        contents.is_ended = false;
        // The path is made when it is needed, and not for each record.
        let cannot =
            |error| JournalError::io("cannot read", &self.disk.path(&segment_name(file)))(error);
        while let Some(record) = scan.next().map_err(cannot)? {
            end.number = end.number.max(record.number);
            contents.is_ended = record.kind == Kind::End;
            if record.kind == Kind::Data {
                let is_new = match header.serial_end {
                    Some(_) => !is_known,
                    None => serial >= begin,
                };
                serial += 1;
                if is_new {
                    each(record.number, record.payload);
                }
            }
        }
        let (at, rest) = (scan.offset(), scan.rest());
        if let Some(serial_end) = header.serial_end {
            // It was on the disk as a whole before it had its name.
            if rest > 0 {
                return Err(self.damaged(file, at, "a record is not whole".to_owned()));
            }
            serial = serial_end;
        } else if rest > 0 {
            log::warn!(
                "{}: {rest} bytes behind the last whole record are left out",
                self.disk.path(&segment_name(file)).display()
            );
        }
        end.serial = serial.max(begin);
        contents.segments.push(Segment {
            file,
            epoch: header.epoch,
            first: header.first,
            serial: begin,
            serial_end: end.serial,
            reached: header.reached,
            bytes: at + rest,
        });
        Ok(at)
    }

    /// Says how the last life ended.
    fn finish_lives(&mut self, contents: &mut Contents) -> Result<(), JournalError> {
        let head = head::read(&*self.disk, self.boot)?;
        contents.given = contents.end.number;
        let Some(life) = self.lives.last_mut() else { return Ok(()) };
        let head = head.filter(|head| head.epoch == life.epoch);
        life.last = contents.end.number.max(life.first - 1);
        // What an earlier life wrote at its end says nothing of this one, of which no segment may be
        // left: one that could not be written is removed.
        let is_of = contents.segments.last().is_some_and(|segment| segment.epoch == life.epoch);
        let is_ended = contents.is_ended && is_of;
        life.ended = match head {
            // Nothing is missing, or what was given behind the end.
            Some(head) if is_ended && head.number <= life.last => Ended::Clean,
            Some(head) if head.is_exact => Ended::Killed { head: head.number.max(life.last) },
            None if is_ended => Ended::Clean,
            _ => Ended::Unknown,
        };
        // Also a page that is not exact says that so many were given.
        contents.given = contents.given.max(head.map_or(0, |head| head.number));
        Ok(())
    }

    /// What the keeper has said of the records that are not there any more; `None` if all are.
    pub(crate) fn summary(&self) -> Result<Option<Vec<u8>>, JournalError> {
        summary::read(&*self.disk)
    }

    /// That what was read is nothing that the reader has written.
    pub(crate) fn malformed(&self, what: &str) -> JournalError {
        JournalError::Damaged { path: self.disk.path(""), at: 0, what: what.to_owned() }
    }

    /// Begins a life: from now on records can be pushed, the first with the number
    /// [`Opened::next`]. Reads the folder if that was not done.
    pub(crate) fn begin(mut self, epoch: Epoch) -> Result<Journal, JournalError> {
        if self.contents.is_none() {
            self.read(|_, _| ())?;
        }
        let lock = self.lock.take();
        let (shared, writer, parker) = self.start(epoch)?;
        let journal = Journal::new(shared);
        let thread = std::thread::Builder::new().name("fanfare-journal".to_owned());
        let run = move || {
            writer.run(&parker, move || drop(lock));
        };
        let started = thread.spawn(run);
        started.map_err(JournalError::io("cannot start the thread of", &self.disk.path("")))?;
        Ok(journal)
    }

    /// Begins a life without a thread that writes.
    #[allow(clippy::type_complexity, reason = "it is taken apart at once")]
    pub(super) fn start(
        &mut self,
        epoch: Epoch,
    ) -> Result<(Arc<Shared>, Writer, Parker), JournalError> {
        let first = self.next();
        let Some(contents) = self.contents.take() else {
            unreachable!("a life begins after everything was read")
        };
        let disk = &self.disk;
        // What a killed process has written may be in the system's memory alone, and what comes now
        // relies on it.
        let last = contents.segments.last().map(|segment| segment.file);
        for segment in &contents.segments {
            if Some(segment.file) == last || contents.unsure.contains(&segment.file) {
                let name = segment_name(segment.file);
                let secured = disk.secure(&name, segment.bytes, false);
                secured.map_err(JournalError::io("cannot sync", &disk.path(&name)))?;
            }
        }
        // How the life before ended is written down before its head page is replaced.
        let life = Life { epoch, first, last: first - 1, ended: Ended::Unknown };
        self.lives.push(life);
        let listed = disk.replace(LIVES, &life::encode(&self.lives));
        listed.map_err(JournalError::io("cannot write", &disk.path(LIVES)))?;
        let head = head::begin(&**disk, self.boot, epoch, first - 1)?;
        let (parker, unparker) = parking::pair();
        let (serial, segments) = (contents.end.serial, contents.segments);
        let disk = Arc::clone(disk);
        let shared = Shared::new(disk, self.options, unparker, head, serial, segments);
        let shared = Arc::new(shared);
        let at = Position { serial, number: first - 1 };
        let file_next = self.files.last().map_or(1, |file| file + 1);
        let writer = Writer::begin(Arc::clone(&shared), epoch, at, file_next);
        let writer = writer.map_err(|failure| failure.into_error(&*shared.disk))?;
        Ok((shared, writer, parker))
    }

    fn scan(&self, file: u64) -> Result<(Beginning, Scan, u64), JournalError> {
        let path = self.disk.path(&segment_name(file));
        let cannot = || JournalError::io("cannot read", &path);
        let (input, bytes) = self.disk.read(&segment_name(file)).map_err(cannot())?;
        let (beginning, scan) = Scan::begin(input, bytes).map_err(cannot())?;
        if let Beginning::Newer(version) = beginning {
            return Err(JournalError::Format { path, version, version_max: VERSION });
        }
        Ok((beginning, scan, bytes))
    }

    fn damaged(&self, file: u64, at: u64, what: String) -> JournalError {
        JournalError::Damaged { path: self.disk.path(&segment_name(file)), at, what }
    }
}
