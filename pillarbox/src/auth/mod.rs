//! Mail authentication in front of a sink: what fails DMARC is refused, what is taken carries Authentication-Results.
//!
//! ```
//! use std::sync::Arc;
//! use pillarbox::auth::{AuthSink, Config};
//! use pillarbox::parts::{AllowList, MemorySink, Parts};
//! use pillarbox::smtp::{ServerConfig, SmtpServer};
//!
//! let parts = Parts {
//!     policy: Arc::new(AllowList::new(["you@example.org"])),
//!     sink: Arc::new(MemorySink::new()), // or where your mail goes
//!     // resolver: Arc::new(StubResolver::new(..)), with the feature `hickory`
//!     ..Parts::in_memory()
//! };
//! let sink = Arc::new(AuthSink::new(Config::new("mx.example.org"), &parts));
//! let server = SmtpServer::new(ServerConfig::new("mx.example.org"), Parts { sink, ..parts });
//! ```
//!
//! It belongs where strangers bring mail: behind another server of yours every message would come from that one. What brings
//! no address of a client (LMTP over a socket) goes through as it is. Who logged in is not checked either, nor is a client
//! whose address a proxy of yours does not know; but fields that claim our results are taken out of what they send, and a
//! header that is too long to be looked at is refused.
//!
//! The field with the results stands on top of a message and is known at its end. So a message waits here until then: in
//! memory up to [`HELD_MAX`], and [`HELD_TOTAL_MAX`] for all messages of a sink together, beyond that in a file without a name
//! in the folder for temporary files, which is gone when the message is, whatever happens. Nothing is promised before the sink
//! behind has it on stable storage.
//!
//! [`SigningSink`] signs what users send in the same way.

mod held;
mod signing;

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use pillarbox_auth::dmarc::Disposition;
use pillarbox_auth::inbound::Inbound;
use pillarbox_core::Reply;
use pillarbox_core::crypto::Crypto;
use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, QuestionId};
use tokio::task::JoinSet;

pub use held::{HELD_MAX, HELD_TOTAL_MAX};
pub use pillarbox_auth::inbound::{Config, Verdicts};
pub use signing::{SigningKeys, SigningSink};

use crate::parts::{
    BoxFuture, Clock, Envelope, IncomingMessage, MessageSink, Observer, Outcome, Parts, Resolver, SinkError,
};
use held::{Budget, Held};

/// Looks at what came out before it has its effect.
type Rule = dyn Fn(&Envelope, &mut Verdicts) + Send + Sync;
/// Says how a message is dealt with.
type Care = dyn Fn(&Envelope) -> Treatment + Send + Sync;

/// How a message is dealt with, by who brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Treatment {
    /// It is checked.
    Check,
    /// It is not checked, but fields that claim our results are taken out: what users and hosts of ours bring.
    Strip,
    /// It goes on as it is: what a filter of ours hands back, or a server of ours has checked.
    Pass,
}

/// A sink that checks every message before the sink behind gets it. The [module](self) has an example.
#[derive(Clone)]
pub struct AuthSink {
    config: Arc<Config>,
    behind: Arc<dyn MessageSink>,
    resolver: Arc<dyn Resolver>,
    crypto: Arc<dyn Crypto>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    budget: Budget,
    patience: Duration,
    rule: Option<Arc<Rule>>,
    care: Option<Arc<Care>>,
    mark: Option<Arc<str>>,
}

impl AuthSink {
    /// A sink in front of that of `parts`, whose resolver, crypto, clock and observer it uses.
    pub fn new(config: Config, parts: &Parts) -> Self {
        AuthSink {
            config: Arc::new(config),
            behind: Arc::clone(&parts.sink),
            resolver: Arc::clone(&parts.resolver),
            crypto: Arc::clone(&parts.crypto),
            clock: Arc::clone(&parts.clock),
            observer: Arc::clone(&parts.observer),
            budget: Budget::default(),
            patience: Duration::from_secs(20),
            rule: None,
            care: None,
            mark: None,
        }
    }

    /// How long the DNS is waited for once a message is complete: 20 s (RFC 7208 §4.6.4). Then what is open is a temporary
    /// error.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Calls `rule` with the verdicts on every message that was checked, before they have their effect: to count them for
    /// reports, or to decide otherwise by [`Verdicts::override_disposition`].
    ///
    /// ```
    /// # use pillarbox::auth::{AuthSink, Config};
    /// # use pillarbox::parts::Parts;
    /// use pillarbox::mailauth::dmarc::{Disposition, OverrideReason};
    ///
    /// // Nobody is refused while this is tried out.
    /// let sink = AuthSink::new(Config::new("mx.example.org"), &Parts::in_memory());
    /// let sink = sink.rule(|_, verdicts| verdicts.override_disposition(OverrideReason::LocalPolicy, Disposition::None));
    /// ```
    #[must_use]
    pub fn rule(mut self, rule: impl Fn(&Envelope, &mut Verdicts) + Send + Sync + 'static) -> Self {
        self.rule = Some(Arc::new(rule));
        self
    }

