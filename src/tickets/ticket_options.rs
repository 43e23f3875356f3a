//! The bounds of tickets.

use std::time::Duration;

use crate::options::chained::chained;
use crate::options::{within, OptionsError};

chained! {
    /// The bounds of [`Tickets`](crate::tickets::Tickets).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::tickets::TicketOptions;
    ///
    /// let options = TicketOptions::default().first_use_time_max(Duration::from_secs(10));
    /// assert_eq!(options.tickets_max, 65_536);
    /// ```
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct TicketOptions {
        /// The most tickets that there are at once, 1 to 10,000,000. Each takes some 300 bytes
        /// besides what is granted. A ticket that was used is kept until its grant expires, for its
        /// stream's reconnects; beyond this number the one is forgotten whose stream has been
        /// between connections for longest, and if there is none, none is issued. Default: 65,536.
        pub tickets_max: usize,
        /// How long a ticket may be unused before it is forgotten, 1 s to 1 hour. Default: 60 s.
        pub first_use_time_max: Duration,
    }
}

impl Default for TicketOptions {
    fn default() -> TicketOptions {
        TicketOptions { tickets_max: 65_536, first_use_time_max: Duration::from_secs(60) }
    }
}

impl TicketOptions {
    /// Checks what has bounds, as [`Tickets::new`](crate::tickets::Tickets::new) does.
    ///
    /// # Errors
    ///
    /// The first option that is out of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::TicketOptions;
    ///
    /// let error = TicketOptions::default().tickets_max(0).check().unwrap_err();
    /// assert_eq!(error.option, "tickets_max");
    /// ```
    pub fn check(&self) -> Result<(), OptionsError> {
        let fits = (1..=TICKETS_MAX).contains(&self.tickets_max);
        within(fits, "tickets_max", "1 to 10,000,000")?;
        let fits = (SECOND..=3600 * SECOND).contains(&self.first_use_time_max);
        within(fits, "first_use_time_max", "1 s to 1 hour")
    }
}

const SECOND: Duration = Duration::from_secs(1);
const TICKETS_MAX: usize = 10_000_000;
