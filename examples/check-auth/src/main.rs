//! Checks who is behind a message: SPF, DKIM, ARC, DMARC and iprev, with every step in words. It also makes keys, signs and
//! seals, so that what one program says can be held against another.
#![allow(clippy::print_stderr, reason = "that is where trouble is told")]
#![allow(unreachable_pub, reason = "in a program, `pub` means: for the other modules")]

mod check;
mod date;
mod json;
mod keys;
mod message;
mod sign;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Says what is wrong, for people.
type Trouble = String;

/// Checks who is behind a message.
///
/// The exit status is 0 whatever the verdict, 1 if something cannot be read, and 2 for a wrong command line. With --strict it
/// is 3 if the message is not to be taken.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    check: Option<check::CheckArgs>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// Makes the exit status 3 if the message is not to be taken.
    #[arg(long)]
    strict: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the message with a DKIM signature for each key.
    Sign(sign::SignArgs),
    /// Checks the message as `check-auth` does, and writes it with an ARC set that tells the result.
    Seal(Box<sign::SealArgs>),
    /// Makes a key. The private half is printed, or written to --out; then comes the record for the DNS.
    Keygen(keys::KeygenArgs),
}

fn main() -> ExitCode {
    let Cli { command, check, json, strict } = Cli::parse();
    let done = match (command, check) {
        (Some(Command::Sign(args)), _) => sign::sign(&args).map(|()| ExitCode::SUCCESS),
        (Some(Command::Seal(args)), _) => sign::seal(&args).map(|()| ExitCode::SUCCESS),
        (Some(Command::Keygen(args)), _) => keys::generate(&args).map(|()| ExitCode::SUCCESS),
        (None, Some(args)) => run(&args, json, strict),
        (None, None) => Err("no message; see --help".into()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("check-auth: {error}");
        ExitCode::FAILURE
    })
}

fn run(args: &check::CheckArgs, json: bool, strict: bool) -> Result<ExitCode, Trouble> {
    let verdicts = check::check(args, message::open(&args.message)?)?;
    let text = if json {
        format!("{:#}\n", json::of(args, &verdicts))
    } else {
        format!("{}{}", verdicts.explanation(), verdicts.header_fields().replace("\r\n", "\n"))
    };
    message::print(text.as_bytes())?;
    Ok(if strict && verdicts.refusal().is_some() { ExitCode::from(3) } else { ExitCode::SUCCESS })
}