    /// Asks `care` about each message how it is to be dealt with. Without it strangers are checked: all who have an address and
    /// have not logged in. What comes with neither an address nor a login passes as it is, unless a proxy brought it (XCLIENT).
    /// Without an address nobody can be checked: who is to be, by `care` or as a proxy's client, loses what is forged.
    ///
    /// ```
    /// # use pillarbox::auth::{AuthSink, Config, Treatment};
    /// # use pillarbox::parts::Parts;
    /// let sink = AuthSink::new(Config::new("mx.example.org"), &Parts::in_memory()).care(|envelope| {
    ///     match envelope.session.ip.is_some_and(|ip| ip.is_loopback()) || envelope.session.identity.is_some() {
    ///         true => Treatment::Strip,
    ///         false => Treatment::Check,
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn care(mut self, care: impl Fn(&Envelope) -> Treatment + Send + Sync + 'static) -> Self {
        self.care = Some(Arc::new(care));
        self
    }

    /// A field that is put on top of what is taken but to be kept apart ([`Disposition::Quarantine`]), such as `X-Spam: Yes`, for
    /// [`JunkSink`](crate::delivery::JunkSink) and whoever else files mail. Without it only Authentication-Results tells.
    ///
    /// # Panics
    ///
    /// If it is not a name, a colon and a value in one line of printable ASCII, which would break the header of a message.
    #[must_use]
    pub fn quarantine_mark(mut self, field: &str) -> Self {
        let is_field = field.split_once(':').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        });
        assert!(is_field && field.bytes().all(|octet| matches!(octet, b' '..=b'~')), "{field:?} is no header field");
        self.mark = Some(field.into());
        self
    }

    fn treatment(&self, envelope: &Envelope) -> Treatment {
        let session = &envelope.session;
        let wanted = match &self.care {
            Some(care) => care(envelope),
            // A proxy that does not know its client (XCLIENT) brings the mail of strangers all the same.
            None if session.ip.is_none() && session.identity.is_none() && session.xclient.is_none() => Treatment::Pass,
            None if session.identity.is_some() => Treatment::Strip,
            None => Treatment::Check,
        };
        match wanted {
            Treatment::Check if session.ip.is_none() => Treatment::Strip,
            wanted => wanted,
        }
    }
}

impl MessageSink for AuthSink {
    fn begin(&self, mut envelope: Envelope) -> BoxFuture<'_, Result<Box<dyn IncomingMessage>, SinkError>> {
        Box::pin(async move {
            let treatment = self.treatment(&envelope);
            if treatment == Treatment::Pass {
                return self.behind.begin(envelope).await;
            }
            let session = &envelope.session;
            let now = u64::try_from(self.clock.wall().unix_seconds()).unwrap_or(0);
            let mut inbound = Inbound::new(Arc::clone(&self.crypto), Arc::clone(&self.config), now);
            let stranger = session.ip.filter(|_| treatment == Treatment::Check);
            let is_checked = stranger.is_some();
            if let Some(ip) = stranger {
                inbound.connect(ip);
                inbound.helo(session.hello.as_deref().unwrap_or_default());
                inbound.mail_from(&envelope.from);
            }
            // Ours comes on top of it.
            let trace = if is_checked { mem::take(&mut envelope.trace) } else { Vec::new() };
            let behind = self.behind.begin(envelope.clone()).await?;
            let mut message = Checked {
                sink: self.clone(),
                envelope,
                trace,
                inbound,
                lookups: JoinSet::new(),
                held: Held::new(self.budget.clone()),
                behind,
                stage: if is_checked { Stage::Checking } else { Stage::Stripping },
            };
            message.ask();
            Ok(Box::new(message) as Box<dyn IncomingMessage>)
        })
    }
}

/// What becomes of the octets that come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// They are checked, and wait for the verdict.
    Checking,
    /// They wait for the end of the header, to have forged fields taken out.
    Stripping,
    /// They go on.
    Through,
}

