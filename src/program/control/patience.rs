//! How long the events of a request may wait for space in the backlog.
//!
//! A client that gives up before the answer comes does not know whether its events were published. So it may say
//! for how long it waits (`Prefer: wait=SECONDS`, RFC 7240, section 4.3), and is answered by then.

use std::future::Future;
use std::time::{Duration, Instant};

use fanfare::{PublishError, Published};
use hyper::header::{HeaderMap, HeaderName};
use smol::future::FutureExt;
use smol::Timer;

static PREFER: HeaderName = HeaderName::from_static("prefer");

/// The longest time, whatever a client prefers.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What is left of the time for which a request's events may wait.
#[derive(Debug)]
pub(super) struct Patience {
    left: Duration,
    /// Whether it is for all events of the request together, or for each of them.
    is_for_all: bool,
}

impl Patience {
    /// That of a request with these header fields. Of lines that come as they appear (`is_open_ended`) each may
    /// wait, unless the client says how long it waits for the answer.
    pub(super) fn of(fields: &HeaderMap, is_open_ended: bool) -> Patience {
        let preferred = preferred_wait(fields);
        Patience {
            left: preferred.map_or(WAIT_MAX, |wait| wait.min(WAIT_MAX)),
            is_for_all: preferred.is_some() || !is_open_ended,
        }
    }

    /// Waits for what waits for the backlog. `PublishError::Full` when it was full for all of the time.
    pub(super) async fn wait(
        &mut self,
        publishing: impl Future<Output = Result<Published, PublishError>>,
    ) -> Result<Published, PublishError> {
        self.wait_for(publishing).await.unwrap_or(Err(PublishError::Full))
    }

    /// Waits for something; `None` when it did not come in time.
    pub(super) async fn wait_for<T>(&mut self, thing: impl Future<Output = T>) -> Option<T> {
        let begun = Instant::now();
        let too_long = async {
            Timer::after(self.left).await;
            None
        };
        let result = async { Some(thing.await) }.or(too_long).await;
        if self.is_for_all {
            self.left = self.left.saturating_sub(begun.elapsed());
        }
        result
    }
}

/// For how long a client prefers to wait, if it says so. As with any preference, one that cannot be read is none.
pub(super) fn preferred_wait(fields: &HeaderMap) -> Option<Duration> {
    let fields = fields.get_all(&PREFER).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let value = value.trim();
        let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = unquoted.unwrap_or(value);
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        (is_wait && is_number).then(|| value.parse().ok().map(Duration::from_secs))?
    })
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use hyper::header::HeaderValue;
    use smol::future;

    use super::*;

    fn prefer(values: &[&'static str]) -> HeaderMap {
        let value = |value: &&'static str| (PREFER.clone(), HeaderValue::from_static(value));
        HeaderMap::from_iter(values.iter().map(value))
    }

    #[test]
    fn a_client_may_prefer_to_wait_for_less() {
        for (values, seconds) in [
            (&["wait=4"][..], Some(4)),
            (&["respond-async, Wait = \"10\"; foo=bar"], Some(10)),
            (&["respond-async", "wait=0"], Some(0)),
            (&["wait=soon, wait=7"], Some(7)),
            (&["wait=-1", "wait=+1", "wait=1.5", "wait=", "wait", "awaits=1"], None),
            (&["wait=99999999999999999999999"], None),
            (&[], None),
        ] {
            let wait = preferred_wait(&prefer(values));
            assert_eq!(wait, seconds.map(Duration::from_secs), "{values:?}");
        }
        let left = |value| Patience::of(&prefer(&[value]), true).left;
        assert_eq!(left("wait=3600"), WAIT_MAX);
        assert_eq!(left("wait=1"), Duration::from_secs(1));
    }

    #[test]
    fn the_events_of_a_batch_wait_for_one_time_together() {
        let fields = prefer(&[]);
        for (mut patience, is_for_all) in [
            (Patience::of(&fields, false), true),
            (Patience::of(&fields, true), false),
            (Patience::of(&prefer(&["wait=30"]), true), true),
        ] {
            let pause = Duration::from_millis(20);
            let closed = async {
                Timer::after(pause).await;
                Err(PublishError::Closed)
            };
            assert_eq!(future::block_on(patience.wait(closed)).unwrap_err(), PublishError::Closed);
            assert_eq!(patience.left <= WAIT_MAX - pause, is_for_all);
            assert_eq!(patience.left == WAIT_MAX, !is_for_all);
        }
        let mut patience = Patience::of(&prefer(&["wait=0"]), false);
        let at_once = ready(Err(PublishError::Closed));
        assert_eq!(future::block_on(patience.wait(at_once)).unwrap_err(), PublishError::Closed);
        assert_eq!(future::block_on(patience.wait(pending())).unwrap_err(), PublishError::Full);
    }
}
