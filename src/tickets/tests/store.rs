//! How long a ticket is good, and for whom.

#[path = "model.rs"]
mod model;

use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use self::model::{Model, Step};
use super::*;
use crate::filter::Subscription;
use crate::options::tests::hold;
use crate::tickets::{IssueError, Lease, Redeemed, TicketError, TicketOptions, Tickets};

fn tickets() -> Tickets {
    Tickets::new(TicketOptions::default()).unwrap()
}

/// A grant that ends some seconds from now.
fn grant(seconds: u64) -> Grant {
    Grant::new([Subscription::new("news").unwrap()]).expires_at(at(NOW + seconds))
}

/// How a request ends whose ticket is refused.
fn refused(redeemed: Result<Redeemed, TicketError>) -> u16 {
    redeemed.unwrap_err().status()
}

/// The connections that were ended.
#[derive(Clone, Default)]
struct Ended(Arc<Mutex<Vec<u64>>>);

impl Ended {
    /// Has a stream a connection of this number.
    fn connect(&self, lease: &Lease, number: u64) {
        let ended = self.clone();
        lease.connected(move || ended.0.lock().unwrap().push(number));
    }

    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[test]
fn a_ticket_is_for_one_stream_at_a_time_and_its_reconnects_until_its_grant_expires() {
    let tickets = tickets();
    let ticket = tickets.issue(grant(300), at(NOW)).unwrap();
    let redeem = |seconds| tickets.redeem(ticket.as_str(), false, at(NOW + seconds));
    let stream = redeem(59).unwrap();
    assert_eq!(stream.grant, grant(300));
    assert_eq!(refused(redeem(60)), 409);
    drop(stream);
    // Long after the time for its first use.
    let stream = redeem(200).unwrap();
    assert_eq!(refused(redeem(299)), 409);
    drop(stream);
    assert!(redeem(299).is_ok());
    assert_eq!(refused(redeem(300)), 401);
    assert_eq!(refused(redeem(299)), 401, "it is forgotten");
    assert!(tickets.is_empty());
}

#[test]
fn a_ticket_is_to_be_used_within_a_minute_or_before_its_grant_expires() {
    let tickets = tickets();
    for (grant_seconds, over) in [(300, 60), (30, 30)] {
        let ticket = tickets.issue(grant(grant_seconds), at(NOW)).unwrap();
        assert_eq!(refused(tickets.redeem(ticket.as_str(), false, at(NOW + over))), 401);
    }
    let unknown = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for other in ["", "x", unknown, &unknown.repeat(1_000)] {
        assert_eq!(refused(tickets.redeem(other, true, at(NOW))), 401);
    }
}

#[test]
fn a_stream_that_goes_on_elsewhere_leaves_its_older_connection() {
    let tickets = tickets();
    let ticket = tickets.issue(grant(300), at(NOW)).unwrap();
    let redeem = |goes_on| tickets.redeem(ticket.as_str(), goes_on, at(NOW));
    let ended = Ended::default();
    let first = redeem(false).unwrap();
    ended.connect(&first.lease, 1);
    let second = redeem(true).unwrap();
    assert_eq!(ended.take(), [1]);
    assert!(!first.lease.is_current());
    // One that connects only now is ended at once, and its end changes nothing.
    ended.connect(&first.lease, 3);
    assert_eq!(ended.take(), [3]);
    drop(first);
    assert_eq!(refused(redeem(false)), 409);
    ended.connect(&second.lease, 2);
    drop(second);
    // A stream that is not connected has no older connection, even if its request goes on.
    let third = redeem(true).unwrap();
    assert!(third.lease.is_current());
    assert!(ended.take().is_empty());
}

#[test]
fn a_ticket_that_changes_hands_again_and_again_is_revoked() {
    let tickets = tickets();
    let ticket = tickets.issue(grant(300_000), at(NOW)).unwrap();
    let redeem = |seconds| tickets.redeem(ticket.as_str(), true, at(NOW + seconds));
    let mut streams = vec![redeem(0).unwrap()];
    // Often, over a long time.
    streams.extend((1..=100).map(|count| redeem(count * 10).unwrap()));
    streams.extend((0..8).map(|_| redeem(2_000).unwrap()));
    let ended = Ended::default();
    ended.connect(&streams.last().unwrap().lease, 7);
    assert_eq!(redeem(2_059).unwrap_err(), TicketError::Contested);
    assert_eq!(ended.take(), [7], "the client that has it loses it");
    assert!(!streams.last().unwrap().lease.is_current());
    assert_eq!(redeem(2_059).unwrap_err(), TicketError::Unknown);
}

#[test]
fn a_grant_needs_an_end_that_is_to_come() {
    let mut endless = grant(1);
    endless.expires_at = None;
    for (grant, expected) in [(endless, IssueError::NoExpiry), (grant(0), IssueError::Expired)] {
        assert_eq!(tickets().issue(grant, at(NOW)).unwrap_err(), expected);
    }
}

#[test]
fn the_options_of_tickets_are_those_of_the_table() {
    hold("Tickets", |options| options, TicketOptions::check);
}

#[test]
fn when_there_are_too_many_the_newest_is_refused_until_some_are_over() {
    let tickets = Tickets::new(TicketOptions::default().tickets_max(3)).unwrap();
    let issue = |seconds| tickets.issue(grant(300), at(NOW + seconds));
    let first = issue(0).unwrap();
    let stream = tickets.redeem(first.as_str(), false, at(NOW)).unwrap();
    assert!(issue(1).is_ok() && issue(2).is_ok());
    assert_eq!(issue(60).unwrap_err(), IssueError::Full);
    assert!(issue(61).is_ok());
    assert!(stream.lease.is_current() && tickets.len() == 3);
    assert_eq!(issue(61).unwrap_err(), IssueError::Full, "one is connected, two are new");
}

#[test]
fn when_there_are_too_many_the_one_goes_whose_stream_was_between_connections_for_longest() {
    let tickets = Tickets::new(TicketOptions::default().tickets_max(3)).unwrap();
    let issue = || tickets.issue(grant(300), at(NOW));
    let redeem = |ticket: &crate::tickets::Ticket| tickets.redeem(ticket.as_str(), true, at(NOW));
    let all: Vec<_> = (0..3).map(|_| issue().unwrap()).collect();
    let streams: Vec<_> = all.iter().map(|ticket| redeem(ticket).unwrap()).collect();
    assert_eq!(issue().unwrap_err(), IssueError::Full, "all are connected");
    let mut streams = streams.into_iter();
    drop(streams.next());
    let (second, third) = (streams.next(), streams.next());
    drop(second);
    // The first is back, and gone again after the second.
    drop(redeem(&all[0]).unwrap());
    issue().unwrap();
    assert_eq!(redeem(&all[1]).unwrap_err(), TicketError::Unknown);
    assert!(redeem(&all[0]).is_ok() && third.unwrap().lease.is_current());
    assert_eq!(tickets.len(), 3);
}

#[test]
fn a_grant_that_is_beyond_its_bounds_gets_no_ticket() {
    let error = tickets().issue(grant(300).tag("a\nb"), at(NOW)).unwrap_err();
    assert!(matches!(&error, IssueError::Grant(wrong) if wrong.option == "tag"), "{error}");
}

#[test]
fn many_that_are_over_are_forgotten_some_at_a_time() {
    let tickets = tickets();
    for _ in 0..1_000 {
        tickets.issue(grant(300), at(NOW)).unwrap();
    }
    assert_eq!(tickets.len(), 1_000);
    for left in (0..1_000 - 64).rev().step_by(64) {
        assert!(tickets.redeem(&"A".repeat(43), false, at(NOW + 60)).is_err());
        assert_eq!(tickets.len(), left + 1);
    }
}

#[test]
fn nothing_that_is_logged_has_a_ticket_in_it() {
    let tickets = tickets();
    let ticket = tickets.issue(grant(300), at(NOW)).unwrap();
    let stream = tickets.redeem(ticket.as_str(), false, at(NOW)).unwrap();
    let text = format!("{ticket:?} {tickets:?} {stream:?}");
    assert!(!text.contains(ticket.as_str()) && text.contains("Tickets(1 of 65536)"), "{text}");
}

#[test]
fn threads_that_use_one_ticket_at_once_get_one_stream() {
    let tickets = tickets();
    for _ in 0..50 {
        let ticket = tickets.issue(grant(300), at(NOW)).unwrap();
        let redeem = || tickets.redeem(ticket.as_str(), false, at(NOW)).ok();
        let streams = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(redeem)).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(streams.len(), 1);
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1u64..200).prop_map(Step::Issue),
        4 => (0usize..6, any::<bool>()).prop_map(|(ticket, goes_on)| Step::Redeem(ticket, goes_on)),
        2 => (0usize..8).prop_map(Step::End),
        1 => (1u64..80).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever is issued, used, ended and waited for: no ticket is good for longer than it should
    /// be, or for two streams at once, and none is lost before.
    #[test]
    fn tickets_do_what_a_simple_model_does(
        steps in proptest::collection::vec(step(), 1..80),
        tickets_max in 1usize..8,
    ) {
        let mut model = Model::new(tickets_max);
        steps.into_iter().for_each(|step| model.step(step));
        model.show_unknown(&"A".repeat(43));
        model.check_streams();
    }
}
