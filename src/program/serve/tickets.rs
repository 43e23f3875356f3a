//! Tokens and tickets: the keys that tokens are checked with, from files that may change.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use clap::Args;
use fanfare::tickets::{
    AccessOptions, KeyError, KeySet, TicketOptions, Tickets, TokenOptions, TokenVerifier,
};
use fanfare::{Authorizer, Cors};

use crate::program::outcome::Usage;

/// How often the files of keys are looked at.
const LOOK_PAUSE: Duration = Duration::from_secs(2);

#[derive(Args, Debug)]
#[command(next_help_heading = "Who may have streams")]
pub(super) struct TicketArgs {
    /// A file with the key that tokens are checked with: a public key in PEM (P-256, Ed25519 or
    /// RSA), or else a secret of 32 bytes or more for HS256, best of mode 0600. With this, or with
    /// --jwks-file, every stream needs a token (Authorization: Bearer TOKEN), or a ticket, which
    /// POST /tickets gives for a token, in its query (ticket=TICKET). `fanfare ticket` makes tokens
    #[arg(long, env = "FANFARE_TICKET_KEY_FILE", value_name = "PATH")]
    ticket_key_file: Option<PathBuf>,

    /// A file with a JWK set, whose keys tokens are checked with. Both files are read again within
    /// 2s when they change; keys that are wrong leave those before them as they are
    #[arg(long, env = "FANFARE_JWKS_FILE", value_name = "PATH")]
    jwks_file: Option<PathBuf>,

    /// Whom tokens are for: one of these has to be in their aud; may be repeated, or separated by
    /// commas [default: none, and then a token with an aud is refused]
    #[arg(
        long = "ticket-audience",
        env = "FANFARE_TICKET_AUDIENCE",
        value_name = "NAME",
        value_delimiter = ','
    )]
    audiences: Vec<String>,

    /// Who signs tokens: one of these has to be their iss; may be repeated, or separated by commas
    /// [default: any program that has the key]
    #[arg(
        long = "ticket-issuer",
        env = "FANFARE_TICKET_ISSUER",
        value_name = "NAME",
        value_delimiter = ','
    )]
    issuers: Vec<String>,

    /// The claim of a token that says what is granted [default: fanfare]
    #[arg(long, env = "FANFARE_TICKET_CLAIM", value_name = "NAME")]
    ticket_claim: Option<String>,

    /// A cookie that may have the token, for pages of this origin, and with --cors-credentials for
    /// those of --cors
    #[arg(long, env = "FANFARE_TICKET_COOKIE", value_name = "NAME")]
    ticket_cookie: Option<String>,

    /// The most tickets that there are at once
    #[arg(long, env = "FANFARE_TICKETS_MAX", value_name = "N", default_value = "65536")]
    tickets_max: usize,

    /// How long a ticket may be unused
    #[arg(long, env = "FANFARE_TICKET_FIRST_USE_TIME_MAX", value_name = "TIME",
          default_value = "60s", value_parser = crate::program::units::duration)]
    ticket_first_use_time_max: Duration,
}

/// The files of keys.
#[derive(Clone)]
struct KeyFiles {
    key: Option<PathBuf>,
    jwks: Option<PathBuf>,
}

/// How the bytes of a file become keys.
type Parse = fn(&[u8]) -> Result<KeySet, KeyError>;

/// By what it is told that a file has changed.
type Stamp = Option<(i64, i64, u64, u64)>;

impl TicketArgs {
    pub(super) fn ticket_options(&self) -> TicketOptions {
        TicketOptions::default()
            .tickets_max(self.tickets_max)
            .first_use_time_max(self.ticket_first_use_time_max)
    }

