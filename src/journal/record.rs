//! What the journal knows of what it keeps.

use bytes::Bytes;

/// Something that is kept: a number and opaque bytes.
pub(crate) trait Record {
    /// Its place in the order. Records are pushed in the order of their numbers. Several may have
    /// the same; a process that is killed may have written the first of these alone.
    fn number(&self) -> u64;

    /// Appends its payload to what is there. If the end of the payload is large, it may be returned
    /// instead, and is not copied then before it is written.
    fn encode(&self, payload: &mut Vec<u8>) -> Option<Bytes>;
}

/// Who knows which records are still needed. It is asked in a thread of the journal's own.
pub(crate) trait Keeper: Send + Sync {
    /// Bytes of payload of what is kept now. It is asked often.
    fn kept_bytes(&self) -> u64;

    /// Of consecutive records of a segment: for each, appends whether it is still needed. A segment
    /// is handed over in several parts, in its order.
    fn sift(&self, records: &mut dyn Iterator<Item = (u64, &[u8])>, needed: &mut Vec<bool>);

    /// What stands for all records that were not needed so far. It is on the disk before these are
    /// removed.
    fn summary(&self) -> Vec<u8>;
}
