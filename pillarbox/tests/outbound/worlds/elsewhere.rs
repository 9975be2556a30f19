//! What is elsewhere: domains, their servers and what they publish, and the weather.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use pillarbox::mailauth::mta_sts::FetchError;
use pillarbox::outbound::{
    Aliases, FetchedPolicy, Forward, OutboundParts, PolicyFetch, Route, SmartHost, Srs, StsPolicies, TlsMode,
};
use pillarbox::parts::{BoxFuture, MemoryAuthenticator, Parts, Verdict};
use pillarbox::smtp::{Credentials, Login, Protocol, ServerConfig};
use pillarbox_core::Reply;
use pillarbox_core::address::Domain;
use pillarbox_core::dns::{FixedZone, Name, Record, Validation};
use pillarbox_core::sasl::Mechanism;
use pillarbox_smtp::route::RouteTable;

use crate::net::{Die, Fault, Mailboxes, Net, Paused, Script};
use crate::policies::{Certified, certified};
use crate::station::routes;

/// The weather: bad until a moment, and then good.
pub(super) struct Weather {
    pub(super) die: Die,
    pub(super) is_bad: AtomicBool,
    /// Hundredths of connections that meet a fault while it is bad.
    pub(super) faults: u64,
    /// Servers lie.
    pub(super) lies: bool,
}

impl Script for Weather {
    fn fault(&self, host: &str) -> Option<Fault> {
        if host == "dead" {
            return Some(if self.die.below(2) == 0 { Fault::Refuse } else { Fault::Silence });
        }
        if !self.is_bad.load(Ordering::Relaxed) || self.die.below(100) >= self.faults {
            return None;
        }
        let octets = usize::try_from(self.die.below(700)).unwrap();
        Some(match self.die.below(6) {
            0 => Fault::Refuse,
            1 => Fault::Silence,
            2 => Fault::CutAfter(octets),
            3 => Fault::StopAfter(octets),
            4 if self.lies => Fault::LieAfter(octets),
            _ => Fault::Slow(1 + self.die.below(40)),
        })
    }

    fn rcpt(&self, _host: &str, to: &str) -> Verdict {
        if to.starts_with("never") {
            return Verdict::Refuse(Reply::enhanced(550, 5, 1, 1, "no such user"));
        }
        if to.starts_with("later") && self.is_bad.load(Ordering::Relaxed) || to.starts_with("always-later") {
            return Verdict::Refuse(Reply::enhanced(450, 4, 2, 1, "come again"));
        }
        Verdict::Accept
    }

    fn end(&self, _host: &str) -> Option<Reply> {
        let is_bad = self.is_bad.load(Ordering::Relaxed) && self.die.below(8) == 0;
        is_bad.then(|| Reply::enhanced(452, 4, 3, 1, "no room"))
    }

    fn mail(&self, _host: &str) -> Verdict {
        if self.is_bad.load(Ordering::Relaxed) && self.die.below(10) == 0 {
            return Verdict::Hangup(Reply::enhanced(421, 4, 3, 2, "closing"));
        }
        Verdict::Accept
    }
}

/// An address that mail can be for: who gets a copy in the end, and what it may wait as on the way.
pub(super) struct To {
    pub(super) address: &'static str,
    pub(super) ends: &'static [&'static str],
    pub(super) via: &'static [&'static str],
    /// It needs a world with TLS.
    pub(super) is_tls: bool,
}

