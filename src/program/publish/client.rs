//! One HTTP connection to a server, made again when it is lost, and what the server says.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HeaderValue, AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode, Uri};
use serde::Deserialize;
use smol::future::FutureExt;
use smol::io::{AsyncRead, AsyncWrite};
use smol::{Async, LocalExecutor, Timer};
use smol_hyper::rt::FuturesIo;

use crate::program::token::Token;

/// The longest time that a connection may take to come about, to each address.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest time for an answer: longer than a server waits for its backlog.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// The most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// The longest pause that a server may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What became of a request.
#[derive(Debug)]
pub(super) enum Said {
    /// The server has this many events of it.
    Published(usize),
    /// The server has this number of events, and will never take the next one.
    Refused { published: usize, why: String },
    /// The server has this many, and cannot take more for now, but after the pause.
    Busy { published: usize, why: String, pause: Option<Duration> },
    /// The server was not reached, or has not got the request.
    Unreached(String),
    /// The request was sent, and the answer has not come: it may be published or not.
    Unknown(String),
    /// This server will never take it.
    Never(String),
}

/// The address to connect to.
#[derive(Debug, PartialEq, Eq)]
enum Endpoint {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// A connection of either kind.
trait Wire: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire for S {}

/// The server, and the header fields of its requests.
pub(super) struct Target {
    endpoint: Endpoint,
    /// The fields of each request.
    path: Uri,
    authority: HeaderValue,
    authorization: Option<HeaderValue>,
}

impl Target {
    /// Takes a server's URL, with the path `/publish` or what is to come before it; or
    /// `unix:/PATH`, as the server's `--control-listen` has it.
    pub(super) fn parse(url: &str, token: Option<Token>) -> Result<Target, String> {
        let wrong = |why: &str| format!("{url}: {why}");
        let authorization = token.map(|token| {
            let field = HeaderValue::try_from(format!("Bearer {}", token.as_str()));
            let mut field = field.expect("a token is visible ASCII");
            field.set_sensitive(true);
            field
        });
        if let Some(path) = url.strip_prefix("unix:") {
            return Ok(Target {
                endpoint: Endpoint::Unix(path.into()),
                path: Uri::from_static("/publish"),
                authority: HeaderValue::from_static("localhost"),
                authorization,
            });
        }
        let uri: Uri = url.parse().map_err(|error| wrong(&format!("{error}")))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                let why = "HTTPS is not spoken here; use the server's own address, or a tunnel";
                return Err(wrong(why));
            }
            _ => return Err(wrong("write it as http://HOST:PORT or unix:/PATH")),
        }
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(wrong("it may have neither a user's name nor a query"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let path = uri.path().trim_end_matches('/');
        let path = path.strip_suffix("/publish").unwrap_or(path);
        Ok(Target {
            endpoint: Endpoint::Tcp {
                host: host.to_owned(),
                port: authority.port_u16().unwrap_or(80),
            },
            path: format!("{path}/publish").parse().map_err(|_| wrong("the path is no path"))?,
            authority: HeaderValue::from_str(authority.as_str())
                .map_err(|_| wrong("the host is no host"))?,
            authorization,
        })
    }

    fn request(&self, content: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(content));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        let fields = request.headers_mut();
        fields.insert(HOST, self.authority.clone());
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        if let Some(authorization) = &self.authorization {
            fields.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }

    async fn connect(&self) -> io::Result<Box<dyn Wire>> {
        let (host, port) = match &self.endpoint {
            Endpoint::Tcp { host, port } => (host, *port),
            Endpoint::Unix(path) => return Ok(Box::new(Async::<UnixStream>::connect(path).await?)),
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for addr in smol::net::resolve((&**host, port)).await? {
            match connect(addr).await {
                Ok(stream) => return Ok(Box::new(stream)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn connect(addr: SocketAddr) -> io::Result<Async<TcpStream>> {
    let too_slow = async {
        Timer::after(CONNECT_TIME_MAX).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    let stream = Async::<TcpStream>::connect(addr).or(too_slow).await?;
    stream.get_ref().set_nodelay(true)?;
    Ok(stream)
}

/// Sends requests, one after the other.
pub(super) struct Client {
    target: Target,
    executor: Rc<LocalExecutor<'static>>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(super) fn new(target: Target, executor: Rc<LocalExecutor<'static>>) -> Client {
        Client { target, executor, connection: None }
    }

    /// Asks the server to publish events, a line each.
    pub(super) async fn publish(&mut self, content: Bytes) -> Said {
        let mut connection = match self.connection().await {
            Ok(connection) => connection,
            Err(why) => return Said::Unreached(why),
        };
        let request = self.target.request(content);
        let sending = async {
            match connection.try_send_request(request).await {
                Ok(response) => self::read(response).await,
                Err(mut error) => match error.take_message() {
                    Some(_) => Said::Unreached(error.into_error().to_string()),
                    None => Said::Unknown(error.into_error().to_string()),
                },
            }
        };
        let too_slow = async {
            Timer::after(ANSWER_TIME_MAX).await;
            Said::Unknown("the server does not answer".to_owned())
        };
        let said = sending.or(too_slow).await;
        if !matches!(said, Said::Unreached(_) | Said::Unknown(_)) {
            self.connection = Some(connection);
        }
        said
    }

    /// The connection that is open, or a new one.
    async fn connection(&mut self) -> Result<SendRequest<Full<Bytes>>, String> {
        if let Some(mut connection) = self.connection.take() {
            // The server closes a connection that is idle, or after a refusal.
            if connection.ready().await.is_ok() {
                return Ok(connection);
            }
        }
        let stream = self.target.connect().await.map_err(|error| error.to_string())?;
        let handshake = http1::handshake(FuturesIo::new(stream)).await;
        let (connection, driving) = handshake.map_err(|error| error.to_string())?;
        let driving = async move {
            if let Err(error) = driving.await {
                log::debug!("the connection is lost: {error}");
            }
        };
        self.executor.spawn(driving).detach();
        Ok(connection)
    }
}

/// What the server's answer may hold.
#[derive(Default, Deserialize)]
struct Content {
    published: Option<usize>,
    line: Option<u64>,
    error: Option<String>,
}

async fn read(response: Response<hyper::body::Incoming>) -> Said {
    let (head, body) = response.into_parts();
    let content = match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
        Ok(content) => content.to_bytes(),
        Err(error) => return Said::Unknown(error.to_string()),
    };
    let pause = head.headers.get(RETRY_AFTER).and_then(|field| field.to_str().ok()?.parse().ok());
    understand(head.status, &content, pause.map(|s| Duration::from_secs(s).min(PAUSE_MAX)))
}

/// What an answer means. A proxy's answer may not be JSON.
fn understand(status: StatusCode, content: &[u8], pause: Option<Duration>) -> Said {
    let json = serde_json::from_slice::<Content>(content);
    let Content { published, line, error } = json.unwrap_or_default();
    let why = error.unwrap_or_else(|| format!("the server answers {status}"));
    match (status, published, line) {
        (StatusCode::OK, Some(published), _) => Said::Published(published),
        (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS, published, _) => {
            Said::Busy { published: published.unwrap_or(0), why, pause }
        }
        (_, published, _) if status.is_server_error() => {
            Said::Busy { published: published.unwrap_or(0), why, pause }
        }
        (_, Some(published), Some(line)) => {
            // The number is that of the line in the request.
            let why = why.strip_prefix(&format!("line {line}: ")).unwrap_or(&why).to_owned();
            Said::Refused { published, why }
        }
        _ => Said::Never(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_what_comes_before_publish() {
        for (url, host, port, path) in [
            ("http://a.example", "a.example", 80, "/publish"),
            ("http://a.example:8080/", "a.example", 8080, "/publish"),
            ("http://[::1]:8080", "::1", 8080, "/publish"),
            ("http://h/sse/", "h", 80, "/sse/publish"),
            ("http://h/publish", "h", 80, "/publish"),
        ] {
            let target = Target::parse(url, None).unwrap();
            assert_eq!(target.endpoint, Endpoint::Tcp { host: host.to_owned(), port }, "{url}");
            assert_eq!(target.path.to_string(), path, "{url}");
        }
        let target = Target::parse("unix:/run/fanfare.sock", None).unwrap();
        assert_eq!(target.endpoint, Endpoint::Unix("/run/fanfare.sock".into()));
        for url in ["", "localhost:8080", "https://h", "ftp://h", "http://", "http://u:p@h", "/x"] {
            assert!(Target::parse(url, None).is_err(), "{url}");
        }
    }

    #[test]
    fn answers_are_told_apart_by_whether_it_helps_to_ask_again() {
        let meaning = |status: u16, content: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            format!("{:?}", understand(status, content.as_bytes(), None))
        };
        for (status, content, expected) in [
            (200, r#"{"published":3}"#, "Published(3)"),
            (
                400,
                r#"{"error":"line 3: no","line":3,"published":2}"#,
                r#"Refused { published: 2, why: "no" }"#,
            ),
            (
                503,
                r#"{"error":"full","published":2}"#,
                r#"Busy { published: 2, why: "full", pause: None }"#,
            ),
            (
                502,
                "<html>",
                r#"Busy { published: 0, why: "the server answers 502 Bad Gateway", pause: None }"#,
            ),
            (401, r#"{"error":"token"}"#, r#"Never("token")"#),
            (200, "hello", r#"Never("the server answers 200 OK")"#),
        ] {
            assert_eq!(meaning(status, content), expected);
        }
    }
}
