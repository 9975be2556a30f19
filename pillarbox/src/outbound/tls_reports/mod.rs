//! Reports of what became of TLS (RFC 8460): counted by day and domain, and sent when the day is over.

mod counts;
mod mail;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pillarbox_auth::dkim::DomainKey;
use pillarbox_auth::tls_rpt::{Destination, Discovery, HttpsUrl, Report};
use pillarbox_core::Time;
use pillarbox_core::address::{Address, ForwardPath, ReversePath};
use pillarbox_core::dns::Name;
use pillarbox_fs::{Fs, RealFs};
use pillarbox_spool::{BodyKind, Envelope, Notify, Recipient, StoreError};
use tokio::task::JoinSet;

pub(super) use counts::TlsCounts;
use counts::{DAY, Day};

use super::shared::Shared;
use crate::parts::{QueueEvent, resolve_within};

/// How often what was counted is written down. So much of it is lost when the power fails.
const SAVE_EVERY: Duration = Duration::from_secs(300);
/// Domains that have their reports between two times at which that is written down. After a crash so many get them twice, under
/// the same Report-ID.
const DOMAINS_AT_ONCE: usize = 20;
/// How often a report is offered by HTTPS, and how long after it was not taken (RFC 8460 §5.5).
const POSTS_MAX: u32 = 12;
const POST_AGAIN: Duration = Duration::from_secs(3600);
/// How many are offered at a time, and how long a server may think about one.
const POSTS_AT_ONCE: usize = 10;
const POST_PATIENCE: Duration = Duration::from_secs(600);
/// Reports that wait for that.
const POSTS_WAITING_MAX: usize = 100;

/// Who reports on TLS, and how (RFC 8460). Sessions with mail exchangers are counted, and with hosts whose TLS is
/// [`Published`](super::TlsMode::Published): how many came to what DANE or MTA-STS asks for, or to any TLS where neither is there,
/// and which failed. Some hours after the end of each day in UTC every domain that has asked for it by `_smtp._tls` gets its
/// report, by mail through the queue, or by HTTPS through [`PolicyFetch::post`](super::PolicyFetch::post).
///
/// A report is sent once, whatever becomes of it: nobody is told of its failure, it goes out whatever TLS comes to, and nothing
/// that carries `TLS-Required: No`, as it does, is counted.
///
/// ```
/// use pillarbox::mailcore::address::Address;
/// use pillarbox::outbound::{OutboundConfig, TlsReporting};
///
/// let mut config = OutboundConfig::new("mx.example.org")?;
/// let contact = Address::parse("tls-reports@example.org")?.into_owned();
/// config.tls_reports = TlsReporting::new("Example", contact, "/var/spool/relay/tls-reports");
/// assert!(config.tls_reports.is_some());
/// # Ok::<(), pillarbox::mailcore::address::AddressError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TlsReporting {
    /// What the organisation is called that reports.
    pub organization: String,
    /// Whom to ask about reports, and who sends them. Its domain is the submitter.
    contact: Address<'static>,
    submitter: Name,
    /// Where what was counted is kept over a restart: a folder, one file for each day, which is made if it is not there.
    pub folder: PathBuf,
    /// The disk with the folder.
    pub fs: Arc<dyn Fs>,
    /// What signs the mails (RFC 8460 §3); receivers may take no notice of others. Its domain should be that of the contact.
    pub key: Option<DomainKey>,
    /// How long after the end of a day the reports go out at the latest: four hours. When exactly is left to chance, so that not
    /// all the world reports at the same moment (RFC 8460 §4.1).
    pub delay_max: Duration,
}

impl TlsReporting {
    /// Reports of an organisation. `None` if the contact has no domain with a name.
    pub fn new(organization: &str, contact: Address<'static>, folder: impl Into<PathBuf>) -> Option<Self> {
        let submitter = Name::parse(contact.domain().name()?).ok()?;
        Some(TlsReporting {
            organization: organization.into(),
            contact,
            submitter,
            folder: folder.into(),
            fs: Arc::new(RealFs),
            key: None,
            delay_max: Duration::from_secs(4 * 3600),
        })
    }
}

/// Writes down what was counted.
pub(super) async fn save(shared: &Arc<Shared>) {
    if shared.tls_counts.is_none() {
        return;
    }
    let counts = Arc::clone(shared);
    let saved = shared.disk.run(move || counts.tls_counts.as_ref().map_or(Ok(()), TlsCounts::save)).await;
    if let Err(error) = saved {
        shared.tell(&QueueEvent::Failed { what: "writing down what TLS came to", cause: &error });
    }
}

/// Keeps what is counted, and reports on each day when it is over.
pub(super) async fn run(shared: Arc<Shared>) {
    let (Some(counts), Some(reporting)) = (&shared.tls_counts, &shared.config.tls_reports) else { return };
    let clock = &shared.parts.clock;
    let (loading, now) = (Arc::clone(&shared), clock.wall());
    let loaded = shared.disk.run(move || loading.tls_counts.as_ref().map_or(Ok(()), |counts| counts.load(now))).await;
    if let Err(error) = loaded {
        shared.tell(&QueueEvent::Failed { what: "reading what TLS came to", cause: &error });
    }
    let delay_max = reporting.delay_max.as_secs().max(1);
    let mut delay = shared.random().below(delay_max);
    let mut posts = Posts::default();
    let mut save_at = clock.now() + SAVE_EVERY;
    loop {
        tokio::select! {
            biased;
            Some(ended) = posts.away.join_next(), if !posts.away.is_empty() => posts.ended(ended.ok(), clock.now()),
            () = clock.sleep_until(save_at) => {
                save(&shared).await;
                let now = u64::try_from(clock.wall().unix_seconds()).unwrap_or(0);
                for day in counts.over(clock.wall()) {
                    if now >= (day + 1) * DAY + delay {
                        report_on(&shared, reporting, counts, day, &mut posts.waiting).await;
                        delay = shared.random().below(delay_max);
                    }
                }
                posts.begin(&shared);
                save_at = clock.now() + SAVE_EVERY;
            }
        }
    }
}

