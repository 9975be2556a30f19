//! One request by HTTPS to a host that a stranger has named.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use pillarbox_auth::mta_sts::{FetchError, is_public};
use pillarbox_core::dns::{DnsOutcome, Name, Question, QuestionId, Record, RecordKind};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::race::Pace;
use super::{Connect, Endpoint, FetchedPolicy, OutboundParts};
use crate::net::Transport;
use crate::parts::{Clock, Resolver};

/// How long a request may take as a whole (RFC 8461 §3.3).
const TIME_MAX: Duration = Duration::from_secs(60);
/// How long one address may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// RFC 8305 §5
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 6;
/// Octets of the header of an answer.
const HEADER_MAX: usize = 32 * 1024;

/// Who makes requests, and to whom.
#[derive(Clone)]
pub(super) struct Https {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) connect: Arc<dyn Connect>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) port: u16,
    /// Addresses that are not public are connected to as well.
    pub(super) any_address: bool,
}

/// What is asked.
pub(super) struct Ask<'a> {
    pub(super) host: &'a Name,
    pub(super) port: u16,
    /// The path, and what follows it.
    pub(super) path: &'a str,
    /// A media type with content that is sent; without it something is fetched.
    pub(super) content: Option<(&'a str, Vec<u8>)>,
    /// Octets of the answer that count. One more is read, to tell that it is too long.
    pub(super) size_max: usize,
}

impl Https {
    /// Requests to hosts on port 443 that have certificates which `tls` trusts.
    pub(super) fn new(parts: &OutboundParts, tls: Arc<rustls::ClientConfig>) -> Self {
        Https {
            resolver: Arc::clone(&parts.resolver),
            connect: Arc::clone(&parts.connect),
            clock: Arc::clone(&parts.clock),
            tls,
            port: 443,
            any_address: false,
        }
    }

    /// Makes one request. No redirect is followed: it is an answer like others.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<FetchedPolicy, FetchError> {
        let deadline = self.clock.now() + TIME_MAX;
        tokio::select! {
            biased;
            answer = self.ask_unhurried(ask) => answer,
            () = self.clock.sleep_until(deadline) => Err(FetchError::TooSlow),
        }
    }

    async fn ask_unhurried(&self, ask: Ask<'_>) -> Result<FetchedPolicy, FetchError> {
        let request = self.request(&ask)?;
        let stream = self.connected(&ask).await?;
        let handshake = http1::Builder::new().max_buf_size(HEADER_MAX).handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(|_| FetchError::Unreachable)?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(|_| FetchError::Unreachable)?;
            read(answer, ask.size_max).await
        };
        let (mut exchange, connection) = (pin!(exchange), pin!(connection));
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            // What the connection has read is still there.
            _ = connection => exchange.await,
        }
    }

    fn request(&self, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, FetchError> {
        let host = match ask.port {
            443 => ask.host.to_string(),
            port => format!("{}:{port}", ask.host),
        };
        let builder = Request::builder().uri(ask.path).header(HOST, host);
        let request = match &ask.content {
            Some((media_type, content)) => {
                builder.method("POST").header(CONTENT_TYPE, *media_type).body(Full::from(content.clone()))
            }
            None => builder.method("GET").body(Full::default()),
        };
        request.map_err(|_| FetchError::NoAddress)
    }

    /// A connection with somebody who has shown a certificate for the host.
    async fn connected(&self, ask: &Ask<'_>) -> Result<TlsStream<Box<dyn Transport>>, FetchError> {
        let name = rustls::pki_types::ServerName::try_from(ask.host.to_string()).map_err(|_| FetchError::NoAddress)?;
        let addresses = self.addresses(ask.host).await?;
        let pace =
            Pace { connect: &*self.connect, clock: &*self.clock, delay: ATTEMPT_DELAY, timeout: CONNECT_TIMEOUT };
        let host = ask.host.to_string();
        let endpoint = |ip| Endpoint::Tcp { host: host.clone(), address: SocketAddr::new(ip, ask.port) };
        let mut endpoints = addresses.into_iter().map(endpoint).collect::<Vec<_>>().into_iter();
        let (_, connected) = pace.race(&mut endpoints).await.winner.ok_or(FetchError::Unreachable)?;
        let handshake = TlsConnector::from(Arc::clone(&self.tls)).connect(name, connected.transport);
        handshake.await.map_err(|error| match is_about_tls(&error) {
            true => FetchError::Certificate,
            false => FetchError::Unreachable,
        })
    }

    /// The addresses of a host that may be connected to, IPv6 and IPv4 in turn.
    async fn addresses(&self, host: &Name) -> Result<Vec<IpAddr>, FetchError> {
        let ask = |id, kind| Question::new(QuestionId(id), host.clone(), kind);
        let (six, four) = (ask(0, RecordKind::Aaaa), ask(1, RecordKind::A));
        let (six, four) = tokio::join!(self.resolver.resolve(&six), self.resolver.resolve(&four));
        let has_address = |outcome: &DnsOutcome| matches!(outcome, DnsOutcome::Found(_));
        if !has_address(&six.outcome) && !has_address(&four.outcome) {
            return Err(FetchError::NoAddress);
        }
        let address = |record: &Record| match record {
            Record::A(ip) => Some(IpAddr::from(*ip)),
            Record::Aaaa(ip) => Some(IpAddr::from(*ip).to_canonical()),
            _ => None,
        };
        // A stranger must not make us ask our own machines for anything.
        let allowed = |ip: &IpAddr| self.any_address || is_public(*ip);
        let mut six = six.records().filter_map(address).filter(allowed).fuse();
        let mut four = four.records().filter_map(address).filter(allowed).fuse();
        let mut addresses = Vec::new();
        while addresses.len() < ADDRESSES_MAX {
            let turn = [six.next(), four.next()];
            if turn == [None, None] {
                break;
            }
            addresses.extend(turn.into_iter().flatten());
        }
        if addresses.is_empty() { Err(FetchError::ForbiddenAddress) } else { Ok(addresses) }
    }
}

async fn read(answer: Response<hyper::body::Incoming>, size_max: usize) -> Result<FetchedPolicy, FetchError> {
    let status = answer.status().as_u16();
    let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (mut body, mut octets) = (answer.into_body(), Vec::new());
    // Of an answer that does not count the content does not either.
    while status == 200 && octets.len() <= size_max {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|_| FetchError::Unreachable)?;
        if let Some(data) = frame.data_ref() {
            let room = (size_max + 1).saturating_sub(octets.len());
            octets.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(FetchedPolicy { status, content_type, body: octets })
}

fn is_about_tls(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>() || inner.source().is_some_and(|it| it.is::<rustls::Error>()))
}
