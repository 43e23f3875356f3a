//! Sifting: what nobody needs any more is taken off the disk.
//!
//! It begins when the segments take much more than what is kept, and goes over the closed segments
//! once, from the oldest on, in a thread of its own. Small neighbours become one. So the folder
//! takes about twice what is kept, four segments, and what is written while it is sifted and in the
//! second behind that; each record is written again about once while it is kept.
//!
//! A segment is replaced whole: its successor is written under another name, synced, and given the
//! segment's name. The others of a group that became one are removed behind that. Until then they
//! have records that the first one has too, or has no more; a reader knows by their serials.

use std::collections::VecDeque;
use std::sync::Arc;

use super::disk::{Output, TEMPORARY};
use super::error::JournalError;
use super::folder::segment_name;
use super::record::Keeper;
use super::segment::{Beginning, Header, Kind, Scan, Seed, HEADER_BYTES};
use super::shared::{Counts, Segment, Shared};
use super::summary;
use crate::seldom::Seldom;
use crate::sync::Ordering;

/// About how many bytes of records are asked for at once.
const PART_BYTES: usize = 4 << 20;

/// Whether the segments take so much space that sifting is worth it.
pub(super) fn is_due(shared: &Shared, open_bytes: u64) -> bool {
    let segments = shared.segments();
    let closed_bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let is_any = !segments.is_empty();
    drop(segments);
    let total = closed_bytes + open_bytes;
    let segment_bytes = shared.options.segment_bytes_max;
    // What the last time has left, it leaves again.
    if !is_any || total <= shared.sift_floor.load(Ordering::Relaxed) + segment_bytes {
        return false;
    }
    let Some(keeper) = shared.keeper() else { return false };
    total > keeper.kept_bytes().saturating_mul(2).saturating_add(4 * segment_bytes)
        && shared.trouble().is_none()
}

/// Sifts all segments that are closed now.
pub(super) fn sift(shared: &Arc<Shared>) {
    static LINE: Seldom = Seldom::new();
    let Some(keeper) = shared.keeper() else { return };
    let mut segments = VecDeque::from(shared.segments().clone());
    let mut left = 0;
    while !segments.is_empty() && !shared.is_closing() {
        let group = take_group(&mut segments, shared.options.segment_bytes_max);
        let temporary = format!("{}{TEMPORARY}", segment_name(group[0].file));
        match sift_group(shared, &*keeper, &group, &temporary) {
            Ok(Some(segment)) => left += segment.bytes,
            ended => {
                let _ = shared.disk.remove(&temporary);
                if let Err(error) = ended {
                    Counts::add(&shared.counts.errors, 1);
                    LINE.log(|left_out| {
                        log::error!("the journal cannot be sifted, and grows: {error}{left_out}");
                    });
                }
                return;
            }
        }
    }
    shared.sift_floor.store(left, Ordering::Relaxed);
}

/// The segments that become the next one: several if they fit into one as they are.
fn take_group(segments: &mut VecDeque<Segment>, bytes_max: u64) -> Vec<Segment> {
    let (mut group, mut bytes) = (Vec::new(), 0);
    while let Some(segment) = segments.front() {
        bytes += segment.bytes;
        if !group.is_empty() && bytes > bytes_max {
            break;
        }
        group.extend(segments.pop_front());
    }
    group
}

