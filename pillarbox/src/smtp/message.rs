//! One transaction: its envelope, the message on its way into the sink, and what became of it.

use std::sync::Arc;

use pillarbox_core::address::ForwardPath;
use pillarbox_core::header::{HeaderLimits, HeaderScanner};
use pillarbox_core::{Reply, WallTime};
use pillarbox_smtp::command::MtPriority;
use pillarbox_smtp::server::{Answer, Mail, Rcpt};
use pillarbox_smtp::trace::StripField;
use tokio::task::JoinHandle;

use super::session::local_error;
use crate::parts::{Envelope, IncomingMessage, Notices, Outcome, Parts, Session, SinkError};

/// The transaction that a session is in.
pub(super) struct Transaction {
    pub(super) id: String,
    pub(super) recipients: Vec<ForwardPath<'static>>,
    /// What MAIL said beside the sender.
    mail: Mail<'static>,
    notices: Vec<Notices>,
    /// When MAIL came.
    arrived: WallTime,
    /// Octets of the message that came so far.
    size: u64,
    incoming: Option<Box<dyn IncomingMessage>>,
    /// What of a message that is submitted goes no further, up to the end of its header.
    blind: Option<[StripField; 2]>,
    /// The header, while the policy waits for it.
    header: Option<Header>,
    /// What the sink said, one for each recipient, once it was asked.
    outcomes: Option<Vec<Outcome>>,
}

impl Transaction {
    pub(super) fn new(id: String, mail: Mail<'static>, arrived: WallTime, submission: bool) -> Self {
        let (recipients, notices) = (Vec::new(), Vec::new());
        let blind = submission.then_some([StripField::bcc(), StripField::resent_bcc()]);
        Transaction {
            id,
            recipients,
            mail,
            arrived,
            notices,
            size: 0,
            incoming: None,
            blind,
            header: None,
            outcomes: None,
        }
    }

    /// The priority that MAIL asked for.
    pub(super) const fn mt_priority(&self) -> Option<MtPriority> {
        self.mail.mt_priority
    }

    /// One more recipient.
    pub(super) fn add(&mut self, rcpt: Rcpt<'static>) {
        self.recipients.push(rcpt.to);
        self.notices.push(Notices::new(rcpt.notify, rcpt.orcpt));
    }

    /// Opens the sink.
    pub(super) async fn begin(&mut self, parts: &Parts, session: Session, trace: Vec<u8>) -> Result<(), SinkError> {
        let mut envelope = Envelope::new(self.id.clone(), self.mail.from.clone(), self.recipients.clone());
        envelope.trace = trace;
        envelope.session = session;
        envelope.size = self.mail.size;
        envelope.body = self.mail.body;
        envelope.smtputf8 = self.mail.smtputf8;
        envelope.ret = self.mail.ret;
        envelope.envid = self.mail.envid.as_deref().map(String::from);
        envelope.notices = self.notices.clone();
        envelope.require_tls = self.mail.require_tls;
        envelope.future_release = self.mail.future_release;
        envelope.deliver_by = self.mail.deliver_by;
        envelope.mt_priority = self.mail.mt_priority;
        envelope.arrived = Some(self.arrived);
        self.incoming = Some(parts.sink.begin(envelope).await?);
        Ok(())
    }

    /// Collects the header from here on, for [`header`](Self::header).
    pub(super) fn collect_header(&mut self, limits: HeaderLimits) {
        self.header = Some(Header { octets: Vec::new(), scanner: HeaderScanner::new(limits) });
    }

    /// The header, once it is complete; given once. `ended`: no more of the message comes.
    pub(super) fn header(&mut self, ended: bool) -> Option<Vec<u8>> {
        let complete = |header: &mut Header| ended || header.scanner.is_complete();
        self.header.take_if(complete).map(|header| header.octets)
    }

    /// None of the recipients gets it.
    pub(super) fn refuse(&mut self, reply: &Reply) {
        self.incoming = None;
        self.outcomes = Some(vec![Outcome::Refused(reply.clone()); self.recipients.len()]);
    }

    /// Hands octets on. After an error the message is given up.
    pub(super) async fn write(&mut self, octets: &[u8]) -> Result<(), SinkError> {
        self.size += octets.len() as u64;
        if let Some(Header { octets: collected, scanner }) = &mut self.header {
            let before = scanner.size();
            // What passes a limit was refused by the session, which has the same.
            let _ = scanner.feed(octets);
            collected.extend_from_slice(&octets[..scanner.size() - before]);
        }
        match &mut self.blind {
            None => self.hand_on(octets).await,
            Some([bcc, resent_bcc]) => {
                let mut kept = Vec::with_capacity(octets.len());
                bcc.write(octets, &mut |octets| resent_bcc.write(octets, &mut |octets| kept.extend_from_slice(octets)));
                if resent_bcc.is_done() {
                    self.blind = None;
                }
                self.hand_on(&kept).await
            }
        }
    }

