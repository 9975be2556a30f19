//! One message over one connection: its envelope, and what the server's answers mean.

use std::sync::Arc;

use pillarbox_core::EnhancedCode;
use pillarbox_core::address::ForwardPath;
use pillarbox_smtp::client::{Acceptance, EnvelopeId, Lack, OriginalRecipient, Phase, Recipient, RecipientOutcome};
use pillarbox_smtp::command::{self, MtPriority};
use pillarbox_smtp::server::{BodyKind, Ret};
use pillarbox_spool::{self as spool, ByMode, Health, Outcome};

use super::body::BodyReader;
use super::delivery::Delivery;
use super::notice::notify;
use super::record::Word;
use crate::dsn::Action;
use crate::smtp::{Envelope, SendError, SmtpClient};

/// What came of a connection.
pub(super) struct Sent {
    /// It can take another message.
    pub(super) client: Option<SmtpClient>,
    /// It was closed before the message came to it.
    pub(super) was_gone: bool,
}

/// Sends the message to all open recipients, as many at a time as the server takes.
pub(super) async fn send(delivery: &mut Delivery, mut client: SmtpClient, peer: &str) -> Sent {
    let mut is_first = true;
    while !delivery.open.is_empty() && client.is_open() {
        let most = most_of(delivery, &client);
        let some: Vec<u32> = delivery.open.iter().copied().take(most).collect();
        let body =
            BodyReader::new(Arc::clone(&delivery.body), delivery.shared.disk.clone(), Arc::clone(&delivery.seat));
        let outcomes = client.send(envelope(delivery, &some), body).await;
        delivery.seat.may_go(true);
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) => {
                let was_gone = matches!(error, SendError::Ended) && is_first;
                let attempt = delivery.our(Outcome::Delayed, EnhancedCode::new(4, 3, 0), error.to_string());
                delivery.meet(attempt);
                delivery.open.append(&mut delivery.later);
                client.quit().await;
                return Sent { client: None, was_gone };
            }
        };
        // Before anything but MAIL has been said, the connection had been closed while it was idle.
        let idle = client
            .failure()
            .is_some_and(|failure| failure.reply.is_none() && matches!(failure.phase, Phase::Idle | Phase::Mail));
        let was_gone = is_first && idle;
        is_first = false;
        let answered = delivery.take_answers(&some, outcomes, peer);
        if was_gone {
            return Sent { client: None, was_gone };
        }
        if !answered {
            // The server could not take these now with these others; they must not be offered to it for ever.
            let stuck = |recipient: &u32| some.contains(recipient);
            let (stuck, open) = delivery.open.iter().copied().partition(stuck);
            delivery.open = open;
            delivery.later.extend::<Vec<u32>>(stuck);
        }
    }
    delivery.open.append(&mut delivery.later);
    if client.failure().is_some() {
        delivery.health = Health::Trouble;
    } else {
        delivery.health = Health::Good;
    }
    if client.is_open() {
        return Sent { client: Some(client), was_gone: false };
    }
    client.quit().await;
    Sent { client: None, was_gone: false }
}

/// Recipients of one transaction.
fn most_of(delivery: &Delivery, client: &SmtpClient) -> usize {
    let ours = delivery.shared.config.recipients_max.max(1);
    let theirs = client.capabilities().rcpt_max().and_then(|max| usize::try_from(max).ok());
    let domains = client.capabilities().rcpt_domain_max().is_some_and(|max| max < 2);
    // Of a server that takes one domain at a time nothing more is asked.
    let ours = if domains { 1 } else { ours };
    theirs.map_or(ours, |max| max.clamp(1, ours))
}

impl Delivery {
    /// Takes what was said of some of the open recipients; false if that was nothing at all.
    fn take_answers(&mut self, some: &[u32], outcomes: Vec<RecipientOutcome>, peer: &str) -> bool {
        let before = self.open.len();
        for (recipient, outcome) in some.iter().copied().zip(outcomes) {
            if let Some(word) = self.word(recipient, outcome, peer) {
                self.words.push(word);
                self.open.retain(|open| *open != recipient);
            }
        }
        self.open.len() < before
    }

