//! A message on its way: who has been asked, and what was said.

use alloc::vec::Vec;

use pillarbox_core::Reply;
use pillarbox_core::address::{ForwardPath, ReversePath};

use super::{Capabilities, Envelope, Lack, RecipientOutcome};
use crate::server::BodyKind;

/// One message between [`Answer::Send`](super::Answer::Send) and [`Event::Sent`](super::Event::Sent).
#[derive(Debug)]
pub(super) struct Transaction {
    envelope: Envelope,
    /// What is known, one for each recipient of the envelope.
    fates: Vec<Fate>,
    /// How many of them are [`Fate::Accepted`].
    accepted: usize,
    /// All before it are through with RCPT.
    cursor: usize,
    /// All before it have their final reply, if they were accepted.
    settled: usize,
    /// All before it were told to the server.
    asked: usize,
    /// RCPT commands whose replies are not there.
    unreplied: usize,
    /// DATA has gone ahead of replies.
    pub(super) data_asked: bool,
    /// What the server said to MAIL, if that was no.
    pub(super) mail_refused: Option<Reply>,
}

#[derive(Debug)]
enum Fate {
    /// RCPT was not answered.
    Unknown,
    /// RCPT was accepted: the fate hangs on the end of data.
    Accepted,
    Settled(RecipientOutcome),
}

impl Transaction {
    /// Settles at once what this server cannot take.
    pub(super) fn new(envelope: Envelope, server: &Capabilities) -> Self {
        let too_large = match (envelope.size, server.size_max()) {
            (Some(size), Some(max)) if size > max => Some(Lack::Size { max }),
            _ => None,
        };
        // RFC 6152 §3: converted or returned, but not sent as it is. Converting is not ours: it breaks signatures.
        let eight_bit = envelope.body == BodyKind::EightBitMime && !server.has("8BITMIME");
        let eight_bit = eight_bit.then_some(Lack::EightBitMime);
        let lacks_utf8 = |is_ascii: bool| (!is_ascii && !server.has("SMTPUTF8")).then_some(Lack::SmtpUtf8);
        let lack = too_large.or(eight_bit).or(lacks_utf8(from_is_ascii(&envelope.from)));
        // RFC 9422: RCPTMAX counts the RCPT commands of a transaction.
        let max = server.rcpt_max();
        let mut count = 0;
        let fates = envelope.recipients.iter().map(|recipient| {
            let mut lack = lack.or_else(|| lacks_utf8(to_is_ascii(&recipient.to)));
            if lack.is_none() {
                count += 1;
                lack = max.filter(|max| count > *max).map(|max| Lack::Recipients { max });
            }
            lack.map_or(Fate::Unknown, |lack| Fate::Settled(RecipientOutcome::Impossible(lack)))
        });
        Transaction {
            fates: fates.collect(),
            envelope,
            accepted: 0,
            cursor: 0,
            settled: 0,
            asked: 0,
            unreplied: 0,
            data_asked: false,
            mail_refused: None,
        }
    }

    pub(super) const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Whether MAIL has to ask for SMTPUTF8 (RFC 6531 §3.4).
    pub(super) fn needs_utf8(&self) -> bool {
        let mut asked = self.envelope.recipients.iter().zip(&self.fates);
        !from_is_ascii(&self.envelope.from)
            || asked.any(|(recipient, fate)| matches!(fate, Fate::Unknown) && !to_is_ascii(&recipient.to))
    }

    /// Whether this server can take the message for anybody.
    pub(super) fn has_hope(&self) -> bool {
        self.fates.iter().any(|fate| matches!(fate, Fate::Unknown))
    }

