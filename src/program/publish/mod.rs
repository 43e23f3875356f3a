//! `fanfare publish`: each line of standard input is an event.
//!
//! ```text
//! input    lines of standard input, from a thread that reads
//! batch    lines that are sent with one request, until the server has them
//! client   one HTTP connection, and what the server says
//! sender   sends batches in order, again when it has to, and counts
//! ```
//!
//! Events are published at least once. What the server has acknowledged is never sent again. But
//! when a connection is lost after a request was sent and before its answer has come, it is
//! not known what was published of it: it is sent again, and standard error says that there may be
//! doubles.
//!
//! Memory is bounded: a batch, a few blocks of input, and one line. While the server's backlog is
//! full, or the server is away, standard input is not read.

mod batch;
mod client;
mod input;
mod sender;

use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use fanfare::{Event, Topic};
use smol::future::FutureExt;
use smol::{LocalExecutor, Timer};

use self::batch::{Batch, Template};
use self::client::{Client, Target};
use self::input::Input;
use self::sender::{Sender, Stopped};
use super::lines::{Line, Lines, TooLong};
use super::outcome::{Outcome, Usage};
use super::signals::Ending;
use super::token::{self, Token};
use super::units;

/// Publish each line of standard input as an event.
///
/// Lines are sent as they appear, over one connection; with `tail -f log | fanfare publish ...`
/// they show at once. When the server is away they wait, and so does standard input.
///
/// Each event is published at least once: what the server has acknowledged is never sent again,
/// but lines that were under way when a connection broke are, and standard error says so.
///
/// Ends with the input, or by Ctrl-C after what was read is sent; a second Ctrl-C ends it at once.
/// Exit code 1 if a line was not published.
#[derive(Args, Debug)]
pub(crate) struct PublishArgs {
    /// The server's control listener, as it prints it: http://127.0.0.1:8081, or unix:/PATH; or,
    /// with a token, its public address
    url: String,

    /// The topic to publish to; given several times (64 at most), each event goes to all of them
    #[arg(long, value_name = "NAME", required = true)]
    topic: Vec<Topic>,

    /// The events' name (type)
    #[arg(long, value_name = "NAME")]
    event: Option<String>,

    /// The events' key, that is, what they are about
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Have clients sent each event evenly over this time, up to 5m
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    window: Option<Duration>,

    /// A file that holds the server's publish token; or set FANFARE_PUBLISH_TOKEN
    #[arg(
        long,
        value_name = "PATH",
        visible_alias = "publish-token-file",
        env = "FANFARE_PUBLISH_TOKEN_FILE"
    )]
    token_file: Option<PathBuf>,

    /// Refused, with the reason.
    #[arg(long, hide = true, alias = "token", num_args = 0..=1, default_missing_value = "")]
    publish_token: Option<String>,

    /// How often in a row to try again when the server cannot be reached or is full; the
    /// pauses grow from 100ms to 5s
    #[arg(long, value_name = "N", default_value_t = 20)]
    retries: u32,

    /// Skip lines that cannot be published instead of ending at the first one
    #[arg(long)]
    keep_going: bool,

    /// Finish the topic when the input has ended and all of it is published, so that its clients'
    /// streams end; not after Ctrl-C
    #[arg(long)]
    finish: bool,

    /// The most bytes of a line
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = units::bytes)]
    line_bytes_max: usize,
}

/// How long a batch that is not full waits for more lines.
const LINGER: Duration = Duration::from_millis(10);

pub(crate) fn run(args: PublishArgs) -> Outcome {
    token::refuse_on_command_line(args.publish_token.is_some())?;
    if args.topic.len() > Event::TOPICS_MAX {
        let (given, most) = (args.topic.len(), Event::TOPICS_MAX);
        return Err(Usage(format!("--topic: {given} are given; give {most} at most")).into());
    }
    if args.finish && args.topic.len() > 1 {
        let why =
            "--finish: topics are finished one by one; give one --topic, or leave out --finish";
        return Err(Usage(why.to_owned()).into());
    }
    let token = Token::find(args.token_file.as_deref())?;
    let target = Target::parse(&args.url, token).map_err(Usage)?;
    let ending = Ending::expect()?;
    let mut input = Input::start()?;
    let closer = input.closer();
    let interrupted = Arc::new(AtomicBool::new(false));
    std::thread::Builder::new().name("signals".to_owned()).spawn({
        let interrupted = interrupted.clone();
        move || {
            ending.wait();
            interrupted.store(true, Ordering::SeqCst);
            closer.close();
        }
    })?;

    let executor = Rc::new(LocalExecutor::new());
    let client = Client::new(target, executor.clone());
    let mut sender = Sender::new(client, args.retries, args.keep_going);
    let template = Template {
        topics: &args.topic,
        event: args.event.as_deref(),
        key: args.key.as_deref(),
        window: args.window,
    };
    let lines = Lines::new(args.line_bytes_max);
    let sending = async {
        pump(&mut input, lines, &template, &mut sender).await?;
        match args.finish && sender.refused == 0 && !interrupted.load(Ordering::SeqCst) {
            true => sender.finish(&template.last_line()).await,
            false => Ok(()),
        }
    };
    let result = smol::block_on(executor.run(sending));

    if let Err(Stopped(why)) = &result {
        eprintln!("fanfare: {why}");
    }
    let refused = sender.refused;
    if refused > 0 {
        eprintln!("{refused} lines were not published");
    }
    eprintln!("published {} events", sender.published);
    Ok(if result.is_ok() && refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends all lines of the input.
async fn pump(
    input: &mut Input,
    mut lines: Lines,
    template: &Template<'_>,
    sender: &mut Sender,
) -> Result<(), Stopped> {
    let mut batch = Batch::default();
    let mut linger_until = Instant::now();
    loop {
        let block = match batch.is_empty() {
            true => {
                let block = input.next().await;
                linger_until = Instant::now() + LINGER;
                block
            }
            false => {
                // What is there goes out after a moment, and not only when it is full.
                let until = linger_until;
                let linger = async {
                    Timer::at(until).await;
                    Ok(Some(Vec::new()))
                };
                input.next().or(linger).await
            }
        };
        let block = match block.map_err(|error| Stopped(format!("standard input: {error}")))? {
            Some(block) => block,
            None => break,
        };
        let mut rest = &block[..];
        loop {
            match lines.take(&mut rest) {
                Ok(None) => break,
                Ok(Some(line)) => push(&mut batch, template, line, sender).await?,
                Err(TooLong(number)) => {
                    sender.deliver(&mut batch).await?;
                    sender.skip(number, "it is longer than --line-bytes-max")?;
                }
            }
        }
        if Instant::now() >= linger_until {
            sender.deliver(&mut batch).await?;
        }
    }
    if let Some(line) = lines.last() {
        push(&mut batch, template, line, sender).await?;
    }
    sender.deliver(&mut batch).await
}

/// Adds a line to the batch, and sends it when it is full.
async fn push(
    batch: &mut Batch,
    template: &Template<'_>,
    (number, line): Line<'_>,
    sender: &mut Sender,
) -> Result<(), Stopped> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok(text) => batch.push(number, &template.line(text)),
        Err(_) => {
            // In order: what comes before it is sent before anything is said of it.
            sender.deliver(batch).await?;
            sender.skip(number, "it is not UTF-8")?;
        }
    }
    if batch.is_full() {
        sender.deliver(batch).await?;
    }
    Ok(())
}
