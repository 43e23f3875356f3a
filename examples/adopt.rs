//! A host with an HTTP server of its own, here one of the standard library alone. It reads the
//! requests, decides by a token who the client is, and hands the connections over that ask for
//! events: everybody gets the news, and each user their own messages.
//!
//! `cargo run --example adopt`, then
//! `curl -N -H 'Authorization: Bearer alice' http://127.0.0.1:8080/messages`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use fanfare::{AdoptRequest, HttpVersion, Hub, Options, StreamOptions, Subscription, Topic};

const HEAD_BYTES_MAX: u64 = 16 << 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::start(Options::default())?;
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let server = TcpListener::bind(addr)?;
    println!("http://{}/messages", server.local_addr()?);
    let serving = hub.clone();
    std::thread::spawn(move || serve(&server, &serving));
    let topics = [Topic::new("news")?, Topic::new("user/alice")?];
    for (number, topic) in topics.iter().cycle().enumerate() {
        hub.publish(topic, format!("message {number} of {topic}"))?;
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

/// Answers one request of each connection, on a thread of its own.
pub(crate) fn serve(server: &TcpListener, hub: &Hub) {
    for client in server.incoming().flatten() {
        let hub = hub.clone();
        std::thread::spawn(move || answer(client, &hub));
    }
}

fn answer(client: TcpStream, hub: &Hub) -> io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new((&client).take(HEAD_BYTES_MAX));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    // What the reader has taken from the socket behind the head, nobody else will see.
    let read_ahead = reader.buffer().len();
    let field = |name: &str| {
        let fields = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
        fields
            .into_iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim())
    };
    let start: Vec<_> = lines.first().map(|line| line.split(' ').collect()).unwrap_or_default();
    let &[method, path, version] = &start[..] else { return refuse(client, "400 Bad Request") };
    let Ok(version) = version.parse::<HttpVersion>() else {
        return refuse(client, "505 HTTP Version Not Supported");
    };
    if path != "/messages" {
        return refuse(client, "404 Not Found");
    }
    // A real host looks the token up.
    let user = match field("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
        Some(user @ ("alice" | "bob")) => user,
        _ => return refuse(client, "401 Unauthorized"),
    };
    let names = ["news".to_owned(), format!("user/{user}")];
    let options = StreamOptions::default()
        .last_event_id(field("last-event-id").unwrap_or_default())
        .tag(user);
    let request = AdoptRequest::new(names.iter().flat_map(|name| Subscription::new(name)))
        .options(options)
        .method(method)
        .version(version)
        .read_ahead_bytes(read_ahead)
        .has_unread_content(field("content-length").is_some_and(|length| length != "0"))
        .header("Access-Control-Allow-Origin", "*");
    hub.adopt(client, request).or_else(|error| {
        eprintln!("{error}");
        refuse(error.into_socket().into(), "503 Service Unavailable")
    })
}

fn refuse(mut client: TcpStream, status: &str) -> io::Result<()> {
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
