//! A server that is killed, whose replica takes its place since a Sentinel says so.

use std::process::{Child, Command, Stdio};

use fanfare::Hub;

use crate::follower::{node, topic, Follower};
use crate::server::{free_port, Folder, Server};
use crate::support::{wait_until, DEADLINE};

/// A Sentinel that knows a master as `shop`.
struct Sentinel {
    process: Child,
    port: u16,
    _folder: Folder,
}

impl Sentinel {
    fn of(master: &Server) -> Sentinel {
        let (folder, port) = (Folder::new(), free_port());
        let file = folder.path().join("sentinel.conf");
        let lines = [
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", folder.path().display()),
            format!("sentinel monitor shop 127.0.0.1 {} 1", master.port),
            "sentinel down-after-milliseconds shop 500".to_owned(),
            "sentinel failover-timeout shop 3000".to_owned(),
        ];
        std::fs::write(&file, lines.join("\n")).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null());
        Sentinel { process: command.spawn().unwrap(), port, _folder: folder }
    }

    fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/shop", self.port)
    }

    /// What it says of the master.
    fn ask(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        crate::server::command(words).query(&mut client.get_connection()?)
    }

    fn knows_replica(&self) -> bool {
        let replicas = self.ask(&["SENTINEL", "REPLICAS", "shop"]);
        matches!(replicas, Ok(redis::Value::Array(replicas)) if replicas.len() == 1)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// A master, its replica, and a Sentinel that knows both.
fn servers() -> (Server, Server, Sentinel) {
    let master = Server::start();
    let (of, port) = (master.port.to_string(), free_port());
    let words = ["--appendonly", "yes", "--repl-diskless-sync-delay", "0"];
    let replica = Server::at(port, &[&words[..], &["--replicaof", "127.0.0.1", &of]].concat());
    let has =
        |server: &Server, what: &str| server.ask::<String>(&["INFO", "replication"]).contains(what);
    wait_until("the replica has what the master has", || has(&replica, "master_link_status:up"));
    let sentinel = Sentinel::of(&master);
    wait_until("the Sentinel knows the replica", || sentinel.knows_replica());
    (master, replica, sentinel)
}

fn publish(hub: &Hub, numbers: std::ops::Range<usize>) {
    for number in numbers {
        hub.publish_wait(&topic("t"), &*number.to_string(), DEADLINE).unwrap();
    }
}

#[test]
fn a_replica_that_has_everything_takes_the_masters_place_and_clients_notice_nothing() {
    let (mut master, replica, sentinel) = servers();
    let (one, other) = (node(sentinel.url()), node(sentinel.url()));
    let mut clients = [(Follower::of(&one, &["t"]), &one), (Follower::of(&other, &["t"]), &other)];
    publish(&one, 0..50);
    clients.iter_mut().for_each(|(client, hub)| client.wait_for(hub, 50));
    assert_eq!(master.ask::<i64>(&["WAIT", "1", "10000"]), 1);
    master.kill();
    for number in 50..70 {
        other.publish(&topic("t"), &*number.to_string()).unwrap();
    }
    publish(&one, 70..71);
    publish(&other, 71..72);
    for (client, hub) in &mut clients {
        client.wait_for(hub, 72);
        let mut numbers = client.numbers();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..72).collect::<Vec<u64>>());
        assert_eq!(client.gaps, [] as [String; 0]);
    }
    let ids =
        |follower: &Follower| follower.events.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&clients[0].0), ids(&clients[1].0));
    assert!(replica.ask::<String>(&["INFO", "replication"]).contains("role:master"));
    // A node that joins now has all of both masters.
    let late = node(sentinel.url());
    Follower::of(&late, &["t"]).wait_for(&late, 72);
}

#[test]
fn what_a_replica_was_not_sent_is_lost_and_told_where_it_was_not_read() {
    let (mut master, replica, sentinel) = servers();
    let one = node(sentinel.url());
    let mut client = Follower::of(&one, &["t"]);
    publish(&one, 0..10);
    client.wait_for(&one, 10);
    let mut moved = Follower::of(&one, &["t"]);
    moved.wait_for(&one, 10);
    assert_eq!(master.ask::<i64>(&["WAIT", "1", "10000"]), 1);
    // From now on it is sent nothing.
    replica.ask::<String>(&["REPLICAOF", "127.0.0.1", "1"]);
    publish(&one, 10..20);
    client.wait_for(&one, 20);
    master.kill();
    publish(&one, 20..21);
    client.wait_for(&one, 21);
    assert_eq!((client.numbers(), client.gaps.len()), ((0..21).collect(), 0));

    let late = node(sentinel.url());
    moved.go_to(&late);
    moved.wait_for_data(&late, "20");
    assert_eq!(moved.numbers(), (0..10).chain([20]).collect::<Vec<u64>>());
    assert!(moved.is_told_lost(), "{:?}", moved.gaps);
}