    /// What an outcome means; none if the recipient has no answer yet, and another server may give one.
    fn word(&mut self, recipient: u32, outcome: RecipientOutcome, peer: &str) -> Option<Word> {
        match outcome {
            RecipientOutcome::Delivered(acceptance) => Some(self.delivered(recipient, &acceptance, peer)),
            RecipientOutcome::Refused(reply) => Some(Word::of(recipient, self.of_reply(Outcome::Failed, peer, &reply))),
            // RFC 5321 §3.8: it says nothing about the recipient.
            RecipientOutcome::Later(Some(reply)) if reply.code() != 421 => {
                Some(Word::of(recipient, self.of_reply(Outcome::Delayed, peer, &reply)))
            }
            RecipientOutcome::Later(Some(reply)) => {
                self.meet(self.of_reply(Outcome::Delayed, peer, &reply));
                None
            }
            RecipientOutcome::Impossible(lack) => self.lacking(recipient, lack, peer),
            _ => {
                let mut attempt = self.our(Outcome::Delayed, EnhancedCode::new(4, 4, 2), "the connection was lost");
                attempt.peer = peer.into();
                self.meet(attempt);
                None
            }
        }
    }

    fn delivered(&self, recipient: u32, acceptance: &Acceptance, peer: &str) -> Word {
        let is_lmtp = matches!(&*self.destination, name if name.starts_with("lmtp:"));
        let outcome = match acceptance.notice_due {
            true if !is_lmtp => Outcome::Relayed,
            _ => Outcome::Delivered,
        };
        let action = acceptance.notice_due.then_some(if is_lmtp { Action::Delivered } else { Action::Relayed });
        let attempt = self.of_reply(outcome, peer, &acceptance.reply);
        Word { action, is_due: acceptance.notice_due, ..Word::of(recipient, attempt) }
    }

    fn lacking(&mut self, recipient: u32, lack: Lack, peer: &str) -> Option<Word> {
        let reply = lack.reply();
        // RFC 8689 §4.2.1: every host is asked before the message goes back.
        let others_may = matches!(lack, Lack::RequireTls | Lack::Recipients { .. } | Lack::Domains { .. });
        let mut attempt = self.of_reply(if others_may { Outcome::Delayed } else { Outcome::Failed }, peer, &reply);
        // These are our words about the server, not its own.
        attempt.code = None;
        if others_may {
            self.meet(attempt);
            return None;
        }
        Some(Word::of(recipient, attempt))
    }
}

/// What the next server is told of the message.
fn envelope(delivery: &Delivery, some: &[u32]) -> Envelope {
    let message = &delivery.message.envelope;
    let now = delivery.wall();
    let recipients = some.iter().filter_map(|recipient| {
        let known = message.recipients.get(usize::try_from(*recipient).ok()?)?;
        let mut recipient = match &known.to {
            // RFC 5321 §4.1.1.3: without a domain it is that of whoever is asked, which would be somebody else's now.
            ForwardPath::Postmaster => Recipient::from(ForwardPath::Address(delivery.shared.config.postmaster())),
            to => Recipient::from(to.clone()),
        };
        recipient.notify = known.notify.map(notify);
        recipient.orcpt =
            known.orcpt.as_ref().and_then(|orcpt| OriginalRecipient::new(&orcpt.addr_type, &orcpt.address).ok());
        Some(recipient)
    });
    let mut envelope = Envelope::new(message.from.clone(), recipients);
    envelope.size = Some(delivery.body.len);
    envelope.body = match message.body {
        spool::BodyKind::SevenBit => BodyKind::SevenBit,
        spool::BodyKind::EightBitMime => BodyKind::EightBitMime,
        spool::BodyKind::BinaryMime => BodyKind::BinaryMime,
    };
    envelope.smtputf8 = message.smtputf8;
    envelope.ret = message.ret.map(|ret| match ret {
        spool::Ret::Full => Ret::Full,
        spool::Ret::Hdrs => Ret::Hdrs,
    });
    envelope.envid = message.envid.as_deref().and_then(|envid| EnvelopeId::new(envid).ok());
    envelope.require_tls = message.require_tls;
    // RFC 2852 §4.1.4: what is left of the time.
    envelope.deliver_by = message.deliver_by.map(|by| {
        let left = by.deadline.unix_seconds().saturating_sub(now.unix_seconds());
        command::DeliverBy {
            seconds: i32::try_from(left).unwrap_or(if left < 0 { -999_999_999 } else { 999_999_999 }),
            mode: match by.mode {
                ByMode::Notify => command::ByMode::Notify,
                ByMode::Return => command::ByMode::Return,
            },
            trace: by.trace,
        }
    });
    envelope.mt_priority = MtPriority::new(message.priority).filter(|priority| priority.level() != 0);
    envelope
}
