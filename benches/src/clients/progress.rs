//! The line that shows on a terminal how far a run is. Without a terminal nothing is shown.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::now_ns;
use crate::metric::{per_second, show, Unit};

/// From one drawing to the next, in nanoseconds.
const TURN_NS: u64 = 100_000_000;

/// A line on stderr, if that is a terminal. It goes away when this is dropped.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    drawn_at_ns: u64,
    delivered: u64,
}

impl Progress {
    /// A line that says nothing yet.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("  {elapsed:>4}  {msg}");
        // The template is right: the tests draw it.
        let bar = style.ok().filter(|_| !bar.is_hidden()).map(|style| bar.with_style(style));
        Self { bar, drawn_at_ns: 0, delivered: 0 }
    }

    /// Whether it is time to draw.
    pub(crate) fn is_due(&self) -> bool {
        self.bar.is_some() && now_ns() - self.drawn_at_ns >= TURN_NS
    }

    /// Shows how many of the connections that are being opened have their head.
    pub(crate) fn connected(&mut self, connected: u64, wanted: u64) {
        if self.is_due() || connected == wanted {
            self.draw(format!("connected {connected}/{wanted}"));
        }
    }

    /// Shows how many events have arrived on all connections together.
    pub(crate) fn delivered(&mut self, delivered: u64) {
        let span_ns = now_ns() - self.drawn_at_ns;
        let rate = per_second(delivered.saturating_sub(self.delivered), span_ns);
        self.delivered = delivered;
        let (count, rate) = (show(Unit::Count, delivered as f64), show(Unit::Count, rate));
        self.draw(format!("{count} deliveries, {rate}/s"));
    }

    fn draw(&mut self, message: String) {
        self.drawn_at_ns = now_ns();
        if let Some(bar) = &self.bar {
            bar.set_message(message);
            bar.tick();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
