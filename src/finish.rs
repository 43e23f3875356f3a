//! Finishing a topic: the stream of its events has an end.

use std::time::Duration;

use crate::event::{Event, EventError};
use crate::frame::Draft;
use crate::hub::Hub;
use crate::order::Refused;
use crate::publish::{publish_when_possible, publish_within, Accepted, PublishError, Published};
use crate::topic::Topic;

impl Hub {
    /// Finishes a topic, with a last event if there is one: nothing can be published to it any
    /// more. Never blocks.
    ///
    /// A client all of whose topics are finished is sent everything, and then its stream ends, as
    /// HTTP has it. A client that comes later is sent what it asks for of what is kept, and then
    /// the end; one that would be sent nothing gets the status 204, after which an `EventSource`
    /// stays closed. A client with a filter goes on, since the filter may match other topics.
    ///
    /// Both happen or neither: no event comes between the last one and the end. A topic that nobody
    /// has published to can be finished as well. The returned id is the last event's; without one
    /// it is that of the end, which no client sees.
    ///
    /// # Errors
    ///
    /// As [`Hub::publish`]; [`PublishError::Full`] for a last event only, and
    /// [`PublishError::Finished`] if the topic is finished already. In all cases nothing was
    /// published, and the topic is as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Event, Hub, Options, PublishError, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// let run = Topic::new("run/7")?;
    /// hub.publish(&run, "Hello")?;
    /// hub.finish(&run, Some(Event::new("").with_name("done")))?;
    /// let error = hub.publish(&run, "more").unwrap_err();
    /// assert_eq!(error, PublishError::Finished { topic: run });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish(
        &self,
        topic: &Topic,
        last: Option<Event<'_>>,
    ) -> Result<Published, PublishError> {
        let last = self.encode_last(topic, last)?;
        let accepted = self.try_finish(topic, last, false)?;
        Ok(self.published(accepted))
    }

    /// Finishes a topic, waiting for at most `timeout` while the backlog is too full for the last
    /// event, as [`Hub::publish_wait`] does. Until then others may publish to the topic, or finish
    /// it.
    ///
    /// # Errors
    ///
    /// As [`Hub::finish`]; [`PublishError::Full`] when it was full for all of this time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{Hub, Options, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// hub.finish_wait(&Topic::new("run/7")?, Some("the end".into()), Duration::from_secs(5))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish_wait(
        &self,
        topic: &Topic,
        last: Option<Event<'_>>,
        timeout: Duration,
    ) -> Result<Published, PublishError> {
        let last = self.encode_last(topic, last)?;
        let (order, topics) = (&self.shared().order, std::slice::from_ref(topic));
        publish_within(order, topics, timeout, last, |last| self.try_finish(topic, last, true))
    }

    /// Finishes a topic, waiting while the backlog is too full for the last event, as
    /// [`Hub::publish_async`] does. Dropping the future before it is ready leaves the topic as it
    /// was.
    ///
    /// # Errors
    ///
    /// As [`Hub::finish`], but never [`PublishError::Full`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Hub, Options, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// # let run = Topic::new("run/7")?;
    /// smol::block_on(hub.finish_async(&run, None))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn finish_async(
        &self,
        topic: &Topic,
        last: Option<Event<'_>>,
    ) -> Result<Published, PublishError> {
        let last = self.encode_last(topic, last)?;
        let (order, topics) = (&self.shared().order, std::slice::from_ref(topic));
        publish_when_possible(order, topics, last, |last| self.try_finish(topic, last, true)).await
    }

    fn encode_last(
        &self,
        topic: &Topic,
        last: Option<Event<'_>>,
    ) -> Result<Option<Draft>, PublishError> {
        let Some(event) = last else { return Ok(None) };
        if !event.window.is_zero() {
            return Err(PublishError::Invalid(EventError::WindowOfLast));
        }
        self.encode(topic, &event).map(Some)
    }

    fn try_finish(
        &self,
        topic: &Topic,
        last: Option<Draft>,
        is_awaited: bool,
    ) -> Result<Accepted, Refused> {
        let order = &self.shared().order;
        if let Some(cluster) = &self.shared().cluster {
            let send = |slot| cluster.finish(order, topic, last, slot);
            return self.counted(Accepted::send(is_awaited, send));
        }
        self.counted(order.finish(topic, last)).map(Accepted::Numbered)
    }
}
