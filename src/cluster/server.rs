//! Connections to the cluster's server.

use std::time::{Duration, Instant};

use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    Client, Connection, ConnectionAddr, ConnectionLike as _, ErrorKind, RedisError,
    ServerErrorKind, Value,
};

use super::address::{Address, Sentinels};
use super::{tls, ClusterError, ClusterOptions};

/// Where connections come from.
pub(super) struct Server {
    /// Without secrets.
    pub(super) name: String,
    way: Way,
    answer_timeout: Duration,
}

enum Way {
    Client(Box<Client>),
    Sentinels(Box<SentinelClient>),
}

/// A connection to one run of the server.
pub(super) struct Session {
    pub(super) connection: Connection,
    /// What the server calls this run.
    pub(super) run: String,
    /// What the server's clock said, and when that was.
    time_ms: u64,
    time_at: Instant,
}

impl Server {
    pub(super) fn new(options: &ClusterOptions) -> Result<Server, ClusterError> {
        let malformed = |reason: &str| ClusterError::Malformed { reason: reason.to_owned() };
        let address = Address::read(&options.url).map_err(malformed)?;
        let name = address.to_string();
        let refused = |reason: String| ClusterError::Unreachable { server: name.clone(), reason };
        let certificates = tls::certificates(options.ca_file.as_deref()).map_err(refused)?;
        let way = match address {
            Address::Server(url) => {
                tls::client(&url, certificates).map(|client| Way::Client(Box::new(client)))
            }
            Address::Sentinels(sentinels) => {
                by_sentinels(sentinels, certificates).map(|client| Way::Sentinels(Box::new(client)))
            }
        };
        let way = way.map_err(|error| refused(error.to_string()))?;
        Ok(Server { way, answer_timeout: options.answer_timeout, name })
    }

    /// Has it wait no longer than this for each answer.
    pub(super) fn hurry(&mut self, answer_timeout: Duration) {
        self.answer_timeout = self.answer_timeout.min(answer_timeout);
    }

    /// Connects, and asks which run of the server it is.
    pub(super) fn connect(&mut self) -> Result<Session, RedisError> {
        let mut connection = match &mut self.way {
            Way::Client(client) => client.get_connection_with_timeout(self.answer_timeout)?,
            Way::Sentinels(sentinels) => {
                sentinels.get_client()?.get_connection_with_timeout(self.answer_timeout)?
            }
        };
        connection.set_read_timeout(Some(self.answer_timeout))?;
        connection.set_write_timeout(Some(self.answer_timeout))?;
        let info: String = redis::cmd("INFO").arg("server").query(&mut connection)?;
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        let run = run.map(str::trim).unwrap_or_default().to_owned();
        if run.is_empty() {
            return Err(
                (ErrorKind::UnexpectedReturnType, "the server does not say its run_id").into()
            );
        }
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query(&mut connection)?;
        let (time_ms, time_at) = (seconds * 1000 + micros / 1000, Instant::now());
        Ok(Session { connection, run, time_ms, time_at })
    }
}

impl Session {
    /// Notes what the server's clock says. It may go at another rate than this machine's.
    pub(super) fn set_time(&mut self, time_ms: u64) {
        (self.time_ms, self.time_at) = (time_ms, Instant::now());
    }

    /// What the server's clock says now, in milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        self.time_ms + self.time_at.elapsed().as_millis() as u64
    }

    /// How long ago something was by the server's clock.
    pub(super) fn age(&self, time_ms: u64) -> Duration {
        let then = Duration::from_millis(time_ms.saturating_sub(self.time_ms));
        let before = Duration::from_millis(self.time_ms.saturating_sub(time_ms));
        (self.time_at.elapsed() + before).saturating_sub(then)
    }

    pub(super) fn load_script(&mut self, script: &str) -> Result<String, RedisError> {
        redis::cmd("SCRIPT").arg("LOAD").arg(script).query(&mut self.connection)
    }

    /// The answers to several commands, each of which may be an error of the server's.
    pub(super) fn ask_all(&mut self, commands: &redis::Pipeline) -> Result<Vec<Value>, RedisError> {
        let count = commands.cmd_iter().count();
        self.connection.req_packed_commands(&commands.get_packed_pipeline(), 0, count)
    }
}

/// Whether another try on the same connection may help: the server is there and says why it does not serve.
pub(super) fn is_passing(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::BusyLoading | ServerErrorKind::TryAgain | ServerErrorKind::ClusterDown
        )
    )
}

fn by_sentinels(
    sentinels: Sentinels,
    certificates: Option<tls::Certificates>,
) -> Result<SentinelClient, RedisError> {
    let Sentinels { hosts, service, user, password, db, has_tls } = sentinels;
    let addr = |(host, port)| match has_tls {
        false => ConnectionAddr::Tcp(host, port),
        true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
    };
    let hosts = hosts.into_iter().map(addr);
    let mut builder = SentinelClientBuilder::new(hosts, service, SentinelServerType::Master)?;
    builder = builder.set_client_to_redis_db(db);
    if has_tls {
        builder = tls::secured(builder, certificates)?;
    }
    if let Some(user) = user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = password {
        builder = builder.set_client_to_redis_password(password);
    }
    builder.build()
}
