//! What became of TLS, told to the domains that want to know.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pillarbox::mailauth::RingCrypto;
use pillarbox::mailauth::dkim::{DkimResult, DomainKey, Policy, Verifier, generate_ed25519};
use pillarbox::mailauth::mta_sts::FetchError;
use pillarbox::mailauth::reports::{UnpackLimits, unpack};
use pillarbox::mailauth::tls_rpt::{FailureType, HttpsUrl, PolicyType, ReadLimits, Report, ResultType};
use pillarbox::outbound::{FetchedPolicy, PolicyFetch, ReportPost, StsPolicies, TlsReporting};
use pillarbox::parts::{BoxFuture, Outcome};
use pillarbox::smtp::ServerConfig;
use pillarbox_core::SeededRandom;
use pillarbox_core::address::Address;
use pillarbox_core::crypto::{Crypto as _, PublicKey};
use pillarbox_core::dns::{self, FixedZone, Name, Record};
use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Fs, SimulatedFs};

use crate::net::{Net, Paused, START};
use crate::policies::{Certified, Well, certified};
use crate::station::{Station, config, envelope, parts, routes};

pub(crate) const HOST: &str = "mx.far.example";
pub(crate) const MAIL: &str = "v=TLSRPTv1; rua=mailto:tls@far.example";
pub(crate) const TESTING: &str = "version: STSv1\nmode: testing\nmx: mx.far.example\nmax_age: 604800\n";
pub(crate) const OTHERS: &str = "version: STSv1\nmode: testing\nmx: mx.other.example\nmax_age: 604800\n";

/// A policy, and who takes reports by HTTPS.
#[derive(Default)]
pub(crate) struct Web {
    pub(crate) policy: Option<&'static str>,
    /// Why there is none.
    pub(crate) failure: Option<FetchError>,
    /// The statuses of the next answers to reports; after them 201.
    pub(crate) statuses: Mutex<Vec<u16>>,
    pub(crate) posted: Mutex<Vec<(String, Vec<u8>)>>,
}

impl PolicyFetch for Web {
    fn fetch<'a>(&'a self, _domain: &'a Name) -> BoxFuture<'a, Result<FetchedPolicy, FetchError>> {
        let fetched = self.policy.ok_or(self.failure.unwrap_or(FetchError::Unreachable)).map(|policy| FetchedPolicy {
            status: 200,
            content_type: Some("text/plain".into()),
            body: policy.as_bytes().to_vec(),
        });
        Box::pin(async move { fetched })
    }

    fn load<'a>(&'a self, _domain: &'a Name) -> BoxFuture<'a, Option<Vec<u8>>> {
        Box::pin(async { None })
    }

    fn save<'a>(&'a self, _domain: &'a Name, _text: String) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

impl ReportPost for Web {
    fn post<'a>(
        &'a self,
        url: &'a HttpsUrl,
        media_type: &'a str,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<u16, FetchError>> {
        assert_eq!(media_type, "application/tlsrpt+gzip");
        self.posted.lock().unwrap().push((url.as_str().into(), content));
        if url.as_str().contains("//tarpit.") {
            return Box::pin(std::future::pending());
        }
        let status = self.statuses.lock().unwrap().pop().unwrap_or(201);
        Box::pin(async move { Ok(status) })
    }
}

pub(crate) struct Place {
    net: Arc<Net>,
    pub(crate) zone: FixedZone,
    pub(crate) web: Arc<Web>,
    fs: SimulatedFs,
    key: Option<DomainKey>,
    /// Whose signature counts.
    pub(crate) trusted: rustls::RootCertStore,
}

/// A host that has a certificate, for whom nobody vouches, and a record for reports.
pub(crate) fn place(host: Option<Certified>, record: &str, policy: Option<&'static str>) -> Place {
    let mut zone = FixedZone::new()
        .with("far.example", Record::mx(10, HOST.parse().unwrap()))
        .with(HOST, Record::A([192, 0, 2, 1].into()))
        .with("_smtp._tls.far.example", Record::txt(record));
    if policy.is_some() {
        zone = zone.with("_mta-sts.far.example", Record::txt("v=STSv1; id=1;"));
    }
    let mut net = Net::new(Paused::new(), Arc::new(Well)).host("192.0.2.1", HOST, ServerConfig::new(HOST));
    if let Some(host) = host {
        net.tls.insert(HOST.into(), host.server);
    }
    let web = Arc::new(Web { policy, ..Web::default() });
    Place { net: Arc::new(net), zone, web, fs: SimulatedFs::new(), key: None, trusted: rustls::RootCertStore::empty() }
}

