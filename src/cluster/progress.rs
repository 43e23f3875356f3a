//! How far this node has read each life of the stream, and what an entry means for its clients.
//!
//! An id of the present life stands for all that was before. That is right as long as all nodes had read the same of
//! the earlier lives. When the server has lost its newest entries, some nodes had read more of them than others; a
//! client could then lack events, and have an id that does not say so. Two rules exclude that.
//!
//! ```text
//!   life 1                          life 2
//!   1 ... 80 | 81 ... 90 ... 100    1000  1001  1002       1010
//!            `what the server has   begun by a node       `a node announces that it
//!                                   that had read to 90    had read life 1 to 100
//! ```
//!
//! 1. **A node that lacks something has its clients told.** The beginning of a life says how far the server and the
//!    node that began it had come; an announcement says how far another node had. A node that had read less sends its
//!    clients away when it reads that, and those that come with an id from before are told that something is lost.
//! 2. **A node that had read more waits until it has said so.** Clients that come to it from others, with ids behind the
//!    beginning of the life, may lack what this node has. Until it has read its announcement back it has them come
//!    again; then it tells them, as the others do. Clients that were connected to it lack nothing, and are left alone.
//!
//! If the server loses an announcement, each node that had read it makes it again in the next life. So does the node
//! that made it, if it had not read it back. What a node alone had read is known to nobody if it ends before it has
//! announced that.

use std::collections::VecDeque;

use super::entry::{Content, Entry, EntryId, NewLife};
use super::taken::Taken;
use crate::id::Epoch;
use crate::order::Lacks;

/// The lives of which it knows how far it had read, and the announcements that may be due.
const LIVES_MAX: usize = 64;

pub(super) struct Progress {
    position: EntryId,
    /// How far it has read other lives, or has had its clients told that something of them is missing, by their number.
    settled: VecDeque<EntryId>,
    announcements: Vec<Announcement>,
    /// The announcements that it has read in this life, with their numbers.
    heard: Vec<(EntryId, u64)>,
    taken: Taken,
}

/// How far a node had read what the server has lost: this one, or one whose announcement is lost as well.
struct Announcement {
    read: EntryId,
    /// The first number of the life that began without it.
    from: u64,
    /// Where it is in the stream, since the present life began.
    said: Option<EntryId>,
}

/// What an entry does to the node's order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Another life begins with a number. Perhaps the stream differs from what was read before.
    Begin { epoch: Epoch, first: u64, lacks: Lacks, differs: bool },
    /// Clients that come with a number from the first on, and before the second, may lack something. `is_loss`: this node
    /// lacks something too, so that its connected clients are sent away.
    Doubt { from: u64, to: u64, is_loss: bool },
    /// The items of a batch have the numbers from this one on.
    Apply { first: u64 },
    /// A number of the stream that no item has.
    Pass { number: u64 },
}

impl Step {
    /// Whether clients of this node miss something.
    pub(super) fn is_loss(&self) -> bool {
        match self {
            Step::Begin { lacks, .. } => *lacks != Lacks::Nothing,
            Step::Doubt { is_loss, .. } => *is_loss,
            Step::Apply { .. } | Step::Pass { .. } => false,
        }
    }
}

impl Progress {
    pub(super) fn new(position: EntryId) -> Progress {
        let (settled, announcements, heard) = (VecDeque::new(), Vec::new(), Vec::new());
        Progress { position, settled, announcements, heard, taken: Taken::default() }
    }

    /// The last entry that was taken.
    pub(super) fn position(&self) -> EntryId {
        self.position
    }

    /// From which number on clients that come from other nodes may lack what this one is about to announce.
    pub(super) fn doubtful_from(&self) -> Option<u64> {
        self.announcements.iter().map(|announcement| announcement.from).min()
    }

    /// The announcements that are to be made.
    pub(super) fn unsaid(&self) -> Vec<EntryId> {
        let unsaid = self.announcements.iter().filter(|announcement| announcement.said.is_none());
        unsaid.map(|announcement| announcement.read).collect()
    }

    /// One of them has a number in the present life.
    pub(super) fn note_said(&mut self, read: EntryId, number: u64) {
        let said = Some(EntryId { epoch: self.position.epoch, last: number });
        let announcements = self.announcements.iter_mut();
        announcements.filter(|of| of.read == read).for_each(|of| of.said = said);
    }

