//! What tickets should do, in a model that is simple enough to be right. Tests and the fuzz target
//! take the same steps with both: `fuzz/targets/ticket.rs` has this file as a module too.
//!
//! - A ticket is good for as long as the model says, for one stream at a time, and no longer.
//! - To look it up changes nothing.
//! - A stream that goes on elsewhere has its older connection ended, once, and no other. So has one
//!   whose ticket is revoked.
//! - Where there are too many, the one is forgotten whose stream has been between connections for
//!   longest.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::{Grant, IssueError, Redeemed, TicketError, TicketOptions, Tickets};

/// How long a ticket may be unused.
const FIRST_USE_TIME: u64 = 60;
/// How often its stream is taken over within a minute.
const TAKEOVERS_MAX: u32 = 8;

/// What happens next. A number names one of those that there are, whatever it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// This many seconds pass.
    Wait(u64),
    /// A ticket is issued, whose grant expires in this many seconds.
    Issue(u64),
    /// A ticket is shown, by a request that goes on or does not.
    Redeem(usize, bool),
    /// A stream's connection ends.
    End(usize),
}

/// The tickets, and what they should be.
pub(super) struct Model {
    tickets: Tickets,
    tickets_max: usize,
    now: u64,
    issued: Vec<Issued>,
    streams: Vec<Stream>,
    /// How many streams there were, and how often one was left between connections.
    counts: (usize, usize),
    /// The streams whose connections were ended.
    ended: Arc<Mutex<Vec<usize>>>,
}

struct Issued {
    text: String,
    ends_at: u64,
    expires_at: u64,
    /// The stream that has it.
    holder: Option<usize>,
    takeovers: (u32, u64),
    /// Since when its stream is between connections, if it is.
    idle_since: Option<usize>,
}

struct Stream {
    number: usize,
    ticket: usize,
    redeemed: Redeemed,
}

impl Model {
    pub(super) fn new(tickets_max: usize) -> Model {
        let options = TicketOptions::default().tickets_max(tickets_max);
        Model {
            tickets: Tickets::new(options).expect("the options are within their bounds"),
            tickets_max,
            now: 1_000_000,
            issued: Vec::new(),
            streams: Vec::new(),
            counts: (0, 0),
            ended: Arc::default(),
        }
    }

    /// Takes a step with the tickets and with the model.
    ///
    /// # Panics
    ///
    /// When they differ.
    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Wait(seconds) => self.now += seconds,
            Step::Issue(seconds) => self.issue(seconds),
            Step::Redeem(nth, goes_on) if !self.issued.is_empty() => {
                self.redeem(nth % self.issued.len(), goes_on);
            }
            Step::End(nth) if !self.streams.is_empty() => {
                let Stream { number, ticket, redeemed } =
                    self.streams.swap_remove(nth % self.streams.len());
                drop(redeemed);
                let issued = &mut self.issued[ticket];
                if issued.holder == Some(number) {
                    self.counts.1 += 1;
                    (issued.holder, issued.idle_since) = (None, Some(self.counts.1));
                }
            }
            Step::Redeem(..) | Step::End(_) => {}
        }
    }

    fn issue(&mut self, seconds: u64) {
        let Model { now, tickets_max, .. } = *self;
        let expires_at = now + seconds;
        let issued = self.tickets.issue(Grant::default().expires_at(at(expires_at)), at(now));
        let living = || self.issued.iter().filter(|issued| issued.ends_at > now);
        let is_full = living().count() >= tickets_max;
        let idle = living().filter_map(|issued| issued.idle_since).min();
        assert_eq!(issued == Err(IssueError::Full), is_full && idle.is_none());
        if let (true, Some(_)) = (is_full, idle) {
            let forgotten = self.issued.iter_mut().find(|issued| issued.idle_since == idle);
            forgotten.expect("it has just been found").ends_at = 0;
        }
        if let Ok(ticket) = issued {
            self.issued.push(Issued {
                text: ticket.as_str().to_owned(),
                ends_at: expires_at.min(now + FIRST_USE_TIME),
                expires_at,
                holder: None,
                takeovers: (0, now),
                idle_since: None,
            });
        }
    }

    fn redeem(&mut self, ticket: usize, goes_on: bool) {
        let now = self.now;
        let issued = &mut self.issued[ticket];
        let mut expected = match issued.holder {
            _ if issued.ends_at <= now => Err(TicketError::Unknown),
            Some(_) if !goes_on => Err(TicketError::InUse),
            older => Ok(older),
        };
        let looked_up = self.tickets.look_up(&issued.text, goes_on, at(now));
        assert_eq!(looked_up.err(), expected.err());
        if let Ok(Some(_)) = expected {
            if now - issued.takeovers.1 >= 60 {
                issued.takeovers = (0, now);
            }
            issued.takeovers.0 += 1;
            if issued.takeovers.0 > TAKEOVERS_MAX {
                issued.ends_at = 0;
                expected = Err(TicketError::Contested);
            }
        }
        let redeemed = self.tickets.redeem(&issued.text, goes_on, at(now));
        let older = std::mem::take(&mut *self.ended.lock().expect("nothing panics with it"));
        match (redeemed, expected) {
            (Ok(redeemed), Ok(expected)) => {
                assert_eq!(older, Vec::from_iter(expected));
                self.counts.0 += 1;
                let (ended, number) = (self.ended.clone(), self.counts.0);
                redeemed.lease.connected(move || {
                    ended.lock().expect("nothing panics with it").push(number);
                });
                (issued.holder, issued.ends_at) = (Some(number), issued.expires_at);
                issued.idle_since = None;
                self.streams.push(Stream { number, ticket, redeemed });
            }
            (redeemed, expected) => {
                let is_revoked = expected == Err(TicketError::Contested);
                let revoked = Vec::from_iter(issued.holder.filter(|_| is_revoked));
                assert_eq!((redeemed.err(), older), (expected.err(), revoked));
            }
        }
    }

    /// Shows what nobody has issued.
    pub(super) fn show_unknown(&self, shown: &str) {
        for goes_on in [false, true] {
            let redeemed = self.tickets.redeem(shown, goes_on, at(self.now));
            assert_eq!(redeemed.err(), Some(TicketError::Unknown));
            let looked_up = self.tickets.look_up(shown, goes_on, at(self.now));
            assert_eq!(looked_up, Err(TicketError::Unknown));
        }
    }

    /// Looks at the streams that are left: each that has its ticket is current.
    pub(super) fn check_streams(&self) {
        for Stream { number, ticket, redeemed } in &self.streams {
            let issued = &self.issued[*ticket];
            let is_current = issued.holder == Some(*number) && issued.ends_at > self.now;
            assert!(!is_current || redeemed.lease.is_current());
        }
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