impl Place {
    pub(crate) fn begin(&self) -> Station {
        self.begin_on(self.fs.clone())
    }

    pub(crate) fn begin_on(&self, fs: SimulatedFs) -> Station {
        self.begin_over(fs.clone(), fs)
    }

    /// The same with something between what is counted and the disk.
    fn begin_over(&self, above: impl Fs + 'static, fs: SimulatedFs) -> Station {
        let contact = Address::parse("tls@here.example").unwrap().into_owned();
        let mut reporting = TlsReporting::new("Here", contact, "/tls").unwrap();
        (reporting.fs, reporting.key) = (Arc::new(above), self.key.clone());
        let mut config = config();
        config.tls_reports = Some(reporting);
        let tls = rustls::ClientConfig::builder().with_root_certificates(self.trusted.clone());
        let tls = tls.with_no_client_auth();
        let parts = |diary: &_| {
            let mut parts = parts(&self.net, self.zone.clone(), diary);
            parts.tls = Some(Arc::new(tls));
            parts.policies = Some(Arc::new(StsPolicies::new(self.web.clone())));
            parts.report_post = Some(self.web.clone());
            parts
        };
        Station::begin(fs, 1, config, parts, routes(&self.net))
    }

    /// The mails that hold reports, of all that came to the host.
    fn mails(&self) -> Vec<String> {
        let copies = self.net.copies.lock().unwrap();
        let mails = copies.iter().filter(|copy| copy.to == "tls@far.example");
        mails.map(|copy| String::from_utf8(copy.octets.clone()).unwrap()).collect()
    }

    pub(crate) fn reports(&self) -> Vec<Report> {
        self.mails().iter().map(|mail| read(mail)).collect()
    }
}

fn read(mail: &str) -> Report {
    let part = &mail[mail.find("application/tlsrpt+gzip").unwrap()..];
    let content = part.split_once("\r\n\r\n").unwrap().1.split("--").next().unwrap();
    report(&BASE64_STANDARD.decode(content.replace("\r\n", "")).unwrap())
}

fn report(packed: &[u8]) -> Report {
    let json = unpack(packed, &UnpackLimits::default()).unwrap();
    Report::parse_json(&json, &ReadLimits::default()).unwrap()
}

pub(crate) async fn send(station: &Station) {
    let envelope = envelope(Some("joe@here.example"), &["ann@far.example"]);
    assert_eq!(station.accept(envelope, b"Subject: hello\r\n\r\nhello\r\n").await, [Outcome::Delivered]);
    // Longer than a connection is kept.
    minutes(1).await;
}

pub(crate) async fn minutes(n: u64) {
    tokio::time::sleep(Duration::from_secs(60 * n)).await;
}

pub(crate) const DAY: u64 = 24 * 60;