    /// The next recipient that the server is to be told.
    pub(super) fn ask_rcpt(&mut self) -> Option<&ForwardPath<'static>> {
        let ahead = self.fates[self.asked..].iter().position(|fate| matches!(fate, Fate::Unknown))?;
        let index = self.asked + ahead;
        self.asked = index + 1;
        self.unreplied += 1;
        Some(&self.envelope.recipients[index].to)
    }

    /// Whether a recipient was told and the reply is not there.
    pub(super) const fn awaits_rcpt(&self) -> bool {
        self.unreplied > 0
    }

    /// Takes a refusal of the sender, and with it of everybody. RCPT commands that have gone are still replied to.
    pub(super) fn mail_refused(&mut self, reply: Reply) {
        self.mail_refused = Some(reply);
    }

    /// Takes the reply to the first RCPT of [`ask_rcpt`](Transaction::ask_rcpt) that has none; gives the recipient's index.
    pub(super) fn rcpt_replied(&mut self, reply: Reply) -> usize {
        let ahead = self.fates[self.cursor..].iter().position(|fate| matches!(fate, Fate::Unknown));
        let index =
            self.cursor + ahead.expect("callers look at awaits_rcpt(), and the cursor passes none that is unknown");
        self.cursor = index + 1;
        self.unreplied -= 1;
        if let Some(refused) = &self.mail_refused {
            // What is said to RCPT without MAIL is about the order of commands, not about the recipient.
            self.fates[index] = Fate::Settled(refusal(refused.clone()));
            return index;
        }
        // RFC 5321 §4.5.3.1.10: 552 to RCPT can mean "too many recipients" from a server of RFC 821. It can only if it
        // took one before, so a second try has fewer; and an enhanced code about anything else says otherwise.
        let too_many = reply.code() == 552
            && self.accepted > 0
            && reply.enhanced_code().is_none_or(|code| (code.subject, code.detail) == (5, 3));
        self.fates[index] = match reply {
            reply if reply.is_positive() => {
                self.accepted += 1;
                Fate::Accepted
            }
            reply if too_many => Fate::Settled(RecipientOutcome::Later(Some(reply))),
            reply => Fate::Settled(refusal(reply)),
        };
        index
    }

    /// Whether a recipient was accepted and has no final reply.
    pub(super) const fn has_accepted(&self) -> bool {
        self.accepted > 0
    }

    /// Takes a final reply for all accepted recipients (SMTP).
    pub(super) fn all_replied(&mut self, reply: &Reply) {
        while self.accepted > 0 {
            self.one_replied(reply.clone());
        }
    }

    /// Takes the final reply for the first accepted recipient that has none (LMTP, RFC 2033 §4.2).
    pub(super) fn one_replied(&mut self, reply: Reply) {
        let ahead = self.fates[self.settled..].iter().position(|fate| matches!(fate, Fate::Accepted));
        self.settled += ahead.expect("callers look at has_accepted(), and none before this one is accepted");
        self.fates[self.settled] =
            Fate::Settled(if reply.is_positive() { RecipientOutcome::Delivered(reply) } else { refusal(reply) });
        self.accepted -= 1;
    }

    /// Ends the message with a refusal (or the loss of the connection, `None`) for all that had no final reply of their own.
    pub(super) fn end(self, reply: Option<&Reply>) -> Vec<RecipientOutcome> {
        let rest = self
            .mail_refused
            .as_ref()
            .or(reply)
            .filter(|reply| !reply.is_positive())
            .cloned()
            .map_or(RecipientOutcome::Later(None), refusal);
        let outcome = |fate| match fate {
            Fate::Unknown | Fate::Accepted => rest.clone(),
            Fate::Settled(outcome) => outcome,
        };
        self.fates.into_iter().map(outcome).collect()
    }
}

fn refusal(reply: Reply) -> RecipientOutcome {
    if reply.is_permanent() { RecipientOutcome::Refused(reply) } else { RecipientOutcome::Later(Some(reply)) }
}

fn from_is_ascii(path: &ReversePath<'_>) -> bool {
    path.address().is_none_or(|address| address.is_ascii())
}

fn to_is_ascii(path: &ForwardPath<'_>) -> bool {
    path.address().is_none_or(|address| address.is_ascii())
}
