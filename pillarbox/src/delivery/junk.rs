//! What is kept apart.

use std::sync::Arc;

use pillarbox_core::header::{self, Fields};

use crate::parts::{BoxFuture, Envelope, IncomingMessage, MessageSink, Outcome, SinkError};

/// Octets on top of a message that are looked at for the mark. What this host writes there is shorter.
const TOP_MAX: usize = 64 * 1024;

/// Files messages that this host has marked, when they came, into a sink of their own, and all others into the usual one.
///
/// The mark is a field such as `X-Spam: Yes`
/// ([`AuthSink::quarantine_mark`](../auth/struct.AuthSink.html#method.quarantine_mark)). It counts where only this host can have put
/// it: above the first Received field. It travels with the message, so that what went through the queue is filed as well.
///
/// ```
/// use std::sync::Arc;
/// use pillarbox::delivery::{JunkSink, MailboxSink};
/// use pillarbox::imap_proto::types::MailboxName;
/// use pillarbox::parts::Identity;
/// use pillarbox::store::MemoryStore;
///
/// let account = |to: &pillarbox_core::address::ForwardPath<'_>| Some(Identity::new(to.address()?.to_string()));
/// let inbox = MailboxSink::new(Arc::new(MemoryStore::new()), account);
/// let junk = inbox.clone().into_junk(MailboxName::new("Junk")?);
/// let sink = JunkSink::new("X-Spam: Yes", Arc::new(inbox), Arc::new(junk));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct JunkSink {
    mark: Arc<str>,
    usual: Arc<dyn MessageSink>,
    junk: Arc<dyn MessageSink>,
}

impl JunkSink {
    /// Files what begins with the field `mark` into `junk`, and the rest into `usual`.
    pub fn new(mark: &str, usual: Arc<dyn MessageSink>, junk: Arc<dyn MessageSink>) -> Self {
        JunkSink { mark: mark.into(), usual, junk }
    }

    /// Whether the mark is among the fields above the first Received field; `None` if that is not known yet.
    fn is_marked(&self, top: &[u8], is_whole: bool) -> Option<bool> {
        let mark = self.mark.as_bytes();
        let is_whole = is_whole || !header::split(top).1.is_empty();
        let mut is_marked = false;
        let mut fields = Fields::new(top).peekable();
        while let Some(field) = fields.next() {
            let begins_below = field.name_is("Received");
            // The last one may go on.
            if !is_whole && fields.peek().is_none() && !begins_below {
                return None;
            }
            if begins_below {
                return Some(is_marked);
            }
            is_marked |= field.raw.trim_ascii_end() == mark;
        }
        // No Received field stands below: nothing tells apart what was put there and what came.
        if is_whole { Some(false) } else { None }
    }
}

impl MessageSink for JunkSink {
    fn begin(&self, envelope: Envelope) -> BoxFuture<'_, Result<Box<dyn IncomingMessage>, SinkError>> {
        Box::pin(async move {
            // What comes from a session brings its Received field here: nobody has put anything above.
            if let Some(false) = self.is_marked(&envelope.trace, false) {
                return self.usual.begin(envelope).await;
            }
            let top = envelope.trace.clone();
            let waiting = Filed { sink: self.clone(), envelope: Some(envelope), top, opened: None };
            Ok(Box::new(waiting) as Box<dyn IncomingMessage>)
        })
    }
}

/// A message of which it is not known yet where it goes.
struct Filed {
    sink: JunkSink,
    envelope: Option<Envelope>,
    top: Vec<u8>,
    opened: Option<Box<dyn IncomingMessage>>,
}

impl Filed {
    async fn open(&mut self, is_marked: bool) -> Result<(), SinkError> {
        let Some(envelope) = self.envelope.take() else { return Ok(()) };
        let trace = envelope.trace.len();
        let sink = if is_marked { &self.sink.junk } else { &self.sink.usual };
        let mut opened = sink.begin(envelope).await?;
        let top = std::mem::take(&mut self.top);
        opened.write(&top[trace..]).await?;
        self.opened = Some(opened);
        Ok(())
    }
}

impl IncomingMessage for Filed {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            if let Some(opened) = &mut self.opened {
                return opened.write(octets).await;
            }
            self.top.extend_from_slice(octets);
            let is_long = self.top.len() > TOP_MAX;
            match self.sink.is_marked(&self.top[..self.top.len().min(TOP_MAX)], false) {
                Some(is_marked) => self.open(is_marked).await,
                None if is_long => self.open(false).await,
                None => Ok(()),
            }
        })
    }

    fn commit(mut self: Box<Self>, all_or_nothing: bool) -> BoxFuture<'static, Vec<Outcome>> {
        Box::pin(async move {
            let recipients = self.envelope.as_ref().map_or(0, |envelope| envelope.recipients.len());
            let is_marked = self.sink.is_marked(&self.top, true).unwrap_or(false);
            if let Err(error) = self.open(is_marked).await {
                return vec![Outcome::Refused(error.reply); recipients];
            }
            match self.opened {
                Some(opened) => opened.commit(all_or_nothing).await,
                // It could not be begun, which was told when that was tried.
                None => Vec::new(),
            }
        })
    }
}
