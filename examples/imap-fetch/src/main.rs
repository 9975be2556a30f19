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
use pillarbox::imap_proto::client::Section;
use pillarbox::imap_proto::types::Uid;
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
    let encoding = client.name_encoding();
    let print = |event: Event<'_>| {
        if let Event::Response(Response::List(entry)) = event {
            let name = entry.name.to_text(encoding);
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

/// A message that is being written; under another name until it is whole, and the server has said which it is.
struct Half {
    path: PathBuf,
    file: File,
    is_whole: bool,
}

/// The messages that are written into a folder.
struct Messages<'a> {
    folder: &'a Path,
    half: Option<Half>,
    /// The octets that come are those of a message.
    is_message: bool,
    /// The server says that it has no octets of this one.
    is_missing: bool,
    /// Those that are there, and those that the server has no octets of.
    done: BTreeSet<Uid>,
    missing: BTreeSet<Uid>,
}

impl Messages<'_> {
    fn take(&mut self, event: Event<'_>) -> io::Result<()> {
        match event {
            Event::Section(section) => self.begin(&section),
            Event::Body(octets) if self.is_message => {
                self.half.as_mut().map_or(Ok(()), |half| half.file.write_all(&octets))
            }
            Event::SectionEnd if self.is_message => match &mut self.half {
                Some(half) => {
                    half.is_whole = true;
                    half.file.sync_all()
                }
                None => Ok(()),
            },
            Event::Response(Response::Fetch(fetch)) => self.end(fetch.uid),
            // The end of an answer that cannot be read: nobody says which message it was.
            Event::Response(Response::Unread(_)) => {
                (self.half, self.is_missing) = (None, false);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, section: &Section) -> io::Result<()> {
        // A server may tell more than it was asked for.
        self.is_message = section.name == "BODY[]" && section.origin.is_none();
        if !self.is_message {
            return Ok(());
        }
        if self.half.is_some() || self.is_missing {
            return Err(io::Error::other("the server sends a message twice in one answer"));
        }
        if section.len.is_none() {
            self.is_missing = true;
            return Ok(());
        }
        // Its UID may stand behind its octets.
        let name = section.uid.map_or_else(|| "unnamed.eml.part".into(), |uid| format!("{uid}.eml.part"));
        let path = self.folder.join(name);
        self.half = Some(Half { file: File::create(&path)?, path, is_whole: false });
        Ok(())
    }

    /// All was said of a message.
    fn end(&mut self, uid: Option<Uid>) -> io::Result<()> {
        let (half, is_missing) = (self.half.take().filter(|half| half.is_whole), std::mem::take(&mut self.is_missing));
        if half.is_none() && !is_missing {
            return Ok(());
        }
        let uid = uid.ok_or_else(|| io::Error::other("the server does not say which message it sends"))?;
        match half {
            Some(half) => {
                // A link, as a name that is taken is not taken away.
                std::fs::hard_link(&half.path, self.folder.join(format!("{uid}.eml")))?;
                std::fs::remove_file(half.path)?;
                self.done.insert(uid);
            }
            None => {
                self.missing.insert(uid);
            }
        }
        Ok(())
    }
}

/// Writes each message as it comes; none is held in memory. What cannot be written ends it: the rest is not waited for.
async fn download(
    client: &mut ImapClient,
    folder: &Path,
    mirror: &mut Mirror,
) -> Result<(), Box<dyn std::error::Error>> {
    let (done, missing) = (BTreeSet::new(), BTreeSet::new());
    let mut messages = Messages { folder, half: None, is_message: false, is_missing: false, done, missing };
    let command = client.submit(Command::uid_fetch("1:*", "(UID BODY.PEEK[])"))?;
    loop {
        let event = client.next().await;
        // What is expunged meanwhile is not missed.
        if let Some(Event::Response(response)) = &event {
            mirror.learn(response);
        }
        match event {
            Some(Event::Completed { id, status }) if id == command => match status.is_ok() {
                true => break,
                false => return Err(status.to_string().into()),
            },
            Some(event) => messages.take(event).map_err(|error| format!("{}: {error}", folder.display()))?,
            None => {
                return Err(client
                    .failure()
                    .map_or_else(|| "the connection has ended".into(), ToString::to_string)
                    .into());
            }
        }
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
