//! What `mail-auth` needs to answer its own questions: it asks a resolver through caches, and these are caches that know all.

use std::borrow::Borrow;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use mail_auth::common::cache::NoCache;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::{DnsError, DnssecStatus, Error, MX, MessageAuthenticator, Parameters, RecordSet, ResolverCache, Txt};

/// What the DNS says; addresses are shared, as ours are. Both sides find their answers in a short list, so that neither pays for
/// a table.
pub struct Zone {
    parsed: Texts,
    texts: TextCache,
    addresses: Addresses,
}

/// When texts are parsed.
#[derive(Clone, Copy)]
pub enum Texts {
    /// Each time they are asked for, as ours are.
    ParsedEachTime,
    /// When they come from the DNS, as a cache of the peer holds them.
    ParsedOnce,
}

#[derive(Default)]
pub struct TextCache(Vec<(Box<str>, Text)>);

enum Text {
    Raw(&'static str),
    Parsed(Txt),
}

#[derive(Default)]
pub struct Addresses(Vec<(Box<str>, RecordSet<Ipv4Addr>)>);

fn find<'a, Q, V>(list: &'a [(Box<str>, V)], name: &Q) -> Option<&'a V>
where
    Box<str>: Borrow<Q>,
    Q: Eq + ?Sized,
{
    list.iter().find(|(key, _)| Borrow::<Q>::borrow(key) == name).map(|(_, value)| value)
}

pub type Asking<'x, P> = Parameters<
    'x,
    P,
    TextCache,
    NoCache<Box<str>, RecordSet<MX>>,
    Addresses,
    NoCache<Box<str>, RecordSet<Ipv6Addr>>,
    NoCache<IpAddr, RecordSet<Box<str>>>,
>;

impl Zone {
    pub fn new(parsed: Texts) -> Self {
        Zone { parsed, texts: TextCache::default(), addresses: Addresses::default() }
    }

    pub fn with_text(mut self, name: &str, text: &'static str) -> Self {
        let text = match self.parsed {
            Texts::ParsedEachTime => Text::Raw(text),
            Texts::ParsedOnce => Text::Parsed(parse(text)),
        };
        self.texts.0.push((format!("{name}.").into(), text));
        self
    }

    pub fn with_address(mut self, name: &str, ip: Ipv4Addr) -> Self {
        let set = RecordSet { rrset: Arc::from([ip]), dnssec_status: DnssecStatus::Indeterminate };
        self.addresses.0.push((format!("{name}.").into(), set));
        self
    }

    pub fn ask<P>(&self, about: P) -> Asking<'_, P> {
        Parameters::new(about).with_txt_cache(&self.texts).with_ipv4_cache(&self.addresses)
    }
}

impl ResolverCache<Box<str>, Txt> for TextCache {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        // What is not there does not exist: nothing is asked of the network.
        let Some(text) = find(&self.0, name) else {
            let missing = DnsError::RecordNotFound(ResponseCode::NXDomain);
            return Some(Txt::Error(Error::Dns(missing)));
        };
        Some(match text {
            Text::Raw(text) => parse(text),
            Text::Parsed(parsed) => parsed.clone(),
        })
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

impl ResolverCache<Box<str>, RecordSet<Ipv4Addr>> for Addresses {
    fn get<Q>(&self, name: &Q) -> Option<RecordSet<Ipv4Addr>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        find(&self.0, name).cloned()
    }

    fn remove<Q>(&self, _: &Q) -> Option<RecordSet<Ipv4Addr>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: RecordSet<Ipv4Addr>, _: Instant) {}
}

fn parse(text: &str) -> Txt {
    fn shared<T: TxtRecordParser>(text: &str) -> Arc<T> {
        Arc::new(T::parse(text.as_bytes()).expect("the record is right"))
    }
    match text.as_bytes() {
        [b'v', b'=', b's', b'p', b'f', ..] => Txt::Spf(shared(text)),
        [b'v', b'=', b'D', b'M', ..] => Txt::Dmarc(shared(text)),
        _ => Txt::DomainKey(shared(text)),
    }
}

pub fn authenticator() -> MessageAuthenticator {
    let config = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
    MessageAuthenticator::new(config, ResolverOpts::default()).expect("it reads no file")
}

/// The result of a future that waits for nothing.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("all answers are there"),
    }
}
