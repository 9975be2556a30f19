//! A mail server made of Pillarbox's crates: SMTP and LMTP in, Maildir on disk, IMAP out.
//!
//! `mailserver try` needs nothing; `mailserver serve --config mail.toml` runs for real; `mailserver check` only checks.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to the person who started it")]

mod accounts;
mod certificate;
mod config;
mod serve;
mod show;
mod trial;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pillarbox::Shutdown;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::serve::Assembly;
use crate::show::Show;

/// A mail server: SMTP and LMTP in, Maildir on disk, IMAP out.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run on loopback with one account, without configuration, root or network
    Try {
        /// The data folder; made if it is not there
        #[arg(long, default_value = "./mailserver-data")]
        dir: PathBuf,
        /// The password of you@localhost [default: made at the first try and printed]
        #[arg(long, value_name = "PW", value_parser = password)]
        password: Option<String>,
        /// What is added to the well-known ports: 2000 makes SMTP 2025 and IMAPS 2993
        #[arg(long, value_name = "N", default_value_t = 2000)]
        port_base: u16,
        /// Print every line of every conversation, secrets hidden, with a few words of explanation
        #[arg(long)]
        show_dialog: bool,
    },
    /// Run as a configuration file says
    Serve {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print every line of every conversation, secrets hidden, with a few words of explanation
        #[arg(long)]
        show_dialog: bool,
    },
    /// Check a configuration file and all that it names, and do nothing
    Check {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

fn password(text: &str) -> Result<String, String> {
    match text.is_empty() || text.chars().any(char::is_control) {
        true => Err("a password is not empty and holds no control characters".into()),
        false => Ok(text.to_owned()),
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        Command::Try { dir, password, port_base, show_dialog } => {
            let trial = trial::prepare(&dir, port_base, password)?;
            let assembly = Assembly::new(&trial.config, Show::new(show_dialog))?;
            serve_until_told(assembly, || trial.greet())
        }
        Command::Serve { config, show_dialog } => {
            let config = Config::load(&config)?;
            let assembly = Assembly::new(&config, Show::new(show_dialog))?;
            serve_until_told(assembly, || {
                for listener in &config.listeners {
                    println!("listening on {} for {}", listener.address, listener.protocol.name());
                }
            })
        }
        Command::Check { config: path } => {
            let config = Config::load(&path)?;
            Assembly::new(&config, Show::new(false))?;
            check_mail_location(&config)?;
            println!("{}: fine", path.display());
            Ok(())
        }
    }
}

/// The folder that all mail is under must be there and be ours, or the first delivery fails.
fn check_mail_location(config: &Config) -> Result<(), String> {
    let root: &Path = config.mail.root();
    match std::fs::metadata(root) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("{} (in `mail`) is not a folder", root.display())),
        Err(error) => Err(format!("cannot use {} (in `mail`): {error}", root.display())),
    }
}

/// Runs until Ctrl-C or SIGTERM; a second one ends the process at once.
fn serve_until_told(assembly: Assembly, listening: impl FnOnce()) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = Shutdown::new();
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let stop = shutdown.clone();
        tokio::spawn(async move {
            let mut stopping = false;
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if std::mem::replace(&mut stopping, true) {
                    eprintln!("stopping at once");
                    std::process::exit(1);
                }
                println!("stopping: saying goodbye to the sessions");
                stop.begin();
            }
        });
        assembly.run(shutdown, listening).await?;
        println!("stopped");
        Ok(())
    })
}
