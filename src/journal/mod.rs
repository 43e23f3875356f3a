//! The journal: records with numbers, kept in a folder that outlives the process.
//!
//! It knows numbers and opaque bytes, and nothing of topics, events or orders. Its owner pushes
//! records under a lock of its own, and so in the order of their numbers, and notes the last number
//! that it has given. A push copies a record's bytes behind those of the others, and shares the end of a
//! large one; a thread writes them. How far the promise ([`Durability`]) holds is one number,
//! [`Journal::kept_to`], that only grows.
//!
//! ```text
//!  push, note                        the folder
//!      |                              lock               one journal at a time; the process's id
//!      v                              lives              which lives there were, and how they ended
//!   +-------+   +---------+           head               one page, mapped: the last number given
//!   | queue |-->| unkept  |           000000000007.log   sifted: what is left of several segments
//!   +-------+   | records |           000000000012.log   closed
//!               +---------+           000000000013.log   open: the writer appends
//!                 writer  ---------->        |
//!                                            v
//!          +--------+----------------------+----------------------+---------+-----
//!          | header | len crc number 1 ... | len crc number 1 ... | upto 57 | ...
//!          +--------+----------------------+----------------------+---------+-----
//!           serial    a record of data                              all up to 57 is before this
//! ```
//!
//! **Lives.** Each start is a life, with an epoch and with numbers that go on behind the last one
//! that the folder knows of. Not every number has a record. So at the end of a turn the writer notes
//! with `upto` how far the numbers have come, and at a clean end writes `end`.
//!
//! **What is lost is known.** The head page is stored to with each number and survives the process.
//! A process that is killed has lost the numbers between the last one in its segments and the one in
//! the page, and no others. If the machine went down the page proves nothing.
//!
//! **After an error** nothing is believed of what was being written. The records stay in memory
//! until the promise needs them no more, so the writer begins another segment and writes them again.
//! A reader tells by serials, the count of records, what it has read already, and whether something
//! is missing ([`opened`]).
//!
//! **A start reads everything**, from the first segment to the last, at the speed of the disk. The
//! records come to the caller that opened the folder, which rebuilds what it has in memory; the journal has
//! no index, since nothing is ever looked up in it.
//!
//! Each file uses only files below it:
//!
//! ```text
//! mod                          Journal::open
//! opened                       reading the folder; a life begins
//! handle      writer           what publishers call; the thread that writes
//! sift  unkept  open_segment   what leaves the disk; what may have to be written again; what is being
//!                              written
//! summary                      what stands for all that has left the disk
//! shared                       the queue, how far the writer is, the closed segments
//! records                      what was pushed, in memory
//! life  head  segment          the list of lives, the head page, the format of segments
//! folder                       made, locked; names
//! disk  fields                 operations on files, which tests make fail; numbers in bytes
//! record  options  error
//! ```

mod disk;
mod error;
mod fields;
mod folder;
mod handle;
mod head;
mod life;
mod open_segment;
mod opened;
mod options;
mod record;
mod records;
mod segment;
mod shared;
mod sift;
mod summary;
#[cfg(test)]
mod tests;
mod unkept;
mod writer;

use std::path::Path;

pub use error::JournalError;
pub(crate) use handle::Journal;
pub(crate) use life::{Ended, Life};
pub(crate) use opened::Opened;
pub(crate) use options::JournalOptions;
pub(crate) use record::{Keeper, Record};

impl Journal {
    /// Opens a folder, which is made if it is missing; the folder that it is in has to exist. The
    /// folder is this journal's alone until the journal has ended.
    ///
    /// # Errors
    ///
    /// When another journal has the folder, it cannot be made, read or written, a newer version has
    /// written it, or it is damaged.
    pub(crate) fn open(folder: &Path, options: JournalOptions) -> Result<Opened, JournalError> {
        Opened::open(folder, options)
    }
}