    /// Takes the next entry. A life whose beginning is not in the stream any more is looked up by its number.
    pub(super) fn take<E>(
        &mut self,
        entry: &Entry,
        look_up: impl FnOnce(u64) -> Result<NewLife, E>,
    ) -> Result<Vec<Step>, E> {
        let last = entry.id.last;
        let mut steps = Vec::new();
        if let Content::Life(life) = &entry.content {
            steps.push(self.begin(life));
            return Ok(steps);
        }
        if entry.id.epoch != self.position.epoch {
            let life = look_up(entry.id.epoch)?;
            steps.push(self.begin(&life));
        }
        let items = match &entry.content {
            Content::Batch { items, .. } => u64::from(*items),
            _ => 1,
        };
        let first = (last + 1).saturating_sub(items);
        if first > self.position.last + 1 {
            steps.push(self.lose(first - 1));
        }
        match &entry.content {
            Content::Reached(read) => steps.push(self.compare(*read, last)),
            // The server had lost it, and was given it again: here it has its number. A client that has come from a
            // node without it, with an id in between, would not get it.
            Content::Batch { node, serial, .. } if self.taken.has(node, *serial) => {
                steps.push(Step::Doubt { from: 0, to: last, is_loss: true });
                self.taken.note(node, *serial, last);
            }
            Content::Batch { node, serial, .. } => {
                steps.push(Step::Apply { first });
                self.taken.note(node, *serial, last);
            }
            Content::Life(_) => {}
        }
        self.position = entry.id;
        Ok(steps)
    }

    fn begin(&mut self, life: &NewLife) -> Step {
        let at = self.position;
        let server = EntryId { epoch: life.before, last: life.before_last };
        let beginner = EntryId { epoch: life.known, last: life.reached };
        // What is known to have been there.
        let ends = [Some(server), Some(beginner).filter(|beginner| *beginner > server)];
        let ends = ends.into_iter().flatten();
        let lacking: Vec<EntryId> = ends.clone().filter(|&end| !self.has(end)).collect();
        let lacks = match lacking.iter().map(|end| end.last).max() {
            None => Lacks::Nothing,
            Some(to) if lacking.iter().all(|end| end.epoch == at.epoch) => Lacks::Behind { to },
            Some(_) => Lacks::Anything,
        };
        let is_known = |end: EntryId| end.epoch == at.epoch && end.last >= at.last;
        // What was not read back by now is lost, or is not to be had any more.
        self.announcements.iter_mut().for_each(|announcement| announcement.said = None);
        for (read, number) in std::mem::take(&mut self.heard) {
            if (EntryId { epoch: at.epoch, last: number }) > server {
                self.is_to_announce(read, life.first);
            }
        }
        if !ends.clone().any(is_known) {
            self.is_to_announce(at, life.first);
        }
        ends.chain([at]).for_each(|end| self.settle(end));
        self.position = EntryId { epoch: life.number, last: life.first };
        let differs = lacks != Lacks::Nothing || at.last != life.before_last;
        Step::Begin { epoch: life.epoch, first: life.first, lacks, differs }
    }

    fn is_to_announce(&mut self, read: EntryId, from: u64) {
        if self.announcements.len() == LIVES_MAX {
            // What the oldest one is about stays in doubt until the next one is made.
            let dropped = self.announcements.remove(0);
            self.announcements[0].from = self.announcements[0].from.min(dropped.from);
        }
        self.announcements.push(Announcement { read, from, said: None });
    }

    /// The stream does not have what comes next any more, up to a number.
    fn lose(&mut self, to: u64) -> Step {
        // Others have read it, or lack it as this node does.
        let is_gone = |said: EntryId| said.epoch == self.position.epoch && said.last <= to;
        self.announcements.retain(|announcement| !announcement.said.is_some_and(is_gone));
        Step::Doubt { from: 0, to, is_loss: true }
    }

    /// Compares how far a node had read with how far this one has.
    fn compare(&mut self, read: EntryId, number: u64) -> Step {
        let has = self.has(read);
        self.settle(read);
        self.hear(read, number);
        let is_said = |announcement: &Announcement| {
            announcement.read.epoch == read.epoch && announcement.read.last <= read.last
        };
        let said = self.announcements.iter().filter(|announcement| is_said(announcement));
        let from = said.map(|announcement| announcement.from).min();
        self.announcements.retain(|announcement| !is_said(announcement));
        match from {
            _ if !has => Step::Doubt { from: 0, to: number, is_loss: true },
            Some(from) => Step::Doubt { from, to: number, is_loss: false },
            None => Step::Pass { number },
        }
    }

    /// Remembers an announcement, of each life the furthest.
    fn hear(&mut self, read: EntryId, number: u64) {
        match self.heard.iter_mut().find(|(of, _)| of.epoch == read.epoch) {
            Some(heard) if heard.0 < read => *heard = (read, number),
            Some(_) => {}
            None => {
                if self.heard.len() == LIVES_MAX {
                    self.heard.remove(0);
                }
                self.heard.push((read, number));
            }
        }
    }

    /// Whether all of a life was read up to a number, or clients were told of what is missing.
    fn has(&self, end: EntryId) -> bool {
        let is_of_it = |known: &&EntryId| known.epoch == end.epoch;
        let known = self.settled.iter().chain([&self.position]).filter(is_of_it);
        end.last == 0 || known.map(|known| known.last).max() >= Some(end.last)
    }

