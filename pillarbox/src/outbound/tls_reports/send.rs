//! Where reports go, and how they get there.

use std::sync::Arc;
use std::time::Duration;

use pillarbox_auth::tls_rpt::{Destination, Discovery, Report};
use pillarbox_core::address::{Address, ForwardPath, ReversePath};
use pillarbox_core::dns::Name;
use pillarbox_spool::{BodyKind, Envelope, Notify, Recipient, StoreError};
use tokio::task::JoinSet;

use super::counts::{DAY, Day, TlsCounts};
use super::ways::Way;
use super::{TlsReporting, mail, save, seconds};
use crate::outbound::shared::Shared;
use crate::parts::{QueueEvent, resolve_within};

/// What is done between two times at which it is written down. After a crash so many domains can get their mails twice, under
/// the same Report-ID.
const DONE_AT_ONCE: usize = 20;
/// How often a report is offered by HTTPS, and how long after it was not taken (RFC 8460 §5.5).
const POSTS_MAX: u32 = 12;
const POST_AGAIN: u64 = 3600;
/// How many are offered at a time, and how long a server may think about one: less than until the next time.
const POSTS_AT_ONCE: usize = 10;
const POST_PATIENCE: Duration = Duration::from_secs(600);

/// Asks the domains of a day where their reports shall go.
pub(super) async fn ask(shared: &Arc<Shared>, counts: &TlsCounts, day: Day) {
    let (mut last, mut since_saved) = (None, 0);
    while let Some(domain) = counts.not_asked(day, last.as_ref()) {
        let (resolver, clock) = (&*shared.parts.resolver, &*shared.parts.clock);
        let wanted = resolve_within(Discovery::new(&domain), resolver, clock, shared.config.dns_timeout).await;
        let mut ways = Vec::<Way>::new();
        for to in wanted.into_iter().flat_map(|wanted| wanted.list) {
            let is_possible = matches!(to, Destination::Mail(_)) || shared.parts.report_post.is_some();
            if is_possible && ways.iter().all(|way| way.to != to) {
                ways.push(Way { to, left: POSTS_MAX, at: 0 });
            }
        }
        counts.asked(day, &domain, ways);
        last = Some(domain);
        since_saved += 1;
        if since_saved == DONE_AT_ONCE {
            since_saved = 0;
            save(shared).await;
        }
    }
}

fn report(reporting: &TlsReporting, counts: &TlsCounts, day: Day, domain: &Name) -> Option<Report> {
    let policies = counts.of(day, domain)?;
    let (start, end) = (day * DAY, day * DAY + DAY - 1);
    let id = format!("{day}.{domain}");
    Some(Report::new(&reporting.organization, &reporting.contact, &id, start, end, policies))
}

/// Puts the reports that go by mail into the queue. Where that has no room, they wait.
pub(super) async fn send_mails(shared: &Arc<Shared>, reporting: &TlsReporting, counts: &TlsCounts) {
    let is_mail = |to: &Destination| matches!(to, Destination::Mail(_));
    loop {
        let due = counts.due(seconds(shared.parts.clock.wall()), DONE_AT_ONCE, is_mail);
        if due.is_empty() {
            return;
        }
        for (day, domain, to) in due {
            let report = report(reporting, counts, day, &domain);
            if let (Some(report), Destination::Mail(address)) = (report, &to)
                && let Err(error) = send(shared, reporting, &report, &domain, address).await
            {
                return shared.tell(&QueueEvent::Failed { what: "sending a report on TLS", cause: &error });
            }
            counts.ended(day, &domain, &to, true);
        }
        save(shared).await;
    }
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
    let mut envelope = Envelope::new(now, ReversePath::Address(reporting.sender.clone()), [recipient]);
    envelope.is_own = true;
    envelope.smtputf8 = !to.is_ascii() || !reporting.sender.is_ascii();
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

/// A report that was offered by HTTPS: of which day and domain, where, and whether it was taken.
type Posted = (Day, Name, Destination, bool);

/// Reports that are on their way by HTTPS. A server that takes its time keeps nothing else waiting.
#[derive(Default)]
pub(super) struct Posts(JoinSet<Posted>);

impl Posts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next that has ended; none inside if a part of the embedder's panicked.
    pub(super) async fn next(&mut self) -> Option<Option<Posted>> {
        self.0.join_next().await.map(Result::ok)
    }

    /// Offers the reports that are due, as far as there is room.
    pub(super) fn begin(&mut self, shared: &Arc<Shared>, reporting: &TlsReporting, counts: &TlsCounts) {
        let Some(post) = &shared.parts.report_post else { return };
        let (clock, now) = (&shared.parts.clock, seconds(shared.parts.clock.wall()));
        let is_https = |to: &Destination| matches!(to, Destination::Https(_));
        for (day, domain, to) in counts.due(now, POSTS_AT_ONCE.saturating_sub(self.0.len()), is_https) {
            let (Destination::Https(url), Some(report)) = (&to, report(reporting, counts, day, &domain)) else {
                continue;
            };
            counts.tried(day, &domain, &to, now + POST_AGAIN);
            let (post, clock, url, content) =
                (Arc::clone(post), Arc::clone(clock), url.clone(), mail::compress(&report));
            self.0.spawn(async move {
                let is_taken = tokio::select! {
                    biased;
                    answer = post.post(&url, "application/tlsrpt+gzip", content) => matches!(answer, Ok(200..=299)),
                    () = clock.sleep_until(clock.now() + POST_PATIENCE) => false,
                };
                (day, domain, to, is_taken)
            });
        }
    }
}