const fn to(address: &'static str, ends: &'static [&'static str]) -> To {
    To { address, ends, via: &[], is_tls: false }
}

const fn over_tls(address: &'static str, ends: &'static [&'static str]) -> To {
    To { address, ends, via: &[], is_tls: true }
}

const fn through(address: &'static str, ends: &'static [&'static str], via: &'static [&'static str]) -> To {
    To { address, ends, via, is_tls: false }
}

pub(super) const RECIPIENTS: [To; 27] = [
    to("ann@one.example", &["ann@one.example"]),
    to("bob@one.example", &["bob@one.example"]),
    to("never@one.example", &["never@one.example"]),
    to("later@one.example", &["later@one.example"]),
    to("always-later@one.example", &["always-later@one.example"]),
    to("ann@two.example", &["ann@two.example"]),
    to("never@two.example", &["never@two.example"]),
    to("later@two.example", &["later@two.example"]),
    to("eve@dead.example", &["eve@dead.example"]),
    to("eve@no-mail.example", &["eve@no-mail.example"]),
    to("eve@strict.example", &["eve@strict.example"]),
    to("bob@here.example", &["bob@here.example"]),
    // Over LMTP, where each recipient has its own reply at the end.
    to("ann@lmtp.example", &["ann@lmtp.example"]),
    to("never@lmtp.example", &["never@lmtp.example"]),
    to("later@lmtp.example", &["later@lmtp.example"]),
    // By a relay that wants a login.
    to("ann@relayed.example", &["ann@relayed.example"]),
    to("never@relayed.example", &["never@relayed.example"]),
    // Aliases: to several, to one that is refused, in a circle.
    through(
        "team@here.example",
        &["team@here.example", "later-t@one.example", "t@lmtp.example"],
        &["team@here.example"],
    ),
    through(
        "team@here.example",
        &["team@here.example", "later-t@one.example", "t@lmtp.example"],
        &["team@here.example"],
    ),
    through("gone@here.example", &["never-g@two.example"], &["gone@here.example"]),
    through("never-a@here.example", &["never-a@here.example"], &["never-b@here.example"]),
    // Over TLS: by records of DNSSEC and by a policy, each with a host that keeps to it and one that does not.
    over_tls("ann@dane.example", &["ann@dane.example"]),
    over_tls("later@dane.example", &["later@dane.example"]),
    over_tls("eve@false-dane.example", &["eve@false-dane.example"]),
    over_tls("ann@sts.example", &["ann@sts.example"]),
    over_tls("later@sts.example", &["later@sts.example"]),
    over_tls("eve@false-sts.example", &["eve@false-sts.example"]),
];

const ALIASES: &str = "team: \\team, later-t@one.example, t@lmtp.example
gone: never-g@two.example
never-a: never-b
never-b: never-a
";

/// Hosts that nothing goes to in the clear.
pub(super) const SAFE_HOSTS: [&str; 6] = ["strict", "dane", "false-dane", "sts", "false-sts", "tls-relay"];

/// Certificates are made once for all worlds.
struct Certificates {
    dane: Certified,
    false_dane: Certified,
    sts: Certified,
    false_sts: Certified,
    relay: Certified,
}

fn certificates() -> &'static Certificates {
    static ALL: OnceLock<Certificates> = OnceLock::new();
    ALL.get_or_init(|| Certificates {
        dane: certified("somebody.example"),
        false_dane: certified("mx.false-dane.example"),
        sts: certified("mx.sts.example"),
        false_sts: certified("mx.false-sts.example"),
        relay: certified("relay.example"),
    })
}

/// The policies that two domains have, which say that there is TLS or nothing.
struct Web;

impl PolicyFetch for Web {
    fn fetch<'a>(&'a self, domain: &'a Name) -> BoxFuture<'a, Result<FetchedPolicy, FetchError>> {
        let body = format!("version: STSv1\r\nmode: enforce\r\nmx: mx.{domain}\r\nmax_age: 604800\r\n");
        let body = body.into_bytes();
        Box::pin(async { Ok(FetchedPolicy { status: 200, content_type: Some("text/plain".into()), body }) })
    }

    fn load<'a>(&'a self, _domain: &'a Name) -> BoxFuture<'a, Option<Vec<u8>>> {
        Box::pin(async { None })
    }

    fn save<'a>(&'a self, _domain: &'a Name, _text: String) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

pub(super) fn zone(has_tls: bool) -> FixedZone {
    let mx = |preference, host: &str| Record::mx(preference, host.parse().unwrap());
    let a = |last| Record::A([192, 0, 2, last].into());
    let zone = FixedZone::new()
        .with("one.example", mx(10, "a.one.example"))
        .with("one.example", mx(10, "b.one.example"))
        .with("a.one.example", a(1))
        .with("b.one.example", a(2))
        .with("two.example", mx(10, "a.two.example"))
        .with("two.example", mx(20, "b.one.example"))
        .with("a.two.example", a(3))
        .with("dead.example", mx(10, "mx.dead.example"))
        .with("mx.dead.example", a(4))
        .with("no-mail.example", mx(0, "."))
        .with("strict.example", a(5))
        .with("mx.lmtp.example", a(6))
        .with("relay.example", a(if has_tls { 8 } else { 7 }));
    if !has_tls {
        return zone;
    }
    let tlsa = |host: &Certified| Record::Tlsa { usage: 3, selector: 0, matching: 0, data: host.certificate.to_vec() };
    let mut zone = zone
        .with("_25._tcp.mx.dane.example", tlsa(&certificates().dane))
        .with("_25._tcp.mx.false-dane.example", tlsa(&certificates().dane))
        .with("_mta-sts.sts.example", Record::txt("v=STSv1; id=1;"))
        .with("_mta-sts.false-sts.example", Record::txt("v=STSv1; id=1;"));
    for (domain, last) in [("dane", 9), ("false-dane", 10), ("sts", 11), ("false-sts", 12)] {
        let host = format!("mx.{domain}.example");
        zone = zone.with(&format!("{domain}.example"), mx(10, &host)).with(&host, a(last));
    }
    zone.with_validation(Validation::Validated)
}

pub(super) fn net(weather: &Arc<Weather>, has_tls: bool) -> Net {
    let server = |name: &str| ServerConfig::new(name);
    let mut knows_dsn = server("a.one.example");
    (knows_dsn.dsn, knows_dsn.tell_limits, knows_dsn.limits.recipients_max) = (true, true, 2);
    let mut lmtp = server("mx.lmtp.example");
    lmtp.protocol = Protocol::Lmtp;
    let mut relay = server("relay.example");
    (relay.auth_required, relay.auth_without_tls, relay.mechanisms) = (true, true, vec![Mechanism::Plain]);
    let mut tls_relay = relay.clone();
    tls_relay.auth_without_tls = false;
    let mut net = Net::new(Paused::new(), weather.clone())
        .host("192.0.2.1", "a.one", knows_dsn)
        .host("192.0.2.2", "b.one", server("b.one.example"))
        .host("192.0.2.3", "a.two", server("a.two.example"))
        .host("192.0.2.4", "dead", server("mx.dead.example"))
        .host("192.0.2.5", "strict", server("strict.example"))
        .host("192.0.2.6", "lmtp", lmtp)
        .host("192.0.2.7", "relay", relay)
        .host("192.0.2.8", "tls-relay", tls_relay);
    if has_tls {
        let all = certificates();
        let hosts = [("dane", 9, &all.dane), ("false-dane", 10, &all.false_dane), ("sts", 11, &all.sts)];
        for (name, last, certified) in hosts.into_iter().chain([("false-sts", 12, &all.false_sts)]) {
            net = net.host(&format!("192.0.2.{last}"), name, server(&format!("mx.{name}.example")));
            net.tls.insert(name.into(), Arc::clone(&certified.server));
        }
        net.tls.insert("tls-relay".into(), Arc::clone(&all.relay.server));
    }
    let authenticator = Arc::new(MemoryAuthenticator::new().with("joe", "secret"));
    net.base = Parts { authenticator, ..net.base };
    net
}

pub(super) fn table(net: &Net, has_tls: bool) -> RouteTable<Route> {
    let mut routes = routes(net);
    let host = |name: &str| SmartHost::new(Domain::parse(name).unwrap().into_owned());
    let mut add =
        |domain: &str, host: SmartHost| routes.by_recipient(domain, Route::SmartHost(Arc::new(host))).unwrap();
    let mut strict = host("strict.example");
    strict.tls = TlsMode::Encrypted;
    add("strict.example", strict);
    add("lmtp.example", SmartHost::lmtp(Domain::parse("mx.lmtp.example").unwrap()));
    let mut relay = host("relay.example");
    let mut login = Login::new(Credentials::plain("", "joe", "secret"));
    login.policy.clear_text_without_tls = !has_tls;
    relay.login = Some(login);
    relay.tls = if has_tls { TlsMode::Verified } else { TlsMode::Never };
    add("relayed.example", relay);
    let mailboxes = Arc::new(Mailboxes(net.copies.clone(), net.now.clone()));
    let srs = Srs::new("srs.here.example", ["secret"]).unwrap().own_domain("here.example").unwrap();
    let forward = Forward::new(Aliases::parse(ALIASES, "here.example").unwrap(), Some(srs)).mailboxes(mailboxes);
    Arc::new(forward).add_to(&mut routes).unwrap();
    routes
}

/// Whose certificates count, and what domains publish on the web.
pub(super) fn with_tls(mut parts: OutboundParts) -> OutboundParts {
    let mut trusted = rustls::RootCertStore::empty();
    for host in [&certificates().sts, &certificates().relay] {
        trusted.add(host.certificate.clone()).unwrap();
    }
    let client = rustls::ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    parts.tls = Some(Arc::new(client));
    parts.policies = Some(Arc::new(StsPolicies::new(Arc::new(Web))));
    parts
}
