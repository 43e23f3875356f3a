//! `fanfare serve`: the engine and its control side, on one port.

mod args;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use fanfare::{DrainOptions, Hub, ListenError, ListenOptions, Listener, StartError};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

use super::control::{Control, Desk, Permit, CONNECTIONS_MAX};
use super::signals::Ending;
use super::token::{self, Token};
use super::{Outcome, Usage};

pub(crate) use self::args::ServeArgs;

/// Serves until a signal to end comes.
pub(crate) fn run(args: &ServeArgs) -> Outcome {
    // Before anyone can know that it serves, and send one.
    let ending = Ending::expect()?;
    let server = Server::start(args)?;
    server.announce("")?;
    ending.wait();
    server.drain(args.drain_options());
    Ok(ExitCode::SUCCESS)
}

/// A running server.
pub(crate) struct Server {
    hub: Hub,
    listener: Arc<Listener>,
    control: Control,
}

impl Server {
    pub(crate) fn start(args: &ServeArgs) -> Result<Server, Box<dyn std::error::Error>> {
        token::refuse_on_command_line(args.publish_token.is_some())?;
        let token = Token::find(args.publish_token_file.as_deref())?;
        let started = SystemTime::now();
        let descriptors = raise_descriptors();
        let hub = Hub::start(args.options()).map_err(|error| match error {
            StartError::Options(error) => Usage(error.to_string()).into(),
            other => Box::<dyn std::error::Error>::from(other),
        })?;
        let visitors_max = visitors_within(CONNECTIONS_MAX, descriptors);
        let (elsewhere, visitors) = async_channel::bounded(visitors_max);
        let options = ListenOptions { elsewhere: Some(elsewhere), ..args.listen_options() };
        let listener = hub.listen(&*args.listen, options).map_err(|error| match error {
            ListenError::Options { .. } => Usage(error.to_string()).into(),
            ListenError::Bind(error) => format!("cannot listen on {}: {error}", args.listen).into(),
            other => Box::<dyn std::error::Error>::from(other),
        })?;
        let listener = Arc::new(listener);
        let permit = Permit::new(token, &args.listen);
        log::info!(
            "publishing is open to {}",
            match permit {
                Permit::Token(_) => "those who show the token",
                Permit::Local { .. } => "programs of this machine, since there is no token",
            }
        );
        let desk = Desk { hub: hub.clone(), permit, started };
        let control = Control::start(desk, Arc::downgrade(&listener), visitors)?;
        Ok(Server { hub, listener, control })
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Says on standard output that clients may come, and something more. A thread of its own says
    /// it, since standard output may be a pipe that is full, and that a reader has closed it is no
    /// reason not to serve.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(crate) fn announce(&self, more: &str) -> io::Result<()> {
        let text = format!("listening on http://{}\n{more}", self.addr());
        let thread = std::thread::Builder::new().name("fanfare-announce".to_owned());
        thread.spawn(move || {
            let mut out = io::stdout().lock();
            if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                log::warn!("standard output does not take where the server listens: {error}");
            }
        })?;
        Ok(())
    }

    /// Lets nobody in any more, and sends those who are here away, one after another.
    fn drain(self, options: DrainOptions) {
        log::info!("draining");
        drop(self.listener);
        // Requests that go on may still publish, and to everyone: draining ends with the hub's close.
        self.control.stop();
        let drained = self.hub.drain(options);
        log::info!("{} clients were told when to come back, {} cut", drained.told, drained.cut);
    }

    /// Lets nobody in any more, sends what was published, and closes every connection.
    pub(crate) fn stop(self) {
        log::info!("closing");
        drop(self.listener);
        self.control.stop();
        self.hub.close();
    }
}

/// Allows the process as many open files as it may have, since each connection is one, and returns
/// how many those are; the engine keeps within that.
fn raise_descriptors() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// How many connections of the control side there may be, and wait: where descriptors are few, a
/// sixteenth of them each, which is within the quarter that the engine leaves.
fn visitors_within(wished_max: usize, descriptors: Option<u64>) -> usize {
    let share =
        descriptors.map_or(usize::MAX, |all| usize::try_from(all / 16).unwrap_or(usize::MAX));
    wished_max.min(share.max(4))
}

#[cfg(test)]
mod tests {
    use super::args::tests::parse;
    use super::*;

    #[test]
    fn a_token_on_the_command_line_is_refused() {
        for line in [&["--publish-token", "s3cret"][..], &["--publish-token"]] {
            let args = parse(line).unwrap();
            let error = Server::start(&args).err().unwrap().to_string();
            assert!(
                error.contains("FANFARE_PUBLISH_TOKEN") && !error.contains("s3cret"),
                "{error}"
            );
        }
    }
}
