//! What the three servers share: their address and certificate, the loop that accepts, and the
//! lines by which a person or a test has them publish.
//!
//! ```text
//! cargo run -p fanfare-frameworks --bin axum -- 127.0.0.1:8080
//! curl -N http://127.0.0.1:8080/events/news
//! ```
//!
//! Then `publish news hello` and `finish news bye`, typed where the server runs, come out of curl.
//! With a certificate and its key, two files in PEM form, behind the address, the server speaks
//! TLS: `curl -N --http2 --cacert CERT https://localhost:8080/events/news`.

use std::error::Error;
use std::io::BufRead;
use std::net::TcpListener;
use std::sync::Arc;

use fanfare::{Hub, Options, Topic};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

/// What a server is started with.
#[derive(Debug)]
pub struct Settings {
    /// The socket that it listens on.
    pub listener: TcpListener,
    /// What it needs for TLS, if it speaks that.
    pub tls: Option<ServerConfig>,
}

impl Settings {
    /// Binds the address of the first argument, reads the certificate and the key that the next two
    /// name, and says where the server is.
    pub fn from_arguments() -> Result<Settings, Box<dyn Error>> {
        let mut arguments = std::env::args().skip(1);
        let listener = TcpListener::bind(arguments.next().ok_or("say where to listen")?)?;
        listener.set_nonblocking(true)?;
        let tls = match (arguments.next(), arguments.next()) {
            (Some(certificate), Some(key)) => Some(tls(&certificate, &key)?),
            _ => None,
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        println!("{scheme}://localhost:{}", listener.local_addr()?.port());
        Ok(Settings { listener, tls })
    }
}

fn tls(certificate: &str, key: &str) -> Result<ServerConfig, Box<dyn Error>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificates = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_file(key)?)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

/// Starts a hub, which publishes what standard input says, and ends the process with that.
pub fn hub() -> Result<Hub, Box<dyn Error>> {
    let hub = Hub::start(Options::default())?;
    let publisher = hub.clone();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if let Err(error) = obey(&publisher, &line) {
                eprintln!("{error}");
            }
        }
        std::process::exit(0);
    });
    Ok(hub)
}

fn obey(hub: &Hub, line: &str) -> Result<(), Box<dyn Error>> {
    let mut words = line.splitn(3, ' ');
    let word = words.next();
    let topic = Topic::new(words.next().ok_or("name a topic")?)?;
    let data = words.next().unwrap_or_default();
    match word {
        Some("publish") => _ = hub.publish(&topic, data)?,
        Some("finish") => _ = hub.finish(&topic, Some(data.into()))?,
        _ => return Err("say publish TOPIC DATA, or finish TOPIC DATA".into()),
    }
    Ok(())
}

/// Accepts connections, and serves each with HTTP/1.1 or HTTP/2 on a task of its own.
pub async fn serve<S, B>(settings: Settings, service: S) -> Result<(), Box<dyn Error>>
where
    S: hyper::service::Service<
            hyper::Request<hyper::body::Incoming>,
            Response = hyper::Response<B>,
        > + Clone
        + Send
        + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let listener = tokio::net::TcpListener::from_std(settings.listener)?;
    let tls = settings.tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (service, tls) = (service.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve_one(stream, service).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve_one(stream, service).await,
                    Err(error) => eprintln!("{error}"),
                },
            }
        });
    }
}

async fn serve_one<I, S, B>(stream: I, service: S)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: hyper::service::Service<
            hyper::Request<hyper::body::Incoming>,
            Response = hyper::Response<B>,
        > + Send
        + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let server = auto::Builder::new(TokioExecutor::new());
    // A client that goes away is no failure of the server.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}