/// Reports that are sent by HTTPS. A server that takes its time keeps nothing else waiting.
#[derive(Default)]
struct Posts {
    waiting: Vec<Post>,
    away: JoinSet<(Post, bool)>,
}

impl Posts {
    /// Offers the reports that are due, as far as there is room.
    fn begin(&mut self, shared: &Arc<Shared>) {
        let Some(policies) = &shared.parts.policies else { return self.waiting.clear() };
        let now = shared.parts.clock.now();
        while self.away.len() < POSTS_AT_ONCE
            && let Some(at) = self.waiting.iter().position(|post| post.at <= now)
        {
            let (post, policies, clock) =
                (self.waiting.remove(at), Arc::clone(policies), Arc::clone(&shared.parts.clock));
            self.away.spawn(async move {
                let is_taken = tokio::select! {
                    biased;
                    answer = policies.web().post(&post.url, "application/tlsrpt+gzip", post.content.clone()) => {
                        matches!(answer, Ok(200..=299))
                    }
                    () = clock.sleep_until(now + POST_PATIENCE) => false,
                };
                (post, is_taken)
            });
        }
    }

    /// One was offered, if no part of the embedder's panicked. One that was not taken is offered again.
    fn ended(&mut self, ended: Option<(Post, bool)>, now: Time) {
        if let Some((mut post, false)) = ended {
            (post.left, post.at) = (post.left.saturating_sub(1), now + POST_AGAIN);
            if post.left > 0 && self.waiting.len() < POSTS_WAITING_MAX {
                self.waiting.push(post);
            }
        }
    }
}

/// A report that is sent by HTTPS.
struct Post {
    url: HttpsUrl,
    content: Vec<u8>,
    left: u32,
    at: Time,
}

async fn report_on(
    shared: &Arc<Shared>,
    reporting: &TlsReporting,
    counts: &TlsCounts,
    day: Day,
    posts: &mut Vec<Post>,
) {
    let mut since_saved = 0;
    while let Some((domain, policies)) = counts.first_of(day) {
        let (resolver, clock) = (&*shared.parts.resolver, &*shared.parts.clock);
        let wanted = resolve_within(Discovery::new(&domain), resolver, clock, shared.config.dns_timeout).await;
        if let Some(wanted) = wanted {
            let id = format!("{day}.{domain}");
            let (start, end) = (day * DAY, day * DAY + DAY - 1);
            let contact = reporting.contact.to_string();
            let report = Report::new(&reporting.organization, &contact, &id, start, end, policies);
            for destination in wanted.list {
                match destination {
                    Destination::Mail(to) => {
                        if let Err(error) = send(shared, reporting, &report, &domain, &to).await {
                            shared.tell(&QueueEvent::Failed { what: "sending a report on TLS", cause: &error });
                            // The disk has no room: the rest of the reports waits.
                            return;
                        }
                    }
                    Destination::Https(url) if posts.len() < POSTS_WAITING_MAX => {
                        let (content, at) = (mail::compress(&report), clock.now());
                        posts.push(Post { url, content, left: POSTS_MAX, at });
                    }
                    _ => {}
                }
            }
        }
        counts.done(day, &domain);
        since_saved += 1;
        if since_saved >= DOMAINS_AT_ONCE {
            save(shared).await;
            since_saved = 0;
        }
    }
    save(shared).await;
}

/// Puts a report into the queue.
async fn send(
    shared: &Arc<Shared>,
    reporting: &TlsReporting,
    report: &Report,
    domain: &Name,
    to: &Address<'static>,
) -> Result<(), StoreError> {
    let now = shared.parts.clock.wall();
    let told = (report, domain, &reporting.submitter);
    let octets = mail::write(reporting, told, to, now, &mut **shared.random());
    let mut recipient = Recipient::new(ForwardPath::Address(to.clone()));
    // Nobody is told what becomes of it, and so nobody answers a report with another one.
    recipient.notify = Some(Notify::default());
    let mut envelope = Envelope::new(now, ReversePath::Address(reporting.contact.clone()), [recipient]);
    envelope.is_own = true;
    envelope.smtputf8 = !to.is_ascii() || !reporting.contact.is_ascii();
    envelope.body = if octets.is_ascii() { BodyKind::SevenBit } else { BodyKind::EightBitMime };
    let queue = Arc::clone(shared);
    let queued = shared.disk.run(move || {
        let mut incoming = queue.store.begin(now);
        let (id, item) = (incoming.id(), queue.item(incoming.id(), &envelope));
        incoming.write(&octets)?;
        incoming.commit(envelope)?.wait()?;
        queue.admit(item);
        queue.grown.notify_one();
        Ok::<_, StoreError>(id)
    });
    let id = queued.await?.to_string();
    shared.tell(&QueueEvent::Accepted { id: &id, session_id: "tls-report" });
    Ok(())
}
