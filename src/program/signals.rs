//! How the program is told to end: SIGTERM, SIGINT (Ctrl-C), SIGQUIT, and SIGHUP, which a terminal
//! sends that goes away.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::disposition::is_ignored;

/// The first signal to end. A second one ends the process at once, with the exit code that a
/// shell gives to a process that died of it.
pub(crate) struct Ending {
    signals: Signals,
}

impl Ending {
    /// From now on the signals no longer kill the process. A SIGHUP that was ignored when the
    /// program was started, as by `nohup`, stays so.
    pub(crate) fn expect() -> io::Result<Ending> {
        let told = Arc::new(AtomicBool::new(false));
        let mut signals = vec![SIGINT, SIGTERM, SIGQUIT];
        if !is_ignored(SIGHUP) {
            signals.push(SIGHUP);
        }
        for &signal in &signals {
            // In this order: the first signal finds the flag unset, and sets it.
            flag::register_conditional_shutdown(signal, 128 + signal, told.clone())?;
            flag::register(signal, told.clone())?;
        }
        Ok(Ending { signals: Signals::new(signals)? })
    }

    /// Blocks until the signal comes.
    pub(crate) fn wait(mut self) {
        let signal = self.signals.forever().next();
        log::debug!("ending, since signal {} came", signal.unwrap_or_default());
    }
}
