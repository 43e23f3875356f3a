//! What counts connections without a descriptor, which are not limited by how many there are of
//! these.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// Counts a connection among those without a descriptor, as long as it is there.
pub(crate) struct WithoutDescriptor(Arc<AtomicUsize>);

impl WithoutDescriptor {
    pub(in crate::shard) fn new(count: &Arc<AtomicUsize>) -> WithoutDescriptor {
        count.fetch_add(1, Ordering::Relaxed);
        WithoutDescriptor(count.clone())
    }
}

impl Drop for WithoutDescriptor {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
