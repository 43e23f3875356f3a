//! Tickets. Each byte of an input is a step: one is issued, used, or its stream ends, or time passes.
//!
//! - A ticket is good for as long as a simple model says, for one stream at a time, and no longer.
//! - A stream that goes on elsewhere has its older connection ended, once, and no other. So has one
//!   whose ticket is revoked.
//! - Where there are too many, the one is forgotten whose stream has been between connections for
//!   longest.
//! - What nobody issued is never taken.

#![no_main]

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fanfare::tickets::{IssueError, Redeemed, TicketError, TicketOptions, Tickets};
use fanfare::Grant;
use libfuzzer_sys::fuzz_target;

const TICKETS_MAX: usize = 6;

struct Model {
    text: String,
    ends_at: u64,
    expires_at: u64,
    /// The stream that has it.
    holder: Option<usize>,
    takeovers: (u32, u64),
    /// Since when its stream is between connections, if it is.
    idle_since: Option<usize>,
}

fuzz_target!(|input: &[u8]| {
    let tickets = Tickets::new(TicketOptions::default().tickets_max(TICKETS_MAX)).unwrap();
    let mut now = 1_000_000;
    let mut models: Vec<Model> = Vec::new();
    let mut streams: Vec<(usize, usize, Redeemed)> = Vec::new();
    let (mut number, ended) = (0, Arc::new(Mutex::new(Vec::new())));
    let mut idles = 0;
    for &byte in input.iter().take(500) {
        let (step, value) = (byte >> 6, usize::from(byte & 63));
        match step {
            0 => now += [1, 5, 30, 61][value % 4],
            1 => {
                let expires_at = now + [1, 40, 100, 500][value % 4];
                let issued = tickets.issue(Grant::default().expires_at(at(expires_at)), at(now));
                let living = || models.iter().filter(|model| model.ends_at > now);
                let is_full = living().count() >= TICKETS_MAX;
                let idle = living().filter_map(|model| model.idle_since).min();
                assert_eq!(issued == Err(IssueError::Full), is_full && idle.is_none());
                if let (true, Some(_)) = (is_full, idle) {
                    let forgotten = models.iter_mut().find(|model| model.idle_since == idle);
                    forgotten.unwrap().ends_at = 0;
                }
                if let Ok(ticket) = issued {
                    models.push(Model {
                        text: ticket.as_str().to_owned(),
                        ends_at: expires_at.min(now + 60),
                        expires_at,
                        holder: None,
                        takeovers: (0, now),
                        idle_since: None,
                    });
                }
            }
            2 if !models.is_empty() => {
                let (goes_on, ticket) = (value % 2 == 1, value / 2 % models.len());
                let model = &mut models[ticket];
                let mut expected = match model.holder {
                    _ if model.ends_at <= now => Err(TicketError::Unknown),
                    Some(_) if !goes_on => Err(TicketError::InUse),
                    older => Ok(older),
                };
                if let Ok(Some(_)) = expected {
                    if now - model.takeovers.1 >= 60 {
                        model.takeovers = (0, now);
                    }
                    model.takeovers.0 += 1;
                    if model.takeovers.0 > 8 {
                        model.ends_at = 0;
                        expected = Err(TicketError::Contested);
                    }
                }
                let redeemed = tickets.redeem(&model.text, goes_on, at(now));
                let older = std::mem::take(&mut *ended.lock().unwrap());
                match (redeemed, expected) {
                    (Ok(redeemed), Ok(expected)) => {
                        assert_eq!(older, Vec::from_iter(expected));
                        number += 1;
                        let (ended, own) = (ended.clone(), number);
                        redeemed.lease.connected(move || ended.lock().unwrap().push(own));
                        (model.holder, model.ends_at) = (Some(number), model.expires_at);
                        model.idle_since = None;
                        streams.push((number, ticket, redeemed));
                    }
                    (redeemed, expected) => {
                        let is_revoked = expected == Err(TicketError::Contested);
                        let revoked = Vec::from_iter(model.holder.filter(|_| is_revoked));
                        assert_eq!((redeemed.err(), older), (expected.err(), revoked));
                    }
                }
            }
            3 if !streams.is_empty() => {
                let (number, ticket, _) = streams.swap_remove(value % streams.len());
                let model = &mut models[ticket];
                if model.holder == Some(number) {
                    idles += 1;
                    (model.holder, model.idle_since) = (None, Some(idles));
                }
            }
            _ => {
                let shown = String::from_utf8_lossy(input);
                assert_eq!(tickets.redeem(&shown, true, at(now)).err(), Some(TicketError::Unknown));
            }
        }
    }
    for (number, ticket, redeemed) in &streams {
        let is_current = models[*ticket].holder == Some(*number) && models[*ticket].ends_at > now;
        assert!(!is_current || redeemed.lease.is_current());
    }
});

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
