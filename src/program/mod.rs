//! The program `fanfare`, made of the library's public interface alone.
//!
//! ```text
//! outcome  units  lines  logging  signals  token  readings     independent parts
//! control                                            what HTTP serves besides the streams
//! serve <- demo                                      the server
//! publish                                            the client
//! ticket                                             signs tokens
//! bench                                              the way to fanfare-bench
//! ```

mod bench;
mod control;
mod demo;
#[path = "../sys/disposition.rs"]
mod disposition;
#[path = "../excerpt.rs"]
mod excerpt;
#[path = "../exposition.rs"]
mod exposition;
#[path = "../sys/inherited.rs"]
mod inherited;
mod lines;
mod logging;
mod outcome;
mod publish;
#[path = "../http/query.rs"]
mod query;
mod readings;
#[path = "../seldom.rs"]
mod seldom;
mod serve;
mod signals;
#[path = "../socket_file.rs"]
mod socket_file;
mod ticket;
mod token;
mod units;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use self::outcome::Usage;

/// Fan events out to any number of Server-Sent Events clients.
///
/// Publish an event once, over HTTP; every browser, curl or EventSource that asked for its topic
/// gets it.
#[derive(Parser)]
#[command(name = "fanfare", version, after_help = EXAMPLES)]
struct Cli {
    /// What to log to standard error: off, error, warn, info, debug or trace, or a list such as
    /// `info,fanfare::program=debug`
    #[arg(long, global = true, env = "FANFARE_LOG", value_name = "LEVEL", default_value = "info", value_parser = logging::levels)]
    log: String,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Box<serve::ServeArgs>),
    Demo(Box<demo::DemoArgs>),
    Publish(publish::PublishArgs),
    Ticket(ticket::TicketArgs),
    Bench(bench::BenchArgs),
}

const EXAMPLES: &str = "\
Examples:
  fanfare serve
  curl -N 'http://127.0.0.1:8080/events?topic=news'
  curl -d 'hello' 'http://127.0.0.1:8081/publish?topic=news&event=greeting'
  tail -f /var/log/syslog | fanfare publish http://127.0.0.1:8081 --topic log";

pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = logging::begin(&cli.log) {
        eprintln!("fanfare: {error}");
        return ExitCode::FAILURE;
    }
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Publish(args) => publish::run(args),
        Command::Ticket(args) => ticket::run(args),
        Command::Bench(args) => bench::run(&args, &cli.log),
    };
    let code = outcome.unwrap_or_else(|error| match error.downcast_ref::<Usage>() {
        Some(Usage(why)) => {
            logging::flush_error();
            Cli::command().error(clap::error::ErrorKind::ValueValidation, why).exit()
        }
        None => {
            logging::say(&format!("fanfare: {}", outcome::with_causes(&*error)));
            logging::flush_error();
            ExitCode::FAILURE
        }
    });
    logging::flush();
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_of_serve_can_come_from_the_environment() {
        let command = Cli::command();
        let serve = command.find_subcommand("serve").expect("it is a subcommand");
        for option in serve.get_arguments().filter(|option| !option.is_hide_set()) {
            let name = option.get_long().expect("all have a long name");
            let variable = option.get_env().and_then(|name| name.to_str());
            let expected = format!("FANFARE_{}", name.replace('-', "_").to_uppercase());
            assert_eq!(variable, Some(&*expected), "--{name}");
            assert!(option.get_help().is_some(), "--{name}");
        }
    }
}
