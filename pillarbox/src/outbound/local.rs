//! From the queue into mailboxes here.

use std::sync::Arc;

use pillarbox_core::{EnhancedCode, Reply};
use pillarbox_smtp::server::BodyKind;
use pillarbox_spool::{self as spool, Health};

use super::delivery::Delivery;
use super::record::Word;
use crate::dsn::Action;
use crate::parts::{Envelope, MessageSink, Outcome, SinkError};

/// Octets that are handed on at a time.
const PIECE: usize = 64 * 1024;

/// Gives the message to a sink for all open recipients. Delivered-To fields of others mean nothing here: a mailbox is where mail
/// ends, and nobody can stop it by feigning that it has been there.
pub(super) async fn deliver(delivery: &mut Delivery, sink: &dyn MessageSink) {
    let open = std::mem::take(&mut delivery.open);
    let words = hand_over(delivery, sink, &open).await;
    delivery.words.extend(words);
}

/// Gives the message to a sink for some recipients, and says what came of it for each.
pub(super) async fn hand_over(delivery: &mut Delivery, sink: &dyn MessageSink, open: &[u32]) -> Vec<Word> {
    let outcomes = write(delivery, sink, open).await;
    delivery.health = Health::Good;
    let word = |(index, recipient): (usize, &u32)| {
        let recipient = *recipient;
        let outcome = match &outcomes {
            Ok(outcomes) => outcomes.get(index).cloned(),
            Err(error) => Some(Outcome::Refused(error.reply.clone())),
        };
        match outcome {
            Some(Outcome::Delivered) => {
                let attempt = delivery.our(spool::Outcome::Delivered, EnhancedCode::new(2, 1, 5), "delivered");
                Word { action: Some(Action::Delivered), ..Word::of(recipient, attempt) }
            }
            Some(Outcome::Refused(reply)) => {
                let outcome = if reply.is_permanent() { spool::Outcome::Failed } else { spool::Outcome::Delayed };
                Word::of(recipient, delivery.of_reply(outcome, "", &reply))
            }
            None => Word::of(
                recipient,
                delivery.our(spool::Outcome::Delayed, EnhancedCode::new(4, 3, 0), "the sink gave no outcome"),
            ),
        }
    };
    open.iter().enumerate().map(word).collect()
}

async fn write(delivery: &Delivery, sink: &dyn MessageSink, open: &[u32]) -> Result<Vec<Outcome>, SinkError> {
    let message = &delivery.message;
    let paths = open.iter().filter_map(|recipient| {
        let at = usize::try_from(*recipient).ok()?;
        Some(message.envelope.recipients.get(at)?.to.clone())
    });
    let mut envelope = Envelope::new(message.id.to_string(), message.envelope.from.clone(), paths.collect());
    envelope.size = Some(message.size);
    envelope.smtputf8 = message.envelope.smtputf8;
    envelope.body = match message.envelope.body {
        spool::BodyKind::SevenBit => BodyKind::SevenBit,
        spool::BodyKind::EightBitMime => BodyKind::EightBitMime,
        spool::BodyKind::BinaryMime => BodyKind::BinaryMime,
    };
    envelope.require_tls = message.envelope.require_tls;
    envelope.arrived = Some(message.envelope.received);
    let mut incoming = sink.begin(envelope).await?;
    let mut at = 0;
    while at < delivery.body.len {
        let body = Arc::clone(&delivery.body);
        let piece = delivery.shared.disk.run(move || body.read(at, PIECE)).await;
        let unreadable = || Reply::enhanced(451, 4, 3, 0, "the message cannot be read");
        let piece = piece.map_err(|error| SinkError::new(unreadable(), error.to_string()))?;
        if piece.is_empty() {
            return Err(SinkError::new(unreadable(), "the content ends too soon"));
        }
        at += piece.len() as u64;
        incoming.write(&piece).await?;
    }
    Ok(incoming.commit(false).await)
}
