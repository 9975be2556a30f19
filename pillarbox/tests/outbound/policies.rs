//! What domains publish about TLS, and what comes of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pillarbox::mailauth::mta_sts::FetchError;
use pillarbox::outbound::{FetchedPolicy, PolicyFetch, Route, SmartHost, StsPolicies, TlsMode};
use pillarbox::parts::{BoxFuture, Outcome, Verdict};
use pillarbox::smtp::ServerConfig;
use pillarbox_core::Reply;
use pillarbox_core::address::Domain;
use pillarbox_core::dns::{FixedZone, Name, Record, Validation};
use pillarbox_fs::SimulatedFs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::net::{Fault, Net, Paused, Script};
use crate::station::{Station, config, envelope, parts, routes};

const HOST: &str = "mx.far.example";
const HOUR: Duration = Duration::from_secs(3600);

/// All is well.
pub(crate) struct Well;

impl Script for Well {
    fn fault(&self, _host: &str) -> Option<Fault> {
        None
    }

    fn rcpt(&self, _host: &str, _to: &str) -> Verdict {
        Verdict::Accept
    }

    fn end(&self, _host: &str) -> Option<Reply> {
        None
    }
}

/// A host with a certificate for a name.
pub(crate) struct Certified {
    pub(crate) server: Arc<rustls::ServerConfig>,
    pub(crate) certificate: CertificateDer<'static>,
}

pub(crate) fn certified(name: &str) -> Certified {
    certified_until(name, 4000)
}

