//! The client's side of SCRAM.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::super::choice::Channel;
use super::super::{ITERATIONS_MAX, ITERATIONS_MIN, SaslError};
use super::{EXPORTER, Salted, message, nonce, prepare, xor};
use crate::crypto::{Crypto, HashAlgorithm};
use crate::{Random, Secret};

#[derive(Clone)]
pub(in super::super) struct Client {
    hash: HashAlgorithm,
    crypto: Arc<dyn Crypto>,
    password: Secret<String>,
    nonce: String,
    /// The GS2 header.
    header: String,
    /// What `c=` is made of.
    channel: Vec<u8>,
    bare: String,
    stage: Stage,
}

#[derive(Clone)]
enum Stage {
    First,
    Final,
    /// The proof was sent; a server that knows the keys answers with this.
    Proof(Secret<Vec<u8>>),
    /// The server proved that it knows the keys.
    Proven,
    Failed,
}

// The messages hold the channel's exporter, and together with a proof all that guessing the password takes.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Client {
    pub(in super::super) fn new(
        hash: HashAlgorithm,
        channel: &Channel,
        (authorization_id, user, password): (&str, &str, &Secret<String>),
        crypto: Arc<dyn Crypto>,
        random: &mut dyn Random,
    ) -> Result<Self, SaslError> {
        let flag = match channel {
            Channel::Unbound => "n",
            Channel::NotOffered => "y",
            Channel::Exporter(_) => "p=tls-exporter",
        };
        debug_assert!(flag.len() == 1 || flag.ends_with(EXPORTER));
        let header = match authorization_id {
            "" => alloc::format!("{flag},,"),
            name => alloc::format!("{flag},a={},", message::escape(&prepare(name)?)),
        };
        let mut bytes = Vec::from(&*header);
        if let Channel::Exporter(exporter) = channel {
            bytes.extend_from_slice(exporter);
        }
        let nonce = nonce(random);
        let bare = alloc::format!("n={},r={nonce}", message::escape(&prepare(user)?));
        prepare(password.expose())?;
        let password = password.clone();
        Ok(Client { hash, crypto, password, nonce, header, channel: bytes, bare, stage: Stage::First })
    }

    pub(in super::super) fn initial_response(&mut self) -> Option<Vec<u8>> {
        let Stage::First = self.stage else { return None };
        self.stage = Stage::Final;
        Some([self.header.as_bytes(), self.bare.as_bytes()].concat())
    }

    pub(in super::super) fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslError> {
        match core::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::First if challenge.is_empty() => {
                self.stage = Stage::First;
                self.initial_response().ok_or(SaslError::OutOfOrder)
            }
            Stage::First => Err(SaslError::Malformed),
            Stage::Final => self.prove(challenge),
            Stage::Proof(expected) => {
                if !expected.same_as(&message::server_final(challenge)?) {
                    return Err(SaslError::ServerProof);
                }
                self.stage = Stage::Proven;
                Ok(Vec::new())
            }
            Stage::Proven | Stage::Failed => Err(SaslError::OutOfOrder),
        }
    }

    /// Whether the server has proved that it knows the keys.
    pub(in super::super) const fn is_proven(&self) -> bool {
        matches!(self.stage, Stage::Proven)
    }

    fn prove(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslError> {
        let first = message::server_first(challenge)?;
        // RFC 5802 §5.1: what begins otherwise answers somebody else; what adds nothing was made without the server.
        if first.nonce.len() <= self.nonce.len() || !first.nonce.starts_with(&*self.nonce) {
            return Err(SaslError::Malformed);
        }
        // Few iterations make the proof easy to guess from, many keep us busy.
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&first.iterations.get()) {
            return Err(SaslError::Iterations);
        }
        let crypto = &*self.crypto;
        let salted = Salted::new(crypto, self.hash, first.iterations, &first.salt, &self.password)?;
        let without_proof = alloc::format!("c={},r={}", message::encode(&self.channel), first.nonce);
        let server_first = core::str::from_utf8(challenge).map_err(|_| SaslError::InvalidUtf8)?;
        let messages = alloc::format!("{},{server_first},{without_proof}", self.bare);
        let client_key = salted.client_key(crypto)?;
        let signature = crypto.hmac(self.hash, salted.stored_key(crypto)?.expose(), messages.as_bytes())?;
        let proof = message::encode(&xor(client_key.expose(), &signature));
        let expected = crypto.hmac(self.hash, salted.server_key(crypto)?.expose(), messages.as_bytes())?;
        self.stage = Stage::Proof(Secret::new(expected));
        Ok(alloc::format!("{without_proof},p={proof}").into_bytes())
    }

    /// The nonce of an example.
    #[cfg(test)]
    pub(super) fn use_nonce(&mut self, nonce: &str) {
        self.bare = self.bare.replace(&*self.nonce, nonce);
        self.nonce = nonce.into();
    }
}
