//! The server when the system gives it few descriptors, or no more.

use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::http::{get, publish, Connection};
use crate::logging::{limit_descriptors, read_lines};
use crate::process::{fanfare, Server};
use crate::support::{wait_until, Client, DEADLINE};

/// A server with a limit of descriptors, and its log.
fn with_descriptors(limit: u32, arguments: &[&str]) -> (Server, JoinHandle<Vec<String>>) {
    let program = fanfare(&[]);
    let mut command = Command::new("sh");
    let script = format!(
        "ulimit -n {limit}; exec \"$0\" serve --listen 127.0.0.1:0 --shards 2 --drain-window 0 \"$@\""
    );
    command.args(["-c".as_ref(), script.as_ref(), program.get_program()]).args(arguments);
    let (writer, log) = read_lines();
    (Server::of(command.stderr(writer)), log)
}

/// A client that asks for events, and what it is answered to the end, which is nothing if it is not
/// answered.
fn ask_for_events(server: &Server) -> (Connection, String) {
    let mut connection = Connection::open(server.addr);
    connection.stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    connection.send(format!("GET /events?topic=a HTTP/1.0\r\nHost: {}\r\n\r\n", server.addr));
    let mut answer = Vec::new();
    match connection.stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("it hangs: {error}"),
    }
    (connection, String::from_utf8(answer).unwrap())
}

#[test]
fn where_descriptors_are_few_clients_beyond_them_are_told_to_come_again_and_control_is_answered() {
    let (mut server, log) = with_descriptors(256, &[]);
    let most = server.metric("fanfare_connections_max") as usize;
    assert!((100..256).contains(&most), "{most}");
    let mut clients: Vec<Client> =
        (0..most).map(|_| Client::get(server.addr, "/events?topic=a")).collect();
    assert_eq!(server.metric("fanfare_connections") as usize, most);
    // More at once than the overflow takes; all keep their sockets when they have their answers.
    let mut beyond: Vec<Connection> = Vec::new();
    for _ in 0..150 {
        let (connection, answer) = ask_for_events(&server);
        let right = answer.starts_with("HTTP/1.1 200") && answer.contains("text/event-stream");
        assert!(right && answer.contains("\r\n\r\nretry: "), "{answer:?}");
        beyond.push(connection);
    }
    assert_eq!(get(server.control, "/healthz").status, 200);
    assert_eq!(server.metric("fanfare_connections") as usize, most);
    assert_eq!(publish(server.control, "?topic=a", "to all").status, 200);
    for client in &mut clients {
        assert_eq!(client.data(), "to all");
    }
    assert!(server.metric("fanfare_refused_connections_total") >= 150.0);
    // Places that are free again are taken.
    clients.truncate(most - 1);
    server.wait_for_metric("fanfare_connections", most as f64 - 1.0);
    assert_eq!(Client::get(server.addr, "/events?topic=a").status(), 200);
    drop((clients, beyond));
    server.process.signal("TERM");
    assert_eq!(server.process.end().code(), Some(0));
    let lines = log.join().unwrap();
    let warnings: Vec<_> = lines.iter().filter(|line| line.contains("WARN")).collect();
    assert!(matches!(&*warnings, [line] if line.contains(&format!("at most {most} connections"))));
}

#[test]
fn where_descriptors_suffice_the_bound_is_the_option() {
    let (mut server, log) = with_descriptors(256, &["--connections-max", "100"]);
    assert_eq!(server.metric("fanfare_connections_max"), 100.0);
    let clients: Vec<Client> =
        (0..100).map(|_| Client::get(server.addr, "/events?topic=a")).collect();
    assert!(ask_for_events(&server).1.contains("\r\n\r\nretry: "));
    drop(clients);
    server.process.signal("TERM");
    assert_eq!(server.process.end().code(), Some(0));
    assert!(log.join().unwrap().iter().all(|line| !line.contains("WARN")));
}

#[test]
fn when_silent_connections_fill_the_bound_control_is_answered_again_in_time() {
    let (server, _log) = with_descriptors(256, &["--head-time-max", "1s"]);
    let silent: Vec<_> = (0..300).map(|_| TcpStream::connect(server.addr).unwrap()).collect();
    let begun = Instant::now();
    loop {
        let mut connection = Connection::open(server.addr);
        connection.stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        connection.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut answer = [0; 4096];
        let bytes = connection.stream.read(&mut answer).unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..bytes]);
        // Closed, as long as the overflow is full too.
        if !answer.is_empty() {
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            break;
        }
        assert!(begun.elapsed() < DEADLINE);
    }
    drop(silent);
}

#[test]
fn out_of_descriptors_no_client_hangs_and_the_server_accepts_again_when_there_are_some() {
    let server = Server::start(&["--shards", "2"]);
    let mut clients: Vec<Client> =
        (0..30).map(|_| Client::get(server.addr, "/events?topic=a")).collect();
    // As many as it has by now, which it could not know when it started.
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.process.id())).unwrap();
    let open = open.map(|fd| fd.unwrap().file_name().into_string().unwrap().parse().unwrap());
    let open: std::collections::HashSet<u64> = open.collect();
    let first_free = (0..).find(|fd| !open.contains(fd));
    let before = limit_descriptors(&server.process, first_free);
    let mut told = 0;
    for _ in 0..100 {
        // A request may come later than the server looks, which then can but close the connection.
        let (_, answer) = ask_for_events(&server);
        assert!(answer.is_empty() || answer.contains("\r\n\r\nretry: "), "{answer}");
        told += usize::from(!answer.is_empty());
    }
    println!("{told} of 100 were told to come again");
    assert!(told > 50, "only {told} of 100 were answered");
    for client in &clients[..20] {
        client.socket().shutdown(std::net::Shutdown::Both).expect("it is open");
    }
    limit_descriptors(&server.process, before);
    let mut late = Client::get(server.addr, "/events?topic=a");
    wait_until("the ended connections are gone", || server.metric("fanfare_connections") == 11.0);
    assert_eq!(publish(server.control, "?topic=a", "still here").status, 200);
    clients.drain(..20);
    for client in clients.iter_mut().chain([&mut late]) {
        assert_eq!(client.data(), "still here");
    }
}
