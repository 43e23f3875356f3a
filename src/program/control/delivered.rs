//! What is answered of a batch's events that are published.

use std::fmt;

use serde::Serialize;

/// The most ids of an answer, and the most bytes that they take there. Of more events only the first and the last
/// id are answered: a request may go on for an hour.
const IDS_MAX: usize = 1024;
const IDS_BYTES_MAX: usize = 32 << 10;

/// How many events of a request are published, and their ids.
#[derive(Serialize)]
pub(super) struct Delivered {
    published: u64,
    /// In the order of the lines, as long as they are not too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<Vec<Option<String>>>,
    #[serde(flatten)]
    ends: Option<Ends>,
    #[serde(skip)]
    ids_bytes: usize,
    /// Whether the journal holds them as safely as it promises, if there is one and they are not.
    #[serde(rename = "durable", skip_serializing_if = "is_none_or_true")]
    pub(super) is_durable: Option<bool>,
}

/// For what is said only where it is not so.
fn is_none_or_true(is_so: &Option<bool>) -> bool {
    is_so.unwrap_or(true)
}

/// The ids of the first and the last event.
#[derive(Serialize)]
struct Ends {
    first_id: Option<String>,
    last_id: Option<String>,
}

impl Default for Delivered {
    fn default() -> Delivered {
        let ids = Some(Vec::new());
        Delivered { published: 0, ids, ends: None, ids_bytes: 0, is_durable: None }
    }
}

impl Delivered {
    /// One more event is published, with this id if it is known.
    pub(super) fn add(&mut self, id: Option<String>) {
        self.published += 1;
        if let Some(ends) = &mut self.ends {
            ends.last_id = id;
            return;
        }
        let ids = self.ids.get_or_insert_default();
        // As it is written, with what is escaped.
        self.ids_bytes += serde_json::to_string(&id).map_or(0, |text| text.len() + 1);
        if ids.len() < IDS_MAX && self.ids_bytes <= IDS_BYTES_MAX {
            ids.push(id);
            return;
        }
        let first_id = std::mem::take(ids).into_iter().next().unwrap_or_else(|| id.clone());
        self.ids = None;
        self.ends = Some(Ends { first_id, last_id: id });
    }
}

/// Without the ids, of which there may be many.
impl fmt::Debug for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivered").field("published", &self.published).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(ids: impl IntoIterator<Item = String>) -> String {
        let mut delivered = Delivered::default();
        ids.into_iter().for_each(|id| delivered.add(Some(id)));
        serde_json::to_string(&delivered).unwrap()
    }

    #[test]
    fn all_ids_are_answered_and_of_many_events_the_first_and_the_last() {
        assert_eq!(text([]), r#"{"published":0,"ids":[]}"#);
        let two = ["a".to_owned(), "b\"".to_owned()];
        assert_eq!(text(two), r#"{"published":2,"ids":["a","b\""]}"#);
        let most = text((0..1024).map(|n| n.to_string()));
        assert!(most.starts_with(r#"{"published":1024,"ids":["0","1","#), "{most}");
        let more = text((0..5000).map(|n| n.to_string()));
        assert_eq!(more, r#"{"published":5000,"first_id":"0","last_id":"4999"}"#);
    }

    #[test]
    fn an_answer_is_bounded_whatever_the_ids_are() {
        let ids = || (0..200).map(|n| format!("{n}{}", "\u{1}".repeat(100)));
        let answer = text(ids());
        assert!(answer.starts_with(r#"{"published":200,"first_id":"0\u0001"#), "{answer}");
        let ids = ids().take(50);
        assert!(text(ids).len() < IDS_BYTES_MAX + 100);
    }
}
