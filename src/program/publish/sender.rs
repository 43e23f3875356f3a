//! Sends batches in their order, again when it has to, and counts.

use std::time::Duration;

use smol::Timer;

use super::batch::Batch;
use super::client::{Client, Said};

/// The first pause before it is tried again; each one after it is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Why no more lines are sent, though there may be more.
#[derive(Debug)]
pub(super) struct Stopped(pub(super) String);

/// Sends batches over one client.
pub(super) struct Sender {
    client: Client,
    retries: u32,
    keep_going: bool,
    /// Events that the server has acknowledged.
    pub(super) published: u64,
    /// Lines that were skipped, or that it ended at.
    pub(super) refused: u64,
    /// How often in a row it was tried again in vain.
    failures: u32,
}

impl Sender {
    pub(super) fn new(client: Client, retries: u32, keep_going: bool) -> Sender {
        Sender { client, retries, keep_going, published: 0, refused: 0, failures: 0 }
    }

    /// Sends a batch until the server has all of it, or it makes no sense to go on.
    pub(super) async fn deliver(&mut self, batch: &mut Batch) -> Result<(), Stopped> {
        while let Some(number) = batch.first_number() {
            let said = self.client.publish(batch.content()).await;
            log::debug!("{} lines from {number} on: {said:?}", batch.len());
            match said {
                Said::Published(0) => {
                    return Err(self.stop(batch, "the server answers that it published nothing"));
                }
                Said::Published(count) => self.acknowledged(batch, count),
                Said::Refused { published, why } => {
                    self.acknowledged(batch, published);
                    let refused = batch.first_number();
                    batch.drop_first(1);
                    self.skip(refused.unwrap_or(number), &why)?;
                }
                Said::Busy { published, why, pause } => {
                    self.acknowledged(batch, published);
                    self.pause(batch, &why, pause).await?;
                }
                Said::Unreached(why) => self.pause(batch, &why, None).await?,
                Said::Unknown(why) => {
                    let count = batch.len();
                    eprintln!("fanfare: {count} events may now be published twice: {why}");
                    self.pause(batch, &why, None).await?;
                }
                Said::Never(why) => return Err(self.stop(batch, &why)),
            }
        }
        Ok(())
    }

    /// Finishes a topic with a line that says so.
    pub(super) async fn finish(&mut self, line: &str) -> Result<(), Stopped> {
        let mut batch = Batch::default();
        batch.push(0, line);
        let mut may_be_finished = false;
        loop {
            let said = self.client.publish(batch.content()).await;
            log::debug!("the end of the topic: {said:?}");
            let (why, pause) = match said {
                Said::Published(_) => return Ok(()),
                // By a request of this program whose answer was lost.
                Said::Refused { .. } if may_be_finished => return Ok(()),
                Said::Refused { why, .. } | Said::Never(why) => return Err(not_finished(&why)),
                Said::Busy { why, pause, .. } => (why, pause),
                Said::Unreached(why) => (why, None),
                Said::Unknown(why) => {
                    may_be_finished = true;
                    (why, None)
                }
            };
            let paused = self.pause(&Batch::default(), &why, pause).await;
            paused.map_err(|Stopped(why)| not_finished(&why))?;
        }
    }

    /// A line is not published. It is the end, unless it is to be skipped.
    pub(super) fn skip(&mut self, number: u64, why: &str) -> Result<(), Stopped> {
        self.refused += 1;
        let text = format!("line {number} is not published: {why}");
        if !self.keep_going {
            return Err(Stopped(text));
        }
        eprintln!("fanfare: {text}");
        Ok(())
    }

    fn acknowledged(&mut self, batch: &mut Batch, count: usize) {
        let count = count.min(batch.len());
        batch.drop_first(count);
        self.published += count as u64;
        if count > 0 {
            self.failures = 0;
        }
    }

    /// Waits before it is tried again, unless that was tried too often.
    async fn pause(
        &mut self,
        batch: &Batch,
        why: &str,
        asked: Option<Duration>,
    ) -> Result<(), Stopped> {
        if self.failures >= self.retries {
            return Err(self.stop(batch, why));
        }
        let pause = backoff(self.failures).max(asked.unwrap_or_default());
        if self.failures == 0 {
            log::warn!("{why}; trying again");
        }
        self.failures += 1;
        // Publishers that lost the same server do not all come back in the same moment.
        Timer::after(pause.mul_f64(1.0 + fastrand::f64() / 2.0)).await;
        Ok(())
    }

    fn stop(&mut self, batch: &Batch, why: &str) -> Stopped {
        self.refused += batch.len() as u64;
        Stopped(match batch.first_number() {
            Some(number) => format!("ending at line {number}: {why}"),
            None => why.to_owned(),
        })
    }
}

fn not_finished(why: &str) -> Stopped {
    Stopped(format!("the topic is not finished: {why}"))
}

fn backoff(failures: u32) -> Duration {
    PAUSE_MIN.saturating_mul(2_u32.saturating_pow(failures)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let pauses: Vec<u128> = (0..8).map(|failures| backoff(failures).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff(u32::MAX), PAUSE_MAX);
    }
}
