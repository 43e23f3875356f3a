//! TLS to the cluster's server, which a build may be without.

use std::path::Path;

use redis::sentinel::SentinelClientBuilder;
use redis::{Client, ConnectionAddr, IntoConnectionInfo as _, RedisError};

#[cfg(feature = "cluster-tls")]
pub(super) type Certificates = redis::TlsCertificates;
#[cfg(not(feature = "cluster-tls"))]
pub(super) struct Certificates;

/// The certificates of those who may vouch for the server's.
pub(super) fn certificates(file: Option<&Path>) -> Result<Option<Certificates>, String> {
    let Some(path) = file else { return Ok(None) };
    let read = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Some(of_pem(read)))
}

#[cfg(feature = "cluster-tls")]
fn of_pem(pem: Vec<u8>) -> Certificates {
    redis::TlsCertificates { client_tls: None, root_cert: Some(pem) }
}

#[cfg(not(feature = "cluster-tls"))]
fn of_pem(_: Vec<u8>) -> Certificates {
    Certificates
}

/// A client of one server.
pub(super) fn client(url: &str, certificates: Option<Certificates>) -> Result<Client, RedisError> {
    let info = url.into_connection_info().map_err(of_build)?;
    match info.addr() {
        ConnectionAddr::TcpTls { .. } => of_tls(info, certificates),
        _ => Client::open(info),
    }
}

#[cfg(feature = "cluster-tls")]
fn of_tls(
    info: redis::ConnectionInfo,
    certificates: Option<Certificates>,
) -> Result<Client, RedisError> {
    use_ring();
    match certificates {
        Some(certificates) => Client::build_with_tls(info, certificates),
        None => Client::open(info),
    }
}

#[cfg(not(feature = "cluster-tls"))]
fn of_tls(_: redis::ConnectionInfo, _: Option<Certificates>) -> Result<Client, RedisError> {
    Err(without_tls())
}

/// What makes clients of Sentinels, with TLS.
#[cfg(feature = "cluster-tls")]
pub(super) fn secured(
    builder: SentinelClientBuilder,
    certificates: Option<Certificates>,
) -> Result<SentinelClientBuilder, RedisError> {
    use_ring();
    let builder = builder
        .set_client_to_redis_tls_mode(redis::TlsMode::Secure)
        .set_client_to_sentinel_tls_mode(redis::TlsMode::Secure);
    Ok(match certificates {
        Some(certificates) => builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates),
        None => builder,
    })
}

#[cfg(not(feature = "cluster-tls"))]
pub(super) fn secured(
    _: SentinelClientBuilder,
    _: Option<Certificates>,
) -> Result<SentinelClientBuilder, RedisError> {
    Err(without_tls())
}

/// What does the cryptography, unless the host has chosen something for its process.
#[cfg(feature = "cluster-tls")]
fn use_ring() {
    _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(not(feature = "cluster-tls"))]
fn of_build(error: RedisError) -> RedisError {
    match error.to_string().contains("TLS") {
        true => without_tls(),
        false => error,
    }
}

#[cfg(feature = "cluster-tls")]
fn of_build(error: RedisError) -> RedisError {
    error
}

#[cfg(not(feature = "cluster-tls"))]
fn without_tls() -> RedisError {
    let what = "this build of fanfare has no TLS to a cluster's server; build it with the feature cluster-tls";
    (redis::ErrorKind::InvalidClientConfig, what).into()
}
