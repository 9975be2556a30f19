//! Signatures of DKIM on what users send.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use pillarbox_auth::dkim::{DomainKey, SignError, SignOptions, Signer};
use pillarbox_auth::from::{Authors, Limits};
use pillarbox_core::Reply;
use pillarbox_core::crypto::Crypto;
use pillarbox_core::header::{HeaderLimit, HeaderScanner, HeaderStatus};

use super::held::{Budget, Held};
use crate::parts::{BoxFuture, Clock, Envelope, IncomingMessage, MessageSink, Outcome, Parts, SinkError};

/// Says whether a message is one that we sign.
type Rule = dyn Fn(&Envelope) -> bool + Send + Sync;

/// The keys of the domains that sign, which a program may read again while it runs. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct SigningKeys(Arc<Mutex<Arc<Vec<DomainKey>>>>);

impl SigningKeys {
    /// These keys. Several of one domain sign beside each other, in their order: one of RSA that everybody verifies, and one of
    /// Ed25519.
    pub fn new(keys: Vec<DomainKey>) -> Self {
        SigningKeys(Arc::new(Mutex::new(Arc::new(keys))))
    }

    /// Puts others in their place. Messages that are under way go by the old ones.
    pub fn set(&self, keys: Vec<DomainKey>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn current(&self) -> Arc<Vec<DomainKey>> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A sink that signs messages (RFC 6376) with the keys of their author's domain before the sink behind gets them.
///
/// ```
/// use std::sync::Arc;
/// use pillarbox::auth::{SigningKeys, SigningSink};
/// use pillarbox::mailauth::dkim::{DomainKey, generate_ed25519};
/// use pillarbox::mailcore::crypto::Crypto as _;
/// use pillarbox::parts::Parts;
///
/// # let mut random = pillarbox::mailcore::SeededRandom::new(1);
/// let parts = Parts::in_memory();
/// let key = parts.crypto.load_key(&generate_ed25519(&mut random))?; // or from a file, by `read_private_key`
/// let key = DomainKey::new("example.org".parse()?, "2026a".parse()?, key.into());
/// let sink = SigningSink::new(SigningKeys::new(vec![key]), &parts);
/// let submission = Parts { sink: Arc::new(sink), ..parts };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It signs what those bring who have logged in, so that a policy such as [`OwnSenders`](crate::parts::OwnSenders) has to see to it
/// that they write as themselves; [`signs`](SigningSink::signs) says otherwise. The domain is that of the one address in the From
/// field, exactly: keys of `example.org` sign nothing of `mail.example.org`. Of a domain without a key, and without a single
/// author, a message goes on as it is. One that has a key and cannot be signed is refused, and so is one with a header beyond the
/// [limits](SignOptions::header_limits), of which nobody knows.
///
/// The signature stands on top and is known at the end: until then a message is held, as [`AuthSink`](super::AuthSink) does.
#[derive(Clone)]
pub struct SigningSink {
    keys: SigningKeys,
    behind: Arc<dyn MessageSink>,
    crypto: Arc<dyn Crypto>,
    clock: Arc<dyn Clock>,
    options: SignOptions,
    budget: Budget,
    signs: Option<Arc<Rule>>,
}

impl SigningSink {
    /// A sink in front of that of `parts`, whose crypto and clock it uses.
    pub fn new(keys: SigningKeys, parts: &Parts) -> Self {
        SigningSink {
            keys,
            behind: Arc::clone(&parts.sink),
            crypto: Arc::clone(&parts.crypto),
            clock: Arc::clone(&parts.clock),
            options: SignOptions::default(),
            budget: Budget::default(),
            signs: None,
        }
    }

    /// What is signed, and how.
    #[must_use]
    pub fn options(self, options: SignOptions) -> Self {
        SigningSink { options, ..self }
    }

    /// Which messages are signed, in place of those of users who have logged in. Whoever else is let in here writes in the name of
    /// every domain that has a key.
    #[must_use]
    pub fn signs(self, signs: impl Fn(&Envelope) -> bool + Send + Sync + 'static) -> Self {
        SigningSink { signs: Some(Arc::new(signs)), ..self }
    }
}

impl MessageSink for SigningSink {
    fn begin(&self, mut envelope: Envelope) -> BoxFuture<'_, Result<Box<dyn IncomingMessage>, SinkError>> {
        Box::pin(async move {
            let is_ours = match &self.signs {
                Some(signs) => signs(&envelope),
                None => envelope.session.identity.is_some(),
            };
            let keys = self.keys.current();
            if !is_ours || keys.is_empty() {
                return self.behind.begin(envelope).await;
            }
            let trace = mem::take(&mut envelope.trace);
            let recipients = envelope.recipients.len();
            let behind = self.behind.begin(envelope).await?;
            let scanner = HeaderScanner::new(self.options.header_limits);
            let (held, stage) = (Held::new(self.budget.clone()), Stage::Header(Vec::new(), scanner));
            let message = Signed { sink: self.clone(), keys, recipients, trace, held, behind, stage };
            Ok(Box::new(message) as Box<dyn IncomingMessage>)
        })
    }
}

/// What becomes of the octets that come.
enum Stage {
    /// They are collected, until it is known whose they are.
    Header(Vec<u8>, HeaderScanner),
    /// They are signed, and wait.
    Signing(Box<Signer>),
    /// They go on.
    Through,
}

/// A message on its way through.
struct Signed {
    sink: SigningSink,
    keys: Arc<Vec<DomainKey>>,
    recipients: usize,
    /// The trace fields of this hop, which stand below the signature.
    trace: Vec<u8>,
    held: Held,
    behind: Box<dyn IncomingMessage>,
    stage: Stage,
}

impl Signed {
    /// The header is complete.
    async fn decide(&mut self, begin: &[u8]) -> Result<(), SinkError> {
        let authors = Authors::read(begin, &Limits::default());
        let is_of = |key: &&DomainKey| authors.domain().is_ok_and(|author| *author == key.domain);
        let keys: Vec<DomainKey> = self.keys.iter().filter(is_of).cloned().collect();
        if keys.is_empty() {
            self.stage = Stage::Through;
            self.behind.write(&self.trace).await?;
            return self.behind.write(begin).await;
        }
        let now = u64::try_from(self.sink.clock.wall().unix_seconds()).unwrap_or(0);
        let mut signer = Signer::new(Arc::clone(&self.sink.crypto), keys, self.sink.options.clone(), now);
        signer.write(begin);
        self.stage = Stage::Signing(Box::new(signer));
        self.held.write(begin).await
    }

