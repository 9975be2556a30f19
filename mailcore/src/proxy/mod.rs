//! The PROXY protocol, versions 1 and 2: what a load balancer says of its client before the first octet of that client.
//!
//! The header makes anybody who may send it anybody it likes. So it is read only on listeners that are configured for it, only
//! from addresses that are trusted, once, first, and within a deadline; and where anything about it is wrong the connection is
//! closed without a word, because nobody knows who would read it.
//!
//! ```
//! use pillarbox_core::Time;
//! use pillarbox_core::proxy::{ProxyReader, ProxyStep};
//!
//! let mut reader = ProxyReader::new(Time::ZERO);
//! let mut unread = &b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\nEHLO client.example\r\n"[..];
//! let ProxyStep::Header(header) = reader.poll(&mut unread) else { panic!() };
//! assert_eq!(header.source, Some("192.0.2.7:4711".parse().unwrap()));
//! assert_eq!(unread, b"EHLO client.example\r\n");
//! ```
//!
//! There is no RFC; this follows the specification that comes with HAProxy (`proxy-protocol.txt`). Of the extra fields of
//! version 2 the checksum is verified where there is one, those that [`ProxyHeader`] has are read, and all others are passed
//! over. What the header says of TLS is the proxy's word about its own connection: whether that counts as TLS for a session
//! is for the embedder to decide.

mod v1;
mod v2;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use crate::Time;

/// How long the header may take to arrive. A proxy sends it at once.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(3);
/// Octets of a header of version 1, with its CRLF: as many as the longest addresses need.
pub const V1_MAX: usize = 107;
/// Octets of a header of version 2: as many as the specification asks every receiver to take in one piece.
pub const V2_MAX: usize = 536;

/// What a proxy says of its client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyHeader {
    /// Where the client is. `None`: the proxy speaks for itself (`LOCAL`, a check of our health), or cannot tell (`UNKNOWN`, a
    /// unix socket): the addresses of the socket hold.
    pub source: Option<SocketAddr>,
    /// Where the client connected to.
    pub destination: Option<SocketAddr>,
    /// The application protocol that the client and the proxy agreed on under TLS.
    pub alpn: Option<Vec<u8>>,
    /// The host name that the client asked for; printable ASCII.
    pub authority: Option<String>,
    /// TLS between the client and the proxy.
    pub tls: Option<ProxyTls>,
}

/// What a proxy says of TLS between its client and itself. Texts are printable ASCII.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyTls {
    /// The client showed a certificate, in this connection or in the one that it resumed.
    pub client_certificate: bool,
    /// It showed one, and the proxy could verify it.
    pub client_verified: bool,
    /// The version of TLS.
    pub version: Option<String>,
    /// The cipher suite.
    pub cipher: Option<String>,
    /// The common name in the certificate of the client.
    pub common_name: Option<String>,
}

/// What is wrong with a header; the connection is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// It is no header: a client came past the proxy, or the listener should not wait for one.
    #[error("the connection does not begin with a PROXY header")]
    NoHeader,
    /// It is longer than its version allows.
    #[error("the PROXY header is too long")]
    TooLong,
    /// It does not fit the grammar of its version.
    #[error("the PROXY header is malformed")]
    Malformed,
    /// A version, command or family that a stream cannot have.
    #[error("the PROXY header is of a kind that is not known")]
    Unsupported,
    /// The checksum is not that of the header.
    #[error("the checksum of the PROXY header is wrong")]
    Checksum,
    /// It took too long.
    #[error("the PROXY header did not come in time")]
    Timeout,
    /// The connection ended before the header did.
    #[error("the connection ended within the PROXY header")]
    EndOfInput,
}

/// What [`ProxyReader::poll`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyStep {
    /// The header is not complete.
    NeedInput,
    /// This is it; it was taken off the input, and nothing else was.
    Header(ProxyHeader),
    /// Close without a word.
    Failed(ProxyError),
}

/// Reads the header in front of a session: the first machine of a connection behind a proxy.
#[derive(Debug)]
pub struct ProxyReader {
    deadline: Time,
    failed: Option<ProxyError>,
}

impl ProxyReader {
    /// A reader for a connection that was accepted now.
    pub fn new(now: Time) -> Self {
        ProxyReader { deadline: now + HEADER_TIMEOUT, failed: None }
    }

    /// Looks for the header at the front of the unread octets. While it is not complete nothing is used, and all octets are
    /// to be shown again with more behind them; [`V2_MAX`] are enough.
    pub fn poll(&mut self, input: &mut &[u8]) -> ProxyStep {
        match parse(input) {
            Ok(Some((header, len))) if self.failed.is_none() => {
                *input = &input[len..];
                ProxyStep::Header(header)
            }
            Ok(_) => self.failed.map_or(ProxyStep::NeedInput, ProxyStep::Failed),
            Err(error) => ProxyStep::Failed(*self.failed.get_or_insert(error)),
        }
    }

    /// When [`handle_timeout`](ProxyReader::handle_timeout) wants to be called.
    pub const fn deadline(&self) -> Time {
        self.deadline
    }

    /// The time of [`deadline`](ProxyReader::deadline) has come.
    pub fn handle_timeout(&mut self, now: Time) {
        if now >= self.deadline {
            self.failed.get_or_insert(ProxyError::Timeout);
        }
    }

    /// No more octets come.
    pub fn handle_eof(&mut self) {
        self.failed.get_or_insert(ProxyError::EndOfInput);
    }
}

/// Reads a header at the front of these octets, and says how many it took; `None` if more are needed.
///
/// # Errors
///
/// [`ProxyError`], as soon as no more octets could make it right.
pub fn parse(octets: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyError> {
    let begins = |signature: &[u8]| octets.iter().zip(signature).all(|(octet, expected)| octet == expected);
    if begins(v1::SIGNATURE) {
        v1::parse(octets)
    } else if begins(v2::SIGNATURE) {
        v2::parse(octets)
    } else {
        Err(ProxyError::NoHeader)
    }
}

#[cfg(test)]
mod tests;