/// A message on its way through the check.
struct Checked {
    sink: AuthSink,
    envelope: Envelope,
    /// The trace fields of this hop.
    trace: Vec<u8>,
    inbound: Inbound,
    lookups: JoinSet<(QuestionId, DnsAnswer)>,
    held: Held,
    behind: Box<dyn IncomingMessage>,
    stage: Stage,
}

impl Checked {
    /// Looks up what is asked, each question by itself, so that answers come while the client still sends.
    fn ask(&mut self) -> Option<Verdicts> {
        loop {
            match self.inbound.poll() {
                DnsStep::Ask(question) => {
                    let resolver = Arc::clone(&self.sink.resolver);
                    self.lookups.spawn(async move { (question.id, resolver.resolve(&question).await) });
                }
                DnsStep::Wait => return None,
                DnsStep::Done(verdicts) => return Some(verdicts),
            }
        }
    }

    /// Takes the answers that have come.
    fn take_answers(&mut self) {
        while let Some(answered) = self.lookups.try_join_next() {
            // A resolver that broke gives no answer; patience ends it.
            if let Ok((id, answer)) = answered {
                self.inbound.answer(id, answer);
            }
        }
    }

    /// The message is complete: waits for the answers that are missing.
    async fn verdicts(&mut self) -> Verdicts {
        self.inbound.finish();
        let clock = Arc::clone(&self.sink.clock);
        let mut alarm = clock.sleep_until(clock.now() + self.sink.patience);
        loop {
            if let Some(verdicts) = self.ask() {
                return verdicts;
            }
            let answered = tokio::select! {
                answered = self.lookups.join_next() => answered,
                () = &mut alarm => None,
            };
            match answered {
                Some(Ok((id, answer))) => self.inbound.answer(id, answer),
                Some(Err(_)) => {}
                None => {
                    self.lookups.abort_all();
                    self.inbound.give_up();
                }
            }
        }
    }

    async fn pass_on(mut self: Box<Self>, all_or_nothing: bool) -> Result<Vec<Outcome>, SinkError> {
        match self.stage {
            Stage::Checking => {
                let mut verdicts = self.verdicts().await;
                if let Some(rule) = &self.sink.rule {
                    rule(&self.envelope, &mut verdicts);
                }
                let (session, what) = (self.envelope.session.number, format!("message {}", self.envelope.id));
                self.sink.observer.checked(session, &what, &verdicts.authentication_results());
                if let Some(reply) = verdicts.refusal() {
                    return Err(SinkError::new(reply, "refused by mail authentication"));
                }
                if let Some(mark) =
                    self.sink.mark.as_ref().filter(|_| verdicts.disposition() == Disposition::Quarantine)
                {
                    self.behind.write(format!("{mark}\r\n").as_bytes()).await?;
                }
                // RFC 8601 §5: above the Received field of this hop.
                self.behind.write(verdicts.header_fields().as_bytes()).await?;
                self.behind.write(&self.trace).await?;
                self.held.replay(&verdicts.forged, &mut *self.behind).await?;
            }
            Stage::Stripping => {
                self.inbound.finish();
                self.strip().await?;
            }
            Stage::Through => {}
        }
        Ok(self.behind.commit(all_or_nothing).await)
    }

    /// Lets go what is held, once it is known what of it is forged.
    async fn strip(&mut self) -> Result<(), SinkError> {
        if let Some(reply) = self.inbound.early_refusal() {
            return Err(SinkError::new(reply, "what is forged in its header cannot be found"));
        }
        if let Some(forged) = self.inbound.forged() {
            self.held.replay(forged, &mut *self.behind).await?;
            self.stage = Stage::Through;
        }
        Ok(())
    }
}

impl IncomingMessage for Checked {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            match self.stage {
                Stage::Checking => {
                    self.inbound.write(octets);
                    self.take_answers();
                    self.ask();
                    self.held.write(octets).await
                }
                Stage::Stripping => {
                    self.inbound.write(octets);
                    self.held.write(octets).await?;
                    self.strip().await
                }
                Stage::Through => self.behind.write(octets).await,
            }
        })
    }

    fn commit(self: Box<Self>, all_or_nothing: bool) -> BoxFuture<'static, Vec<Outcome>> {
        let recipients = self.envelope.recipients.len();
        Box::pin(async move {
            match self.pass_on(all_or_nothing).await {
                Ok(outcomes) => outcomes,
                Err(error) => vec![Outcome::Refused(error.reply); recipients],
            }
        })
    }
}

/// What a client hears if a message cannot wait here.
fn no_room(error: &std::io::Error) -> SinkError {
    SinkError::new(Reply::enhanced(452, 4, 3, 1, "no room for the message now, try again later"), error.to_string())
}
