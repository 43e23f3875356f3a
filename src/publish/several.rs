//! Publishing one event to several topics.

use std::sync::Arc;
use std::time::Duration;

use super::{publish_when_possible, publish_within, Accepted, PublishError, Published};
use crate::event::Event;
use crate::frame::Draft;
use crate::hub::Hub;
use crate::order::Refused;
use crate::topic::Topic;

/// Where an event goes.
enum To<'a> {
    One(&'a Topic),
    Several(Arc<[Topic]>),
}

impl Hub {
    /// Publishes one event to several topics: to all of them, or, if it is refused, to none. Never
    /// blocks.
    ///
    /// It is one event, with one id and one place in the hub's order, and it is encoded once. A
    /// client that wants several of its topics is sent it once. It counts for the backlog of each
    /// topic, and is kept in the history of each: a client that comes back is sent it if one of the
    /// topics that the client wants still keeps it.
    ///
    /// A topic that is given twice counts once, and the order of the topics has no meaning. An
    /// event of one topic is published as by [`Hub::publish`]. A
    /// [key](crate::Event::with_key) belongs to the list of topics: an event replaces only
    /// events that were published to exactly the same ones.
    ///
    /// # Errors
    ///
    /// [`PublishError::NoTopic`] and [`PublishError::TooManyTopics`] if there is no topic, or more
    /// than [`Event::TOPICS_MAX`] different ones. [`PublishError::Full`] if the backlog of one of
    /// the topics is full, or the hub's; [`PublishError::Finished`] if one of the topics is
    /// finished; and otherwise as [`Hub::publish`]. In all cases nothing was published anywhere.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options, PublishError, Topic};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let topics = [Topic::new("orders/42")?, Topic::new("customers/7")?];
    /// hub.publish_to(&topics, "shipped")?;
    /// assert_eq!(hub.publish_to(&[], "shipped").unwrap_err(), PublishError::NoTopic);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_to<'a>(
        &self,
        topics: &[Topic],
        event: impl Into<Event<'a>>,
    ) -> Result<Published, PublishError> {
        let topics = match To::new(topics)? {
            To::One(topic) => return self.publish(topic, event),
            To::Several(topics) => topics,
        };
        let event = event.into();
        let draft = self.encode_for_several(topics, &event)?;
        let accepted = self.try_publish_to_several(draft, event.window, false)?;
        Ok(self.published(accepted))
    }

    /// Publishes one event to several topics, waiting for at most `timeout` while a backlog is
    /// full: [`Hub::publish_to`], with the wait of [`Hub::publish_wait`]. It waits until all of the
    /// topics and the hub have space at the same time.
    ///
    /// # Errors
    ///
    /// As [`Hub::publish_to`]; [`PublishError::Full`] when one was full for all of this time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{Hub, Options, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// let topics = [Topic::new("log")?, Topic::new("log/web")?];
    /// hub.publish_to_wait(&topics, "a line", Duration::from_secs(5))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_to_wait<'a>(
        &self,
        topics: &[Topic],
        event: impl Into<Event<'a>>,
        timeout: Duration,
    ) -> Result<Published, PublishError> {
        let topics = match To::new(topics)? {
            To::One(topic) => return self.publish_wait(topic, event, timeout),
            To::Several(topics) => topics,
        };
        let event = event.into();
        let draft = self.encode_for_several(topics.clone(), &event)?;
        let attempt = |draft| self.try_publish_to_several(draft, event.window, true);
        publish_within(&self.shared().order, &topics, timeout, draft, attempt)
    }

    /// Publishes one event to several topics, waiting while a backlog is full, however long that
    /// is, under any executor: [`Hub::publish_to`], with the wait of [`Hub::publish_async`].
    /// Dropping the future before it is ready publishes nothing.
    ///
    /// # Errors
    ///
    /// As [`Hub::publish_to`], but never [`PublishError::Full`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Hub, Options, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// let topics = [Topic::new("log")?, Topic::new("log/web")?];
    /// smol::block_on(hub.publish_to_async(&topics, "a line"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn publish_to_async<'a>(
        &self,
        topics: &[Topic],
        event: impl Into<Event<'a>>,
    ) -> Result<Published, PublishError> {
        let topics = match To::new(topics)? {
            To::One(topic) => return self.publish_async(topic, event).await,
            To::Several(topics) => topics,
        };
        let event = event.into();
        let draft = self.encode_for_several(topics.clone(), &event)?;
        let attempt = |draft| self.try_publish_to_several(draft, event.window, true);
        publish_when_possible(&self.shared().order, &topics, draft, attempt).await
    }

    fn encode_for_several(
        &self,
        topics: Arc<[Topic]>,
        event: &Event<'_>,
    ) -> Result<Draft, PublishError> {
        let mut draft = self.encode_unscoped(event)?;
        draft.set_topics(topics);
        Ok(draft)
    }

    fn try_publish_to_several(
        &self,
        draft: Draft,
        window: Duration,
        is_awaited: bool,
    ) -> Result<Accepted, Refused> {
        let window_ns = Some(window.as_nanos() as u64).filter(|&window_ns| window_ns > 0);
        if let Some((cluster, topics)) = self.shared().cluster.as_ref().zip(draft.topics().cloned())
        {
            let (order, window_ns) = (&self.shared().order, window_ns.unwrap_or(0));
            let send = |slot| cluster.publish(order, &topics, draft, window_ns, slot);
            return self.counted(Accepted::send(is_awaited, send));
        }
        let published = self.shared().order.publish_to_several(draft, window_ns);
        self.counted(published).map(Accepted::Numbered)
    }
}

impl To<'_> {
    fn new(topics: &[Topic]) -> Result<To<'_>, PublishError> {
        match topics {
            [] => return Err(PublishError::NoTopic),
            [only] => return Ok(To::One(only)),
            _ => {}
        }
        let mut sorted: Vec<&Topic> = topics.iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        match &sorted[..] {
            [only] => Ok(To::One(only)),
            several if several.len() > Event::TOPICS_MAX => {
                Err(PublishError::TooManyTopics { topics: several.len() })
            }
            several => Ok(To::Several(several.iter().map(|&topic| topic.clone()).collect())),
        }
    }
}
