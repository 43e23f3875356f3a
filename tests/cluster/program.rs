//! Programs that are nodes, and what they are asked over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{kill_process, Pid, Signal};

use crate::server::free_port;
use crate::support::wait_until;

/// A program that is a node, at one address over all its lives.
pub struct Node {
    process: Child,
    pub addr: SocketAddr,
    /// Where its publishers are.
    pub control: SocketAddr,
    url: String,
    /// The most events of a topic that its memory keeps.
    keeps: u32,
}

/// A node that keeps everything that a test publishes.
pub const EVERYTHING: u32 = 1_000_000;

impl Node {
    pub fn start(url: &str, keeps: u32) -> Node {
        let mut node = Node::on_free_ports(url, keeps);
        wait_until("a node is well", || {
            if node.process.try_wait().unwrap().is_some() {
                // Another program took a port that was free a moment ago.
                node = Node::on_free_ports(url, keeps);
            }
            node.is_well()
        });
        node
    }

    fn on_free_ports(url: &str, keeps: u32) -> Node {
        let [addr, control] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let process = Node::launch(addr, control, url, keeps);
        Node { process, addr, control, url: url.to_owned(), keeps }
    }

    /// Whether both of its ports say so: one of them may be another program's.
    fn is_well(&self) -> bool {
        [self.addr, self.control].into_iter().all(|addr| {
            let request = format!("GET /healthz HTTP/1.0\r\nHost: {addr}\r\n\r\n");
            ask(addr, &request, Duration::from_secs(2)).is_some_and(|(status, _)| status == 200)
        })
    }

    fn launch(addr: SocketAddr, control: SocketAddr, url: &str, keeps: u32) -> Child {
        let program = std::env::var("FANFARE_BIN");
        let program = program.unwrap_or_else(|_| env!("CARGO_BIN_EXE_fanfare").to_owned());
        let mut command = Command::new(program);
        command.args(["serve", "--listen", &addr.to_string(), "--cluster", url]);
        command.args(["--control-listen", &control.to_string()]);
        let log = std::env::var("FANFARE_TEST_CLUSTER_LOG").unwrap_or_else(|_| "off".to_owned());
        command.args(["--log", &log]);
        command.args(["--history-events-max", &keeps.to_string(), "--history-age-max", "1h"]);
        command.args(["--history-bytes-max", "512MiB", "--history-total-bytes-max", "1GiB"]);
        command.args(["--retry", "100ms"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn relaunch(&mut self) {
        self.process = Node::launch(self.addr, self.control, &self.url, self.keeps);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits until it says that all is well. One that does not come up, since its server was killed at that moment,
    /// is started again.
    pub fn wait_until_well(&mut self) {
        wait_until("a node is well", || {
            if self.process.try_wait().unwrap().is_some() {
                self.relaunch();
            }
            self.is_well()
        });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// A status and what comes until the end; `None` if nothing came in time, or the node went away.
pub fn ask(addr: SocketAddr, request: &str, within: Duration) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(within)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer))
}