    async fn pass_on(mut self: Box<Self>, all_or_nothing: bool) -> Result<Vec<Outcome>, SinkError> {
        if let Stage::Header(begin, scanner) = &mut self.stage {
            scanner.finish().map_err(too_long)?;
            let begin = mem::take(begin);
            self.decide(&begin).await?;
        }
        if let Stage::Signing(signer) = mem::replace(&mut self.stage, Stage::Through) {
            let fields = signer.finish().map_err(unsigned)?;
            self.behind.write(fields.as_bytes()).await?;
            self.behind.write(&self.trace).await?;
            self.held.replay(&[], &mut *self.behind).await?;
        }
        Ok(self.behind.commit(all_or_nothing).await)
    }
}

impl IncomingMessage for Signed {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            match &mut self.stage {
                Stage::Header(begin, scanner) => {
                    let status = scanner.feed(octets).map_err(too_long)?;
                    begin.extend_from_slice(octets);
                    match status {
                        HeaderStatus::Open => Ok(()),
                        HeaderStatus::Complete { .. } => {
                            let begin = mem::take(begin);
                            self.decide(&begin).await
                        }
                    }
                }
                Stage::Signing(signer) => {
                    signer.write(octets);
                    self.held.write(octets).await
                }
                Stage::Through => self.behind.write(octets).await,
            }
        })
    }

    fn commit(self: Box<Self>, all_or_nothing: bool) -> BoxFuture<'static, Vec<Outcome>> {
        let recipients = self.recipients;
        Box::pin(async move {
            match self.pass_on(all_or_nothing).await {
                Ok(outcomes) => outcomes,
                Err(error) => vec![Outcome::Refused(error.reply); recipients],
            }
        })
    }
}

fn too_long(limit: HeaderLimit) -> SinkError {
    SinkError::new(Reply::enhanced(552, 5, 3, 4, limit.to_string()), "a header that cannot be signed")
}

/// RFC 3463 §3.8: 5.7.5 is for trouble with the cryptography of a message.
fn unsigned(error: SignError) -> SinkError {
    let reply = match error {
        SignError::Header(limit) => return too_long(limit),
        SignError::Crypto(_) => Reply::enhanced(451, 4, 7, 5, "the message cannot be signed now, try again later"),
        _ => Reply::enhanced(550, 5, 7, 5, "the message cannot be signed"),
    };
    SinkError::new(reply, format!("not signed: {error}"))
}
