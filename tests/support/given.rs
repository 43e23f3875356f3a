//! What an event is made of, whether it may be published, and what a client then has to get.

use std::time::Duration;

use fanfare::Event;

use super::sse::Message;

/// An event's parts, of any content.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub data: Option<String>,
    pub name: Option<String>,
    pub id: Option<String>,
    pub retry: Option<u64>,
    pub key: Option<String>,
    pub comment: Option<String>,
}

impl Given {
    pub fn event(&self) -> Event<'_> {
        let mut event = self.data.as_deref().map_or_else(Event::empty, Event::new);
        if let Some(name) = &self.name {
            event = event.with_name(&**name);
        }
        if let Some(id) = &self.id {
            event = event.with_id(&**id);
        }
        if let Some(retry) = self.retry {
            event = event.with_retry(Duration::from_millis(retry));
        }
        if let Some(key) = &self.key {
            event = event.with_key(&**key);
        }
        if let Some(comment) = &self.comment {
            event = event.with_comment(&**comment);
        }
        event
    }

    /// Whether the standard lets it through to a client, and the client's `Last-Event-ID` back.
    pub fn survives(&self) -> bool {
        let fits =
            |text: &Option<String>| text.as_ref().is_none_or(|t| (1..=256).contains(&t.len()));
        let one_line =
            |text: &Option<String>| text.as_ref().is_none_or(|t| !t.contains(['\r', '\n', '\0']));
        let in_a_header = |text: &Option<String>| {
            text.as_ref().is_none_or(|t| t.trim_matches(' ') == t && !t.contains(char::is_control))
        };
        let something = self.data.is_some()
            || self.id.is_some()
            || self.retry.is_some()
            || self.comment.is_some();
        something
            && [&self.name, &self.id, &self.key].into_iter().all(fits)
            && one_line(&self.name)
            && in_a_header(&self.id)
            && self.retry.is_none_or(|ms| u32::try_from(ms).is_ok())
    }

    /// What a client is to fire.
    pub fn message(&self, id: &str) -> Option<Message> {
        let data = self.data.as_ref()?.replace("\r\n", "\n").replace('\r', "\n");
        let name = self.name.clone().unwrap_or_else(|| "message".to_owned());
        Some(Message { name, data, last_id: id.to_owned() })
    }
}
