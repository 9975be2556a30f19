//! A mail server made of Pillarbox's crates: SMTP and LMTP in, Maildir on disk, IMAP out.
//!
//! `mailserver try` needs nothing; `mailserver serve --config mail.toml` runs for real; `mailserver check` only checks.
//! `mailserver queue` shows what waits to be sent; `mailserver fsck` checks the mail; `mailserver import` and `mailserver export` move mail in and out.
#![allow(unreachable_pub, reason = "in a program, `pub` means: for the other modules")]

mod accounts;
mod authentication;
mod certificate;
mod config;
mod folders;
mod forwarding;
mod fsck;
mod notes;
mod password;
mod queue;
mod relaying;
mod secret_file;
mod sending;
mod serve;
mod show;
mod signing;
mod tls_reporting;
mod transfer;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use pillarbox::Shutdown;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, Listener};
use crate::serve::Assembly;
use crate::show::{Show, complain, say};

/// A mail server: SMTP and LMTP in, Maildir on disk, IMAP out.
///
/// It ends with status 0 when it was told to stop, 1 when something was wrong, and 2 when the command line was.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run on loopback with one account, without configuration, root or network
    ///
    /// Makes a data folder with a self-signed certificate and the account you@localhost, listens on 127.0.0.1, and prints
    /// how to try it. Ctrl-C or SIGTERM stop it: sessions are told goodbye, and what was acknowledged is finished.
    Try {
        /// The data folder; made if it is not there
        #[arg(long, default_value = "./mailserver-data")]
        dir: PathBuf,
        /// The password of you@localhost [default: made at the first try and printed]
        #[arg(long, value_name = "PW", value_parser = password)]
        password: Option<String>,
        /// What is added to the well-known ports: 2000 makes SMTP 2025 and IMAPS 2993
        #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u16).range(..=64_542))]
        port_base: u16,
        /// Print every line of every conversation, secrets hidden, with a few words of explanation
        #[arg(long)]
        show_dialog: bool,
    },
    /// Run as a configuration file says
    ///
    /// Ctrl-C or SIGTERM stop it: sessions are told goodbye, and what was acknowledged is finished. SIGHUP makes it read
    /// the certificate, aliases, keys and the passwords for other servers again; accounts are read again whenever their file has changed.
    Serve {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print every line of every conversation, secrets hidden, with a few words of explanation
        #[arg(long)]
        show_dialog: bool,
    },
    /// Bring an mbox file, or a Maildir folder, into a mailbox
    ///
    /// The server may be running. To be started as the user that the server runs as. An import that was broken off, by
    /// Ctrl-C too, goes on when it is started again; one that has ended does nothing more.
    Import {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The account
        #[arg(long, value_name = "USER@DOMAIN")]
        user: String,
        /// The mailbox, levels parted by `/`, without a namespace's prefix; made and subscribed if it is not there
        #[arg(long, value_name = "NAME", default_value = "INBOX")]
        mailbox: String,
        /// Bring in once more what was brought in before
        #[arg(long)]
        again: bool,
        /// Say what was done as one line of JSON
        #[arg(long)]
        json: bool,
        /// An mbox file, or a folder with `cur` and `new` in it
        source: PathBuf,
    },
    /// Write mailboxes of an account to mbox files or plain Maildir folders, one each
    ///
    /// The server may be running. What is there already is not replaced.
    Export {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The account
        #[arg(long, value_name = "USER@DOMAIN")]
        user: String,
        /// This mailbox alone, levels parted by `/`, without a namespace's prefix [default: all]
        #[arg(long, value_name = "NAME")]
        mailbox: Option<String>,
        /// What to write
        #[arg(long, value_enum, default_value_t = transfer::Format::Mbox)]
        format: transfer::Format,
        /// Say what was done as one line of JSON for each mailbox
        #[arg(long)]
        json: bool,
        /// The folder that they are written to; made if it is not there
        dir: PathBuf,
    },
    /// See what waits to be sent, and hold, hurry or delete it
    ///
    /// Asks the server that is running. If none is, messages are listed, held, released and deleted on the disk. To be run as
    /// the user that the server runs as, or, while it runs, as root.
    Queue {
        #[command(subcommand)]
        action: queue::Action,
    },
    /// Check a configuration file and all that it names, and do nothing
    ///
    /// Finds what would keep `serve` from starting, all at once. Whether the ports are free and permitted is not tried.
    Check {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check the mail of accounts, and repair it
    ///
    /// Reads every message, and compares with it what is written about it. May be run while the server works. A repair is
    /// durable, deletes no message and gives no UID twice. The status is 0 if nothing is wrong, 1 if something was found, and
    /// 2 if something could not be checked, or stays after a repair.
    Fsck {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The account to check; may be given several times
        #[arg(long, value_name = "NAME", required_unless_present = "all")]
        user: Vec<String>,
        /// Check all accounts
        #[arg(long, conflicts_with = "user")]
        all: bool,
        /// Repair what can be repaired
        #[arg(long)]
        repair: bool,
        /// Print a JSON object a line for each account
        #[arg(long)]
        json: bool,
    },
}

