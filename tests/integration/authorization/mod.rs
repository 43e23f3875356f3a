//! The host is asked who gets which stream.

mod answering;
mod asking;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use fanfare::{
    AskOptions, AuthorizationRequest, AuthorizationRequests, Authorizer, Grant, Hub, ListenOptions,
    Listener, Options, Subscription, Topic,
};

use crate::support::{one_shard, serve_with, wait_until, Client, DEADLINE};

/// A request's timeout in tests that are not about it.
fn patient() -> AskOptions {
    AskOptions::default().timeout(Duration::from_secs(600)).waiting_max(10_000)
}

/// A hub whose listener asks.
struct Asking {
    hub: Hub,
    listener: Listener,
    requests: AuthorizationRequests,
}

impl Asking {
    fn new(options: Options, ask: AskOptions, listen: ListenOptions) -> Asking {
        let (authorizer, requests) = Authorizer::ask(ask).unwrap();
        let (hub, listener) = serve_with(options, listen.authorizer(authorizer));
        Asking { hub, listener, requests }
    }

    fn plain() -> Asking {
        Asking::new(one_shard(), patient(), ListenOptions::default())
    }

    fn addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    fn next(&self) -> AuthorizationRequest {
        self.requests.wait(DEADLINE).expect("the host is asked")
    }

    /// Sends a request, and does not read the answer.
    fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// Asks for a path with `GET`.
    fn get(&self, path: &str) -> TcpStream {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    fn allow(&self, path: &str, grant: Grant) -> Client {
        let stream = self.get(path);
        self.next().allow(grant).unwrap();
        Client::of(stream)
    }

    fn publish(&self, topic: &str, data: &str) {
        self.hub.publish_wait(&Topic::new(topic).unwrap(), data, DEADLINE).unwrap();
    }

    /// Waits until so many requests were refused, unanswered, and answered too late, and nothing is
    /// left of all connections.
    fn check_counts(&self, denied: u64, failed: u64, late: u64) {
        let counts = || {
            let metrics = self.hub.metrics();
            let all = [
                metrics.denied_authorizations,
                metrics.failed_authorizations,
                metrics.late_authorizations,
            ];
            (all, metrics)
        };
        wait_until("all is closed and given back", || {
            let (_, metrics) = counts();
            let open = [metrics.connections, metrics.pending_connections, metrics.subscriptions];
            open == [0; 3] && metrics.pending_authorizations == 0
        });
        assert_eq!(counts().0, [denied, failed, late]);
    }
}

fn subscriptions<const N: usize>(names: [&str; N]) -> [Subscription; N] {
    names.map(|name| Subscription::new(name).unwrap())
}

fn granted<const N: usize>(names: [&str; N]) -> Grant {
    Grant::new(subscriptions(names))
}

/// All there is until the server closes.
fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer, and then the end");
    text
}

fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
}