/// Replaces neighbours by one segment with what is needed of them. `None` if the journal ends.
fn sift_group(
    shared: &Shared,
    keeper: &dyn Keeper,
    group: &[Segment],
    temporary: &str,
) -> Result<Option<Segment>, JournalError> {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(None) };
    let header = Header {
        epoch: first.epoch,
        first: first.first,
        serial: first.serial,
        serial_end: Some(last.serial_end),
        reached: first.reached,
    };
    let cannot_write =
        |error| JournalError::io("cannot write", &shared.disk.path(temporary))(error);
    let output = shared.disk.create(temporary).map_err(cannot_write)?;
    let (buffer, bytes) = (header.encode(), 0);
    let mut sifted = Sifted { output, seed: header.seed(), buffer, bytes };
    let mut part = Part::default();
    // One that was left over has records that earlier ones have, or have no more.
    let owners = group.iter().filter(|segment| segment.serial < segment.serial_end);
    for segment in owners {
        let name = segment_name(segment.file);
        // The path is made when it is needed, and not for each record.
        let cannot_read = |error| JournalError::io("cannot read", &shared.disk.path(&name))(error);
        let (input, file_bytes) = shared.disk.read(&name).map_err(cannot_read)?;
        let (beginning, mut scan) = Scan::begin(input, file_bytes).map_err(cannot_read)?;
        let Beginning::Header(of, _) = beginning else {
            return Err(damaged(shared, &name, 0));
        };
        // The records of a segment that was sifted have no serials; all of them are its own.
        let mut serial = if of.serial_end.is_some() { segment.serial } else { of.serial };
        while of.serial_end.is_some() || serial < segment.serial_end {
            let Some(record) = scan.next().map_err(cannot_read)? else { break };
            if record.kind != Kind::Data {
                continue;
            }
            if serial >= segment.serial {
                part.add(record.number, record.payload);
            }
            if of.serial_end.is_none() {
                serial += 1;
            }
            if part.bytes.len() >= PART_BYTES {
                if shared.is_closing() {
                    return Ok(None);
                }
                part.sift(keeper, &mut sifted).map_err(cannot_write)?;
            }
        }
        let is_whole = match of.serial_end {
            Some(_) => scan.rest() == 0,
            None => serial == segment.serial_end,
        };
        if !is_whole {
            return Err(damaged(shared, &name, scan.offset()));
        }
        part.sift(keeper, &mut sifted).map_err(cannot_write)?;
    }
    let bytes = sifted.finish().map_err(cannot_write)?;
    // What the summary says of records that came meanwhile holds only when these are there.
    let summary = keeper.summary();
    if !shared.wait_synced() {
        return Ok(None);
    }
    summary::write(&*shared.disk, &summary)?;
    let segment = Segment { serial_end: last.serial_end, bytes, ..*first };
    replace(shared, group, temporary, segment)?;
    let taken = group.iter().map(|segment| segment.bytes).sum::<u64>().saturating_sub(bytes);
    Counts::add(&shared.counts.sifted_segments, group.len() as u64);
    Counts::add(&shared.counts.sifted_bytes, taken);
    Ok(Some(segment))
}

fn damaged(shared: &Shared, name: &str, at: u64) -> JournalError {
    let what = "a record that was written is not there".to_owned();
    JournalError::Damaged { path: shared.disk.path(name), at, what }
}

/// Puts the new file into the first one's place, and removes the others.
fn replace(
    shared: &Shared,
    group: &[Segment],
    temporary: &str,
    segment: Segment,
) -> Result<(), JournalError> {
    let name = segment_name(segment.file);
    let cannot = || JournalError::io("cannot replace", &shared.disk.path(&name));
    shared.disk.rename(temporary, &name).map_err(cannot())?;
    let mut segments = shared.segments();
    // The writer only appends.
    if let Some(at) = segments.iter().position(|it| it.file == segment.file) {
        segments.splice(at..at + group.len(), [segment]);
    }
    drop(segments);
    shared.disk.sync_names().map_err(cannot())?;
    for other in &group[1..] {
        let name = segment_name(other.file);
        let removed = shared.disk.remove(&name);
        removed.map_err(JournalError::io("cannot remove", &shared.disk.path(&name)))?;
    }
    Ok(())
}

/// Some records that are asked for together.
#[derive(Default)]
struct Part {
    bytes: Vec<u8>,
    /// Each record's number, and where its payload ends in `bytes`.
    records: Vec<(u64, usize)>,
    needed: Vec<bool>,
}

/// A segment that is written with what is needed.
struct Sifted {
    output: Box<dyn Output>,
    seed: Seed,
    buffer: Vec<u8>,
    /// What was written.
    bytes: u64,
}

impl Part {
    fn add(&mut self, number: u64, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
        self.records.push((number, self.bytes.len()));
    }

    /// Has the keeper say which are needed, writes these, and is empty then.
    fn sift(&mut self, keeper: &dyn Keeper, sifted: &mut Sifted) -> std::io::Result<()> {
        if self.records.is_empty() {
            return Ok(());
        }
        self.needed.clear();
        let bytes = &self.bytes;
        let payloads = |begin: &mut usize, &(number, end): &(u64, usize)| {
            let begin = std::mem::replace(begin, end);
            Some((number, &bytes[begin..end]))
        };
        keeper.sift(&mut self.records.iter().scan(0, payloads), &mut self.needed);
        debug_assert_eq!(self.needed.len(), self.records.len());
        for (index, (number, payload)) in self.records.iter().scan(0, payloads).enumerate() {
            // One that the keeper has not spoken of is kept.
            if self.needed.get(index).copied().unwrap_or(true) {
                sifted.append(number, payload)?;
            }
        }
        self.bytes.clear();
        self.records.clear();
        Ok(())
    }
}

impl Sifted {
    fn append(&mut self, number: u64, payload: &[u8]) -> std::io::Result<()> {
        self.seed.append(Kind::Data, number, &[payload], &mut self.buffer);
        if self.buffer.len() >= PART_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.output.write_all(&self.buffer)?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Has the disk have it; returns its size.
    fn finish(mut self) -> std::io::Result<u64> {
        self.flush()?;
        self.output.sync()?;
        debug_assert!(self.bytes >= HEADER_BYTES as u64);
        Ok(self.bytes)
    }
}
