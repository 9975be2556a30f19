//! Logins at other servers: who is told a password.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pillarbox::mailcore::sasl::Mechanism;
use pillarbox::outbound::{Route, SmartHost, TlsMode};
use pillarbox::parts::{Authenticator, BoxFuture, LoginAttempt, LoginOutcome, MemoryAuthenticator};
use pillarbox::smtp::{Credentials, Login, ServerConfig};
use pillarbox_core::address::Domain;
use pillarbox_core::dns::{FixedZone, Record, Validation};
use pillarbox_fs::SimulatedFs;

use crate::cases::{HOUR, JOE, MESSAGE, pass};
use crate::net::{Net, Paused};
use crate::policies::{Certified, Well, certified};
use crate::station::{Station, config, envelope, parts, routes};

/// A relay that wants a login, and counts those who tell it a password.
struct Relay {
    accounts: MemoryAuthenticator,
    told: AtomicUsize,
}

impl Authenticator for Relay {
    fn login<'a>(&'a self, attempt: &'a LoginAttempt) -> BoxFuture<'a, LoginOutcome> {
        self.told.fetch_add(1, Ordering::Relaxed);
        self.accounts.login(attempt)
    }

    fn knows<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Option<bool>> {
        self.accounts.knows(user)
    }
}

/// How often a password was told, and how many messages arrived.
async fn what_comes(
    mode: TlsMode,
    mx: Option<Validation>,
    host: Option<Certified>,
    trusted: Option<&Certified>,
) -> (usize, usize) {
    let relay =
        Arc::new(Relay { accounts: MemoryAuthenticator::new().with("joe", "secret"), told: AtomicUsize::new(0) });
    let mut server = ServerConfig::new("relay.example");
    (server.mechanisms, server.auth_without_tls, server.auth_required) = (vec![Mechanism::Plain], true, true);
    let mut net = Net::new(Paused::new(), Arc::new(Well)).host("192.0.2.3", "relay", server).logins(relay.clone());
    net.tls.extend(host.map(|host| ("relay".to_owned(), host.server)));
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(trusted.map(|trusted| trusted.certificate.clone()));
    let client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let net = Arc::new(net);
    let mut table = routes(&net);
    let mut relay_route = SmartHost::new(Domain::parse("relay.example").unwrap());
    (relay_route.tls, relay_route.mx) = (mode, mx.is_some());
    relay_route.login = Some(Login::new(Credentials::plain("", "joe", "secret")));
    table.set_default(Route::SmartHost(Arc::new(relay_route)));
    let zone = FixedZone::new()
        .with("relay.example", Record::mx(10, "relay.other.example".parse().unwrap()))
        .with("relay.example", Record::A([192, 0, 2, 3].into()))
        .with("relay.other.example", Record::A([192, 0, 2, 3].into()))
        .with_validation(mx.unwrap_or(Validation::NotValidated));
    let with_tls = |diary: &_| {
        let mut parts = parts(&net, zone, diary);
        parts.tls = Some(Arc::new(client));
        parts
    };
    let station = Station::begin(SimulatedFs::new(), 1, config(), with_tls, table);
    station.accept(envelope(Some(JOE), &["ann@far.example"]), MESSAGE).await;
    pass(HOUR).await;
    let lines = station.lines();
    assert!(lines.iter().all(|line| !line.contains("secret") && !line.contains("AUTH")), "{lines:#?}");
    let arrived = net.copies.lock().unwrap().len();
    assert_eq!(station.handle().usage().messages, 1 - arrived);
    (relay.told.load(Ordering::Relaxed), arrived)
}

// CLI-04, CLI-11: a password is told to nobody who has not shown who he is.
#[tokio::test(start_paused = true)]
async fn a_login_is_for_a_host_that_shows_its_name() {
    for mode in [TlsMode::IfOffered, TlsMode::Encrypted, TlsMode::Verified, TlsMode::Published] {
        let (own, other) = (certified("relay.example"), certified("relay.other.example"));
        let copy = |host: &Certified| {
            Some(Certified { server: Arc::clone(&host.server), certificate: host.certificate.clone() })
        };
        assert_eq!(what_comes(mode, None, None, Some(&own)).await, (0, 0), "{mode:?}: no TLS");
        assert_eq!(what_comes(mode, None, copy(&own), None).await, (0, 0), "{mode:?}: a certificate by nobody");
        assert_eq!(what_comes(mode, None, copy(&other), Some(&other)).await, (0, 0), "{mode:?}: another name");
        assert_eq!(what_comes(mode, None, copy(&own), Some(&own)).await, (1, 1), "{mode:?}: its own name");
        // Where MX records lead to another host, with a good certificate for its own name: whoever forged them can have that.
        let forged = Some(Validation::NotValidated);
        assert_eq!(what_comes(mode, forged, copy(&other), Some(&other)).await, (0, 0), "{mode:?}: a forged record");
        let secure = Some(Validation::Validated);
        assert_eq!(what_comes(mode, secure, copy(&other), Some(&other)).await, (1, 1), "{mode:?}: a secure record");
    }
}
