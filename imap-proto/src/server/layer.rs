//! What comes between the session and its connection: STARTTLS and COMPRESS.

use pillarbox_core::{Layer, LayerFacts, Misuse, Time, UpgradeError};

use super::read::Served;
use super::reply::End;
use super::session::{Asked, Doing};
use super::{CloseReason, Event, ServerSession};
use crate::wire::encode::push;

impl ServerSession {
    /// RFC 9051 §6.2.1
    pub(super) fn starttls<'b>(&mut self) -> Served<'b> {
        if self.tls.is_some() {
            return Err(End::bad("TLS is there already"));
        }
        if !self.config.starttls {
            return Err(End::bad("TLS is not on offer"));
        }
        Ok(self.ask(Asked::StartTls, Event::StartTls))
    }

    /// RFC 4978 §3
    pub(super) fn compress<'b>(&mut self) -> Served<'b> {
        if !self.config.extensions.offers_compress() {
            return Err(End::bad("COMPRESS is not on offer"));
        }
        if self.compressed {
            return Err(End::bad_with("COMPRESSIONACTIVE", "DEFLATE is active via COMPRESS"));
        }
        self.begin_layer(Layer::Deflate);
        Ok(None)
    }

    pub(super) fn begin_layer(&mut self, layer: Layer) {
        self.doing = Doing::Upgrading { layer, announced: None };
    }

    /// A layer was granted: tells the client, unless it went on talking.
    pub(super) fn upgrade(&mut self, input: &[u8]) -> Option<Layer> {
        let Doing::Upgrading { layer, announced } = self.doing else { return None };
        if !input.is_empty() {
            // RFC 9051 §11.1, CVE-2011-0411: what was sent in clear text must have no effect after the handshake; RFC 4978 §3:
            // nothing may be sent before the answer. The go-ahead is taken back where it did not leave yet, so that both
            // orders of arrival look the same.
            if let Some(position) = announced {
                self.out.take_back(position);
            }
            let words = match layer {
                Layer::Deflate => "Nothing may follow COMPRESS",
                _ => "Nothing may follow STARTTLS",
            };
            self.bye(CloseReason::Synchronisation, None, words);
            return None;
        }
        if announced.is_none() {
            self.doing = Doing::Upgrading { layer, announced: Some(self.out.position()) };
            let words = match layer {
                Layer::Deflate => "DEFLATE active",
                _ => "Begin TLS now",
            };
            push(self.out.end(), format_args!("{} OK {words}\r\n", self.running.tag));
        }
        Some(layer)
    }

    /// [`Machine::upgraded`](pillarbox_core::Machine::upgraded)
    ///
    /// # Errors
    ///
    /// As there.
    pub fn upgraded(&mut self, now: Time, facts: LayerFacts) -> Result<(), Misuse> {
        self.timer.advance(now);
        let Doing::Upgrading { layer, announced: Some(_) } = self.doing else { return Err(Misuse::NoUpgrade) };
        match (layer, facts) {
            (Layer::Tls, LayerFacts::Tls(facts)) => {
                // RFC 9051 §6.2.1: what the client learned before is void; we remember nothing of it either.
                self.tls = Some(facts);
            }
            (Layer::Deflate, LayerFacts::Deflate) => {
                self.compressed = true;
                self.timer.active();
            }
            _ => return Err(Misuse::NoUpgrade),
        }
        self.framer.reset();
        self.doing = Doing::Reading;
        self.leave_if_due();
        Ok(())
    }

    /// [`Machine::upgrade_failed`](pillarbox_core::Machine::upgrade_failed)
    pub fn upgrade_failed(&mut self, now: Time, _why: UpgradeError) {
        self.timer.advance(now);
        // RFC 3207 §4.1, RFC 9051 §6.2.1: nothing that could be said in clear text now can be trusted. And a client that was told of
        // compression understands nothing else.
        self.close(match self.doing {
            Doing::Upgrading { layer: Layer::Deflate, .. } => CloseReason::Compression,
            _ => CloseReason::Tls,
        });
    }
}
