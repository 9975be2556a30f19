//! Policies by HTTPS, from a web server in memory, and kept on a disk in memory.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pillarbox::mailauth::mta_sts::FetchError;
use pillarbox::mailauth::tls_rpt::Destination;
use pillarbox::outbound::{
    Connect, Connected, Disk, Endpoint, FetchedPolicy, HttpsPolicies, HttpsReports, OutboundParts, PolicyFetch as _,
    ReportPost as _, StsFolder, StsPolicies,
};
use pillarbox::parts::BoxFuture;
use pillarbox_core::dns::{FixedZone, Name, Record};
use pillarbox_fs::{Fs as _, SimulatedFs};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use crate::net::Paused;
use crate::policies::{Certified, certified};

const HOST: &str = "mta-sts.far.example";
const POLICY: &str = "version: STSv1\nmode: enforce\nmx: mx.far.example\nmax_age: 604800\n";
const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";

/// A web server that gives everybody the same answer.
struct Web {
    host: Certified,
    answer: Vec<u8>,
    /// It sends one octet a second.
    is_slow: bool,
    dialled: Mutex<Vec<String>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Connect for Web {
    fn dial<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, io::Result<Connected>> {
        let Endpoint::Tcp { host, address } = endpoint else { panic!("{endpoint:?}") };
        self.dialled.lock().unwrap().push(format!("{host} {address}"));
        let (near, far) = duplex(64 * 1024);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&self.host.server));
        let (answer, is_slow, asked) = (self.answer.clone(), self.is_slow, Arc::clone(&self.asked));
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(far).await else { return };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let Ok(octet) = stream.read_u8().await else { return };
                request.push(octet);
            }
            asked.lock().unwrap().push(String::from_utf8(request).unwrap());
            for piece in answer.chunks(if is_slow { 1 } else { usize::MAX }) {
                if stream.write_all(piece).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
                if is_slow {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            let _ = stream.shutdown().await;
        });
        Box::pin(async move { Ok(Connected::new(near, Some([192, 0, 2, 99].into()))) })
    }
}

struct Place {
    web: Arc<Web>,
    parts: OutboundParts,
    policies: HttpsPolicies,
    reports: HttpsReports,
}

fn zone(ip: [u8; 4]) -> FixedZone {
    FixedZone::new().with(HOST, Record::A(ip.into())).with("_mta-sts.far.example", Record::txt("v=STSv1; id=1;"))
}

fn place(answer: impl AsRef<[u8]>) -> Place {
    place_with(answer, certified(HOST), zone([93, 184, 215, 14]), false)
}

fn place_with(answer: impl AsRef<[u8]>, host: Certified, zone: FixedZone, is_slow: bool) -> Place {
    let mut trusted = rustls::RootCertStore::empty();
    trusted.add(host.certificate.clone()).unwrap();
    let tls = rustls::ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    let (dialled, asked) = (Mutex::default(), Arc::default());
    let web = Arc::new(Web { host, answer: answer.as_ref().to_vec(), is_slow, dialled, asked });
    let mut parts = OutboundParts::from_system();
    (parts.resolver, parts.connect, parts.clock) = (Arc::new(zone), web.clone(), Paused::new());
    let tls = Arc::new(tls);
    let (policies, reports) = (HttpsPolicies::new(&parts, Arc::clone(&tls)), HttpsReports::new(&parts, tls));
    Place { web, parts, policies, reports }
}

fn far() -> Name {
    Name::parse("far.example").unwrap()
}

impl Place {
    async fn fetch(&self) -> Result<FetchedPolicy, FetchError> {
        self.policies.fetch(&far()).await
    }

    /// Whether there is a policy in force.
    async fn has_policy(&self, kept: Option<StsFolder>) -> bool {
        let fetch = self.policies.clone();
        let fetch = kept.map_or(fetch.clone(), |kept| fetch.keep_in(kept));
        let policies = StsPolicies::new(Arc::new(fetch));
        let (resolver, clock) = (&*self.parts.resolver, &*self.parts.clock);
        policies.policy(&far(), resolver, clock, Duration::from_secs(20)).await.is_some()
    }
}

fn folder(fs: &SimulatedFs) -> StsFolder {
    StsFolder::open(Arc::new(fs.clone()), "/policies", Disk::Here).unwrap()
}