    async fn hand_on(&mut self, octets: &[u8]) -> Result<(), SinkError> {
        let Some(incoming) = &mut self.incoming else { return Ok(()) };
        let written = incoming.write(octets).await;
        if written.is_err() {
            self.incoming = None;
        }
        written
    }

    /// A message whose header has no end: what was held back of it.
    pub(super) async fn end(&mut self) -> Result<(), SinkError> {
        let Some([mut bcc, mut resent_bcc]) = self.blind.take() else { return Ok(()) };
        let mut kept = Vec::new();
        bcc.finish(&mut |octets| resent_bcc.write(octets, &mut |octets| kept.extend_from_slice(octets)));
        resent_bcc.finish(&mut |octets| kept.extend_from_slice(octets));
        self.hand_on(&kept).await
    }

    /// Commits the message if that was not done yet, and says what the client hears: about one recipient (LMTP), or about
    /// all (`None`).
    ///
    /// The commit is a task of its own: when the session is cut off meanwhile, because its client went or the server
    /// stops, the message is still wholly stored or wholly not (RFC 5321 §6.1, RFC 1047).
    pub(super) async fn outcome(&mut self, parts: &Parts, session: u64, recipient: Option<usize>) -> Answer<'static> {
        if self.outcomes.is_none() {
            let outcomes =
                match self.incoming.take().map(|incoming| self.commit(parts, session, incoming, recipient.is_none())) {
                    Some(commit) => commit.await,
                    None => Ok(Vec::new()),
                };
            self.outcomes = Some(outcomes.unwrap_or_else(|panic| {
                parts.observer.failed(session, &format!("message {}", self.id), &panic);
                Vec::new()
            }));
        }
        let outcomes = self.outcomes.as_deref().unwrap_or_default();
        let verdict = match recipient {
            Some(index) => outcomes.get(index).cloned(),
            None => together(outcomes),
        };
        match verdict {
            Some(Outcome::Delivered) => {
                Answer::AcceptWith(Reply::enhanced(250, 2, 0, 0, format!("accepted as {}", self.id)))
            }
            Some(Outcome::Refused(reply)) => {
                parts.observer.refused(session, &format!("message {}", self.id), &reply.to_string());
                Answer::Refuse(reply)
            }
            None => Answer::Refuse(local_error()),
        }
    }

    fn commit(
        &self,
        parts: &Parts,
        session: u64,
        incoming: Box<dyn IncomingMessage>,
        all_or_nothing: bool,
    ) -> JoinHandle<Vec<Outcome>> {
        let observer = Arc::clone(&parts.observer);
        let (id, from, recipients, size) =
            (self.id.clone(), self.mail.from.to_string(), self.recipients.clone(), self.size);
        tokio::spawn(async move {
            let mut outcomes = incoming.commit(all_or_nothing).await;
            if outcomes.len() != recipients.len() {
                let what = format!("the sink gave {} outcomes for {} recipients", outcomes.len(), recipients.len());
                observer.failed(session, &format!("message {id}"), &what);
                outcomes.resize(recipients.len(), Outcome::Refused(local_error()));
            }
            for (to, outcome) in recipients.iter().zip(&outcomes) {
                if *outcome == Outcome::Delivered {
                    observer.delivered(session, &id, &from, &to.to_string(), size);
                }
            }
            outcomes
        })
    }
}

/// A header that is arriving.
struct Header {
    octets: Vec<u8>,
    scanner: HeaderScanner,
}

/// One verdict for all recipients: delivered if all were. Otherwise nothing was stored, and a temporary refusal of one wins,
/// because the client may then try all of them again.
fn together(outcomes: &[Outcome]) -> Option<Outcome> {
    let mut refused = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Refused(_)));
    let temporary = refused.clone().find(|outcome| matches!(outcome, Outcome::Refused(reply) if reply.is_temporary()));
    temporary.or_else(|| refused.next()).or_else(|| outcomes.first()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_verdict_for_all() {
        let refused = |code, class| Outcome::Refused(Reply::enhanced(code, class, 2, 2, "full"));
        let (later, never) = (refused(452, 4), refused(552, 5));
        assert_eq!(together(&[]), None);
        assert_eq!(together(&[Outcome::Delivered, Outcome::Delivered]), Some(Outcome::Delivered));
        assert_eq!(together(&[Outcome::Delivered, never.clone()]), Some(never.clone()));
        assert_eq!(together(&[never, Outcome::Delivered, later.clone()]), Some(later));
    }
}