    fn settle(&mut self, end: EntryId) {
        if let Some(known) = self.settled.iter_mut().find(|known| known.epoch == end.epoch) {
            known.last = known.last.max(end.last);
            return;
        }
        if end.last == 0 {
            return;
        }
        let at = self.settled.partition_point(|known| known.epoch < end.epoch);
        self.settled.insert(at, end);
        if self.settled.len() > LIVES_MAX {
            self.settled.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(epoch: u64, last: u64) -> EntryId {
        EntryId { epoch, last }
    }

    /// The beginning of a life on a server that had come to an entry, by a node that had read to another one.
    fn life(number: u64, first: u64, server: EntryId, node: EntryId) -> Entry {
        let life = NewLife {
            number,
            epoch: Epoch::random(),
            first,
            before: server.epoch,
            before_last: server.last,
            known: node.epoch,
            reached: node.last,
        };
        Entry { id: id(number, first), content: Content::Life(life) }
    }

    fn reached(at: EntryId, read: EntryId) -> Entry {
        Entry { id: at, content: Content::Reached(read) }
    }

    fn take(progress: &mut Progress, entry: &Entry) -> Vec<Step> {
        let listed = |_| -> Result<NewLife, &str> { Err("each life's beginning is there") };
        progress.take(entry, listed).unwrap()
    }

    fn lacks(steps: &[Step]) -> Lacks {
        match steps {
            [Step::Begin { lacks, .. }] => *lacks,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_life_that_has_all_that_was_read_changes_nothing() {
        for (server, node) in [(100, 90), (100, 100)] {
            let mut progress = Progress::new(id(1, 100));
            let begins = life(2, 1_000, id(1, server), id(1, node));
            assert_eq!(lacks(&take(&mut progress, &begins)), Lacks::Nothing);
            assert_eq!((progress.unsaid(), progress.doubtful_from()), (vec![], None));
        }
    }

    #[test]
    fn a_node_that_had_read_less_lacks_that_and_one_that_had_read_more_says_so() {
        let begins = life(2, 1_000, id(1, 80), id(1, 90));
        let mut less = Progress::new(id(1, 85));
        assert_eq!(lacks(&take(&mut less, &begins)), Lacks::Behind { to: 90 });
        let mut more = Progress::new(id(1, 100));
        assert_eq!(lacks(&take(&mut more, &begins)), Lacks::Nothing);
        assert_eq!((more.unsaid(), more.doubtful_from()), (vec![id(1, 100)], Some(1_000)));
        more.note_said(id(1, 100), 1_007);
        assert_eq!((more.unsaid(), more.doubtful_from()), (vec![], Some(1_000)));
        let said = reached(id(2, 1_007), id(1, 100));
        take(&mut more, &reached(id(2, 1_006), id(1, 95)));
        assert_eq!(more.doubtful_from(), Some(1_000), "that was said by one that had read less");
        let told = |is_loss, from, to| vec![Step::Doubt { from, to, is_loss }];
        assert_eq!(take(&mut more, &said), told(false, 1_000, 1_007));
        assert_eq!(more.doubtful_from(), None);
        take(&mut less, &reached(id(2, 1_001), id(1, 88)));
        let lost = Step::Doubt { from: 0, to: 1_006, is_loss: true };
        assert_eq!(take(&mut less, &said), [lost, told(true, 0, 1_007).remove(0)]);
        assert_eq!(
            take(&mut less, &reached(id(2, 1_008), id(1, 100))),
            [Step::Pass { number: 1_008 }]
        );
    }

    #[test]
    fn an_announcement_that_the_server_has_lost_is_made_again_by_all_that_had_read_it() {
        for is_own in [true, false] {
            let read = id(1, if is_own { 100 } else { 200 });
            let mut progress = Progress::new(id(1, 100));
            take(&mut progress, &life(2, 1_000, id(1, 80), id(1, 90)));
            take(&mut progress, &reached(id(2, 1_001), read));
            take(&mut progress, &life(3, 2_000, id(2, 1_000), id(2, 1_001)));
            assert_eq!((progress.unsaid(), progress.doubtful_from()), (vec![read], Some(2_000)));
        }
        // One that was sent and not read back by then.
        let mut progress = Progress::new(id(1, 100));
        take(&mut progress, &life(2, 1_000, id(1, 80), id(1, 90)));
        progress.note_said(id(1, 100), 1_001);
        take(&mut progress, &life(3, 2_000, id(2, 1_000), id(2, 1_000)));
        assert_eq!((progress.unsaid(), progress.doubtful_from()), (vec![id(1, 100)], Some(1_000)));
    }

    #[test]
    fn a_life_that_others_have_lived_through_may_have_had_anything() {
        // The server has a life of which this node knows nothing, or more of one than it had read.
        let mut progress = Progress::new(id(2, 500));
        let other = life(4, 2_000, id(3, 900), id(3, 900));
        assert_eq!(lacks(&take(&mut progress, &other)), Lacks::Anything);
        assert_eq!(progress.unsaid(), [id(2, 500)], "the others may not have it");
        let older = life(5, 3_000, id(2, 600), id(2, 600));
        assert_eq!(lacks(&take(&mut progress, &older)), Lacks::Anything);
    }
}
