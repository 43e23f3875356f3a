//! The program as a process, which ends with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::Instant;

use crate::support::{wait_until, DEADLINE};

/// The program, with nothing of this process's environment that is meant for it.
pub fn fanfare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("FANFARE_")) {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn run(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    Running(child).output()
}

/// A process that is killed when the test is over.
pub struct Running(Child);

impl Running {
    pub fn of(command: &mut Command) -> Running {
        Running(command.spawn().unwrap())
    }

    pub fn id(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.0)
    }

    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn stdout(&mut self) -> ChildStdout {
        self.0.stdout.take().expect("it is a pipe")
    }

    pub fn stdin(&mut self) -> ChildStdin {
        self.0.stdin.take().expect("it is a pipe")
    }

    /// How it ends, and it has to.
    pub fn end(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// All that it writes, and how it ends. Its output fits the pipes.
    pub fn output(mut self) -> Output {
        let status = self.end();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        if let Some(mut pipe) = self.0.stdout.take() {
            pipe.read_to_end(&mut stdout).unwrap();
        }
        if let Some(mut pipe) = self.0.stderr.take() {
            pipe.read_to_end(&mut stderr).unwrap();
        }
        Output { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server on ports of the loopback.
pub struct Server {
    pub process: Running,
    pub addr: SocketAddr,
    /// Its control listener; the public one if that is not a TCP listener.
    pub control: SocketAddr,
    /// What it says how to publish, if it does.
    pub publish: String,
    /// Its first line.
    pub first: String,
    /// What it writes after the lines that say where it listens.
    pub out: BufReader<std::process::ChildStdout>,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Server {
        let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
        Server::of(command.args(arguments))
    }

    /// A server for whose publishers there is a token.
    pub fn with_token(token: &str) -> Server {
        let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
        Server::of(command.env("FANFARE_PUBLISH_TOKEN", token))
    }

    /// A server with the control listener at an address that was another's before. The other may
    /// still be letting go of it.
    pub fn controlled_at(addr: SocketAddr) -> Server {
        Server::start(&["--control-listen", &addr.to_string()])
    }

    /// A server that prints where it listens, where it is controlled and how to publish.
    pub fn of(command: &mut Command) -> Server {
        let mut server = Server::without_control(command);
        let way = server.line();
        let way = way.strip_prefix("control on ").unwrap_or_else(|| panic!("{way:?}"));
        if let Some(addr) = way.strip_prefix("http://") {
            server.control = addr.parse().unwrap();
        }
        let publish = server.line();
        let publish = publish.strip_prefix("publish: ").unwrap_or_else(|| panic!("{publish:?}"));
        server.publish = publish.to_owned();
        server
    }

    /// A server of which no more than its first line is expected.
    pub fn without_control(command: &mut Command) -> Server {
        let mut server = Server::at_no_address(command);
        let addr = server.first.strip_prefix("listening on http://").map(str::parse);
        let addr = addr.unwrap_or_else(|| panic!("{:?}", server.first)).unwrap();
        (server.addr, server.control) = (addr, addr);
        server
    }

    /// A server that listens at no address, as its first line says.
    pub fn at_no_address(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let process = Running(child);
        let none = SocketAddr::from(([0, 0, 0, 0], 0));
        let (first, publish) = (String::new(), String::new());
        let mut server = Server { process, addr: none, control: none, publish, first, out };
        server.first = server.line();
        assert!(server.first.starts_with("listening on "), "{:?}", server.first);
        server
    }

    /// The next line that it writes.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Where `fanfare publish` finds it.
    pub fn url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// A number that its metrics have.
    pub fn metric(&self, name: &str) -> f64 {
        let answer = crate::http::get(self.control, "/metrics");
        let sample = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
        answer.body.lines().find_map(sample).unwrap_or_else(|| panic!("no {name} in {answer:?}"))
    }

    pub fn wait_for_metric(&self, name: &str, value: f64) {
        let start = Instant::now();
        while self.metric(name) != value {
            assert!(start.elapsed() < DEADLINE, "{name} is {}", self.metric(name));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// `fanfare publish` with a pipe to write to.
pub fn publish(url: &str, arguments: &[&str]) -> (Running, ChildStdin) {
    let mut command = fanfare(&["publish", url, "--log", "off"]);
    let mut process = spawn(command.args(arguments));
    let stdin = process.stdin();
    (process, stdin)
}

pub fn spawn(command: &mut Command) -> Running {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Running(piped.spawn().unwrap())
}

/// Publishes a text's lines to the end.
pub fn publish_all(url: &str, arguments: &[&str], text: &[u8]) -> Output {
    let (process, mut stdin) = publish(url, arguments);
    match stdin.write_all(text) {
        // One that is given wrong arguments ends without reading.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written.unwrap(),
    }
    drop(stdin);
    process.output()
}
