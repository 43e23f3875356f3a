//! `fanfare ticket`: signs a token.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use fanfare::tickets::{SigningKey, TokenClaims};
use fanfare::{Grant, Policy, Subscription};

use super::outcome::{Outcome, Usage};
use super::serve::read_key_file;
use super::units;

/// The longest time that a token is good for.
const EXPIRES_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Print a token for a server that was started with --ticket-key-file or --jwks-file.
///
/// It is a JSON Web Token, for `Authorization: Bearer`:
///
///   curl -N -H "Authorization: Bearer $(fanfare ticket --topic news --key-file key)" \
///     'http://127.0.0.1:8080/events'
///
/// A page's EventSource cannot send it, and it belongs into no URL: `POST /tickets` with the token
/// answers a ticket, which the page adds to its URL as ticket=TICKET.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct TicketArgs {
    /// A topic or filter that its streams may have; may be repeated, at most 256 times
    #[arg(long = "topic", value_name = "NAME", required = true)]
    topics: Vec<Subscription>,

    /// How long it is good for, 1s to 366d; its streams end at that time
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = units::duration)]
    expires: Duration,

    /// A file with the key: a private key in PEM (P-256, Ed25519 or RSA) without a passphrase, or
    /// else a secret of 32 bytes or more for HS256
    #[arg(long, value_name = "PATH", env = "FANFARE_TICKET_KEY_FILE")]
    key_file: PathBuf,

    /// The key's id, where the server has several
    #[arg(long, value_name = "ID")]
    kid: Option<String>,

    /// Whom it is for (aud), as the server's --ticket-audience says
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,

    /// Who signs it (iss), as the server's --ticket-issuer says
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,

    /// Whom it is about (sub)
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,

    /// The label of its streams
    #[arg(long, value_name = "TEXT")]
    tag: Option<String>,

    /// What happens to its streams when they lag too far: disconnect, drop-oldest or conflate
    #[arg(long, value_name = "NAME")]
    policy: Option<Policy>,
}

pub(crate) fn run(args: TicketArgs) -> Outcome {
    if !(Duration::from_secs(1)..=EXPIRES_MAX).contains(&args.expires) {
        return Err(Usage("--expires is out of bounds: it may be 1s to 366d".to_owned()).into());
    }
    let path = args.key_file.display();
    let bytes = read_key_file(&args.key_file);
    let bytes =
        bytes.map_err(|error| Usage(format!("cannot read the key file {path}: {error}")))?;
    let key = SigningKey::from_key_file(&bytes);
    let key = key.map_err(|error| Usage(format!("--key-file {path}: {error}")))?;

    let mut grant = Grant::new(args.topics).expires_at(SystemTime::now() + args.expires);
    grant.tag = args.tag.map(Into::into);
    grant.policy = args.policy;
    grant.check().map_err(|error| Usage(error.to_string()))?;
    let mut claims = TokenClaims::default();
    (claims.audience, claims.issuer, claims.subject) = (args.audience, args.issuer, args.subject);
    claims.kid = args.kid;
    let token = key.sign(&grant, &claims).map_err(|error| Usage(error.to_string()))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{token}").and_then(|()| out.flush())?;
    Ok(ExitCode::SUCCESS)
}