    /// The authorizer, if there are keys. A thread reads the keys again when they change, until the
    /// authorizer is gone.
    pub(super) fn authorizer(
        &self,
        cors: &Cors,
    ) -> Result<Option<Authorizer>, Box<dyn std::error::Error>> {
        let files = KeyFiles { key: self.ticket_key_file.clone(), jwks: self.jwks_file.clone() };
        if files.key.is_none() && files.jwks.is_none() {
            return match self.unused() {
                None => Ok(None),
                Some(flag) => Err(Usage(format!(
                    "{flag} says which tokens are taken; give the keys too, with --ticket-key-file \
                     or --jwks-file"
                ))
                .into()),
            };
        }
        let stamps = files.stamps();
        let keys = files.read().map_err(Usage)?;
        let mut options =
            TokenOptions::default().audiences(self.audiences.clone()).issuers(self.issuers.clone());
        if let Some(claim) = &self.ticket_claim {
            options = options.claim(claim);
        }
        let wrong = |error: fanfare::OptionsError| Usage(error.to_string());
        let verifier = Arc::new(TokenVerifier::new(keys, options).map_err(wrong)?);
        let tickets = Tickets::new(self.ticket_options()).map_err(wrong)?;
        let mut access = AccessOptions::default();
        access.cookie = self.ticket_cookie.clone();
        if cors.credentials {
            // Pages of any origin are not trusted with a cookie.
            let origins = cors.origins.iter().filter(|origin| *origin != "*");
            access.cookie_origins = origins.cloned().collect();
        }
        let follower = Arc::downgrade(&verifier);
        let authorizer = Authorizer::tickets(verifier, tickets, access).map_err(wrong)?;
        let thread = std::thread::Builder::new().name("fanfare-keys".to_owned());
        thread.spawn(move || files.follow(stamps, &follower))?;
        Ok(Some(authorizer))
    }

    /// A flag that has no meaning without keys.
    fn unused(&self) -> Option<&'static str> {
        let given = [
            (!self.audiences.is_empty(), "--ticket-audience"),
            (!self.issuers.is_empty(), "--ticket-issuer"),
            (self.ticket_claim.is_some(), "--ticket-claim"),
            (self.ticket_cookie.is_some(), "--ticket-cookie"),
        ];
        given.into_iter().find(|(is_given, _)| *is_given).map(|(_, flag)| flag)
    }
}

impl KeyFiles {
    fn read(&self) -> Result<KeySet, String> {
        let mut keys = KeySet::default();
        let reads: [(_, Parse); 2] =
            [(&self.key, KeySet::from_key_file), (&self.jwks, KeySet::from_jwks)];
        for (path, parse) in reads {
            let Some(path) = path else { continue };
            let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let bytes = read(path).map_err(|error| wrong(&error))?;
            let more = parse(&bytes).map_err(|error| wrong(&error))?;
            if more.left_out() > 0 {
                let (path, count) = (path.display(), more.left_out());
                log::info!("{path}: {count} keys are for something else, and are left out");
            }
            keys = keys.with(more).map_err(|error| wrong(&error))?;
        }
        Ok(keys)
    }

    fn stamps(&self) -> [Stamp; 2] {
        [&self.key, &self.jwks].map(|path| {
            let metadata = fs::metadata(path.as_ref()?).ok()?;
            Some((metadata.mtime(), metadata.mtime_nsec(), metadata.size(), metadata.ino()))
        })
    }

    /// Reads the files again when they change.
    fn follow(&self, mut stamps: [Stamp; 2], verifier: &Weak<TokenVerifier>) {
        loop {
            std::thread::sleep(LOOK_PAUSE);
            let Some(verifier) = verifier.upgrade() else { return };
            let now = self.stamps();
            if now == stamps {
                continue;
            }
            stamps = now;
            match self.read() {
                Ok(keys) => {
                    let text = format!("{keys:?}");
                    verifier.set_keys(keys);
                    log::info!("tokens are checked with other keys from now on: {text}");
                }
                Err(error) => log::error!("the keys for tokens stay as they were: {error}"),
            }
        }
    }
}

/// Reads a file of keys, no more of it than there may be.
pub(in crate::program) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    file.by_ref().take(KeySet::JWKS_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    let is_public = bytes.windows(10).any(|part| part == b"PUBLIC KEY");
    let mode = file.metadata()?.mode();
    if mode & 0o077 != 0 && !is_public && !bytes.trim_ascii_start().starts_with(b"{") {
        log::warn!(
            "the key file {} has the mode {:04o}, with which others than its owner get at the key: \
             chmod 600",
            path.display(),
            mode & 0o7777
        );
    }
    Ok(bytes)
}
