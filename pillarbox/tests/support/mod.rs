//! A server on loopback and a client that talks to it line by line.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part of this one")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use pillarbox::Shutdown;
use pillarbox::parts::Observer;
use pillarbox::smtp::SmtpServer;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server that runs.
pub struct Running {
    pub address: SocketAddr,
    pub shutdown: Shutdown,
    pub ended: JoinHandle<()>,
}

/// Runs a server on a port of loopback.
pub async fn start(server: SmtpServer) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let ended = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { server.serve(listener, &shutdown).await }
    });
    Running { address, shutdown, ended }
}

impl Running {
    /// Connects and reads the greeting.
    pub async fn client(&self) -> Client<TcpStream> {
        let mut client = self.silent_client().await;
        client.expect("220 ").await;
        client
    }

    /// Connects and reads nothing.
    pub async fn silent_client(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// Stops the server and waits for its end.
    pub async fn stop(self) {
        self.shutdown.begin();
        self.ended.await.unwrap();
    }
}

pub struct Client<S> {
    pub stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S) -> Self {
        Client { stream: BufReader::new(stream) }
    }

    /// Sends octets as they are.
    pub async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(octets.as_ref()).await.unwrap();
        self.stream.get_mut().flush().await.unwrap();
    }

    /// Reads one reply, all its lines.
    pub async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            let octets = self.stream.read_line(&mut reply).await.unwrap();
            assert!(octets > 0, "the connection was closed behind {reply:?}");
            if reply.as_bytes().get(start + 3) != Some(&b'-') {
                return reply;
            }
        }
    }

    /// Reads a reply that begins so.
    pub async fn expect(&mut self, start: &str) -> String {
        let reply = self.reply().await;
        assert!(reply.starts_with(start), "expected {start:?}, got {reply:?}");
        reply
    }

    /// Sends a line and reads a reply that begins so.
    pub async fn say(&mut self, line: &str, reply: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.expect(reply).await
    }

    /// Nothing more comes. Closes our side too, which a server waits for a while.
    pub async fn expect_end(mut self) {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = self.stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "more came: {}", String::from_utf8_lossy(&rest));
    }

    /// A transaction up to 354.
    pub async fn up_to_data(&mut self, recipient: &str) {
        self.say("EHLO client.example", "250-").await;
        self.say("MAIL FROM:<sender@client.example>", "250 ").await;
        self.say(&format!("RCPT TO:<{recipient}>"), "250 ").await;
        self.say("DATA", "354 ").await;
    }
}

/// Writes down what an observer hears.
#[derive(Clone, Default)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Log {
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    fn add(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }
}

impl Observer for Log {
    fn connected(&self, _: u64, service: &'static str, ip: Option<std::net::IpAddr>) {
        self.add(format!("connected {service} {ip:?}"));
    }
    fn talked_early(&self, _: u64, octets: &[u8]) {
        self.add(format!("talked early {}", octets.escape_ascii()));
    }
    fn disconnected(&self, _: u64, reason: &str) {
        self.add(format!("disconnected {reason}"));
    }
    fn wants_lines(&self) -> bool {
        true
    }
    fn line(&self, _: u64, direction: pillarbox::parts::Direction, line: &[u8]) {
        self.add(format!("{direction:?} {}", String::from_utf8_lossy(line)));
    }
    fn logged_in(&self, _: u64, user: &str) {
        self.add(format!("logged in {user}"));
    }
    fn login_refused(&self, _: u64, _: Option<std::net::IpAddr>, user: &str) {
        self.add(format!("login refused {user}"));
    }
    fn delivered(&self, _: u64, _: &str, from: &str, to: &str, size: u64) {
        self.add(format!("delivered {from} {to} {size}"));
    }
    fn refused(&self, _: u64, what: &str, reply: &str) {
        self.add(format!("refused {what}: {reply}"));
    }
    fn failed(&self, _: u64, what: &str, cause: &dyn std::fmt::Display) {
        self.add(format!("failed {what}: {cause}"));
    }
}
