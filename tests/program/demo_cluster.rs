//! `make demo-cluster`: a Redis server, three nodes, and where their pages are.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::http::{get, publish};
use crate::process::run;
use crate::support::{wait_until, Client};

fn demo() -> Command {
    let mut demo =
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo-cluster"));
    demo.env("FANFARE_BIN", env!("CARGO_BIN_EXE_fanfare")).stdin(Stdio::null());
    demo
}

/// The script, which ends what it has started when it is told to end.
struct Demo(Child);

impl Demo {
    fn end(&mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        _ = Command::new("kill").args(["-s", "INT", &pid]).stderr(Stdio::null()).status();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.end();
        }
    }
}

#[test]
fn three_nodes_have_the_readings_of_one_and_all_end_with_the_demo() {
    let mut demo = Demo(demo().stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    // The pages of three nodes, how to read, the server, and how it ends.
    let lines: Vec<String> = lines.map(Result::unwrap).take(6).collect();
    assert_eq!(lines.len(), 6, "is redis-server installed? {lines:?}");
    let between = |line: &str, before: &str, after: &str| {
        let (_, behind) = line.split_once(before).unwrap_or_else(|| panic!("{line:?}"));
        behind.split(after).next().unwrap().to_owned()
    };
    let address = |text: String| text.parse::<SocketAddr>().unwrap();
    let controls: Vec<SocketAddr> = lines[..3]
        .iter()
        .map(|line| address(between(line, "open http://", "/ in a browser")))
        .collect();
    let reading = address(between(&lines[3], "curl -N 'http://", "/events"));
    for control in &controls {
        assert_eq!(get(*control, "/").status, 200);
    }
    // The first node publishes, and the third serves.
    let message = Client::get(reading, "/events?topic=cpu").next();
    assert!(message.name == "cpu" && message.data.contains("\"busy\":"), "{message:?}");
    let mut client = Client::get(reading, "/events?topic=told");
    assert_eq!(publish(controls[1], "?topic=told", "by the second").status, 200);
    assert_eq!(client.next().data, "by the second");

    let folder = between(&lines[4], "redis-cli -s ", "/redis.sock");
    let pids = lines[..3].iter().chain([&lines[4]]).map(|line| between(line, "(process ", ")"));
    let pids: Vec<String> = pids.collect();
    assert_eq!(demo.end(), Some(130));
    for pid in pids {
        wait_until("a process of the demo is gone", || !is_running(&pid));
    }
    assert!(!Path::new(&folder).exists(), "{folder}");
}

fn is_running(pid: &str) -> bool {
    Command::new("kill").args(["-0", pid]).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn without_a_server_it_says_how_to_get_one() {
    let output = run(demo().env("REDIS_SERVER", "/nonexistent/redis-server").arg("--check"));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("apt install redis-server") && said.contains("REDIS_SERVER="), "{said}");
}
