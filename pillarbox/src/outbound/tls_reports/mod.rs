//! Reports of what became of TLS (RFC 8460): counted by day and domain, and sent when the day is over.

mod counts;
mod mail;
mod post;
mod send;
mod ways;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pillarbox_auth::dkim::DomainKey;
use pillarbox_core::WallTime;
use pillarbox_core::address::Address;
use pillarbox_core::dns::Name;
use pillarbox_fs::{Fs, RealFs};

use counts::DAY;
pub(super) use counts::TlsCounts;
#[cfg(feature = "https")]
pub use post::HttpsReports;
pub use post::ReportPost;
use send::{Posts, ask, send_mails};

use super::shared::Shared;
use crate::parts::QueueEvent;

/// How often what was counted is written down. So much of it is lost when the power fails.
const SAVE_EVERY: Duration = Duration::from_secs(300);
/// Who reports on TLS, and how (RFC 8460). Sessions with mail exchangers are counted, and with hosts whose TLS is
/// [`Published`](super::TlsMode::Published): how many came to what DANE or MTA-STS asks for, or to any TLS where neither is there,
/// and which failed. Some hours after the end of each day in UTC every domain that has asked for it by `_smtp._tls` gets its
/// report, by mail through the queue, and by HTTPS through a [`ReportPost`]. Where it names several places each gets one, whatever
/// becomes of the others: what is still to be sent is kept over a restart as well.
///
/// A mail is sent once, whatever becomes of it: nobody is told of its failure, it goes out whatever TLS comes to, and nothing
/// that carries `TLS-Required: No`, as it does, is counted.
///
/// ```
/// use pillarbox::mailcore::address::Address;
/// use pillarbox::outbound::{OutboundConfig, TlsReporting};
///
/// let mut config = OutboundConfig::new("mx.example.org")?;
/// let sender = Address::parse("tls-reports@example.org")?.into_owned();
/// config.tls_reports = TlsReporting::new("Example", sender, "/var/spool/relay/tls-reports");
/// assert!(config.tls_reports.is_some());
/// # Ok::<(), pillarbox::mailcore::address::AddressError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TlsReporting {
    /// What the organisation is called that reports.
    pub organization: String,
    /// Whom to ask about reports: an address, or whatever finds somebody; the sender, unless it is set to another one.
    pub contact: String,
    /// Who sends them. Its domain is the submitter.
    sender: Address<'static>,
    submitter: Name,
    /// Where what was counted is kept over a restart: a folder, one file for each day, which is made if it is not there.
    pub folder: PathBuf,
    /// The disk with the folder.
    pub fs: Arc<dyn Fs>,
    /// What signs the mails (RFC 8460 §3); receivers may take no notice of others. Its domain should be that of the sender.
    pub key: Option<DomainKey>,
    /// How long after the end of a day the reports go out at the latest: four hours. When exactly is left to chance, so that not
    /// all the world reports at the same moment (RFC 8460 §4.1).
    pub delay_max: Duration,
}

impl TlsReporting {
    /// Reports of an organisation. `None` if the sender has no domain with a name.
    pub fn new(organization: &str, sender: Address<'static>, folder: impl Into<PathBuf>) -> Option<Self> {
        let submitter = Name::parse(sender.domain().name()?).ok()?;
        Some(TlsReporting {
            organization: organization.into(),
            contact: sender.to_string(),
            sender,
            submitter,
            folder: folder.into(),
            fs: Arc::new(RealFs),
            key: None,
            delay_max: Duration::from_secs(4 * 3600),
        })
    }
}

/// Reads what an earlier process has left, unless that was done. False if it is not known.
async fn load(shared: &Arc<Shared>) -> bool {
    let (loading, now) = (Arc::clone(shared), shared.parts.clock.wall());
    let loaded = shared.disk.run(move || loading.tls_counts.as_ref().map_or(Ok(()), |counts| counts.load(now))).await;
    if let Err(error) = &loaded {
        shared.tell(&QueueEvent::Failed { what: "reading what TLS came to", cause: error });
    }
    loaded.is_ok()
}

/// Writes down what was counted before the process ends.
pub(super) async fn finish(shared: &Arc<Shared>) {
    if shared.tls_counts.is_some() && load(shared).await {
        save(shared).await;
    }
}

/// Writes down what was counted.
async fn save(shared: &Arc<Shared>) {
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
    let delay_max = reporting.delay_max.as_secs().max(1);
    let mut delay = shared.random().below(delay_max);
    let mut posts = Posts::default();
    // What an earlier process has left to do is not put off.
    let mut save_at = clock.now();
    loop {
        tokio::select! {
            biased;
            Some(ended) = posts.next(), if !posts.is_empty() => {
                if let Some((day, domain, to, is_taken)) = ended {
                    counts.ended(day, &domain, &to, is_taken);
                }
                // There is room for the next.
                posts.begin(&shared, reporting, counts);
                save(&shared).await;
            }
            () = clock.sleep_until(save_at) => {
                save_at = clock.now() + SAVE_EVERY;
                // As long as nobody knows what was asked and sent, it must not be done again.
                if !load(&shared).await {
                    continue;
                }
                save(&shared).await;
                let now = seconds(clock.wall());
                for day in counts.over(clock.wall()) {
                    if now >= (day + 1) * DAY + delay {
                        ask(&shared, counts, day).await;
                        delay = shared.random().below(delay_max);
                    }
                }
                send_mails(&shared, reporting, counts).await;
                posts.begin(&shared, reporting, counts);
                save(&shared).await;
                save_at = clock.now() + SAVE_EVERY;
            }
        }
    }
}

fn seconds(wall: WallTime) -> u64 {
    u64::try_from(wall.unix_seconds()).unwrap_or(0)
}
