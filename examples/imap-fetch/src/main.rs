//! Lists the mailboxes of an account, tells what is in one, or writes its messages into a folder.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use pillarbox::imap::{
    ClientConfig, ClientTls, Command, Credentials, Event, ImapClient, Login, Mirror, Response, StartTls,
};
use pillarbox::imap_proto::types::{NameEncoding, Uid};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

/// Without MAILBOX, prints the names of the mailboxes; with it, a line for each message: its UID and its flags; with --to, also
/// writes each message into a file of that folder, named after its UID (with `.part` behind it until it is whole).
#[derive(Parser)]
struct Args {
    /// `host:port`
    server: String,
    /// Who logs in; the password is read from IMAP_PASSWORD in the environment, where no other user sees it
    user: String,
    /// Which mailbox
    mailbox: Option<String>,
    /// Where the messages go
    #[arg(long, requires = "mailbox")]
    to: Option<PathBuf>,
    /// Says nothing without STARTTLS
    #[arg(long, conflicts_with = "tls")]
    starttls: bool,
    /// Begins with TLS
    #[arg(long)]
    tls: bool,
    /// The certificates that are trusted, in PEM
    #[arg(long, default_value = "/etc/ssl/certs/ca-certificates.crt")]
    ca: PathBuf,
    /// Tells the password without TLS: on loopback
    #[arg(long, conflicts_with_all = ["tls", "starttls"])]
    clear: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match fetch(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("imap-fetch: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn fetch(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    // An error may show the value.
    let password = std::env::var("IMAP_PASSWORD").map_err(|_| "IMAP_PASSWORD: it is not set, or not UTF-8")?;
    let mut login = Login::new(Credentials::plain("", &args.user, password));
    login.policy.clear_text_without_tls = args.clear;
    let mut config = ClientConfig::default();
    config.login = Some(login);
    config.starttls = if args.starttls { StartTls::Required } else { StartTls::IfOffered };
    let tls = if args.tls || args.starttls { Some(tls(args)?) } else { None };
    let mut client = ImapClient::connect(&*args.server, config, tls).await?;
    match &args.mailbox {
        None => list(&mut client).await?,
        Some(mailbox) => {
            let mut mirror = Mirror::default();
            client.sync(Command::examine(mailbox), &mut mirror, |_| {}).await?;
            for (uid, message) in mirror.messages() {
                println!("{uid} {}", message.flags.as_ref().map(ToString::to_string).unwrap_or_default());
            }
            if let Some(folder) = args.to.as_deref().filter(|_| mirror.exists() > 0) {
                download(&mut client, folder, &mut mirror).await?;
            }
        }
    }
    client.log_out().await;
    Ok(())
}

async fn list(client: &mut ImapClient) -> Result<(), Box<dyn std::error::Error>> {
    let print = |event: Event<'_>| {
        if let Event::Response(Response::List(entry)) = event {
            let name = entry.name.to_text(NameEncoding::ModifiedUtf7);
            let name = name.unwrap_or_else(|| entry.name.as_bytes().escape_ascii().to_string());
            println!("{}", printable(&name));
        }
    };
    client.run(Command::list("", "*"), print).await?;
    Ok(())
}

/// A server chooses the names: they are not to speak to the terminal.
fn printable(name: &str) -> String {
    let escaped = |letter: char| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    name.chars().map(escaped).collect()
}

/// A message that is being written; under another name until it is whole.
struct Half {
    uid: Uid,
    file: File,
}

/// The messages that are written into a folder.
struct Messages<'a> {
    folder: &'a Path,
    half: Option<Half>,
    /// Those that are there, and those that the server says have no octets.
    done: BTreeSet<Uid>,
    missing: BTreeSet<Uid>,
}

impl Messages<'_> {
    fn take(&mut self, event: Event<'_>) -> io::Result<()> {
        match event {
            Event::Section(section) => {
                let uid =
                    section.uid.ok_or_else(|| io::Error::other("the server does not say which message it sends"))?;
                if section.len.is_none() {
                    self.missing.insert(uid);
                    return Ok(());
                }
                self.half = Some(Half { uid, file: File::create(self.folder.join(format!("{uid}.eml.part")))? });
                Ok(())
            }
            Event::Body(octets) => self.half.as_mut().map_or(Ok(()), |half| half.file.write_all(&octets)),
            Event::SectionEnd => {
                let Some(half) = self.half.take() else { return Ok(()) };
                half.file.sync_all()?;
                let (part, whole) = (format!("{}.eml.part", half.uid), self.folder.join(format!("{}.eml", half.uid)));
                // A link, as a name that is taken is not taken away.
                std::fs::hard_link(self.folder.join(&part), whole)?;
                std::fs::remove_file(self.folder.join(part))?;
                self.done.insert(half.uid);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Writes each message as it comes; none is held in memory.
async fn download(
    client: &mut ImapClient,
    folder: &Path,
    mirror: &mut Mirror,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut messages = Messages { folder, half: None, done: BTreeSet::new(), missing: BTreeSet::new() };
    let mut failed = None;
    let write = |event: Event<'_>| {
        // What is expunged meanwhile is not missed.
        if let Event::Response(response) = &event {
            mirror.learn(response);
        }
        if let Err(error) = messages.take(event) {
            messages.half = None;
            failed.get_or_insert(error);
        }
    };
    client.run(Command::uid_fetch("1:*", "(UID BODY.PEEK[])"), write).await?;
    if let Some(error) = failed {
        return Err(format!("{}: {error}", folder.display()).into());
    }
    // The names in the folder outlast a crash as the files do.
    File::open(folder)?.sync_all()?;
    for uid in &messages.missing {
        eprintln!("imap-fetch: {uid}: the server has no octets of it");
    }
    match mirror.messages().filter(|(uid, _)| !messages.done.contains(uid)).count() {
        0 => Ok(()),
        count => Err(format!("{count} of {} messages did not come", mirror.messages().len()).into()),
    }
}

/// Trusts the certificates in the file, for the name in front of the port.
fn tls(args: &Args) -> Result<ClientTls, Box<dyn std::error::Error>> {
    let mut roots = rustls::RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(&args.ca).map_err(|error| format!("{}: {error}", args.ca.display()))?;
    for certificate in certificates {
        roots.add(certificate?)?;
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let (host, _) = args.server.rsplit_once(':').ok_or("the server has no port")?;
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_string())?;
    let make = if args.tls { ClientTls::implicit } else { ClientTls::starttls };
    Ok(make(Arc::new(config), name))
}
