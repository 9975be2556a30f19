//! A message on its way: who has been asked, and what was said.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use pillarbox_core::Reply;

use super::terms::{Terms, domain_of};
use super::{Acceptance, BodyKind, Capabilities, Envelope, Lack, RecipientOutcome};

/// One message between [`Answer::Send`](super::Answer::Send) and [`Event::Sent`](super::Event::Sent).
#[derive(Debug)]
pub(super) struct Transaction {
    envelope: Envelope,
    /// What was agreed on; `None` if the server cannot take the message for anybody.
    terms: Option<Terms>,
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
    /// The message goes by BDAT, not by DATA.
    pub(super) by_chunks: bool,
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
    /// Settles at once what this server cannot take. `by_chunks`: BDAT is used wherever it is offered.
    pub(super) fn new(mut envelope: Envelope, server: &Capabilities, is_tls: bool, by_chunks: bool) -> Self {
        let mut terms = Terms::new(&mut envelope, server, is_tls);
        let (recipients_max, domains_max) = (server.rcpt_max(), server.rcpt_domain_max());
        // RFC 9422: RCPTMAX counts the RCPT commands of a transaction, RCPTDOMAINMAX the domains in them.
        let mut count = 0;
        let mut domains = BTreeSet::new();
        let fates = envelope.recipients.iter_mut().map(|recipient| {
            let mut ask = || {
                let terms = terms.as_mut().map_err(|lack| *lack)?;
                if let Some(max) = recipients_max.filter(|max| count >= *max) {
                    return Err(Lack::Recipients { max });
                }
                let domain = domain_of(&recipient.to).cloned();
                if let (Some(max), Some(domain)) = (domains_max, &domain)
                    && !domains.contains(domain)
                    && domains.len() as u64 >= max
                {
                    return Err(Lack::Domains { max });
                }
                terms.add(recipient)?;
                count += 1;
                domains.extend(domain);
                Ok(())
            };
            match ask() {
                Ok(()) => Fate::Unknown,
                Err(lack) => Fate::Settled(RecipientOutcome::Impossible(lack)),
            }
        });
        Transaction {
            fates: fates.collect(),
            by_chunks: envelope.body == BodyKind::BinaryMime || (by_chunks && server.has("CHUNKING")),
            envelope,
            terms: terms.ok(),
            accepted: 0,
            cursor: 0,
            settled: 0,
            asked: 0,
            unreplied: 0,
            data_asked: false,
            mail_refused: None,
        }
    }

    /// What kind of octets the message holds.
    pub(super) const fn body(&self) -> BodyKind {
        self.envelope.body
    }

    /// Whether this server can take the message for anybody.
    pub(super) fn has_hope(&self) -> bool {
        self.fates.iter().any(|fate| matches!(fate, Fate::Unknown))
    }

    /// Whether these octets are such as the server was told of.
    pub(super) fn may_hold(&self, octets: &[u8]) -> bool {
        self.envelope.body != BodyKind::SevenBit || octets.is_ascii()
    }

    /// The MAIL command.
    pub(super) fn mail(&self) -> String {
        self.terms().mail(&self.envelope)
    }

    /// The RCPT command for the next recipient that the server is to be told.
    pub(super) fn ask_rcpt(&mut self) -> Option<String> {
        let ahead = self.fates[self.asked..].iter().position(|fate| matches!(fate, Fate::Unknown))?;
        let index = self.asked + ahead;
        self.asked = index + 1;
        self.unreplied += 1;
        Some(self.terms().rcpt(&self.envelope.recipients[index]))
    }

    const fn terms(&self) -> &Terms {
        self.terms.as_ref().expect("nobody is asked about where there is nothing to agree on")
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

    /// How many recipients were accepted and have no final reply.
    pub(super) const fn accepted(&self) -> usize {
        self.accepted
    }

    /// Whether every recipient whom the server is to be told of was told.
    pub(super) fn all_asked(&self) -> bool {
        !self.fates[self.asked..].iter().any(|fate| matches!(fate, Fate::Unknown))
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
        self.fates[self.settled] = Fate::Settled(if reply.is_positive() {
            let notice_due = self.terms().notice_due(&self.envelope.recipients[self.settled]);
            RecipientOutcome::Delivered(Acceptance { reply, notice_due })
        } else {
            refusal(reply)
        });
        self.accepted -= 1;
    }

    /// Takes a refusal of the message before its end, for all accepted recipients.
    pub(super) fn refused(&mut self, reply: &Reply) {
        debug_assert!(!reply.is_positive(), "callers look at the class");
        self.all_replied(reply);
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
