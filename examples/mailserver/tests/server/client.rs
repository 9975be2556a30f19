//! The least of a mail client: lines over TCP, TLS or a unix socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use base64::Engine;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::process::PATIENCE;

pub trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

pub struct Client {
    stream: BufReader<Box<dyn Stream>>,
}

pub fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

pub fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

impl Client {
    pub fn new(stream: impl Stream + 'static) -> Self {
        Client { stream: BufReader::new(Box::new(stream)) }
    }

    /// Over TCP; the address of a unix socket begins with `unix:`.
    pub fn to(address: &str) -> Self {
        match address.strip_prefix("unix:") {
            Some(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Client::new(stream)
            }
            None => Client::new(connect(address)),
        }
    }

    pub fn over_tls(address: &str) -> Self {
        Client::new(tls(connect(address), &[]))
    }

    /// A connection whose client has said STARTTLS already.
    pub fn after_starttls(stream: TcpStream) -> Self {
        Client::new(tls(stream, &[]))
    }

    pub fn send(&mut self, line: &str) {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.stream.get_mut().flush().unwrap();
    }

    /// The next line without its end; empty at the end of the stream.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// An SMTP reply with all its lines.
    pub fn reply(&mut self) -> String {
        let mut reply = self.line();
        while reply.lines().last().and_then(|line| line.as_bytes().get(3)) == Some(&b'-') {
            reply = format!("{reply}\n{}", self.line());
        }
        reply
    }

    /// Sends a line and gives the reply.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.reply()
    }

    /// Sends a line and wants a reply that begins so.
    #[track_caller]
    pub fn expect(&mut self, line: &str, start: &str) {
        let reply = self.ask(line);
        assert!(reply.starts_with(start), "{line:?} was answered with {reply:?} instead of {start}");
    }

    /// Sends an IMAP command and gives all that comes, up to the tagged response.
    pub fn command(&mut self, tag: &str, command: &str) -> String {
        self.send(&format!("{tag} {command}"));
        let mut told = String::new();
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the end came after {told:?}");
            told.push_str(&line);
            if line.starts_with(&format!("{tag} ")) {
                return told;
            }
            told.push('\n');
        }
    }

    /// All that still comes until the connection ends. That it ends with a reset is an end as well.
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection stays open"),
            _ => String::from_utf8_lossy(&rest).into_owned(),
        }
    }

    /// Greeting and EHLO.
    pub fn hello(&mut self) -> String {
        assert!(self.reply().starts_with("220 "));
        self.ask("EHLO client.example")
    }

    /// Sends one message; gives the reply to its end.
    pub fn message(&mut self, from: &str, to: &str, body: &str) -> String {
        self.expect(&format!("MAIL FROM:<{from}>"), "250 ");
        self.expect(&format!("RCPT TO:<{to}>"), "250 ");
        self.expect("DATA", "354 ");
        self.ask(&format!("Subject: test\r\n\r\n{body}\r\n."))
    }
}

/// TLS on a connection, offering these protocols.
pub fn tls(stream: TcpStream, alpn: &[&str]) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(trusting_config(alpn), name).unwrap(), stream)
}

/// A client that offers these protocols and trusts everybody.
pub fn trusting_config(alpn: &[&str]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustEverybody))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

#[derive(Debug)]
struct TrustEverybody;

impl ServerCertVerifier for TrustEverybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
