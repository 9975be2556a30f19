//! `mailserver fsck`: whether the mail of accounts is sound.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use pillarbox::maildir::{Finding, Progress, Repair, Report, State};
use pillarbox::parts::{Identity, Silent};
use pillarbox::store::MaildirStore;
use serde_json::{Value, json};

use crate::accounts::Accounts;
use crate::config::Config;
use crate::show::{complain, say};

/// What the program ends with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Clean = 0,
    Found = 1,
    CouldNot = 2,
}

/// Checks these accounts, or all if none is named.
pub fn run(config: &Path, users: Vec<String>, repair: bool, json: bool) -> ExitCode {
    let status = check(config, users, repair, json).unwrap_or_else(|error| {
        complain(error);
        Status::CouldNot
    });
    ExitCode::from(status as u8)
}

fn check(config: &Path, users: Vec<String>, repair: bool, json: bool) -> Result<Status, Box<dyn std::error::Error>> {
    let config = Config::load(config)?;
    let accounts = Accounts::load(&config, Arc::new(Silent))?;
    let known = accounts.users();
    let users: Vec<String> = match users.is_empty() {
        true => known.clone(),
        false => users.iter().map(|user| user.to_ascii_lowercase()).collect(),
    };
    let store = MaildirStore::new(move |account| accounts.folder(account.user()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let repair = if repair { Repair::Yes } else { Repair::No };
    let mut status = Status::Clean;
    for user in users {
        let checked = match known.contains(&user) {
            true => runtime.block_on(store.fsck(&Identity::new(&*user), repair, show_progress)),
            false => {
                complain(format_args!("{}: there is no such account", user.escape_debug()));
                status = Status::CouldNot;
                continue;
            }
        };
        match checked {
            Ok(report) => {
                let report = report.unwrap_or_default();
                status = status.max(status_of(&report, repair));
                if json { say(as_json(&user, &report)) } else { print(&user, &report) }
            }
            Err(error) => {
                complain(format_args!("{user}: {error}"));
                status = Status::CouldNot;
            }
        }
    }
    Ok(status)
}

fn status_of(report: &Report, repair: Repair) -> Status {
    match (report.is_clean(), repair == Repair::Yes && report.is_left()) {
        (true, _) => Status::Clean,
        (false, false) => Status::Found,
        (false, true) => Status::CouldNot,
    }
}

/// To whoever looks: a line that is written over.
fn show_progress(progress: &Progress<'_>) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        let folder = progress.folder.display().to_string();
        let line = format!("{}: {} of {}", folder.escape_debug(), progress.done, progress.messages);
        let _ = write!(terminal, "\r\x1b[K{line}\r");
    }
}

fn print(user: &str, report: &Report) {
    say(format_args!("{user}: {} mailboxes, {} messages", report.mailboxes, report.messages));
    for finding in &report.findings {
        // Names of files are whatever somebody wrote.
        say(format_args!("  {}: {}", path(finding).escape_debug(), finding.problem));
        say(format_args!("    {}", finding.problem.meaning()));
        let remedy = finding.problem.remedy().unwrap_or_default();
        match &finding.state {
            State::Found if finding.problem.is_usual() => say("    usual"),
            State::Found => say(format_args!("    --repair: {remedy}")),
            State::Repaired => say(format_args!("    repaired: {remedy}")),
            State::Left => say("    stays as it is"),
            State::Failed(error) => {
                say(format_args!("    could not be repaired: {}", error.to_string().escape_debug()));
            }
        }
    }
    if report.left_out > 0 {
        say(format_args!("  and {} more", report.left_out));
    }
}

fn as_json(user: &str, report: &Report) -> Value {
    let findings: Vec<Value> = report.findings.iter().map(finding_as_json).collect();
    json!({
        "account": user,
        "mailboxes": report.mailboxes,
        "messages": report.messages,
        "clean": report.is_clean(),
        "findings": findings,
        "left_out": report.left_out,
    })
}

fn finding_as_json(finding: &Finding) -> Value {
    let (state, error) = match &finding.state {
        State::Found => ("found", None),
        State::Repaired => ("repaired", None),
        State::Left => ("left", None),
        State::Failed(error) => ("failed", Some(error.to_string())),
    };
    json!({
        "path": path(finding),
        "problem": finding.problem.name(),
        "text": finding.problem.to_string(),
        "meaning": finding.problem.meaning(),
        "remedy": finding.problem.remedy(),
        "usual": finding.problem.is_usual(),
        "state": state,
        "error": error,
    })
}

fn path(finding: &Finding) -> String {
    finding.path.to_string_lossy().into_owned()
}