// RFC 8460 §4.1, §5.3
#[tokio::test(start_paused = true)]
async fn a_domain_that_wants_it_is_told_when_the_day_is_over() {
    let place = place(Some(certified("somebody.else")), MAIL, None);
    let station = place.begin();
    send(&station).await;
    send(&station).await;
    minutes(60).await;
    assert!(place.mails().is_empty(), "the day is not over");
    minutes(6 * 60).await;
    let mails = place.mails();
    assert_eq!(mails.len(), 1);
    let mail = format!("\r\n{}", mails[0].replace("\r\n\t", " ").replace("\r\n ", " "));
    for field in [
        "From: <tls@here.example>",
        "To: <tls@far.example>",
        "Subject: Report Domain: far.example Submitter: here.example Report-ID: <19675.far.example@here.example>",
        "TLS-Report-Domain: far.example",
        "TLS-Report-Submitter: here.example",
        "TLS-Required: No",
        "Auto-Submitted: auto-generated",
    ] {
        assert!(mail.contains(&format!("\r\n{field}\r\n")), "{field} is not in {mail}");
    }
    assert!(mail.contains("report-type=\"tlsrpt\""), "{mail}");
    let report = &place.reports()[0];
    assert_eq!((report.start, report.end), (1_699_920_000, 1_700_006_399));
    assert_eq!((&*report.organization, &*report.contact), ("Here", "tls@here.example"));
    assert_eq!(report.policies.len(), 1);
    let policy = &report.policies[0];
    assert_eq!((&policy.policy.kind, policy.successful, policy.failed), (&PolicyType::NoPolicyFound, 2, 0));
    assert_eq!(policy.domain.as_ref().map(Name::as_str), Some("far.example"));
    // Reports are not reported on.
    minutes(3 * DAY).await;
    assert_eq!((place.mails().len(), station.handle().usage().messages), (1, 0));
    let files = place.fs.list("/tls".as_ref()).unwrap();
    assert!(files.is_empty(), "{files:?}");
}

// RFC 8460 §3, §5.3
#[tokio::test(start_paused = true)]
async fn a_report_is_signed() {
    let secret = generate_ed25519(&mut SeededRandom::new(1));
    let key = RingCrypto.load_key(&secret).unwrap();
    let PublicKey::Ed25519(public) = key.public_key() else { panic!("another kind of key") };
    let record = Record::txt(format!("v=DKIM1; k=ed25519; p={}", BASE64_STANDARD.encode(public)));
    let mut place = place(Some(certified(HOST)), MAIL, None);
    place.key = Some(DomainKey::new("here.example".parse().unwrap(), "sel".parse().unwrap(), key.into()));
    let station = place.begin();
    send(&station).await;
    minutes(DAY).await;
    let mails = place.mails();
    let mail = &mails[0][mails[0].find("DKIM-Signature").unwrap()..];
    let zone = FixedZone::new().with("sel._domainkey.here.example", record);
    let verify = |mail: &str| {
        let now = u64::try_from(START).unwrap() + 86_400;
        let mut verifier = Verifier::new(Arc::new(RingCrypto), Policy::default(), now);
        verifier.write(mail.as_bytes());
        verifier.finish();
        dns::run(&mut verifier, &zone).result()
    };
    assert_eq!(verify(mail), DkimResult::Pass);
    for field in ["TLS-Report-Domain: ", "TLS-Report-Submitter: ", "TLS-Required: "] {
        assert_ne!(verify(&mail.replace(field, &format!("{field}x"))), DkimResult::Pass, "{field}");
    }
    drop(station);
}

// TLP-09
#[tokio::test(start_paused = true)]
async fn a_host_without_tls_is_told_of() {
    let place = place(None, MAIL, None);
    let station = place.begin();
    send(&station).await;
    minutes(DAY).await;
    let policy = &place.reports()[0].policies[0];
    assert_eq!((policy.successful, policy.failed), (0, 1));
    let failure = &policy.failures[0];
    assert_eq!(failure.result, ResultType::Known(FailureType::StartTlsNotSupported));
    assert_eq!(failure.receiving_host.as_ref().map(Name::as_str), Some(HOST));
    assert_eq!(
        (failure.receiving_ip, failure.sessions),
        Some("192.0.2.1".parse().unwrap()).map(|ip| (Some(ip), 1)).unwrap()
    );
}

