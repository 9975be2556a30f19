//! The ways that a message can take.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pillarbox_core::address::{Address, Domain, ForwardPath, ReversePath};
use pillarbox_smtp::client::Login;
use pillarbox_smtp::route::RouteTable;

use super::Forward;
use crate::parts::MessageSink;

/// Which way the mail for a recipient takes.
#[derive(Clone)]
#[non_exhaustive]
pub enum Route {
    /// To the mail exchangers of its domain, as the DNS tells them. The same as having no route in the table.
    Mx,
    /// To a host that knows more.
    SmartHost(Arc<SmartHost>),
    /// To a server of LMTP on this socket in the file system.
    LmtpSocket(PathBuf),
    /// Into a sink here: mailboxes.
    Sink(Arc<dyn MessageSink>),
    /// To other addresses.
    Forward(Arc<Forward>),
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key_of(None))
    }
}

/// A host that takes all mail that is routed to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SmartHost {
    /// Its name, or its address in brackets.
    pub host: Domain<'static>,
    /// Its address, where the DNS is not to be asked for it. `host` is then the name that it is to show in TLS.
    pub address: Option<IpAddr>,
    /// The port: 587 by default for a relay, 24 for LMTP.
    pub port: u16,
    /// The name is a domain whose mail exchangers are meant. Where its MX records are not validated, a certificate that `tls` asks
    /// for is one for the domain itself or for a host in it, and nobody logs in.
    pub mx: bool,
    /// What is done about TLS.
    pub tls: TlsMode,
    /// Who logs in, if somebody does. A login is told to a host that has shown a certificate for its name, and to no other,
    /// unless `tls` says that there is none to show.
    pub login: Option<Login>,
    /// Who logs in, where that may change while the queue works; with it, `login` does not count.
    pub shared_login: Option<SharedLogin>,
    /// It speaks LMTP, and says of each recipient whether it has the message.
    pub is_lmtp: bool,
}

impl SmartHost {
    /// A relay on the port of submission, with TLS and a certificate for its name.
    pub const fn new(host: Domain<'static>) -> Self {
        SmartHost {
            host,
            address: None,
            port: 587,
            mx: false,
            tls: TlsMode::Verified,
            login: None,
            shared_login: None,
            is_lmtp: false,
        }
    }

    /// A server of LMTP on port 24, without TLS.
    pub fn lmtp(host: Domain<'static>) -> Self {
        SmartHost { port: 24, tls: TlsMode::Never, is_lmtp: true, ..SmartHost::new(host) }
    }
}

impl SmartHost {
    /// Who logs in at the next session.
    pub(super) fn current_login(&self) -> Option<Login> {
        self.shared_login.as_ref().map(SharedLogin::current).or_else(|| self.login.clone())
    }
}

/// A login that may change while the queue works: a password that was renewed. Clones share it.
///
/// ```
/// use pillarbox::outbound::{SharedLogin, SmartHost};
/// use pillarbox::mailcore::address::Domain;
/// use pillarbox::smtp::{Credentials, Login};
///
/// let login = SharedLogin::new(Login::new(Credentials::plain("", "joe", "old")));
/// let mut relay = SmartHost::new(Domain::parse("smtp.example.net")?.into_owned());
/// relay.shared_login = Some(login.clone());
/// login.set(Login::new(Credentials::plain("", "joe", "new"))); // the next session logs in with it
/// # Ok::<(), pillarbox::mailcore::address::AddressError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedLogin(Arc<Mutex<Login>>);

impl SharedLogin {
    /// A login that others may be put in the place of.
    pub fn new(login: Login) -> Self {
        SharedLogin(Arc::new(Mutex::new(login)))
    }

    /// Puts another in its place. Sessions that have begun go on.
    pub fn set(&self, login: Login) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = login;
    }

    fn current(&self) -> Login {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is done about TLS towards a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsMode {
    /// What its domain has published (DANE, MTA-STS); without that, if it is offered, whoever the host is.
    #[default]
    Published,
    /// None.
    Never,
    /// If it is offered, whoever the host is.
    IfOffered,
    /// Always, whoever the host is.
    Encrypted,
    /// Always, and with a certificate for its name.
    Verified,
    /// The same, from the first octet (RFC 8314 §3).
    Implicit,
}

impl TlsMode {
    /// Whether a message may go in clear text.
    pub const fn allows_plain(self) -> bool {
        matches!(self, TlsMode::Published | TlsMode::Never | TlsMode::IfOffered)
    }
}

impl Route {
    /// What is shared with others that go the same way: the name of the destination in the schedule. `domain` is the
    /// recipient's, in A-labels.
    pub(super) fn key_of(&self, domain: Option<&str>) -> String {
        match self {
            Route::Mx => domain.map_or_else(|| "mx".into(), str::to_ascii_lowercase),
            Route::SmartHost(host) => {
                let scheme = if host.is_lmtp { "lmtp" } else { "smtp" };
                format!("{scheme}://{}:{}", host.host.as_str().to_ascii_lowercase(), host.port)
            }
            Route::LmtpSocket(path) => format!("lmtp:{}", path.display()),
            // With a colon, which no domain has.
            Route::Sink(_) => "local:".into(),
            Route::Forward(_) => "forward:".into(),
        }
    }

    /// Tells apart routes that have the same key.
    pub(super) fn identity(&self) -> usize {
        match self {
            Route::Mx | Route::LmtpSocket(_) => 0,
            Route::SmartHost(host) => Arc::as_ptr(host).addr(),
            Route::Sink(sink) => Arc::as_ptr(sink).cast::<()>().addr(),
            Route::Forward(forward) => Arc::as_ptr(forward).addr(),
        }
    }
}

/// The route of a recipient. `own` stands for the domain that `<Postmaster>` has not.
pub(super) fn route_of(
    table: &RouteTable<Route>,
    from: &ReversePath<'_>,
    to: &ForwardPath<'static>,
    own: &Domain<'static>,
) -> (Route, Domain<'static>) {
    let address = match to {
        ForwardPath::Address(address) => Some(address.clone()),
        ForwardPath::Postmaster => Address::parse(&format!("postmaster@{own}")).ok().map(Address::into_owned),
    };
    let Some(address) = address else { return (Route::Mx, own.clone()) };
    let route = table.route(from.address(), &address).cloned().unwrap_or(Route::Mx);
    (route, ascii_domain(address.domain()))
}

/// The domain in A-labels, with which the DNS is asked (RFC 6531 §3.7.4.1); as it is, if it has none.
fn ascii_domain(domain: &Domain<'_>) -> Domain<'static> {
    let own = || domain.clone().into_owned();
    let Some(name) = domain.name().filter(|name| !name.is_ascii()) else { return own() };
    match pillarbox_auth::idn::to_ascii(name) {
        Ok(label) => Domain::parse(&label).map_or_else(|_| own(), Domain::into_owned),
        Err(_) => own(),
    }
}