/// The same until a year begins.
pub(crate) fn certified_until(name: &str, year: i32) -> Certified {
    let mut params = rcgen::CertificateParams::new(vec![name.into()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = CertificateDer::from(params.self_signed(&key).unwrap());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let server = rustls::ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![certificate.clone()], key).unwrap();
    Certified { server: Arc::new(server), certificate }
}

/// Policies as a web server has them.
#[derive(Default)]
struct Web {
    policy: Mutex<Option<&'static str>>,
    kept: Mutex<Option<String>>,
    fetches: Mutex<usize>,
}

impl PolicyFetch for Web {
    fn fetch<'a>(&'a self, _domain: &'a Name) -> BoxFuture<'a, Result<FetchedPolicy, FetchError>> {
        *self.fetches.lock().unwrap() += 1;
        let policy = *self.policy.lock().unwrap();
        let fetched = policy.ok_or(FetchError::Unreachable).map(|policy| FetchedPolicy {
            status: 200,
            content_type: Some("text/plain".into()),
            body: policy.as_bytes().to_vec(),
        });
        Box::pin(async move { fetched })
    }

    fn load<'a>(&'a self, _domain: &'a Name) -> BoxFuture<'a, Option<Vec<u8>>> {
        let kept = self.kept.lock().unwrap().clone();
        Box::pin(async move { kept.map(String::into_bytes) })
    }

    fn save<'a>(&'a self, _domain: &'a Name, text: String) -> BoxFuture<'a, ()> {
        *self.kept.lock().unwrap() = Some(text);
        Box::pin(async {})
    }
}

/// What is there.
#[derive(Default)]
struct Setting {
    host: Option<Certified>,
    /// The host's certificate is trusted.
    is_trusted: bool,
    tlsa: Option<Record>,
    is_validated: bool,
    fails: Option<&'static str>,
    web: Option<Arc<Web>>,
    require_tls: bool,
    /// The domain's exchanger, in place of [`HOST`].
    mx: Option<&'static str>,
    /// The exchangers are set by hand, with this.
    route: Option<TlsMode>,
    message: Option<&'static [u8]>,
}

/// What came of a message: how many copies are there, how many of them came over TLS, and what waits.
async fn what_comes(setting: Setting) -> (usize, usize, usize) {
    let mx = setting.mx.unwrap_or(HOST);
    let mut zone = FixedZone::new()
        .with("far.example", Record::mx(10, mx.parse().unwrap()))
        .with(mx, Record::A([192, 0, 2, 1].into()));
    if let Some(tlsa) = setting.tlsa {
        zone = zone.with("_25._tcp.mx.far.example", tlsa);
    }
    if setting.web.is_some() {
        zone = zone.with("_mta-sts.far.example", Record::txt("v=STSv1; id=1;"));
    }
    if let Some(name) = setting.fails {
        zone = zone.failing(name);
    }
    if setting.is_validated {
        zone = zone.with_validation(Validation::Validated);
    }
    let mut server = ServerConfig::new(mx);
    server.require_tls = true;
    let mut net = Net::new(Paused::new(), Arc::new(Well)).host("192.0.2.1", mx, server);
    let mut trusted = rustls::RootCertStore::empty();
    if let Some(host) = setting.host {
        net.tls.insert(mx.into(), host.server);
        if setting.is_trusted {
            trusted.add(host.certificate).unwrap();
        }
    }
    let net = Arc::new(net);
    let client = rustls::ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    let parts = |diary: &_| {
        let mut parts = parts(&net, zone, diary);
        parts.tls = Some(Arc::new(client));
        parts.policies = setting.web.map(|web| Arc::new(StsPolicies::new(web)));
        parts
    };
    let mut table = routes(&net);
    if let Some(tls) = setting.route {
        let mut host = SmartHost::new(Domain::parse("far.example").unwrap());
        (host.mx, host.port, host.tls) = (true, 25, tls);
        table.by_recipient("far.example", Route::SmartHost(Arc::new(host))).unwrap();
    }
    let station = Station::begin(SimulatedFs::new(), 1, config(), parts, table);
    let mut envelope = envelope(None, &["ann@far.example"]);
    envelope.require_tls = setting.require_tls;
    let message = setting.message.unwrap_or(b"Subject: hello\r\n\r\nhello\r\n");
    assert_eq!(station.accept(envelope, message).await, [Outcome::Delivered]);
    tokio::time::sleep(HOUR).await;
    let copies = net.copies.lock().unwrap();
    let over_tls = copies.iter().filter(|copy| copy.envelope.session.tls.is_some()).count();
    (copies.len(), over_tls, station.handle().usage().messages)
}

/// A record of a host's certificate, all of it.
pub(crate) fn tlsa_of(host: &Certified) -> Record {
    Record::Tlsa { usage: 3, selector: 0, matching: 0, data: host.certificate.to_vec() }
}

// TLP-09
#[tokio::test(start_paused = true)]
async fn without_a_policy_any_certificate_will_do() {
    let host = Some(certified("somebody.else"));
    assert_eq!(what_comes(Setting { host, ..Setting::default() }).await, (1, 1, 0));
    assert_eq!(what_comes(Setting::default()).await, (1, 0, 0));
}

// TLP-05: names, dates and authorities mean nothing where the record tells the certificate.
#[tokio::test(start_paused = true)]
async fn dane_asks_for_the_certificate_that_the_record_tells() {
    let host = certified("somebody.else");
    let tlsa = Some(tlsa_of(&host));
    let setting = Setting { host: Some(host), tlsa, is_validated: true, ..Setting::default() };
    assert_eq!(what_comes(setting).await, (1, 1, 0));

    let tlsa = Some(tlsa_of(&certified(HOST)));
    let setting =
        Setting { host: Some(certified(HOST)), is_trusted: true, tlsa, is_validated: true, ..Setting::default() };
    assert_eq!(what_comes(setting).await, (0, 0, 1), "another certificate, however good");

    let tlsa = Some(tlsa_of(&certified(HOST)));
    assert_eq!(
        what_comes(Setting { tlsa, is_validated: true, ..Setting::default() }).await,
        (0, 0, 1),
        "no TLS at all"
    );
}

// TLP-07
#[tokio::test(start_paused = true)]
async fn records_that_nobody_validated_are_none() {
    let tlsa = Some(tlsa_of(&certified(HOST)));
    let setting = Setting { host: Some(certified(HOST)), tlsa, ..Setting::default() };
    assert_eq!(what_comes(setting).await, (1, 1, 0));
}

// TLP-06
#[tokio::test(start_paused = true)]
async fn a_look_up_of_records_that_fails_is_no_absence() {
    let fails = Some("_25._tcp.mx.far.example");
    let setting = Setting { host: Some(certified(HOST)), is_validated: true, fails, ..Setting::default() };
    assert_eq!(what_comes(setting).await, (0, 0, 1));
}

const ENFORCE: &str = "version: STSv1\nmode: enforce\nmx: mx.far.example\nmax_age: 604800\n";
const OTHERS: &str = "version: STSv1\nmode: enforce\nmx: mx.other.example\nmax_age: 604800\n";
const TESTING: &str = "version: STSv1\nmode: testing\nmx: mx.far.example\nmax_age: 604800\n";

fn web(policy: &'static str) -> Option<Arc<Web>> {
    let web = Web::default();
    *web.policy.lock().unwrap() = Some(policy);
    Some(Arc::new(web))
}

// TLP-03
#[tokio::test(start_paused = true)]
async fn mta_sts_asks_for_a_good_certificate_of_a_listed_host() {
    let good = || Setting { host: Some(certified(HOST)), is_trusted: true, ..Setting::default() };
    assert_eq!(what_comes(Setting { web: web(ENFORCE), ..good() }).await, (1, 1, 0));
    assert_eq!(what_comes(Setting { web: web(OTHERS), ..good() }).await, (0, 0, 1), "not listed");
    assert_eq!(what_comes(Setting { web: web(ENFORCE), is_trusted: false, ..good() }).await, (0, 0, 1), "not trusted");
    let other = Some(certified("somebody.else"));
    assert_eq!(what_comes(Setting { web: web(ENFORCE), host: other, ..good() }).await, (0, 0, 1), "another name");
    assert_eq!(what_comes(Setting { web: web(ENFORCE), ..Setting::default() }).await, (0, 0, 1), "no TLS");
    assert_eq!(what_comes(Setting { web: web(TESTING), ..Setting::default() }).await, (1, 0, 0));
}

// TLP-01, TLP-02: what was fetched once holds, though the record and the web server are gone, and we have started anew.
#[tokio::test(start_paused = true)]
async fn a_policy_that_was_kept_stays_in_force() {
    let web = Arc::new(Web::default());
    *web.kept.lock().unwrap() =
        Some(format!("domain: far.example\nid: 1\nfetched: {}\n{ENFORCE}", crate::net::START - 9));
    let fails = Some("_mta-sts.far.example");
    let setting = Setting { web: Some(web.clone()), fails, ..Setting::default() };
    assert_eq!(what_comes(setting).await, (0, 0, 1));
    assert_eq!(*web.fetches.lock().unwrap(), 0);
}

/// A web server whose first answer takes long, and is none.
#[derive(Default)]
struct Moody(AtomicUsize);

impl PolicyFetch for Moody {
    fn fetch<'a>(&'a self, _domain: &'a Name) -> BoxFuture<'a, Result<FetchedPolicy, FetchError>> {
        let is_first = self.0.fetch_add(1, Ordering::Relaxed) == 0;
        let body = ENFORCE.as_bytes().to_vec();
        Box::pin(async move {
            if is_first {
                tokio::time::sleep(Duration::from_secs(50)).await;
                return Err(FetchError::Unreachable);
            }
            Ok(FetchedPolicy { status: 200, content_type: Some("text/plain".into()), body })
        })
    }

    fn load<'a>(&'a self, _domain: &'a Name) -> BoxFuture<'a, Option<Vec<u8>>> {
        Box::pin(async { None })
    }

    fn save<'a>(&'a self, _domain: &'a Name, _text: String) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

// RFC 8461 §3.3: of several who want the policy of a domain, one fetches it, and none makes another's fetch forgotten.
#[tokio::test(start_paused = true)]
async fn a_policy_is_fetched_by_one_at_a_time() {
    let (web, clock) = (Arc::new(Moody::default()), Paused::new());
    let policies = StsPolicies::new(web.clone());
    let zone = FixedZone::new().with("_mta-sts.far.example", Record::txt("v=STSv1; id=1;"));
    let domain: Name = "far.example".parse().unwrap();
    let ask = async |after: u64| {
        tokio::time::sleep(Duration::from_secs(after)).await;
        policies.policy(&domain, &zone, &*clock, Duration::from_secs(20)).await.is_some()
    };
    for (after, has_policy, fetches) in [(1, false, 1), (600, true, 2), (600, true, 2)] {
        let asked = tokio::join!(ask(after), ask(after + 1), ask(after + 2));
        let fetched = web.0.load(Ordering::Relaxed);
        assert_eq!((asked, fetched), ((has_policy, has_policy, has_policy), fetches));
    }
}

// Who sets a domain's exchangers by hand and asks for certificates has set no name that the DNS could not exchange.
#[tokio::test(start_paused = true)]
async fn exchangers_that_nobody_vouches_for_show_the_domain() {
    let set = |host: &str, mx: &'static str, tls| Setting {
        host: Some(certified(host)),
        is_trusted: true,
        mx: Some(mx),
        route: Some(tls),
        ..Setting::default()
    };
    for tls in [TlsMode::Verified, TlsMode::Encrypted] {
        let asks = tls == TlsMode::Verified;
        let other = || set("mx.other.example", "mx.other.example", tls);
        let comes = what_comes(other()).await;
        assert_eq!(comes, if asks { (0, 0, 1) } else { (1, 1, 0) }, "{tls:?}: a stranger with a good certificate");
        assert_eq!(what_comes(Setting { is_validated: true, ..other() }).await, (1, 1, 0), "{tls:?}: validated");
        assert_eq!(what_comes(set("far.example", "mx.other.example", tls)).await, (1, 1, 0), "{tls:?}: the domain");
        assert_eq!(what_comes(set(HOST, HOST, tls)).await, (1, 1, 0), "{tls:?}: a host of the domain");
        let near = set("mx.notfar.example", "mx.notfar.example", tls);
        assert_eq!(what_comes(near).await, comes, "{tls:?}: a name that only ends like it");
    }
}

// RFC 8689 §3, §4.2.1
#[tokio::test(start_paused = true)]
async fn what_the_message_says_of_tls() {
    let good = || Setting { host: Some(certified(HOST)), is_trusted: true, require_tls: true, ..Setting::default() };
    assert_eq!(what_comes(Setting { is_validated: true, ..good() }).await, (1, 1, 0));
    assert_eq!(what_comes(Setting { web: web(ENFORCE), ..good() }).await, (1, 1, 0));
    assert_eq!(what_comes(good()).await, (0, 0, 0), "nothing vouches for the host");
    assert_eq!(what_comes(Setting { is_validated: true, is_trusted: false, ..good() }).await, (0, 0, 1));

    let waives: &[u8] = b"Subject: your certificate\r\nTLS-Required: No\r\n\r\nIt is bad.\r\n";
    let bad = Some(certified("somebody.else"));
    let setting = Setting { host: bad, web: web(ENFORCE), message: Some(waives), ..Setting::default() };
    assert_eq!(what_comes(setting).await, (1, 1, 0));
}
