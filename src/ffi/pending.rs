//! The requests for streams that a host was asked about and has not answered, by their ids.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::status::Status;
use crate::authorizer::{AuthorizationRequest, InTime};
use crate::bounded::WeakReceiver;
use crate::receive;

/// The requests that the host was told of and has not answered, by their ids.
#[derive(Debug)]
pub(super) struct Pending {
    table: Mutex<Table>,
    /// Those that it was not told of yet.
    queued: WeakReceiver<AuthorizationRequest>,
}

#[derive(Debug, Default)]
struct Table {
    requests: HashMap<u64, AuthorizationRequest>,
    last_id: u64,
    /// With how many those are forgotten that wait no more.
    full: usize,
    is_closed: bool,
    /// What wakes the source when this is closed.
    source: Option<Waker>,
}

/// A table of fewer is not looked through.
const FULL_MIN: usize = 64;

impl Pending {
    pub(super) fn new(queued: WeakReceiver<AuthorizationRequest>) -> Pending {
        Pending { table: Mutex::default(), queued }
    }

    /// Whether somebody answers still; `source` is woken when nobody does any more.
    pub(super) fn is_open(&self, source: &Waker) -> bool {
        let mut table = self.table();
        if table.source.is_none() {
            table.source = Some(source.clone());
        }
        !table.is_closed
    }

    /// Keeps a request until it is answered, and returns its id; `None`, and it is answered 503, when
    /// nobody is there to answer it.
    pub(super) fn add(&self, request: AuthorizationRequest) -> Option<u64> {
        let mut table = self.table();
        if table.is_closed {
            // To drop it takes locks of the engine's.
            drop(table);
            return None;
        }
        let mut left = Vec::new();
        if table.requests.len() >= table.full.max(FULL_MIN) {
            // As many wait as the options allow at most, so that the table is bounded with this.
            let gone = table.requests.iter().filter(|(_, request)| !request.is_waiting());
            let gone: Vec<u64> = gone.map(|(&id, _)| id).collect();
            left.extend(gone.iter().filter_map(|id| table.requests.remove(id)));
            table.full = 2 * table.requests.len();
        }
        table.last_id += 1;
        let id = table.last_id;
        table.requests.insert(id, request);
        drop(table);
        drop(left);
        Some(id)
    }

    /// Answers a request.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_STALE` when it is not there any more, or its client waits no more.
    pub(super) fn answer(
        &self,
        id: u64,
        give: impl FnOnce(AuthorizationRequest) -> Option<InTime>,
    ) -> Result<(), Status> {
        let request = self.table().requests.remove(&id).ok_or(Status::FANFARE_ERR_STALE)?;
        match give(request) {
            Some(InTime::Yes) => Ok(()),
            Some(InTime::No) => Err(Status::FANFARE_ERR_STALE),
            // What is answered has been checked before.
            None => Err(Status::FANFARE_ERR_GRANT),
        }
    }

    /// Lets a request go without an answer: its client is told to come again.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_STALE` when it is not there any more, or its client waits no more.
    pub(super) fn give_up(&self, id: u64) -> Result<(), Status> {
        let request = self.table().requests.remove(&id).ok_or(Status::FANFARE_ERR_STALE)?;
        let is_waiting = request.is_waiting();
        // Outside of the lock, as to drop it takes locks of the engine's.
        drop(request);
        if is_waiting {
            Ok(())
        } else {
            Err(Status::FANFARE_ERR_STALE)
        }
    }

    /// Nobody answers any more: those that wait are answered 503, and the source ends.
    pub(super) fn close(&self) {
        let mut table = self.table();
        table.is_closed = true;
        let (left, source) = (std::mem::take(&mut table.requests), table.source.take());
        drop(table);
        drop(left);
        receive::end(&self.queued);
        if let Some(source) = source {
            source.wake();
        }
    }

    /// Nothing that is done under the lock panics but for want of memory.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