fn password(text: &str) -> Result<String, String> {
    match text.is_empty() || text.chars().any(char::is_control) {
        true => Err("a password is not empty and holds no control characters".into()),
        false => Ok(text.to_owned()),
    }
}

fn main() -> ExitCode {
    let command = match Cli::parse().command {
        Command::Fsck { config, user, repair, json, .. } => return fsck::run(&config, user, repair, json),
        command => command,
    };
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        Command::Try { dir, password, port_base, show_dialog } => {
            let trial = trial::prepare(&dir, port_base, password)?;
            let assembly = Assembly::new(&trial.config, Arc::new(Show::new(show_dialog)))?;
            serve_until_told(assembly, OnHangup::Stop, |listeners| trial.greet(listeners))
                .map_err(|error| format!("{error}\n(--port-base picks other ports, --dir another data folder)").into())
        }
        Command::Serve { config, show_dialog } => {
            let config = Config::load(&config)?;
            let assembly = Assembly::new(&config, Arc::new(Show::new(show_dialog)))?;
            Ok(serve_until_told(assembly, OnHangup::ReadAgain, |listeners| listeners.iter().for_each(say))?)
        }
        Command::Import { config, user, mailbox, again, json, source } => {
            let account = transfer::Account::find(&Config::load(&config)?, &user)?;
            say(transfer::import(&account, &mailbox, &source, again)?.shown(json));
            Ok(())
        }
        Command::Export { config, user, mailbox, format, json, dir } => {
            let account = transfer::Account::find(&Config::load(&config)?, &user)?;
            let done = |exported: transfer::Done| say(exported.shown(json));
            match transfer::export(&account, mailbox.as_deref(), format, &dir, done)? {
                true => Ok(()),
                false => Err("not all mailboxes were written".into()),
            }
        }
        Command::Queue { action } => queue::run(action),
        Command::Check { config: path } => {
            let config = Config::load(&path)?;
            if let Some(sending) = &config.sending {
                sending::check(&config, sending)?;
            }
            say(format_args!("{}: fine", path.display()));
            Ok(())
        }
        Command::Fsck { .. } => unreachable!("it has statuses of its own"),
    }
}

/// What SIGHUP means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnHangup {
    /// The terminal was closed, so nobody is there to try any more.
    Stop,
    /// As for every daemon.
    ReadAgain,
}

/// Runs until Ctrl-C or SIGTERM; a second one ends the process at once.
fn serve_until_told(
    assembly: Assembly,
    on_hangup: OnHangup,
    listening: impl FnOnce(&[Listener]),
) -> Result<(), String> {
    let no_runtime = |error: std::io::Error| format!("cannot start: {error}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(no_runtime)?;
    runtime.block_on(async {
        let on = |kind| signal(kind).map_err(no_runtime);
        let (mut interrupt, mut terminate) = (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
        let mut hangup = on(SignalKind::hangup())?;
        let shutdown = Shutdown::new();
        let (stop, files) = (shutdown.clone(), assembly.files.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => if on_hangup == OnHangup::ReadAgain {
                        match files.read_again() {
                            Ok(what) => say(format_args!("read {what} again")),
                            Err(error) => complain(format_args!("{error}\nwhat was read before is used on")),
                        }
                        continue;
                    }
                }
                if stop.has_begun() {
                    complain("stopping at once");
                    std::process::exit(1);
                }
                say("stopping: saying goodbye to the sessions");
                stop.begin();
            }
        });
        assembly.run(shutdown, listening).await?;
        say("stopped");
        Ok(())
    })
}
