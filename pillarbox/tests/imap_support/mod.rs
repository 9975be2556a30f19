//! An IMAP server whose connections are pipes in memory, and a client that talks to it command by command.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part of this one")]

pub mod bent;
pub mod hearing;

use std::net::IpAddr;
use std::sync::Arc;

use pillarbox::Shutdown;
use pillarbox::imap::{ImapServer, ServerConfig};
use pillarbox::parts::{Append, Identity, MailboxStore, MemoryAuthenticator, Parts};
use pillarbox::store::{MaildirStore, MemoryStore};
use pillarbox::testing::SteppedClock;
use pillarbox_imap::types::MailboxName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream};
use tokio::task::JoinHandle;

use crate::support::Log;

pub const YOU: &str = "you@localhost";

/// A server that has no socket, and everything that tests want to look at.
pub struct Server {
    pub server: ImapServer,
    pub store: Arc<dyn MailboxStore>,
    pub clock: SteppedClock,
    pub log: Log,
    pub shutdown: Shutdown,
    /// Where a Maildir lies; it goes with the server.
    folder: Option<tempfile::TempDir>,
}

impl Server {
    pub fn memory() -> Server {
        Server::over(Arc::new(MemoryStore::new()))
    }

    pub fn maildir() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let store = MaildirStore::new(move |account| Some(root.join(account.user()).join("Maildir")));
        Server { folder: Some(folder), ..Server::over(Arc::new(store)) }
    }

    /// One for each store that ships.
    pub fn each() -> [Server; 2] {
        [Server::memory(), Server::maildir()]
    }

    pub fn over(store: Arc<dyn MailboxStore>) -> Server {
        Server::with(store, |server| server)
    }

    pub fn with(store: Arc<dyn MailboxStore>, change: impl FnOnce(ImapServer) -> ImapServer) -> Server {
        let mut config = ServerConfig::default();
        config.login_without_tls = true;
        Server::configured(store, config, change)
    }

    /// One that offers COMPRESS.
    pub fn compressing(store: Arc<dyn MailboxStore>) -> Server {
        let mut config = ServerConfig::default();
        (config.login_without_tls, config.extensions.compress) = (true, true);
        Server::configured(store, config, |server| server)
    }

    pub fn configured(
        store: Arc<dyn MailboxStore>,
        config: ServerConfig,
        change: impl FnOnce(ImapServer) -> ImapServer,
    ) -> Server {
        let (clock, log) = (SteppedClock::new(), Log::default());
        let accounts = MemoryAuthenticator::new().with(YOU, "secret").with("me@localhost", "secret");
        let parts = Parts {
            store: Arc::clone(&store),
            authenticator: Arc::new(accounts),
            clock: Arc::new(clock.clone()),
            observer: Arc::new(log.clone()),
            ..Parts::in_memory()
        };
        let server = change(ImapServer::new(config, parts));
        Server { server, store, clock, log, shutdown: Shutdown::new(), folder: None }
    }

    /// The folder that holds the accounts of a Maildir store.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.as_ref().expect("this store has files").path()
    }

    /// A connection over a pipe that holds so many octets each way, and the session's end.
    pub fn connect(&self, pipe: usize, ip: Option<IpAddr>) -> (DuplexStream, JoinHandle<()>) {
        let (here, there) = tokio::io::duplex(pipe);
        let (server, shutdown) = (self.server.clone(), self.shutdown.clone());
        (here, tokio::spawn(async move { server.serve_connection(there, ip, &shutdown).await }))
    }

    /// A client that was greeted.
    pub async fn stranger(&self) -> Client<DuplexStream> {
        let mut client = Client::new(self.connect(1 << 16, None).0);
        assert!(client.line().await.starts_with("* OK [CAPABILITY IMAP4rev1 "));
        client
    }

    /// A client that is logged in.
    pub async fn client(&self) -> Client<DuplexStream> {
        let mut client = self.stranger().await;
        client.ok("LOGIN you@localhost secret").await;
        client
    }

    /// A client that has selected INBOX.
    pub async fn in_inbox(&self) -> Client<DuplexStream> {
        let mut client = self.client().await;
        client.ok("SELECT INBOX").await;
        client
    }

    /// Puts a message into a mailbox, behind the server's back.
    pub async fn add(&self, mailbox: &str, octets: &[u8]) {
        let name = MailboxName::new(mailbox).unwrap();
        let mut append = self.store.append(&Identity::new(YOU), &name, Append::default()).await.unwrap();
        append.write(octets).await.unwrap();
        append.publish().await.unwrap();
    }
}

pub struct Client<S> {
    pub stream: BufReader<S>,
    commands: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S) -> Self {
        Client { stream: BufReader::new(stream), commands: 0 }
    }

    pub async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(octets.as_ref()).await.unwrap();
        self.stream.get_mut().flush().await.unwrap();
    }

    /// The next line, with the literals in it.
    pub async fn octets(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        loop {
            let read = self.stream.read_until(b'\n', &mut line).await.unwrap();
            assert!(read > 0, "the connection was closed behind {}", line.escape_ascii());
            let announced = line.strip_suffix(b"}\r\n").and_then(|line| {
                let at = line.iter().rposition(|&octet| octet == b'{')?;
                std::str::from_utf8(&line[at + 1..]).ok()?.parse::<usize>().ok()
            });
            let Some(octets) = announced else { return line };
            let start = line.len();
            line.resize(start + octets, 0);
            self.stream.read_exact(&mut line[start..]).await.unwrap();
        }
    }

    /// The same, as text.
    pub async fn line(&mut self) -> String {
        String::from_utf8_lossy(&self.octets().await).into_owned()
    }

    /// Everything up to the answer to the command with this tag.
    pub async fn answer(&mut self, tag: &str) -> String {
        let mut all = String::new();
        loop {
            let line = self.line().await;
            all.push_str(&line);
            if line.starts_with(tag) {
                return all;
            }
        }
    }

    /// Sends a command under a new tag, and returns the tag.
    pub async fn begin(&mut self, command: &str) -> String {
        self.commands += 1;
        let tag = format!("t{}", self.commands);
        self.send(format!("{tag} {command}\r\n")).await;
        tag + " "
    }

    /// Sends a command and reads all that comes up to its end, without the tag.
    pub async fn say(&mut self, command: &str) -> String {
        let tag = self.begin(command).await;
        self.answer(&tag).await.replace(&tag, "")
    }

    /// Sends a command that succeeds.
    pub async fn ok(&mut self, command: &str) -> String {
        let answer = self.say(command).await;
        let last = answer.trim_end().lines().last().unwrap_or_default();
        assert!(last.starts_with("OK"), "{command}: {answer}");
        answer
    }

    /// Sends a command that ends so.
    pub async fn fails(&mut self, command: &str, end: &str) -> String {
        let answer = self.say(command).await;
        let last = answer.trim_end().lines().last().unwrap_or_default();
        assert!(last.starts_with(end), "{command}: {answer}");
        answer
    }

    /// Appends a message to a mailbox.
    pub async fn append(&mut self, mailbox: &str, octets: impl AsRef<[u8]>) -> String {
        let octets = octets.as_ref();
        let tag = self.begin(&format!("APPEND {mailbox} {{{}}}", octets.len())).await;
        assert!(self.line().await.starts_with("+ "));
        self.send(octets).await;
        self.send("\r\n").await;
        self.answer(&tag).await.replace(&tag, "")
    }

    /// What still comes until the server closes.
    pub async fn rest(mut self) -> String {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.unwrap();
        String::from_utf8_lossy(&rest).into_owned()
    }
}