// RFC 8461 §3.3
#[tokio::test(start_paused = true)]
async fn a_policy_is_fetched_from_its_host() {
    let place = place(format!("{PLAIN}Content-Length: {}\r\n\r\n{POLICY}", POLICY.len()));
    let fetched = place.fetch().await.unwrap();
    assert_eq!((fetched.status, fetched.content_type.as_deref()), (200, Some("text/plain")));
    assert_eq!(fetched.body, POLICY.as_bytes());
    assert_eq!(*place.web.dialled.lock().unwrap(), ["mta-sts.far.example 93.184.215.14:443"]);
    let asked = place.web.asked.lock().unwrap().concat();
    assert!(asked.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"), "{asked}");
    assert!(asked.to_lowercase().contains("\r\nhost: mta-sts.far.example\r\n"), "{asked}");
    // Content that ends with the connection.
    assert_eq!(self::place(format!("{PLAIN}\r\n{POLICY}")).fetch().await.unwrap().body, POLICY.as_bytes());
}

// TLP-01
#[tokio::test(start_paused = true)]
async fn what_is_no_policy_does_not_count() {
    let elsewhere = "HTTP/1.1 301 Moved\r\nLocation: https://other.example/\r\nContent-Length: 0\r\n\r\n";
    let moved = place(elsewhere);
    assert_eq!(moved.fetch().await.unwrap().status, 301);
    assert_eq!(moved.web.dialled.lock().unwrap().len(), 1, "a redirect is not followed");
    assert!(!moved.has_policy(None).await);
    let html = place(format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{POLICY}"));
    assert!(!html.has_policy(None).await);
    let empty = place("");
    assert_eq!(empty.fetch().await, Err(FetchError::Unreachable));
    let cut = place(format!("{PLAIN}Content-Length: 100000\r\n\r\n{POLICY}"));
    assert_eq!(cut.fetch().await, Err(FetchError::Unreachable), "half a policy is none");
    assert_eq!(place("SSH-2.0-x\r\n\r\n").fetch().await, Err(FetchError::Unreachable));
    let header = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert_eq!(place(header).fetch().await, Err(FetchError::Unreachable));
}

// TLP-01
#[tokio::test(start_paused = true)]
async fn a_policy_without_end_is_read_to_the_limit() {
    let long = place(format!("{PLAIN}Content-Length: 2000000\r\n\r\n{}", "x".repeat(2_000_000)));
    let fetched = long.fetch().await.unwrap();
    assert_eq!(fetched.body.len(), (64 << 10) + 1);
    assert!(!long.has_policy(None).await);
}

// TLP-01
#[tokio::test(start_paused = true)]
async fn a_web_server_that_takes_its_time_is_given_up() {
    let answer = format!("{PLAIN}\r\n{POLICY}{}", "\n".repeat(100));
    let slow = place_with(answer, certified(HOST), zone([93, 184, 215, 14]), true);
    let begin = tokio::time::Instant::now();
    assert_eq!(slow.fetch().await, Err(FetchError::TooSlow));
    assert_eq!(begin.elapsed().as_secs(), 60);
}

// TLP-01
#[tokio::test(start_paused = true)]
async fn the_certificate_is_for_the_policy_host() {
    let other = place_with(format!("{PLAIN}\r\n{POLICY}"), certified("far.example"), zone([93, 184, 215, 14]), false);
    assert_eq!(other.fetch().await, Err(FetchError::Certificate));
    assert!(other.web.asked.lock().unwrap().is_empty(), "nobody was asked for anything");
}

// TLP-04
#[tokio::test(start_paused = true)]
async fn nobody_sends_us_to_our_own_machines() {
    for ip in [[127, 0, 0, 1], [10, 0, 0, 1], [192, 168, 1, 1], [169, 254, 169, 254], [0, 0, 0, 0]] {
        let place = place_with(format!("{PLAIN}\r\n{POLICY}"), certified(HOST), zone(ip), false);
        assert_eq!(place.fetch().await, Err(FetchError::ForbiddenAddress));
        assert!(place.web.dialled.lock().unwrap().is_empty());
        assert!(place.policies.clone().any_address().fetch(&far()).await.is_ok());
    }
    let nowhere = place_with("", certified(HOST), FixedZone::new(), false);
    assert_eq!(nowhere.fetch().await, Err(FetchError::NoAddress));
    let mapped = Record::Aaaa(std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    let mapped = place_with("", certified(HOST), FixedZone::new().with(HOST, mapped), false);
    assert_eq!(mapped.fetch().await, Err(FetchError::ForbiddenAddress));
}

// RFC 8460 §5.4
#[tokio::test(start_paused = true)]
async fn a_report_is_posted_where_its_domain_wants_it() {
    async fn post(place: &Place, url: &str) -> Result<u16, FetchError> {
        let Ok(Destination::Https(url)) = url.parse() else { panic!("{url}") };
        place.reports.post(&url, "application/tlsrpt+gzip", b"report".to_vec()).await
    }
    let to = format!("https://{HOST}/v1?a=b#c");
    let place = place("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(post(&place, &to).await, Ok(201));
    let asked = place.web.asked.lock().unwrap().concat().to_lowercase();
    assert!(asked.starts_with("post /v1?a=b http/1.1\r\n"), "{asked}");
    for field in ["content-type: application/tlsrpt+gzip", "content-length: 6", "host: mta-sts.far.example"] {
        assert!(asked.contains(&format!("\r\n{field}\r\n")), "{field} is not in {asked}");
    }
    assert_eq!(post(&place, &format!("https://{HOST}:8443/")).await, Ok(201));
    assert_eq!(place.web.dialled.lock().unwrap()[1], format!("{HOST} 93.184.215.14:8443"));
    assert_eq!(post(&place, "https://93.184.215.14/").await, Err(FetchError::NoAddress), "a certificate is for names");
    let moved = self::place("HTTP/1.1 307 Elsewhere\r\nLocation: https://other.example/\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((post(&moved, &to).await, moved.web.dialled.lock().unwrap().len()), (Ok(307), 1));
    // A stranger must not make us tell our own machines anything.
    let inside = place_with("", certified(HOST), zone([127, 0, 0, 1]), false);
    assert_eq!(post(&inside, &to).await, Err(FetchError::ForbiddenAddress));
}

// TLP-01, TLP-02
#[tokio::test(start_paused = true)]
async fn a_policy_outlives_its_web_server_and_us() {
    let fs = SimulatedFs::new();
    assert!(place(format!("{PLAIN}\r\n{POLICY}")).has_policy(Some(folder(&fs))).await);
    // The power fails; the web server has something else now, and the record cannot be looked up.
    for image in fs.crash().images(8, 1) {
        let gone = zone([93, 184, 215, 14]).failing("_mta-sts.far.example");
        let place = place_with("HTTP/1.1 404 No\r\n\r\n", certified(HOST), gone, false);
        assert!(place.has_policy(Some(folder(&image))).await);
        assert!(!place.has_policy(None).await);
    }
}

#[tokio::test]
async fn a_policy_is_kept_whole_or_not_at_all() {
    let fs = SimulatedFs::new();
    folder(&fs).save(&far(), "one".into()).await;
    fs.record();
    folder(&fs).save(&far(), "other".into()).await;
    for crash in fs.recorded() {
        for image in crash.images(16, 1) {
            let kept = folder(&image).load(&far()).await.unwrap();
            assert!(kept == b"one" || kept == b"other", "{kept:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_damaged_is_none() {
    let fs = SimulatedFs::new();
    folder(&fs).save(&far(), "domain: far.exa".into()).await;
    assert!(!place("HTTP/1.1 404 No\r\n\r\n").has_policy(Some(folder(&fs))).await);
    assert!(place(format!("{PLAIN}\r\n{POLICY}")).has_policy(Some(folder(&fs))).await, "it is fetched anew");
    assert!(folder(&fs).load(&far()).await.unwrap().ends_with(POLICY.as_bytes()));
}

#[tokio::test]
async fn a_folder_holds_so_many_policies_and_any_name() {
    let fs = SimulatedFs::new();
    let kept = folder(&fs).files_max(8);
    for n in 0..30 {
        fs.advance(Duration::from_secs(1));
        kept.save(&Name::parse(&format!("d{n}.example")).unwrap(), n.to_string()).await;
        assert!(fs.list("/policies".as_ref()).unwrap().len() <= 8);
    }
    assert_eq!(kept.load(&Name::parse("D29.example").unwrap()).await.unwrap(), b"29");
    assert_eq!(kept.load(&Name::parse("d0.example").unwrap()).await, None);
    let long = Name::parse(&[&"x".repeat(63); 3].map(String::as_str).join(".")).unwrap();
    kept.save(&long, "long".into()).await;
    assert_eq!(kept.load(&long).await.unwrap(), b"long");
}