// RFC 8461 §5
#[tokio::test(start_paused = true)]
async fn what_a_policy_in_test_would_have_refused_goes_and_is_told() {
    for (host, policy, failure) in [
        (Some(certified(HOST)), TESTING, FailureType::CertificateNotTrusted),
        (None, TESTING, FailureType::StartTlsNotSupported),
        (Some(certified(HOST)), OTHERS, FailureType::ValidationFailure),
    ] {
        let has_tls = host.is_some();
        let place = place(host, MAIL, Some(policy));
        let station = place.begin();
        send(&station).await;
        let over_tls = place.net.copies.lock().unwrap()[0].envelope.session.tls.is_some();
        assert_eq!(over_tls, has_tls, "it is delivered, with what TLS there is");
        minutes(DAY).await;
        let policy = &place.reports()[0].policies[0];
        assert_eq!((&policy.policy.kind, policy.successful, policy.failed), (&PolicyType::Sts, 0, 1));
        assert_eq!(policy.failures[0].result, ResultType::Known(failure));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_counted_survives_a_restart_and_a_crash() {
    let place = place(Some(certified(HOST)), MAIL, None);
    let station = place.begin();
    send(&station).await;
    let fs = station.stop().await;
    let station = place.begin_on(fs);
    send(&station).await;
    minutes(6).await;
    let (fs, _) = station.crash(1).await;
    let station = place.begin_on(fs);
    send(&station).await;
    minutes(DAY).await;
    assert_eq!(place.reports().iter().map(|report| report.policies[0].successful).collect::<Vec<_>>(), [3]);
    drop(station);
}

#[tokio::test(start_paused = true)]
async fn a_day_that_ended_while_we_were_down_is_reported_on() {
    let place = place(Some(certified(HOST)), MAIL, None);
    let station = place.begin();
    send(&station).await;
    let fs = station.stop().await;
    minutes(DAY).await;
    let station = place.begin_on(fs);
    minutes(DAY).await;
    assert_eq!(place.reports().iter().map(|report| report.policies[0].successful).collect::<Vec<_>>(), [1]);
    drop(station);
}

// RFC 8460 §5.4, §5.5
#[tokio::test(start_paused = true)]
async fn a_report_by_https_is_offered_until_it_is_taken() {
    let place = place(Some(certified(HOST)), "v=TLSRPTv1; rua=https://tls.far.example/v1", None);
    *place.web.statuses.lock().unwrap() = vec![503, 500];
    let station = place.begin();
    send(&station).await;
    minutes(2 * DAY).await;
    let posted = place.web.posted.lock().unwrap();
    assert_eq!(posted.len(), 3, "twice refused, and then taken");
    assert_eq!(posted[0], posted[2]);
    assert_eq!((&*posted[0].0, report(&posted[0].1).policies[0].successful), ("https://tls.far.example/v1", 1));
    assert!(place.mails().is_empty());
    drop(station);
}

// A web server that never answers keeps no other report waiting, and nothing that is counted unsaved.
#[tokio::test(start_paused = true)]
async fn a_web_server_that_hangs_holds_up_nothing() {
    let record = "v=TLSRPTv1; rua=https://tarpit.far.example/v1,https://tls.far.example/v1";
    let place = place(Some(certified(HOST)), record, None);
    let station = place.begin();
    for _ in 0..2 {
        send(&station).await;
        minutes(2 * DAY).await;
    }
    let posted = place.web.posted.lock().unwrap();
    let [hangs, takes] =
        ["//tarpit.", "//tls."].map(|host| posted.iter().filter(|(url, _)| url.contains(host)).count());
    assert_eq!((takes, hangs), (2, 24), "both days, and each twelve times where nobody answers");
    drop(station);
}

const BOTH: &str = "v=TLSRPTv1; rua=mailto:tls@far.example,https://tls.far.example/v1,https://other.far.example/v1";

impl Place {
    /// How often a report was offered at a URL.
    fn posted_to(&self, host: &str) -> usize {
        self.web.posted.lock().unwrap().iter().filter(|(url, _)| url.contains(host)).count()
    }
}

// RFC 8460 §3: each place that a domain has named gets the report, whatever becomes of the others.
#[tokio::test(start_paused = true)]
async fn each_destination_of_a_domain_has_a_fate_of_its_own() {
    let place = place(Some(certified(HOST)), BOTH, None);
    // The last is taken first.
    *place.web.statuses.lock().unwrap() = vec![500, 500, 500, 201];
    let station = place.begin();
    send(&station).await;
    minutes(2 * DAY).await;
    assert_eq!(place.mails().len(), 1);
    let mut posted = [place.posted_to("//tls."), place.posted_to("//other.")];
    posted.sort_unstable();
    assert_eq!(posted, [1, 4]);
    assert!(place.fs.list("/tls".as_ref()).unwrap().is_empty());
    drop(station);
}

// A report that is not taken yet is offered again by the next process, and what was taken is not.
#[tokio::test(start_paused = true)]
async fn what_waits_to_be_posted_survives_a_restart_and_a_crash() {
    let place = place(Some(certified(HOST)), BOTH, None);
    *place.web.statuses.lock().unwrap() = vec![500; 4];
    let station = place.begin();
    send(&station).await;
    // Until both were offered once, and one of them twice.
    while place.web.posted.lock().unwrap().len() < 3 {
        minutes(1).await;
    }
    let (fs, _) = station.crash(0).await;
    let station = place.begin_on(fs);
    minutes(90).await;
    let fs = station.stop().await;
    let station = place.begin_on(fs);
    minutes(2 * DAY).await;
    assert_eq!(place.mails().len(), 1);
    // Twice four refusals, and two reports that were taken.
    assert_eq!(place.posted_to("//tls.") + place.posted_to("//other."), 6);
    let id = |(_, content): &(String, Vec<u8>)| report(content).id;
    let posted = place.web.posted.lock().unwrap();
    assert!(posted.iter().all(|it| id(it) == "19675.far.example"));
    assert!(place.fs.list("/tls".as_ref()).unwrap().len() <= 2);
    drop(station);
}

// A disk that does not give what an earlier process has left gives it later. Until then nobody is asked or told again.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_at_the_start_is_neither_lost_nor_sent_twice() {
    let mut seen = 0;
    for n in 0..16 {
        let place = place(Some(certified(HOST)), BOTH, None);
        *place.web.statuses.lock().unwrap() = vec![500; 100];
        let station = place.begin();
        send(&station).await;
        minutes(9 * 60).await;
        assert_eq!(place.mails().len(), 1);
        send(&station).await;
        let fs = station.stop().await;
        let watched = Watched::new(fs.clone());
        watched.fail_any_at(n, 5);
        let station = place.begin_over(watched, fs);
        send(&station).await;
        minutes(2 * DAY).await;
        let told: Vec<_> = place.reports().iter().map(|report| (report.start, report.policies[0].successful)).collect();
        assert_eq!(told, [(1_699_920_000, 1), (1_700_006_400, 2)], "operation {n}");
        let diary = station.diary.0.lock().unwrap();
        seen += usize::from(diary.iter().any(|line| line.starts_with("reading what TLS came to failed")));
    }
    assert!(seen > 8, "the files are read in {seen} operations");
}

// What was counted before anything could be read is written down with the rest when the process ends.
#[tokio::test(start_paused = true)]
async fn what_was_counted_before_the_disk_could_be_read_survives_a_restart() {
    let place = place(Some(certified(HOST)), MAIL, None);
    let station = place.begin();
    send(&station).await;
    let fs = station.stop().await;
    let watched = Watched::new(fs.clone());
    watched.fail_any_at(0, 5);
    let station = place.begin_over(watched, fs);
    send(&station).await;
    let fs = station.stop().await;
    let station = place.begin_on(fs);
    minutes(DAY).await;
    assert_eq!(place.reports().iter().map(|report| report.policies[0].successful).collect::<Vec<_>>(), [2]);
    drop(station);
}

// After so many refusals it is given up, also by a process that only knows how many there were.
#[tokio::test(start_paused = true)]
async fn a_report_is_offered_twelve_times_over_all_restarts() {
    let place = place(Some(certified(HOST)), "v=TLSRPTv1; rua=https://tls.far.example/v1", None);
    *place.web.statuses.lock().unwrap() = vec![500; 100];
    let mut station = place.begin();
    send(&station).await;
    for _ in 0..16 {
        minutes(4 * 60).await;
        let fs = station.stop().await;
        station = place.begin_on(fs);
    }
    assert_eq!(place.posted_to("//tls."), 12);
    assert!(station.fs.list("/tls".as_ref()).unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_wants_no_reports_gets_none() {
    let place = place(Some(certified(HOST)), "v=spf1 -all", None);
    let station = place.begin();
    send(&station).await;
    minutes(2 * DAY).await;
    assert!(place.mails().is_empty() && place.web.posted.lock().unwrap().is_empty());
    assert!(place.fs.list("/tls".as_ref()).unwrap().is_empty());
    drop(station);
}
